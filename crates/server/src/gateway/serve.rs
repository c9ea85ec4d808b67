//! One request, from its arrival to its answer.

use std::sync::{Arc, atomic::Ordering};

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, header, request::Parts};
use hyper::{Request, body::Incoming};
use wakeful_core::{
    id::{IdSource, RunId},
    limits,
    port::Clock,
    project::Auth,
};
use wakeful_workers::{Body, Invocation, Reserve, ReserveError, Response as Answer, Slot, What};

use super::{
    Detail, Endpoint, Refusal, ResponseBody, Routed,
    record::Record,
    request::{Intake, linger},
    respond::{Going, Head},
};
use crate::{live::LiveCell, recorder::Recorder, vault::Vault};

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    shared: Arc<Shared>,
}

struct Shared {
    live: LiveCell,
    recorder: Recorder,
    vault: Arc<Vault>,
    ids: Arc<IdSource>,
    clock: Arc<dyn Clock>,
    detail: Detail,
}

/// The header field that names the run of an answer.
const RUN_HEADER: HeaderName = HeaderName::from_static("x-wakeful-run");

impl Gateway {
    /// A gateway to what `live` holds; `detail` is how much of a failure callers are told.
    pub fn new(
        live: LiveCell,
        recorder: Recorder,
        vault: Arc<Vault>,
        ids: Arc<IdSource>,
        clock: Arc<dyn Clock>,
        detail: Detail,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                live,
                recorder,
                vault,
                ids,
                clock,
                detail,
            }),
        }
    }

    /// Answers one request of a caller at `remote`.
    pub async fn serve(
        &self,
        request: Request<Incoming>,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let shared = &*self.shared;
        let live = shared.live.load();
        let (endpoint, params) = match live.router.find(&parts.method, parts.uri.path()) {
            Routed::Found(endpoint, params) => (Arc::clone(endpoint), params),
            Routed::OtherMethods(methods) => {
                linger(&parts.headers, body);
                return self.other_methods(&parts.method, &methods);
            }
            Routed::NotFound => {
                linger(&parts.headers, body);
                return Refusal::NotFound.response(None, shared.detail);
            }
        };
        if let Err(refusal) = self.authorized(&endpoint, &parts.headers) {
            linger(&parts.headers, body);
            return refusal.response(None, shared.detail);
        }
        let accepted_at = shared.clock.now();
        let run = shared.ids.run(accepted_at);
        let record = Record::begin(&shared.recorder, &endpoint, &parts, (run, accepted_at));
        let max_body = endpoint.version.function.max_body;
        let response = match Intake::of(&parts, &params, body, max_body).await {
            Ok(intake) => {
                drop(params);
                drop(live);
                let method = parts.method.clone();
                let exchange = Exchange {
                    shared,
                    endpoint,
                    run,
                    method,
                    record,
                };
                exchange.run(parts, intake, remote).await
            }
            Err(refusal) => refuse(shared, run, record, refusal),
        };
        with_run(response, run)
    }

    fn other_methods(&self, method: &Method, known: &[&Method]) -> Response<ResponseBody> {
        let mut allow: Vec<&str> = known.iter().map(|method| method.as_str()).collect();
        if allow.contains(&"GET") && !allow.contains(&"HEAD") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
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

    fn authorized(&self, endpoint: &Endpoint, headers: &HeaderMap) -> Result<(), Refusal> {
        match endpoint.auth {
            Auth::None => Ok(()),
            Auth::Key => {
                let key = function_key(headers).ok_or(Refusal::NoKey)?;
                let known = self.shared.vault.verify_function_key(key);
                known.map(|_| ()).ok_or(Refusal::WrongKey)
            }
        }
    }
}

fn function_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok())
}

/// A request that was taken in, on its way to a worker and back.
struct Exchange<'a> {
    shared: &'a Shared,
    endpoint: Arc<Endpoint>,
    run: RunId,
    method: Method,
    record: Record,
}

impl Exchange<'_> {
    async fn run(
        mut self,
        parts: Parts,
        intake: Intake,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        let slot = match self.place().await {
            Ok(slot) => slot,
            Err(refusal) => return refuse(self.shared, self.run, self.record, refusal),
        };
        self.record.on(slot.info(), &self.endpoint.version.id);
        let too_large = intake.watch();
        let mut call = slot.start(Invocation {
            run: self.run,
            attempt: 1,
            handler: self.endpoint.handler,
            timeout: None,
            what: What::Http(intake.into_request(parts, remote)),
        });
        match call.response().await {
            Ok(answer) => self.answer(answer, call),
            Err(failure) => {
                let blamed = too_large.is_some_and(|flag| flag.load(Ordering::Relaxed));
                let refusal = match blamed {
                    true => Refusal::TooLarge(self.endpoint.version.function.max_body),
                    false => Refusal::Failed(self.shared.recorder.redacted(failure)),
                };
                refuse(self.shared, self.run, self.record, refusal)
            }
        }
    }

    fn answer(mut self, answer: Answer, call: wakeful_workers::Call) -> Response<ResponseBody> {
        let head = match Head::of(answer.status, answer.headers) {
            Ok(head) => head,
            Err(refusal) => return refuse(self.shared, self.run, self.record, refusal),
        };
        self.record.status(head.status.as_u16());
        let method = &self.method;
        match answer.body {
            Body::Full(bytes) => {
                self.record.finish(None);
                head.with(ResponseBody::full(bytes), method)
            }
            Body::Stream(stream) => {
                let going = Going {
                    stream,
                    record: self.record,
                    call,
                };
                if head.is_bodiless(method) {
                    going.finish_unread();
                    return head.with(ResponseBody::Full(None), method);
                }
                let announced = head.announced();
                head.with(ResponseBody::stream(going, announced), method)
            }
        }
    }

    /// A place on a worker: at once where one is free, else after a bounded wait.
    async fn place(&mut self) -> Result<Slot, Refusal> {
        if let Some(slot) = self.endpoint.version.pool.try_reserve() {
            return Ok(slot);
        }
        let patience = self.endpoint.version.function.timeout + limits::LOAD_TIMEOUT;
        let waiting = tokio::time::timeout(patience, self.wait_for_place()).await;
        self.record.waited();
        waiting
            .unwrap_or(Err(ReserveError::Overloaded))
            .map_err(Refusal::NoWorker)
    }

    async fn wait_for_place(&mut self) -> Result<Slot, ReserveError> {
        loop {
            match self.endpoint.version.pool.reserve(Reserve::Shared).await {
                // A new version took over while we waited: follow it.
                Err(ReserveError::Retired) => {
                    let next = self.successor().ok_or(ReserveError::Retired)?;
                    self.endpoint = next;
                }
                other => return other,
            }
        }
    }

    /// The same endpoint, as the version that is live now serves it.
    fn successor(&self) -> Option<Arc<Endpoint>> {
        let old = &self.endpoint;
        let live = self.shared.live.load();
        let (version, duty) = live.duty(&old.version.function.name, &old.trigger.id)?;
        (version.id != old.version.id).then(|| {
            Arc::new(Endpoint {
                version,
                trigger: old.trigger.clone(),
                handler: duty.handler,
                auth: old.auth,
            })
        })
    }
}

/// Answers with a refusal, and records it.
fn refuse(
    shared: &Shared,
    run: RunId,
    mut record: Record,
    refusal: Refusal,
) -> Response<ResponseBody> {
    let response = refusal.response(Some(run), shared.detail);
    record.status(response.status().as_u16());
    record.finish(Some(refusal.into_failure()));
    response
}

fn with_run(mut response: Response<ResponseBody>, run: RunId) -> Response<ResponseBody> {
    if let Ok(value) = HeaderValue::try_from(run.to_string()) {
        response.headers_mut().insert(RUN_HEADER, value);
    }
    response
}
