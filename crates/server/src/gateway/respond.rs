//! What a caller is sent of a function's answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::Stream as _;
use http::{HeaderMap, Method, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use wakeful_core::{
    delivery::Failure,
    id::RunId,
    name::{FunctionName, TriggerId},
    time::Timestamp,
};
use wakeful_workers::{BodyStream, Call, WorkerRef};

use super::Refusal;
use crate::recorder::Recorder;

/// A request that was answered, for its run record.
#[derive(Debug)]
pub struct HttpEnded {
    /// The run.
    pub run: RunId,
    /// The function.
    pub function: FunctionName,
    /// The endpoint's trigger.
    pub trigger: TriggerId,
    /// Such as `GET /photos/cat.jpg`.
    pub about: String,
    /// The version that answered.
    pub version: String,
    /// The worker, when one was reached.
    pub worker: Option<WorkerRef>,
    /// When the request came.
    pub accepted_at: Timestamp,
    /// How long it waited for a worker.
    pub waited: Duration,
    /// How long the answer took, its body included.
    pub took: Duration,
    /// The status that was sent.
    pub status: u16,
    /// How it failed.
    pub failure: Option<Failure>,
}

/// Writes the record of a run when the last byte of its answer was handed over.
pub(super) struct OnEnd {
    pub(super) recorder: Recorder,
    pub(super) started: Instant,
    pub(super) ended: HttpEnded,
    /// Keeps the attempt going while its body is read.
    pub(super) _call: Call,
}

impl OnEnd {
    fn write(mut self, failure: Option<Failure>) {
        self.ended.took = self.started.elapsed();
        self.ended.failure = failure;
        self.recorder.http(self.ended);
    }
}

/// The body of a response.
pub enum ResponseBody {
    /// All of it.
    Full(Option<Bytes>),
    /// Piece by piece, from a worker.
    Stream(BodyStream, Option<Box<OnEndBox>>),
}

/// Opaque to others: what happens at the end of a streamed body.
pub struct OnEndBox(OnEnd);

impl ResponseBody {
    /// A whole body.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    pub(super) fn stream(stream: BodyStream, on_end: OnEnd) -> Self {
        Self::Stream(stream, Some(Box::new(OnEndBox(on_end))))
    }
}

/// A body broke off: the connection is closed so that the caller can tell.
#[derive(Debug, thiserror::Error)]
#[error("the function's answer broke off: {0}")]
pub struct BrokenOff(String);

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(stream, on_end) => {
                let next = std::task::ready!(Pin::new(stream).poll_next(context));
                let mut end = |failure| {
                    if let Some(on_end) = on_end.take() {
                        on_end.0.write(failure);
                    }
                };
                Poll::Ready(match next {
                    Some(Ok(piece)) => Some(Ok(Frame::data(piece))),
                    Some(Err(failure)) => {
                        let broken = BrokenOff(failure.message.clone());
                        end(Some(failure));
                        Some(Err(broken))
                    }
                    None => {
                        end(None);
                        None
                    }
                })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(..) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(..) => SizeHint::default(),
        }
    }
}

impl Drop for ResponseBody {
    fn drop(&mut self) {
        if let Self::Stream(_, on_end) = self
            && let Some(on_end) = on_end.take()
        {
            on_end.0.write(Some(caller_gone()));
        }
    }
}

fn caller_gone() -> Failure {
    Failure {
        kind: wakeful_core::delivery::FailureKind::Interrupted,
        name: "caller_gone".into(),
        message: "the caller went away before the answer was complete".into(),
        stack: None,
    }
}

/// The head of the response: status and header fields as the function gave them, less what
/// belongs to the connection (RFC 9110 §7.6.1).
pub(super) fn head(
    status: u16,
    headers: HeaderMap,
    method: &Method,
    body: ResponseBody,
) -> Result<Response<ResponseBody>, Refusal> {
    let status = StatusCode::from_u16(status)
        .ok()
        .filter(|status| !status.is_informational())
        .ok_or_else(|| Refusal::BadResponse(format!("its status is {status}")))?;
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    let headers = response.headers_mut();
    for name in [
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ] {
        headers.remove(name);
    }
    headers.remove("keep-alive");
    let whole = matches!(response.body(), ResponseBody::Full(_));
    if whole && method != Method::HEAD {
        // hyper states the length of a whole body itself; a wrong one would break the framing.
        response.headers_mut().remove(header::CONTENT_LENGTH);
    }
    Ok(response)
}
