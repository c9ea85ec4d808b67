//! A request body whose sender must not fall silent, and what is left of it when nobody reads on.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use parking_lot::Mutex;
use tokio::time::{Instant, Sleep, sleep};
use wakeful_core::limits::{OBJECT_DRAIN, OBJECT_DRAIN_TIME, OBJECT_IDLE};

/// What the error of a silent sender says; s3s wraps errors so that only their text remains.
pub(super) const SILENT: &str = "the sender fell silent";

/// Ends in an error when nothing comes for `OBJECT_IDLE` although more is waited for. A body that
/// is dropped before its end is handed on to its `Rest`.
pub(super) struct IdleBody {
    inner: Option<Incoming>,
    ended: bool,
    patience: Option<Pin<Box<Sleep>>>,
    /// Whether the sender was waited for at the last look. The time in which we were busy
    /// ourselves is not counted against it.
    waiting: bool,
    rest: Rest,
}

/// What is left of a body that was not read to its end.
#[derive(Clone, Default)]
pub(super) struct Rest(Arc<Mutex<Option<Incoming>>>);

impl Rest {
    /// Reads and drops what is left; `false` when it is too much, and the connection is lost for
    /// further requests: the bytes would be taken for one.
    pub(super) async fn drain(self) -> bool {
        let Some(mut body) = self.0.lock().take() else {
            return true;
        };
        let drain = async {
            let mut dropped = 0;
            while let Some(frame) =
                std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await
            {
                let Ok(frame) = frame else { return false };
                dropped += frame.data_ref().map_or(0, |data| data.len() as u64);
                if dropped > OBJECT_DRAIN {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(OBJECT_DRAIN_TIME, drain)
            .await
            .unwrap_or(false)
    }

    /// Whether something is left.
    pub(super) fn is_left(&self) -> bool {
        self.0.lock().is_some()
    }
}

impl IdleBody {
    pub(super) fn new(inner: Incoming, rest: Rest) -> Self {
        Self {
            inner: Some(inner),
            ended: false,
            patience: None,
            waiting: false,
            rest,
        }
    }
}

impl Drop for IdleBody {
    fn drop(&mut self) {
        let ended = self.ended || self.is_end_stream();
        *self.rest.0.lock() = self.inner.take().filter(|_| !ended);
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
        let Some(inner) = &mut this.inner else {
            return Poll::Ready(None);
        };
        if let Poll::Ready(frame) = Pin::new(inner).poll_frame(cx) {
            this.ended |= !matches!(frame, Some(Ok(_)));
            this.waiting = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let patience = this
            .patience
            .get_or_insert_with(|| Box::pin(sleep(OBJECT_IDLE)));
        if !std::mem::replace(&mut this.waiting, true) {
            patience.as_mut().reset(Instant::now() + OBJECT_IDLE);
        }
        match patience.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Some(Err(SILENT.into()))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}
