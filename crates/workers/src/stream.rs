//! Bodies that we send: flow control by credit.

use std::{
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use bytes::Bytes;
use parking_lot::Mutex;
use wakeful_core::limits;

use crate::{Body, BodyStream, call::CancelReason, worker::Worker};

/// The most of a body that goes into one frame, so that bodies take turns.
const PIECE: usize = 64 * 1024;

/// How much of one body may be sent.
#[derive(Debug)]
pub(crate) struct Outflow(Mutex<Flow>);

#[derive(Debug)]
struct Flow {
    credit: u64,
    closed: bool,
    sender: Option<Waker>,
}

impl Outflow {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Flow {
            credit: limits::STREAM_WINDOW.into(),
            closed: false,
            sender: None,
        })))
    }

    /// The other side has room for that many more bytes.
    pub(crate) fn grant(&self, bytes: u32) {
        self.change(|flow| flow.credit = flow.credit.saturating_add(bytes.into()));
    }

    /// Nothing more is wanted.
    pub(crate) fn close(&self) {
        self.change(|flow| flow.closed = true);
    }

    fn change(&self, change: impl FnOnce(&mut Flow)) {
        let mut flow = self.0.lock();
        change(&mut flow);
        let sender = flow.sender.take();
        drop(flow);
        if let Some(sender) = sender {
            sender.wake();
        }
    }

    /// Waits for credit and takes at most `want` of it; `None` once it is closed.
    async fn take(&self, want: usize) -> Option<usize> {
        poll_fn(|context| {
            let mut flow = self.0.lock();
            if flow.closed {
                return Poll::Ready(None);
            }
            if flow.credit == 0 {
                flow.sender = Some(context.waker().clone());
                return Poll::Pending;
            }
            let given = usize::try_from(flow.credit).map_or(want, |credit| credit.min(want));
            flow.credit -= given as u64;
            Poll::Ready(Some(given))
        })
        .await
    }

    /// Waits until it is closed.
    async fn closed(&self) {
        poll_fn(|context| {
            let mut flow = self.0.lock();
            if flow.closed {
                return Poll::Ready(());
            }
            flow.sender = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

/// Splits what is too long for one frame off, to be sent piece by piece.
pub(crate) fn opening(body: Body) -> (Bytes, Option<BodyStream>) {
    match body {
        Body::Full(bytes) if bytes.len() <= limits::STREAM_WINDOW as usize => (bytes, None),
        Body::Full(bytes) => {
            let once = futures::stream::once(std::future::ready(Ok(bytes)));
            match Body::from_stream(once) {
                Body::Stream(stream) => (Bytes::new(), Some(stream)),
                Body::Full(bytes) => (bytes, None),
            }
        }
        Body::Stream(stream) => (Bytes::new(), Some(stream)),
    }
}

/// Sends a body until its end, or until nobody wants it any more.
pub(crate) async fn pump(
    worker: Arc<Worker>,
    stream: u32,
    outflow: Arc<Outflow>,
    mut body: BodyStream,
) {
    loop {
        let piece = tokio::select! {
            biased;
            () = outflow.closed() => return,
            piece = body.next() => piece,
        };
        let mut bytes = match piece {
            None => break,
            Some(Ok(bytes)) => bytes,
            Some(Err(_)) => return worker.break_off(stream, CancelReason::CallerGone),
        };
        while !bytes.is_empty() {
            let Some(given) = outflow.take(bytes.len().min(PIECE)).await else {
                return;
            };
            tokio::select! {
                biased;
                () = worker.room() => {}
                () = outflow.closed() => return,
            }
            worker.send_data(stream, &bytes.split_to(given));
        }
    }
    worker.send_end(stream);
}
