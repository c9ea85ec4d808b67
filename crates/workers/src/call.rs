//! One attempt, seen from the side that asked for it.

use http::HeaderMap;

use crate::{Body, Failure};

/// What user code answered.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status; 0 for the result of an event.
    pub status: u16,
    /// Header fields; none for the result of an event.
    pub headers: HeaderMap,
    /// The body; for an event its result as JSON, empty for `undefined`.
    pub body: Body,
}

/// The worker that an attempt runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkerRef {
    /// The operating system's id.
    pub pid: u32,
    /// Whether it had to load the code for this attempt: it is its first one.
    pub cold: bool,
}

/// Why an attempt is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum CancelReason {
    /// It took too long.
    Timeout = 0,
    /// Its caller went away.
    CallerGone = 1,
    /// The server stops.
    Stopping = 2,
}

/// A running attempt. Dropping it means that its caller went away: user code gets its abort
/// signal, and may finish unheard. (Once the body of a streamed response was handed out, it is
/// dropping that body which means it.)
#[derive(Debug)]
pub struct Call {
    worker: WorkerRef,
}

impl Call {
    /// The worker it runs on.
    pub fn worker(&self) -> WorkerRef {
        self.worker
    }

    /// The answer; a streamed body may still be on its way. Asked once: after an answer, use
    /// [`finished`](Self::finished). Cancel-safe.
    pub async fn response(&mut self) -> Result<Response, Failure> {
        std::future::pending().await
    }

    /// How the attempt ended, body included. Cancel-safe.
    pub async fn finished(&mut self) -> Result<(), Failure> {
        std::future::pending().await
    }

    /// Sends the abort signal.
    pub fn cancel(&self, _reason: CancelReason) {}
}
