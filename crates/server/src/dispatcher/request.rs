//! Requests to asynchronous endpoints: accepted before, answered to nobody.

use bytes::{Bytes, BytesMut};
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    event::Event,
    limits,
    time::Timestamp,
};
use wakeful_workers::{Body, HttpRequest, Response};

use crate::{
    gateway::stored_request,
    http_status::{Redirections, judged},
};

/// Characters of an answer that a failure quotes.
const QUOTED: usize = 300;

/// The request that an event holds.
pub(super) fn stored(event: &Event) -> Result<HttpRequest, Failure> {
    stored_request(event).map_err(|error| Failure {
        advice: Some(RetryAdvice::Never),
        ..Failure::ours(FailureKind::UserError, error.to_string())
    })
}

/// What an answer means that nobody waits for: its status says whether to try again. Of the
/// answer its beginning is kept as the result, if it is JSON.
pub(super) async fn outcome(response: Response, now: Timestamp) -> Result<Bytes, Failure> {
    let body = beginning(response.body).await?;
    let said: String = String::from_utf8_lossy(&body)
        .chars()
        .take(QUOTED)
        .collect();
    let headers = &response.headers;
    judged(
        response.status,
        headers,
        Redirections::Succeed,
        &said,
        Some(now),
    )?;
    let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    Ok(if json { body } else { Bytes::new() })
}

/// What is kept of a body. All of it is read: the function is not done before it is written.
async fn beginning(body: Body) -> Result<Bytes, Failure> {
    const MOST: usize = limits::MAX_RECORDED_RESULT;
    let mut stream = match body {
        Body::Full(bytes) => return Ok(bytes.slice(..bytes.len().min(MOST))),
        Body::Stream(stream) => stream,
    };
    let mut kept = BytesMut::new();
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        kept.extend_from_slice(&piece[..piece.len().min(MOST - kept.len())]);
    }
    Ok(kept.freeze())
}
