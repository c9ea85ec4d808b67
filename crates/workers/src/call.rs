//! One attempt, seen from the side that asked for it.

use std::{
    fmt,
    future::poll_fn,
    sync::Arc,
    task::{Poll, Waker},
};

use http::HeaderMap;
use parking_lot::Mutex;

use crate::{Body, Failure, worker::Worker};

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
pub struct Call {
    exchange: Arc<Exchange>,
    worker: Arc<Worker>,
    stream: u32,
    place: WorkerRef,
}

impl Call {
    pub(crate) fn new(
        exchange: Arc<Exchange>,
        worker: Arc<Worker>,
        stream: u32,
        place: WorkerRef,
    ) -> Self {
        Self {
            exchange,
            worker,
            stream,
            place,
        }
    }

    /// The worker it runs on.
    pub fn worker(&self) -> WorkerRef {
        self.place
    }

    /// The answer; a streamed body may still be on its way. Asked once: after an answer, use
    /// [`finished`](Self::finished). Cancel-safe.
    pub async fn response(&mut self) -> Result<Response, Failure> {
        self.exchange.wait(State::take_answer).await
    }

    /// How the attempt ended, body included. Cancel-safe.
    pub async fn finished(&mut self) -> Result<(), Failure> {
        self.exchange.wait(|state| state.over.clone()).await
    }

    /// Sends the abort signal.
    pub fn cancel(&self, reason: CancelReason) {
        self.worker.cancel(self.stream, reason);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        match self.exchange.abandon() {
            Abandoned::Unanswered => self.worker.abandon(self.stream),
            // A body that nobody took cancels by its own end; one that was taken goes on.
            Abandoned::Answered(response) => drop(response),
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Call(stream {} on {})", self.stream, self.place.pid)
    }
}

/// What worker and caller share about one attempt.
#[derive(Default)]
pub(crate) struct Exchange(Mutex<State>);

#[derive(Default)]
struct State {
    answered: bool,
    response: Option<Response>,
    over: Option<Result<(), Failure>>,
    caller: Option<Waker>,
}

enum Abandoned {
    Unanswered,
    Answered(Option<Response>),
}

impl State {
    fn take_answer(&mut self) -> Option<Result<Response, Failure>> {
        if let Some(response) = self.response.take() {
            return Some(Ok(response));
        }
        match &self.over {
            Some(Err(failure)) => Some(Err(failure.clone())),
            Some(Ok(())) | None => None,
        }
    }
}

impl Exchange {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self::default())
    }

    /// The answer is here; with a whole body the attempt is over at once. An answer that comes
    /// after the caller was told of a failure is dropped.
    pub(crate) fn answer(&self, response: Response, over: Option<Result<(), Failure>>) {
        let mut late = None;
        self.change(|state| {
            if state.over.is_some() {
                late = Some(response);
                return;
            }
            state.answered = true;
            state.response = Some(response);
            state.over = over;
        });
        // Outside of the lock: dropping a body tells its worker.
        drop(late);
    }

    /// The attempt is over. The first word counts.
    pub(crate) fn finish(&self, outcome: Result<(), Failure>) {
        self.change(|state| {
            if state.over.is_none() {
                state.over = Some(outcome);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.0.lock();
        change(&mut state);
        let caller = state.caller.take();
        drop(state);
        if let Some(caller) = caller {
            caller.wake();
        }
    }

    async fn wait<T>(&self, mut look: impl FnMut(&mut State) -> Option<T>) -> T {
        poll_fn(|context| {
            let mut state = self.0.lock();
            if let Some(seen) = look(&mut state) {
                return Poll::Ready(seen);
            }
            state.caller = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    fn abandon(&self) -> Abandoned {
        let mut state = self.0.lock();
        if state.answered || state.over.is_some() {
            Abandoned::Answered(state.response.take())
        } else {
            Abandoned::Unanswered
        }
    }
}
