//! What a caller is sent of a function's answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::Stream as _;
use http::{HeaderMap, HeaderName, Method, Response, StatusCode, header};
use hyper::body::{Body, Frame, SizeHint};
use tokio::runtime::Handle;
use wakeful_workers::{BodyStream, Call};

use super::{Refusal, record::Record};

/// The body of a response.
pub enum ResponseBody {
    /// All of it.
    Full(Option<Bytes>),
    /// Piece by piece, from a worker.
    Stream(Box<Streamed>),
}

/// A body on its way from a worker to the caller. When it ends, its run is recorded.
pub struct Streamed {
    /// The body, and what goes with it, until it has ended.
    going: Option<Going>,
    /// Bytes still to come by the function's own `content-length`.
    announced: Option<u64>,
}

pub(super) struct Going {
    pub(super) stream: BodyStream,
    pub(super) record: Record,
    /// Keeps the attempt going while its body is read.
    pub(super) call: Call,
}

impl Going {
    /// Lets the function finish although nobody reads on: a HEAD request, or a body of which
    /// everything that was announced has been sent. The function's timeout bounds it.
    pub(super) fn finish_unread(mut self) {
        let Ok(runtime) = Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let mut failure = None;
            while let Some(piece) = self.stream.next().await {
                failure = piece.err();
            }
            drop(self.call);
            self.record.finish(failure);
        });
    }
}

impl ResponseBody {
    /// A whole body.
    pub fn full(bytes: Bytes) -> Self {
        Self::Full(Some(bytes))
    }

    pub(super) fn stream(going: Going, announced: Option<u64>) -> Self {
        Self::Stream(Box::new(Streamed {
            going: Some(going),
            announced,
        }))
    }
}

/// A body broke off: the connection is closed so that the caller can tell.
#[derive(Debug, thiserror::Error)]
#[error("the function's answer broke off: {0}")]
pub struct BrokenOff(String);

impl Streamed {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        let Some(going) = &mut self.going else {
            return Poll::Ready(None);
        };
        let next = std::task::ready!(Pin::new(&mut going.stream).poll_next(context));
        Poll::Ready(match next {
            Some(Ok(piece)) => {
                if let Some(left) = &mut self.announced {
                    *left = left.saturating_sub(piece.len() as u64);
                }
                Some(Ok(Frame::data(piece)))
            }
            Some(Err(failure)) => {
                let broken = BrokenOff(failure.message.clone());
                self.end(Some(failure));
                Some(Err(broken))
            }
            None => {
                self.end(None);
                None
            }
        })
    }

    fn end(&mut self, failure: Option<wakeful_workers::Failure>) {
        if let Some(going) = self.going.take() {
            going.record.finish(failure);
        }
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        // hyper reads no further than the announced length.
        if let Some(going) = self.going.take()
            && self.announced == Some(0)
        {
            going.finish_unread();
        }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(streamed) => streamed.poll(context),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Full(bytes) => bytes.as_ref().is_none_or(Bytes::is_empty),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Fields that belong to one connection (RFC 9110 §7.6.1), whatever `connection` lists beside.
pub(super) const OF_THE_CONNECTION: [HeaderName; 5] = [
    header::CONNECTION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
];

/// The head of an answer: status and header fields as the function gave them, less what belongs
/// to the connection.
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
}

impl Head {
    pub(super) fn of(status: u16, mut headers: HeaderMap) -> Result<Self, Refusal> {
        let status = StatusCode::from_u16(status)
            .ok()
            .filter(|status| !status.is_informational())
            .ok_or_else(|| Refusal::BadResponse(format!("its status is {status}")))?;
        if let Some(listed) = headers.remove(header::CONNECTION) {
            for name in listed.to_str().unwrap_or_default().split(',') {
                headers.remove(name.trim());
            }
        }
        for name in &OF_THE_CONNECTION {
            headers.remove(name);
        }
        Ok(Self { status, headers })
    }

    /// The `content-length` that the function gave; a wrong one is none.
    pub(super) fn announced(&self) -> Option<u64> {
        self.headers
            .get(header::CONTENT_LENGTH)?
            .to_str()
            .ok()?
            .parse()
            .ok()
    }

    /// Whether the answer has no body, whatever the function wrote (RFC 9110 §6.4.1).
    pub(super) fn is_bodiless(&self, method: &Method) -> bool {
        *method == Method::HEAD
            || self.status == StatusCode::NO_CONTENT
            || self.status == StatusCode::NOT_MODIFIED
    }

    pub(super) fn with(mut self, body: ResponseBody, method: &Method) -> Response<ResponseBody> {
        if matches!(body, ResponseBody::Full(_)) && !self.is_bodiless(method) {
            // hyper states the length of a whole body itself; a wrong one would break the framing.
            self.headers.remove(header::CONTENT_LENGTH);
        }
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
