//! An upload that is refused while it still comes in.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::{BodyDataStream, Bytes};
use futures::{Stream, StreamExt};
use wakeful_core::limits;

/// A body that is read on for a while when it is dropped before its end: a client that is still
/// sending when the connection closes loses the answer (RFC 9112 §9.6), and would not hear why
/// it was refused.
pub(super) struct Lingering {
    body: Option<BodyDataStream>,
    begun: bool,
}

impl Lingering {
    /// `awaited`: the client sends nothing before it is told to (`Expect: 100-continue`).
    pub(super) fn new(body: BodyDataStream, awaited: bool) -> Self {
        Self {
            body: Some(body),
            begun: !awaited,
        }
    }
}

impl Stream for Lingering {
    type Item = Result<Bytes, axum::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.begun = true;
        let Some(body) = &mut self.body else {
            return Poll::Ready(None);
        };
        let next = body.poll_next_unpin(cx);
        if matches!(next, Poll::Ready(None | Some(Err(_)))) {
            self.body = None;
        }
        next
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(body), true, Ok(runtime)) = (self.body.take(), self.begun, runtime) {
            // Bounded in time and bytes, and it ends with the connection: nobody need wait for it.
            runtime.spawn(async move {
                let _ = tokio::time::timeout(limits::LINGER, read_on(body)).await;
            });
        }
    }
}

async fn read_on(mut body: BodyDataStream) {
    let mut left = limits::LINGER_BYTES;
    while let Some(Ok(piece)) = body.next().await {
        left = left.saturating_sub(piece.len() as u64);
        if left == 0 {
            return;
        }
    }
}
