//! Endpoints that answer before they run: the request is kept, and owed to the function.

use std::sync::Arc;

use http::{HeaderValue, Response, StatusCode, request::Parts};
use hyper::body::Incoming;
use serde_json::json;
use wakeful_core::{
    event::Origin,
    limits,
    port::{self, Arrival, Submission},
    time::Timestamp,
};

use super::{
    Endpoint, Refusal, ResponseBody, auth::Caller, body::linger, error::json_response,
    request::Target, serve::RUN_HEADER, shared::Shared, stored::StoredRequest, wishes::Asked,
};

/// The longest subject of such an event, in characters; a longer path is cut.
const MAX_SUBJECT: usize = 1024;

/// A request whose answer does not wait for it.
pub(super) struct Asking<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) caller: &'a Caller,
    pub(super) parts: &'a Parts,
    pub(super) remote: Arc<str>,
}

/// Keeps a request: it is on disk when its caller hears of it.
pub(super) async fn accept(
    shared: &Shared,
    asking: Asking<'_>,
    target: Result<Target, Refusal>,
    body: Incoming,
) -> Response<ResponseBody> {
    let accepted = keep(shared, asking, target, body).await;
    accepted.unwrap_or_else(|refusal| refusal.response(None, shared.detail))
}

async fn keep(
    shared: &Shared,
    asking: Asking<'_>,
    target: Result<Target, Refusal>,
    body: Incoming,
) -> Result<Response<ResponseBody>, Refusal> {
    let Asking {
        endpoint,
        caller,
        parts,
        remote,
    } = asking;
    let before = target.and_then(|target| Ok((target, Asked::of_request(&parts.headers)?)));
    let (target, asked) = match before {
        Ok(found) => found,
        Err(refusal) => {
            linger(&parts.headers, body);
            return Err(refusal);
        }
    };
    let max_body = endpoint.version.function.max_body;
    let (most, too_large): (u64, fn(u64) -> Refusal) = match max_body <= limits::MAX_BODY {
        true => (max_body, Refusal::TooLarge),
        false => (limits::MAX_BODY, Refusal::TooLargeToKeep),
    };
    let held = shared
        .memory
        .read(&parts.headers, body, most, too_large)
        .await?;
    let now = shared.clock.now();
    let mut request = StoredRequest {
        method: parts.method.clone(),
        target: target.path_and_query,
        remote,
        params: target.params.into_iter().collect(),
        headers: parts.headers.clone(),
        body: held.bytes.clone(),
    };
    request.clean();
    if let Some(field) = caller.credential() {
        request.headers.remove(field);
    }
    let arrival = arrival(endpoint, &request, asked, caller, now)
        .map_err(|error| Refusal::BadResponse(error.to_string()))?;
    drop(request);
    submit(shared, arrival).await
}

fn arrival(
    endpoint: &Endpoint,
    request: &StoredRequest,
    asked: Asked,
    caller: &Caller,
    now: Timestamp,
) -> Result<Arrival, serde_json::Error> {
    let trigger = &endpoint.trigger;
    let about = format!("{} {}", request.method, request.target.path());
    let mut wishes = asked.into_wishes(caller, now);
    wishes.target = port::Target::Trigger(trigger.function.clone(), trigger.id.clone());
    let origin = Origin::Http(trigger.id.clone());
    Ok(Arrival {
        subject: Some(about.chars().take(MAX_SUBJECT).collect()),
        wishes,
        ..Arrival::new(origin, "request", now, request.encode()?)
    })
}

async fn submit(shared: &Shared, arrival: Arrival) -> Result<Response<ResponseBody>, Refusal> {
    let submission = Submission {
        arrivals: vec![arrival],
        ..Submission::default()
    };
    let receipt = shared.sink.submit(submission).await;
    let receipt = receipt.map_err(Refusal::Submit)?;
    let repeated = receipt.duplicates.first().map(|(_, earlier)| *earlier);
    let run = repeated.or_else(|| receipt.runs.first().copied());
    let mut document = json!({});
    if let Some(id) = receipt.events.first() {
        document["id"] = id.to_string().into();
    }
    if let Some(run) = run {
        document["run"] = run.to_string().into();
    }
    if repeated.is_some() {
        document["duplicate"] = true.into();
    }
    let mut response = json_response(StatusCode::ACCEPTED, &document);
    let run = run.and_then(|run| HeaderValue::try_from(run.to_string()).ok());
    if let Some(run) = run {
        response.headers_mut().insert(RUN_HEADER, run);
    }
    Ok(response)
}
