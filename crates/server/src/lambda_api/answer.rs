//! Answers: their bodies, the fields that all of them have, and the id by which clients know a run.

use std::{convert::Infallible, error::Error};

use bytes::Bytes;
use futures::Stream;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use wakeful_core::id::RunId;

/// Why the body of an answer broke off.
pub type BodyError = Box<dyn Error + Send + Sync>;

/// The body of an answer of the AWS listener.
pub type AnswerBody = UnsyncBoxBody<Bytes, BodyError>;

/// The run of an answer, as our own tools know it.
const RUN: &str = "x-wakeful-run";
/// The id of the request, as AWS's clients look for it.
const REQUEST_ID: &str = "x-amzn-requestid";

/// A JSON text, whole.
pub(super) fn whole(status: StatusCode, text: impl Into<Bytes>) -> Response<AnswerBody> {
    let never = |never: Infallible| match never {};
    let mut response = Response::new(Full::new(text.into()).map_err(never).boxed_unsync());
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// Pieces as they come.
pub(super) fn streamed(
    content_type: &'static str,
    pieces: impl Stream<Item = Result<Frame<Bytes>, BodyError>> + Send + 'static,
) -> Response<AnswerBody> {
    let mut response = Response::new(StreamBody::new(pieces).boxed_unsync());
    let kind = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The number of the run in the shape of a UUID (version 8), which is `context.awsRequestId` in
/// its function (runtime/node/styles/lambda-env.js makes the same).
pub(super) fn request_id(run: i64) -> String {
    let hex = format!("{run:016x}");
    let (a, b, c, d) = (&hex[..8], &hex[8..12], &hex[12..15], &hex[15..]);
    format!("{a}-{b}-8{c}-8{d}00-000000000000")
}

/// Names the run of an answer.
pub(super) fn name_run(response: &mut Response<AnswerBody>, run: RunId) {
    put(response, REQUEST_ID, &request_id(run.raw()));
    put(response, RUN, &run.to_string());
}

/// Names the request of an answer that has no run.
pub(super) fn name_request(response: &mut Response<AnswerBody>, drawn: i64) {
    if !response.headers().contains_key(REQUEST_ID) {
        put(response, REQUEST_ID, &request_id(drawn));
    }
}

/// Sets a field; what no field can hold is left out.
pub(super) fn put(response: &mut Response<AnswerBody>, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_known_by_a_uuid() {
        let id = request_id(0x0123_4567_89ab_cdef);
        assert_eq!(id, "01234567-89ab-8cde-8f00-000000000000");
    }
}
