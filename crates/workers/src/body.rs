//! Bodies: whole, or as a stream with back-pressure.
//!
//! A streamed body is a pipe that holds a bounded number of bytes. A producer that may wait
//! ([`BodySender`]) is held back while the pipe is full; a worker at the other end of a socket
//! is held back by credit, which it is granted only as the reader takes bytes out.

use std::{
    collections::VecDeque,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use futures::Stream;
use parking_lot::Mutex;
use wakeful_core::limits;

use crate::{Failure, FailureKind};

/// A body.
pub enum Body {
    /// All of it.
    Full(Bytes),
    /// Piece by piece; the last piece may be a failure, which means that it broke off.
    Stream(BodyStream),
}

impl Body {
    /// A body without a byte.
    pub const fn empty() -> Self {
        Self::Full(Bytes::new())
    }

    /// A body that whoever holds the sender writes, at the pace of its reader.
    pub fn channel() -> (BodySender, Self) {
        let pipe = Pipe::new(None);
        let stream = BodyStream(Source::Pipe(Arc::clone(&pipe)));
        (BodySender { pipe }, Self::Stream(stream))
    }

    /// A body from any stream of pieces.
    pub fn from_stream<S>(stream: S) -> Self
    where
        S: Stream<Item = Result<Bytes, Failure>> + Send + 'static,
    {
        Self::Stream(BodyStream(Source::Other(Box::pin(stream))))
    }

    /// The whole body, if it ends within `limit` bytes; `None` when it is longer.
    pub async fn collect(self, limit: usize) -> Result<Option<Bytes>, Failure> {
        let mut stream = match self {
            Self::Full(bytes) => return Ok((bytes.len() <= limit).then_some(bytes)),
            Self::Stream(stream) => stream,
        };
        let mut whole = BytesMut::new();
        while let Some(piece) = stream.next().await {
            let piece = piece?;
            if whole.len() + piece.len() > limit {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(bytes) => write!(f, "Full({} bytes)", bytes.len()),
            Self::Stream(_) => f.write_str("Stream"),
        }
    }
}

/// The pieces of a body. Dropping it before its end tells the producer to stop.
pub struct BodyStream(Source);

enum Source {
    Pipe(Arc<Pipe>),
    Other(Pin<Box<dyn Stream<Item = Result<Bytes, Failure>> + Send>>),
}

impl BodyStream {
    pub(crate) fn from_pipe(pipe: Arc<Pipe>) -> Self {
        Self(Source::Pipe(pipe))
    }

    /// The next piece; `None` when the body is whole.
    pub async fn next(&mut self) -> Option<Result<Bytes, Failure>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for BodyStream {
    type Item = Result<Bytes, Failure>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Source::Pipe(pipe) => pipe.poll_take(context),
            Source::Other(stream) => stream.as_mut().poll_next(context),
        }
    }
}

impl Drop for BodyStream {
    fn drop(&mut self) {
        if let Source::Pipe(pipe) = &self.0 {
            pipe.close_reader();
        }
    }
}

impl fmt::Debug for BodyStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BodyStream")
    }
}

/// Whoever should have read the body went away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads this body any more")]
pub struct ReaderGone;

/// Writes a body. Dropping it without [`finish`](Self::finish) breaks the body off.
#[derive(Debug)]
pub struct BodySender {
    pipe: Arc<Pipe>,
}

impl BodySender {
    /// Waits until the pipe has room, then puts a piece into it.
    pub async fn send(&mut self, piece: Bytes) -> Result<(), ReaderGone> {
        poll_fn(|context| self.pipe.poll_room(context)).await?;
        self.pipe.push(piece);
        Ok(())
    }

    /// The body is whole.
    pub fn finish(self) {
        self.pipe.end(Ok(()));
    }

    /// The body breaks off, for this reason.
    pub fn fail(self, failure: Failure) {
        self.pipe.end(Err(failure));
    }
}

impl Drop for BodySender {
    fn drop(&mut self) {
        let failure = Failure::ours(
            FailureKind::Interrupted,
            "the body broke off: its sender went away before its end",
        );
        self.pipe.end(Err(failure));
    }
}

/// Told by a pipe what its reader does, so that a producer far away can follow.
pub(crate) trait Producer: Send + Sync {
    /// The reader has taken that many more bytes.
    fn taken(&self, bytes: u32);
    /// The reader went away before the end.
    fn reader_gone(&self);
}

pub(crate) struct Pipe {
    state: Mutex<PipeState>,
    producer: Option<Box<dyn Producer>>,
}

#[derive(Default)]
struct PipeState {
    pieces: VecDeque<Bytes>,
    held: usize,
    /// What may be held above the window: the piece that came with the opening frame.
    allowance: usize,
    taken: u32,
    end: Option<Result<(), Failure>>,
    reader_gone: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Whether a pipe holds no more than it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It does.
    InBounds,
    /// The producer did not wait for credit.
    Overrun,
}

impl Pushed {
    pub(crate) fn is_overrun(self) -> bool {
        self == Self::Overrun
    }
}

const WINDOW: usize = limits::STREAM_WINDOW as usize;

impl Pipe {
    pub(crate) fn new(producer: Option<Box<dyn Producer>>) -> Arc<Self> {
        Arc::new(Self {
            state: Mutex::default(),
            producer,
        })
    }

    /// A pipe with a first piece in it, which needed no credit.
    pub(crate) fn opened(producer: Box<dyn Producer>, opening: Bytes) -> Arc<Self> {
        let pipe = Self::new(Some(producer));
        pipe.state.lock().allowance = opening.len();
        pipe.push(opening);
        pipe
    }

    /// Puts a piece in; discards it when nobody reads.
    pub(crate) fn push(&self, piece: Bytes) -> Pushed {
        let mut state = self.state.lock();
        if state.end.is_some() || piece.is_empty() {
            return Pushed::InBounds;
        }
        if state.reader_gone {
            drop(state);
            self.tell_taken(piece.len() as u32);
            return Pushed::InBounds;
        }
        state.held += piece.len();
        state.pieces.push_back(piece);
        let overrun = state.held > WINDOW + state.allowance;
        let reader = state.reader.take();
        drop(state);
        wake(reader);
        if overrun {
            Pushed::Overrun
        } else {
            Pushed::InBounds
        }
    }

    /// The first end counts.
    pub(crate) fn end(&self, end: Result<(), Failure>) {
        let mut state = self.state.lock();
        if state.end.is_none() {
            state.end = Some(end);
        }
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }

    fn poll_room(&self, context: &Context<'_>) -> Poll<Result<(), ReaderGone>> {
        let mut state = self.state.lock();
        if state.reader_gone {
            Poll::Ready(Err(ReaderGone))
        } else if state.held < WINDOW {
            Poll::Ready(Ok(()))
        } else {
            state.writer = Some(context.waker().clone());
            Poll::Pending
        }
    }

    fn poll_take(&self, context: &Context<'_>) -> Poll<Option<Result<Bytes, Failure>>> {
        let mut state = self.state.lock();
        let Some(piece) = state.pieces.pop_front() else {
            return match &state.end {
                None => {
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
                Some(Ok(())) => Poll::Ready(None),
                Some(Err(_)) => {
                    Poll::Ready(state.end.replace(Ok(())).and_then(Result::err).map(Err))
                }
            };
        };
        state.held -= piece.len();
        state.taken += piece.len() as u32;
        // Credit goes out in halves of the window: a frame for each piece would be waste.
        let grant = (state.end.is_none() && state.taken >= limits::STREAM_WINDOW / 2)
            .then(|| std::mem::take(&mut state.taken));
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        if let Some(bytes) = grant {
            self.tell_taken(bytes);
        }
        Poll::Ready(Some(Ok(piece)))
    }

    fn close_reader(&self) {
        let mut state = self.state.lock();
        state.reader_gone = true;
        let dropped = std::mem::take(&mut state.pieces);
        let grant = std::mem::take(&mut state.taken) + state.held as u32;
        state.held = 0;
        let (open, writer) = (state.end.is_none(), state.writer.take());
        drop(state);
        drop(dropped);
        wake(writer);
        if open {
            if let Some(producer) = &self.producer {
                producer.reader_gone();
            }
            self.tell_taken(grant);
        }
    }

    fn tell_taken(&self, bytes: u32) {
        if let Some(producer) = &self.producer
            && bytes > 0
        {
            producer.taken(bytes);
        }
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipe").finish_non_exhaustive()
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
