//! `Invoke`: what a request asks for, and its answer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use wakeful_core::{
    delivery::{Failure, FailureKind},
    event::{Extension, Extensions},
    id::RunId,
    limits,
    port::Receipt,
    project::Style,
};
use wakeful_workers::WorkerRef;

use super::{
    Admitted, Found, LambdaApi,
    answer::{AnswerBody, name_request, name_run, put, request_id, whole},
    error::ApiError,
    failure, lineage,
    tail::Tail,
};
use crate::{
    control::{Asked, Invocation, Invoked},
    dispatcher::{Begun, Caller, Payload},
    live::Version,
    vault::Principal,
};

/// The largest payload of an asynchronous invocation, bytes: Lambda's limit.
const MAX_EVENT: u64 = 1024 * 1024;
/// The longest client context, bytes of base64: Lambda's limit.
const MAX_CLIENT_CONTEXT: usize = 3583;
/// The longest id of an SDK's call that is taken for one; they are UUIDs.
const MAX_CALL_ID: usize = 128;

/// What the event of an invocation carries for functions of Lambda's style: the client context,
/// and that what a streaming handler writes leaves as it is (docs/worker-protocol.md).
const CLIENT_CONTEXT: &str = "lambdacontext";
const STREAM: &str = "lambdastream";

/// The version that ran.
pub(super) const EXECUTED_VERSION: &str = "x-amz-executed-version";
/// That the function failed, and not the request.
const FUNCTION_ERROR: &str = "x-amz-function-error";
/// Errors that user code did not handle itself: all of them.
pub(super) const UNHANDLED: &str = "Unhandled";
/// The end of the log.
const LOG_RESULT: &str = "x-amz-log-result";

/// How an invocation is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// The caller waits.
    RequestResponse,
    /// It is written down, and done later.
    Event,
    /// Only whether it could be done.
    DryRun,
}

impl How {
    fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        match text(headers, "x-amz-invocation-type") {
            None | Some("RequestResponse") => Ok(Self::RequestResponse),
            Some("Event") => Ok(Self::Event),
            Some("DryRun") => Ok(Self::DryRun),
            Some(other) => Err(ApiError::InvalidParameter(format!(
                "X-Amz-Invocation-Type must be RequestResponse, Event or DryRun, not `{other}`"
            ))),
        }
    }
}

/// What a request may send.
pub(super) fn most_payload(headers: &HeaderMap) -> u64 {
    match How::of(headers) {
        Ok(How::Event) => MAX_EVENT,
        _ => limits::MAX_BODY,
    }
}

/// Whether the end of the log is asked for.
pub(super) fn wants_tail(headers: &HeaderMap) -> Result<bool, ApiError> {
    match text(headers, "x-amz-log-type") {
        None | Some("None") => Ok(false),
        Some("Tail") => Ok(true),
        Some(other) => Err(ApiError::InvalidParameter(format!(
            "X-Amz-Log-Type must be None or Tail, not `{other}`"
        ))),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = headers.get(name)?.to_str().unwrap_or("?");
    Some(value).filter(|value| !value.is_empty())
}

/// A synchronous invocation that is over.
pub(super) struct Outcome {
    pub(super) run: RunId,
    pub(super) version: Arc<Version>,
    /// The result as JSON, or how it failed, fit to be shown.
    pub(super) result: Result<Bytes, Failure>,
    pub(super) worker: Option<WorkerRef>,
    /// How long its code ran.
    pub(super) took: Duration,
}

impl Outcome {
    /// The payload of a function error; `None` when it succeeded.
    pub(super) fn error(&self) -> Option<String> {
        let failure = self.result.as_ref().err()?;
        let id = request_id(self.run.raw());
        Some(failure::payload(failure, &self.version.function, &id).to_string())
    }
}

/// `undefined` is `null` to clients.
pub(super) fn or_null(result: Bytes) -> Bytes {
    match result.is_empty() {
        true => Bytes::from_static(b"null"),
        false => result,
    }
}

impl LambdaApi {
    pub(super) async fn invoke(
        &self,
        name: &str,
        admitted: Admitted,
    ) -> Result<Response<AnswerBody>, ApiError> {
        let how = How::of(&admitted.head.headers)?;
        let tail = wants_tail(&admitted.head.headers)?;
        let found = self.callee(name, &admitted).await?;
        let (invocation, caller) = self.called(&found, &admitted, how)?;
        match how {
            How::RequestResponse => {
                let begun = self.parts.dispatcher.begin(invocation, caller).await?;
                let outcome = self.wait(begun).await?;
                Ok(self.result(outcome, tail).await)
            }
            How::Event => {
                let asked = asked(&admitted);
                let dispatcher = &self.parts.dispatcher;
                let receipt = dispatcher
                    .invoke_async_from(invocation, asked, &caller)
                    .await?;
                Ok(accepted(&receipt))
            }
            How::DryRun => {
                self.parts
                    .dispatcher
                    .invocation(&invocation, Asked::default(), &caller)?;
                let mut response = whole(StatusCode::NO_CONTENT, "");
                put(&mut response, EXECUTED_VERSION, &found.version.id);
                Ok(response)
            }
        }
    }

    /// The function that is to be invoked, by somebody who may; its style is known.
    pub(super) async fn callee(&self, name: &str, admitted: &Admitted) -> Result<Found, ApiError> {
        let found = self.find(name, admitted)?;
        if let Principal::Function(caller) = &admitted.principal {
            let granted = self.parts.grants.invoke(caller, &found.name);
            granted.map_err(ApiError::Denied)?;
        }
        if found.version.pool.style().is_none() {
            let patience = limits::START_TIMEOUT + limits::LOAD_TIMEOUT;
            // What is wrong shows again when it is to be run.
            let _ = tokio::time::timeout(patience, found.version.pool.load()).await;
        }
        Ok(found)
    }

    /// The invocation that a request asks for.
    pub(super) fn called(
        &self,
        found: &Found,
        admitted: &Admitted,
        how: How,
    ) -> Result<(Invocation, Caller), ApiError> {
        let context = client_context(&admitted.head.headers)?;
        let payload = match admitted.body.is_empty() {
            true => Bytes::from_static(b"{}"),
            false => admitted.body.clone(),
        };
        let mut extensions = Extensions::new();
        let is_lambda = found.version.pool.style() == Some(Style::Lambda);
        // Lambda too passes no client context to asynchronous invocations.
        if is_lambda && how == How::RequestResponse {
            extensions.insert(STREAM.to_owned(), Extension::Boolean(true));
            if let Some(context) = context {
                extensions.insert(CLIENT_CONTEXT.to_owned(), Extension::Text(context));
            }
        }
        let invocation = Invocation {
            function: found.name.clone(),
            handler: None,
            payload,
        };
        let origin = lineage::of(admitted, &self.parts.attempts);
        if how == How::RequestResponse && origin.lineage.depth > limits::MAX_CHAIN {
            return Err(ApiError::Loop);
        }
        let caller = Caller {
            lineage: origin.lineage,
            waiting: origin.waiting,
            payload: Payload::Data,
            extensions,
            ..Caller::default()
        };
        Ok((invocation, caller))
    }

    async fn wait(&self, begun: Begun) -> Result<Outcome, ApiError> {
        let started = Instant::now();
        Ok(match begun {
            Begun::Refused(Invoked { run, result }, version) => {
                self.outcome(run, version, result, None, started)?
            }
            Begun::Running(running) => {
                let (version, worker) = (Arc::clone(running.version()), running.worker());
                let Invoked { run, result } = running.whole().await;
                self.outcome(run, version, result, Some(worker), started)?
            }
        })
    }

    /// What never ran for want of a worker is no fault of the function: trying again may help.
    pub(super) fn outcome(
        &self,
        run: RunId,
        version: Arc<Version>,
        result: Result<Bytes, Failure>,
        worker: Option<WorkerRef>,
        started: Instant,
    ) -> Result<Outcome, ApiError> {
        let result = result.map_err(|failure| self.parts.recorder.redacted(failure));
        match result {
            Err(failure) if failure.kind == FailureKind::NotStarted => {
                Err(ApiError::Unavailable(failure.message))
            }
            result => Ok(Outcome {
                run,
                version,
                result,
                worker,
                took: started.elapsed(),
            }),
        }
    }

    async fn result(&self, outcome: Outcome, tail: bool) -> Response<AnswerBody> {
        let log = match tail {
            true => Some(self.tail(&outcome).await),
            false => None,
        };
        let error = outcome.error();
        let failed = error.is_some();
        let body = match (error, outcome.result) {
            (Some(error), _) => Bytes::from(error),
            (None, Ok(result)) => or_null(result),
            (None, Err(_)) => Bytes::new(),
        };
        let mut response = whole(StatusCode::OK, body);
        name_run(&mut response, outcome.run);
        put(&mut response, EXECUTED_VERSION, &outcome.version.id);
        if failed {
            put(&mut response, FUNCTION_ERROR, UNHANDLED);
        }
        if let Some(log) = log {
            put(&mut response, LOG_RESULT, &log);
        }
        response
    }

    /// The end of the log of an invocation, as base64.
    pub(super) async fn tail(&self, outcome: &Outcome) -> String {
        let lines = Tail {
            history: &self.parts.history,
            workers: &self.parts.workers,
            now: self.parts.clock.now(),
        };
        lines.of(outcome).await
    }
}

/// The client context as JSON.
fn client_context(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let Some(encoded) = text(headers, "x-amz-client-context") else {
        return Ok(None);
    };
    let wrong = || {
        let rule =
            "Client context must be a valid Base64-encoded JSON object of at most 3583 bytes";
        ApiError::InvalidParameter(rule.to_owned())
    };
    if encoded.len() > MAX_CLIENT_CONTEXT {
        return Err(wrong());
    }
    let decoded = BASE64_STANDARD.decode(encoded).map_err(|_| wrong())?;
    let decoded = String::from_utf8(decoded).map_err(|_| wrong())?;
    let object: Result<serde_json::Map<String, serde_json::Value>, _> =
        serde_json::from_str(&decoded);
    object.map(|_| Some(decoded)).map_err(|_| wrong())
}

/// SDKs name each call of theirs, and keep the name when they try again: the second of two such
/// requests is a repetition of the first.
fn asked(admitted: &Admitted) -> Asked {
    let id = text(&admitted.head.headers, "amz-sdk-invocation-id");
    let id =
        id.filter(|id| id.len() <= MAX_CALL_ID && id.bytes().all(|byte| byte.is_ascii_graphic()));
    Asked {
        dedup: id.map(|id| format!("lambda:{id}")),
        ..Asked::default()
    }
}

fn accepted(receipt: &Receipt) -> Response<AnswerBody> {
    let mut response = whole(StatusCode::ACCEPTED, "");
    let run = receipt.runs.first().copied();
    let run = run.or_else(|| receipt.duplicates.first().map(|(_, earlier)| *earlier));
    match (run, receipt.events.first()) {
        (Some(run), _) => name_run(&mut response, run),
        (None, Some(event)) => name_request(&mut response, event.raw()),
        (None, None) => {}
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()));
        pairs.collect()
    }

    #[test]
    fn payloads_are_limited_as_on_lambda() {
        for (how, most) in [
            (None, 6 << 20),
            (Some("RequestResponse"), 6 << 20),
            (Some("Event"), 1 << 20),
            (Some("Nonsense"), 6 << 20),
        ] {
            let pairs: Vec<_> = how
                .map(|how| ("x-amz-invocation-type", how))
                .into_iter()
                .collect();
            assert_eq!(most_payload(&headers(&pairs)), most, "{how:?}");
        }
        assert!(How::of(&headers(&[("x-amz-invocation-type", "event")])).is_err());
        assert!(wants_tail(&headers(&[("x-amz-log-type", "All")])).is_err());
    }

    #[test]
    fn a_client_context_is_a_json_object() {
        let given = |text: &str| client_context(&headers(&[("x-amz-client-context", text)]));
        let encode = |text: &str| BASE64_STANDARD.encode(text);
        let context = r#"{"custom":{"a":1}}"#;
        assert_eq!(given(&encode(context)).unwrap().as_deref(), Some(context));
        assert_eq!(client_context(&HeaderMap::new()).unwrap(), None);
        let long = encode(&format!(r#"{{"a":"{}"}}"#, "x".repeat(3000)));
        for wrong in ["{}", &encode("7"), &encode("{"), &long] {
            assert!(given(wrong).is_err(), "{wrong}");
        }
    }
}
