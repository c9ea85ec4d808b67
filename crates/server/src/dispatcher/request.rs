//! Requests to asynchronous endpoints: accepted before, answered to nobody.

use std::time::Duration;

use bytes::Bytes;
use http::{StatusCode, header};
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    event::Event,
    limits,
};
use wakeful_workers::{HttpRequest, Response};

use crate::gateway::stored_request;

/// The request that an event holds.
pub(super) fn stored(event: &Event) -> Result<HttpRequest, Failure> {
    stored_request(event).map_err(|error| Failure {
        advice: Some(RetryAdvice::Never),
        ..Failure::ours(FailureKind::UserError, error.to_string())
    })
}

/// What an answer means that nobody waits for: 5xx is a failure and tried again, 429 and 503 not
/// before their `Retry-After`; another 4xx is a failure that trying again does not mend. Of the
/// answer its beginning is kept as the result, if it is JSON.
pub(super) async fn outcome(response: Response) -> Result<Bytes, Failure> {
    let status = StatusCode::from_u16(response.status).unwrap_or_default();
    let after = response.headers.get(header::RETRY_AFTER);
    let after = after.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok());
    let body = response.body.collect(limits::MAX_RECORDED_RESULT).await?;
    let body = body.unwrap_or_default();
    if status.as_u16() < 400 {
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        return Ok(if json { body } else { Bytes::new() });
    }
    let said = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
    let advice = match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            after.map(|seconds| RetryAdvice::AfterMs(millis(Duration::from_secs(seconds))))
        }
        _ if status.is_server_error() => None,
        _ => Some(RetryAdvice::Never),
    };
    Err(Failure {
        advice,
        ..Failure::ours(
            FailureKind::UserError,
            format!("it answered {status}: {said}"),
        )
    })
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
