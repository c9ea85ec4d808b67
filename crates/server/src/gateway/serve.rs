//! One request, from its arrival to its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, Method, Response, header, request::Parts};
use hyper::{Request, body::Incoming};
use wakeful_core::{
    id::{IdSource, RunId},
    limits,
    port::Clock,
    project::Auth,
    time::Timestamp,
};
use wakeful_workers::{Body, Invocation, Reserve, ReserveError, Slot, What, WorkerRef};

use super::{
    Detail, Endpoint, Refusal, ResponseBody, Routed,
    request::{Upload, decoded, linger, to_worker},
    respond::{HttpEnded, OnEnd, head},
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
const RUN_HEADER: &str = "x-wakeful-run";

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
    pub async fn serve(&self, request: Request<Incoming>, remote: &str) -> Response<ResponseBody> {
        let (parts, body) = request.into_parts();
        let live = self.shared.live.load();
        let (endpoint, params) = match live.router.find(&parts.method, parts.uri.path()) {
            Routed::Found(endpoint, params) => (Arc::clone(endpoint), decoded(&params)),
            Routed::OtherMethods(methods) => {
                linger(&parts.headers, body);
                return self.other_methods(&parts.method, &methods);
            }
            Routed::NotFound => {
                linger(&parts.headers, body);
                return Refusal::NotFound.response(None, self.shared.detail);
            }
        };
        drop(live);
        if let Err(refusal) = self.authorized(&endpoint, &parts.headers) {
            linger(&parts.headers, body);
            return refusal.response(None, self.shared.detail);
        }
        let run = Exchange::begin(&self.shared, endpoint, &parts);
        match run.exchange(parts, params, body, remote).await {
            Ok(response) => response,
            Err((refusal, run)) => run.refuse(refusal),
        }
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

/// A request on its way.
struct Exchange<'a> {
    shared: &'a Shared,
    endpoint: Arc<Endpoint>,
    run: RunId,
    method: Method,
    about: String,
    accepted_at: Timestamp,
    started: Instant,
    waited: Duration,
    worker: Option<WorkerRef>,
}

impl<'a> Exchange<'a> {
    fn begin(shared: &'a Shared, endpoint: Arc<Endpoint>, parts: &Parts) -> Self {
        let accepted_at = shared.clock.now();
        Self {
            run: shared.ids.run(accepted_at),
            about: format!("{} {}", parts.method, parts.uri.path()),
            method: parts.method.clone(),
            shared,
            endpoint,
            accepted_at,
            started: Instant::now(),
            waited: Duration::ZERO,
            worker: None,
        }
    }

    /// The whole road: a place, the worker, the answer.
    async fn exchange(
        mut self,
        parts: Parts,
        params: Result<Vec<(String, String)>, Refusal>,
        body: Incoming,
        remote: &str,
    ) -> Result<Response<ResponseBody>, (Refusal, Self)> {
        let slot = match self.place().await {
            Ok(slot) => slot,
            Err(refusal) => {
                linger(&parts.headers, body);
                return Err((refusal, self));
            }
        };
        self.worker = Some(slot.info());
        let max_body = self.endpoint.version.function.max_body;
        let upload = Upload::default();
        let request = match params {
            Ok(params) => to_worker(parts, params, body, remote, max_body, &upload).await,
            Err(refusal) => Err(refusal),
        };
        let request = match request {
            Ok(request) => request,
            Err(refusal) => {
                self.worker = None;
                return Err((refusal, self));
            }
        };
        let mut call = slot.start(Invocation {
            run: self.run,
            attempt: 1,
            handler: self.endpoint.handler,
            timeout: None,
            what: What::Http(request),
        });
        let answer = match call.response().await {
            Ok(answer) => answer,
            Err(_) if upload.was_too_large() => return Err((Refusal::TooLarge(max_body), self)),
            Err(failure) => return Err((Refusal::Failed(failure), self)),
        };
        match answer.body {
            Body::Full(bytes) => {
                let body = ResponseBody::full(bytes);
                match head(answer.status, answer.headers, &self.method, body) {
                    Ok(response) => Ok(self.answered(response)),
                    Err(refusal) => Err((refusal, self)),
                }
            }
            Body::Stream(stream) => {
                let recorder = self.shared.recorder.clone();
                let run = self.run;
                let started = self.started;
                let method = self.method.clone();
                let ended = self.ended(answer.status, None);
                let on_end = OnEnd {
                    recorder,
                    started,
                    ended,
                    _call: call,
                };
                let body = ResponseBody::stream(stream, on_end);
                match head(answer.status, answer.headers, &method, body) {
                    Ok(response) => Ok(with_run(response, run)),
                    Err(refusal) => Ok(refusal.response(Some(run), Detail::Full)),
                }
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
        self.waited = self.started.elapsed();
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

    fn answered(self, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let run = self.run;
        let recorder = self.shared.recorder.clone();
        recorder.http(self.ended(response.status().as_u16(), None));
        with_run(response, run)
    }

    fn refuse(self, refusal: Refusal) -> Response<ResponseBody> {
        let response = refusal.response(Some(self.run), self.shared.detail);
        let run = self.run;
        let recorder = self.shared.recorder.clone();
        recorder.http(self.ended(response.status().as_u16(), Some(refusal)));
        with_run(response, run)
    }

    fn ended(self, status: u16, refusal: Option<Refusal>) -> HttpEnded {
        HttpEnded {
            run: self.run,
            function: self.endpoint.version.function.name.clone(),
            trigger: self.endpoint.trigger.id.clone(),
            about: self.about,
            version: self.endpoint.version.id.clone(),
            worker: self.worker,
            accepted_at: self.accepted_at,
            waited: self.waited,
            took: self.started.elapsed().saturating_sub(self.waited),
            status,
            failure: refusal.map(Refusal::into_failure),
        }
    }
}

fn with_run(mut response: Response<ResponseBody>, run: RunId) -> Response<ResponseBody> {
    if let Ok(value) = HeaderValue::from_str(&run.to_string()) {
        response.headers_mut().insert(RUN_HEADER, value);
    }
    response
}
