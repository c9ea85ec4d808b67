//! One request, from its arrival to its answer.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, Response, header, request::Parts};
use hyper::{Request, body::Incoming};
use wakeful_core::{id::RunId, limits, project::Answer};

use super::{
    Endpoint, Refusal, ResponseBody, Routed,
    auth::caller,
    body::linger,
    events,
    exchange::Exchange,
    later, once,
    record::Record,
    request::{Intake, Target, head},
    shared::{GatewayParts, Shared},
    wishes::IDEMPOTENCY_KEY,
};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

/// The header field that names the run of an answer.
pub(super) const RUN_HEADER: HeaderName = HeaderName::from_static("x-wakeful-run");

/// How a request to a function is answered.
enum Way {
    /// By the function, at once.
    Waiting,
    /// By the function, and the answer is kept for so long for whoever asks again.
    Once(Duration),
    /// Before the function runs.
    Later,
}

impl Way {
    fn of(endpoint: &Endpoint, parts: &Parts) -> Self {
        match endpoint.answer {
            Answer::Async => Self::Later,
            Answer::Waits { idempotency }
                if !parts.method.is_safe()
                    && !idempotency.is_zero()
                    && parts.headers.contains_key(&IDEMPOTENCY_KEY) =>
            {
                Self::Once(idempotency)
            }
            Answer::Waits { .. } => Self::Waiting,
        }
    }
}

impl Gateway {
    /// A gateway to what is live.
    pub fn new(parts: GatewayParts) -> Self {
        Self {
            shared: Arc::new(Shared::new(parts)),
        }
    }

    /// Answers one request of a caller at `remote`.
    pub async fn serve(
        &self,
        request: Request<Incoming>,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let shared = &self.shared;
        let live = shared.live.load();
        let (endpoint, params) = match live.router.find(&parts.method, parts.uri.path()) {
            Routed::Function(endpoint, params) => (Arc::clone(endpoint), params),
            Routed::Events(auth, topic) => {
                let (at, project) = ((auth, topic.map(str::to_owned)), Arc::clone(&live.project));
                drop(live);
                return events::answer(shared, &project, at, parts, body).await;
            }
            Routed::OtherMethods(methods) => {
                linger(&parts.headers, body);
                return self.other_methods(&parts.method, &methods);
            }
            Routed::NotFound => {
                linger(&parts.headers, body);
                return Refusal::NotFound.response(None, shared.detail);
            }
        };
        let caller = match caller(endpoint.auth, &parts.headers, &shared.vault) {
            Ok(caller) => caller,
            Err(refusal) => {
                linger(&parts.headers, body);
                return refusal.response(None, shared.detail);
            }
        };
        let head = head(&parts, &params);
        drop(params);
        drop(live);
        match Way::of(&endpoint, &parts) {
            Way::Waiting => self.waiting(endpoint, parts, head, body, remote).await,
            Way::Once(kept) => {
                let asked = once::Asking {
                    endpoint,
                    caller,
                    parts,
                    remote,
                    kept,
                };
                once::answer(shared, asked, head, body).await
            }
            Way::Later => {
                let asked = later::Asking {
                    endpoint: &endpoint,
                    caller: &caller,
                    parts: &parts,
                    remote,
                };
                later::accept(shared, asked, head, body).await
            }
        }
    }

    async fn waiting(
        &self,
        endpoint: Arc<Endpoint>,
        parts: Parts,
        head: Result<Target, Refusal>,
        body: Incoming,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        let shared = &self.shared;
        let accepted_at = shared.clock.now();
        let run = shared.ids.run(accepted_at);
        let record = Record::begin(&shared.recorder, &endpoint, &parts, (run, accepted_at));
        let max_body = endpoint.version.function.max_body;
        let exchange = Exchange {
            shared: Arc::clone(shared),
            endpoint,
            run,
            method: parts.method.clone(),
            record,
        };
        let intake = match head {
            Ok(head) => Intake::of(&parts.headers, head, body, max_body).await,
            Err(refusal) => {
                linger(&parts.headers, body);
                Err(refusal)
            }
        };
        let response = match intake {
            Ok(intake) => exchange.run(parts, intake, remote).await,
            Err(refusal) => exchange.refuse(refusal),
        };
        with_run(response, run)
    }

    fn other_methods(&self, method: &Method, known: &[&Method]) -> Response<ResponseBody> {
        let mut allow: Vec<&str> = known.iter().map(|method| method.as_str()).collect();
        for (more, because) in [("HEAD", Some("GET")), ("OPTIONS", None)] {
            if !allow.contains(&more) && because.is_none_or(|method| allow.contains(&method)) {
                allow.push(more);
            }
        }
        let allow = allow.join(", ");
        if method != Method::OPTIONS {
            return Refusal::OtherMethods(allow).response(None, self.shared.detail);
        }
        let mut response = Response::new(ResponseBody::Full(None));
        *response.status_mut() = http::StatusCode::NO_CONTENT;
        if let Ok(allow) = HeaderValue::from_str(&allow) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        response
    }

    /// Waits until the answers that are kept have been, within a bound: their callers may have
    /// gone, and ask again.
    pub(super) async fn settled(&self) {
        let settled = self.shared.turns.settled();
        if tokio::time::timeout(limits::DRAIN, settled).await.is_err() {
            tracing::warn!("answers for idempotency keys were still under way at the end");
        }
    }
}

pub(super) fn with_run(mut response: Response<ResponseBody>, run: RunId) -> Response<ResponseBody> {
    if let Ok(value) = HeaderValue::try_from(run.to_string()) {
        response.headers_mut().insert(RUN_HEADER, value);
    }
    response
}
