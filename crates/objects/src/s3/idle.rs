//! A request body whose sender must not fall silent.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep, sleep};
use wakeful_core::limits::OBJECT_IDLE;

/// What the error of a silent sender says; s3s wraps errors so that only their text remains.
pub(super) const SILENT: &str = "the sender fell silent";

/// Ends in an error when nothing comes for `OBJECT_IDLE` although more is waited for.
pub(super) struct IdleBody {
    inner: Incoming,
    patience: Option<Pin<Box<Sleep>>>,
}

impl IdleBody {
    pub(super) fn new(inner: Incoming) -> Self {
        Self {
            inner,
            patience: None,
        }
    }
}

impl Body for IdleBody {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.inner).poll_frame(cx) {
            if let Some(patience) = &mut this.patience {
                patience.as_mut().reset(Instant::now() + OBJECT_IDLE);
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = this
            .patience
            .get_or_insert_with(|| Box::pin(sleep(OBJECT_IDLE)));
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(SILENT.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
