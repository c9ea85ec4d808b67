//! One worker, as the server knows it: what is under way on it, and what waits to be sent.
//!
//! The state stands behind one lock that is held for moments and never across an await. What
//! the lock guards never calls out: outcomes are told after it is released.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use parking_lot::Mutex;
use tokio::{
    net::unix::OwnedWriteHalf,
    sync::{Notify, oneshot},
};
use tokio_util::sync::CancellationToken;
use wakeful_core::{id::RunId, limits, time::Timestamp};

use crate::{
    Batched, Body, BodyStream, Call, CancelReason, Failure, FailureKind, HttpRequest, Invocation,
    Response, What, WorkerInfo, WorkerRef, WorkerState,
    blame::{self, Culprit, Verdict},
    blank::Class,
    body::Pipe,
    call::Exchange,
    deadline::Phase,
    frame::{self, InvokeHead, RequestHead, Rest},
    orders::Orders,
    pool::Place,
    pulse::Pulse,
    seating::PoolShared,
    stdio::LastWords,
    stream::{self, Outflow},
    table::Table,
    workers::Shared,
};

/// Bodies wait while more bytes than this wait to be written to a worker.
const MOST_WAITING: usize = 4 * 1024 * 1024;

/// A worker process that runs, or did.
pub(crate) struct Worker {
    pub(crate) pid: u32,
    pub(crate) class: Class,
    pub(crate) started_at: Timestamp,
    pub(crate) shared: Arc<Shared>,
    pub(crate) desk: Mutex<Desk>,
    /// Wakes the task that writes to the socket.
    pub(crate) writer: Notify,
    /// Tells those who send bodies that what waited was written.
    pub(crate) drained: Notify,
    /// What its supervisor is asked to do.
    pub(crate) orders: Orders,
    /// What it wrote to standard error last.
    pub(crate) last_words: LastWords,
    /// Fires when the process is gone and all its attempts are settled.
    pub(crate) gone: CancellationToken,
    /// How it ended, once it has.
    pub(crate) obituary: OnceLock<String>,
    pub(crate) late: AtomicBool,
    pub(crate) boot: Mutex<Boot>,
    served: AtomicBool,
    pool: OnceLock<Arc<PoolShared>>,
}

/// What the supervisor of a worker that comes up waits for.
#[derive(Default)]
pub(crate) struct Boot {
    pub(crate) ready: Option<oneshot::Sender<()>>,
    pub(crate) loaded: Option<oneshot::Sender<Bytes>>,
}

/// What is under way on a worker.
pub(crate) struct Desk {
    /// Frames that wait to be written.
    pub(crate) out: BytesMut,
    /// Where they are written, while the process lives.
    pub(crate) socket: Option<Arc<OwnedWriteHalf>>,
    /// So many attempts in a row found nothing else under way.
    pub(crate) lone_starts: u8,
    /// The writer sleeps, and must be woken when something is put into `out`.
    pub(crate) writer_sleeps: bool,
    /// The ticker sleeps, and must be woken when an attempt starts.
    pub(crate) ticker_sleeps: bool,
    /// Nothing is started on it any more.
    pub(crate) closed: bool,
    pub(crate) attempts: Table<Attempt, (RunId, u32)>,
    /// Calls of the `wakeful` module, by stream.
    pub(crate) calls: HashMap<u32, HostStream>,
    pub(crate) pulse: Pulse,
    /// It said that it is about to crash, and whose fault that is.
    pub(crate) confession: Option<Culprit>,
}

/// One attempt under way.
pub(crate) struct Attempt {
    pub(crate) exchange: Arc<Exchange>,
    pub(crate) place: Place,
    pub(crate) run: RunId,
    pub(crate) number: u32,
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
    pub(crate) phase: Phase,
    /// Why the abort signal was sent, if it was.
    pub(crate) cancelled: Option<CancelReason>,
    /// Its request body, while that is not sent whole.
    pub(crate) request: Option<Arc<Outflow>>,
    /// Its response body, while that is not here whole.
    pub(crate) response: Option<Arc<Pipe>>,
}

/// One call of the `wakeful` module under way.
pub(crate) struct HostStream {
    pub(crate) inbound: Option<Arc<Pipe>>,
    pub(crate) outflow: Arc<Outflow>,
}

impl Worker {
    pub(crate) fn new(pid: u32, class: Class, shared: Arc<Shared>) -> Self {
        Self {
            pid,
            class,
            started_at: shared.options.clock.now(),
            desk: Mutex::new(Desk {
                out: BytesMut::with_capacity(64 * 1024),
                socket: None,
                lone_starts: 0,
                writer_sleeps: false,
                ticker_sleeps: false,
                closed: false,
                attempts: Table::new(),
                calls: HashMap::new(),
                pulse: Pulse::default(),
                confession: None,
            }),
            writer: Notify::new(),
            drained: Notify::new(),
            orders: Orders::default(),
            last_words: LastWords::default(),
            gone: CancellationToken::new(),
            obituary: OnceLock::new(),
            late: AtomicBool::new(false),
            boot: Mutex::default(),
            served: AtomicBool::new(false),
            pool: OnceLock::new(),
            shared,
        }
    }

    /// The pool whose code it has, or is about to load.
    pub(crate) fn pool(&self) -> Option<&Arc<PoolShared>> {
        self.pool.get()
    }

    /// Makes it a worker of `pool`, and sends it the code to load; `None` when it has ended.
    pub(crate) fn assign(
        &self,
        pool: &Arc<PoolShared>,
        load: &[u8],
    ) -> Option<oneshot::Receiver<Bytes>> {
        let (sender, loaded) = oneshot::channel();
        self.boot.lock().loaded = Some(sender);
        // A blank worker is taken once; were it taken twice, the first pool would stay.
        let _ = self.pool.set(Arc::clone(pool));
        self.write(|desk| {
            frame::load(&mut desk.out, load);
            !desk.closed
        })
        .then_some(loaded)
    }

    /// Whether nothing is started on it any more.
    pub(crate) fn is_closed(&self) -> bool {
        self.desk.lock().closed
    }

    /// Whether its event loop is too late to be given more while another can take it.
    pub(crate) fn is_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// What an attempt that starts now would be told about it.
    pub(crate) fn info(&self) -> WorkerRef {
        WorkerRef {
            pid: self.pid,
            cold: !self.served.load(Ordering::Relaxed),
        }
    }

    /// Changes the desk; wakes the writer if there is something to write then.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&mut Desk) -> T) -> T {
        let mut desk = self.desk.lock();
        let result = change(&mut desk);
        desk.write_if_alone();
        let wake = desk.writer_sleeps && !desk.out.is_empty();
        if wake {
            desk.writer_sleeps = false;
        }
        drop(desk);
        if wake {
            self.writer.notify_one();
        }
        result
    }

    /// Starts an attempt.
    pub(crate) fn start(self: Arc<Self>, place: Place, invocation: Invocation) -> Call {
        let exchange = Exchange::new();
        let info = WorkerRef {
            pid: self.pid,
            cold: !self.served.swap(true, Ordering::Relaxed),
        };
        let timeout = invocation.timeout.unwrap_or(place.spec().timeout);
        let head = InvokeHead {
            run: invocation.run,
            attempt: invocation.attempt,
            handler: invocation.handler,
            timeout,
        };
        let (what, streamed) = Prepared::of(invocation.what);
        let outflow = streamed.is_some().then(Outflow::new);
        let attempt = Attempt {
            exchange: Arc::clone(&exchange),
            place,
            run: head.run,
            number: head.attempt,
            timeout,
            deadline: Instant::now() + timeout,
            phase: Phase::Running,
            cancelled: None,
            request: outflow.clone(),
            response: None,
        };
        let stream = match self.enter(attempt, &head, &what) {
            Ok(stream) => stream,
            Err(refused) => {
                exchange.finish(Err(refused.why));
                drop(refused.attempt);
                return Call::new(exchange, self, 0, info);
            }
        };
        if let (Some(body), Some(outflow)) = (streamed, outflow) {
            self.spawn(stream::pump(Arc::clone(&self), stream, outflow, body));
        }
        Call::new(exchange, self, stream, info)
    }

    /// Puts an attempt on the desk and its INVOKE among what waits to be sent.
    fn enter(
        &self,
        attempt: Attempt,
        head: &InvokeHead,
        what: &Prepared,
    ) -> Result<u32, Box<Refused>> {
        let rest = match attempt.request {
            Some(_) => Rest::Follows,
            None => Rest::Nothing,
        };
        let (stream, ticker_slept) = self.write(|desk| {
            if desk.closed || what.is_too_large() {
                let why = what.refusal();
                return Err(Box::new(Refused { attempt, why }));
            }
            let key = (attempt.run, attempt.number);
            let stream = desk.attempts.insert(key, attempt).map_err(|attempt| {
                let why = what.refusal();
                Box::new(Refused { attempt, why })
            })?;
            desk.lone_starts = match desk.attempts.len() {
                1 => desk.lone_starts.saturating_add(1),
                _ => 0,
            };
            what.put(&mut desk.out, stream, head, rest);
            Ok((stream, std::mem::take(&mut desk.ticker_sleeps)))
        })?;
        if ticker_slept {
            self.orders.wake();
        }
        Ok(stream)
    }

    /// Runs a task that ends with the worker.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let gone = self.gone.clone();
        let bounded = async move {
            gone.run_until_cancelled_owned(task).await;
        };
        self.shared.spawn(bounded);
    }

    /// Sends the abort signal, once.
    pub(crate) fn cancel(&self, stream: u32, reason: CancelReason) {
        self.write(|desk| desk.cancel(stream, reason));
    }

    /// Sends the abort signal to all attempts; says whether there were any.
    pub(crate) fn cancel_all(&self, reason: CancelReason) -> bool {
        self.write(|desk| {
            let open: Vec<u32> = desk.attempts.iter_mut().map(|(stream, _)| stream).collect();
            for stream in &open {
                desk.cancel(*stream, reason);
            }
            !open.is_empty()
        })
    }

    /// Its caller went away before the answer.
    pub(crate) fn abandon(&self, stream: u32) {
        self.write(|desk| {
            desk.cancel(stream, CancelReason::CallerGone);
            if let Some(attempt) = desk.attempts.get_mut(stream) {
                attempt.phase = Phase::Unheard;
            }
        });
    }

    /// Waits until not too much waits to be written. A worker grants credit and may still not
    /// read: what it does not read must not pile up here.
    pub(crate) async fn room(&self) {
        loop {
            let drained = self.drained.notified();
            if self.desk.lock().out.len() < MOST_WAITING {
                return;
            }
            drained.await;
        }
    }

    /// Sends a stretch of a body.
    pub(crate) fn send_data(&self, stream: u32, bytes: &[u8]) {
        self.write(|desk| {
            if desk.is_open(stream) {
                frame::data(&mut desk.out, stream, bytes);
            }
        });
    }

    /// A body is sent whole.
    pub(crate) fn send_end(&self, stream: u32) {
        self.write(|desk| {
            if !desk.is_open(stream) {
                return;
            }
            frame::end(&mut desk.out, stream);
            match desk.attempts.get_mut(stream) {
                Some(attempt) => attempt.request = None,
                None => drop(desk.calls.remove(&stream)),
            }
        });
    }

    /// A body that was being sent will not be completed.
    pub(crate) fn break_off(&self, stream: u32, reason: CancelReason) {
        self.write(|desk| {
            if stream & frame::WORKER_STREAM == 0 {
                desk.cancel(stream, reason);
            } else if desk.calls.remove(&stream).is_some() {
                frame::cancel(&mut desk.out, stream, reason);
            }
        });
    }

    /// The process is gone: settles what was under way on it, `open` attempts when it ended.
    pub(crate) fn bury(&self, verdict: &Verdict, open: usize) {
        let (attempts, calls) = self.write(|desk| {
            desk.closed = true;
            desk.out.clear();
            desk.socket = None;
            (desk.attempts.drain(), std::mem::take(&mut desk.calls))
        });
        for call in calls.into_values() {
            call.outflow.close();
            if let Some(inbound) = call.inbound {
                let failure = Failure::ours(FailureKind::Interrupted, "the worker ended");
                inbound.end(Err(failure));
            }
        }
        for (stream, attempt) in attempts {
            let failure = verdict.failure_of(stream, open);
            let failure = blame::in_view_of(attempt.cancelled, failure);
            self.settle(attempt, Err(failure), None);
        }
        *self.boot.lock() = Boot::default();
    }

    /// An attempt is over: tells everyone whom it concerns. The desk is not locked.
    pub(crate) fn settle(
        &self,
        attempt: Attempt,
        outcome: Result<(), Failure>,
        answer: Option<Response>,
    ) {
        let spec = attempt.place.spec();
        let (run, number) = (attempt.run, attempt.number);
        self.shared
            .host
            .ended(&spec.scope, &spec.function, run, number);
        if let Some(request) = attempt.request {
            request.close();
        }
        if let Some(response) = attempt.response {
            response.end(outcome.clone());
        }
        match answer {
            Some(answer) => attempt.exchange.answer(answer, Some(outcome)),
            None => attempt.exchange.finish(outcome),
        }
        drop(attempt.place);
    }

    /// The attempts on it now.
    pub(crate) fn in_flight(&self) -> usize {
        self.desk.lock().attempts.len()
    }

    /// Itself, for people.
    pub(crate) fn describe(&self) -> WorkerInfo {
        let spec = self.pool().map(|pool| &pool.spec);
        let boot = self.boot.lock();
        let state = if self.orders.is_leaving() {
            WorkerState::Leaving
        } else if boot.ready.is_some() {
            WorkerState::Starting
        } else if boot.loaded.is_some() {
            WorkerState::Loading
        } else if spec.is_some() {
            WorkerState::Serving
        } else {
            WorkerState::Blank
        };
        drop(boot);
        WorkerInfo {
            pid: self.pid,
            scope: spec.map(|spec| spec.scope.clone()),
            function: spec.map(|spec| spec.function.clone()),
            version: spec.map(|spec| spec.version.clone()),
            state,
            in_flight: self.in_flight(),
            rss: crate::memory::resident(self.pid).unwrap_or(0),
            started_at: self.started_at,
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Worker({})", self.pid)
    }
}

impl Desk {
    /// Sends the abort signal, once.
    pub(crate) fn cancel(&mut self, stream: u32, reason: CancelReason) {
        if let Some(attempt) = self.attempts.get_mut(stream)
            && attempt.cancelled.is_none()
        {
            attempt.cancelled = Some(reason);
            if let Some(request) = attempt.request.take() {
                request.close();
            }
            frame::cancel(&mut self.out, stream, reason);
        }
    }

    fn is_open(&mut self, stream: u32) -> bool {
        if stream & frame::WORKER_STREAM == 0 {
            self.attempts.get_mut(stream).is_some()
        } else {
            self.calls.contains_key(&stream)
        }
    }

    /// Takes an attempt off the desk; says that no more of its request body comes.
    pub(crate) fn remove(&mut self, stream: u32) -> Option<Attempt> {
        let attempt = self.attempts.remove(stream)?;
        if attempt.request.is_some() {
            frame::cancel(&mut self.out, stream, CancelReason::CallerGone);
        }
        Some(attempt)
    }
}

struct Refused {
    attempt: Attempt,
    why: Failure,
}

/// What goes into INVOKE, with what of the body is sent along.
#[expect(
    clippy::large_enum_variant,
    reason = "there is one, for a moment, on the stack"
)]
enum Prepared {
    Http(HttpRequest, Bytes),
    Event(Bytes),
    Batch(Vec<Batched>),
}

impl Prepared {
    fn of(what: What) -> (Self, Option<BodyStream>) {
        match what {
            What::Event { json } => (Self::Event(json), None),
            What::Batch(events) => (Self::Batch(events), None),
            What::Http(mut request) => {
                let body = std::mem::replace(&mut request.body, Body::empty());
                let (opening, streamed) = stream::opening(body);
                (Self::Http(request, opening), streamed)
            }
        }
    }

    fn is_too_large(&self) -> bool {
        match self {
            Self::Event(json) => json.len() > limits::MAX_FRAME,
            Self::Batch(events) => Batched::size(events) > limits::MAX_FRAME,
            Self::Http(..) => false,
        }
    }

    fn refusal(&self) -> Failure {
        if self.is_too_large() {
            let message = format!(
                "{} larger than the {} bytes a worker can be handed",
                match self {
                    Self::Batch(_) => "the events of the batch are together",
                    _ => "the event is",
                },
                limits::MAX_FRAME
            );
            return Failure::ours(FailureKind::UserError, message);
        }
        let message = "the worker ended before the attempt reached it";
        Failure::ours(FailureKind::NotStarted, message)
    }

    fn put(&self, out: &mut BytesMut, stream: u32, head: &InvokeHead, rest: Rest) {
        match self {
            Self::Event(json) => frame::invoke_event(out, stream, head, json),
            Self::Batch(events) => frame::invoke_batch(out, stream, head, events),
            Self::Http(request, opening) => {
                let request = RequestHead {
                    method: request.method.as_str().as_bytes(),
                    target: request.target.as_str().as_bytes(),
                    remote: request.remote.as_bytes(),
                    params: &request.params,
                    headers: &request.headers,
                };
                frame::invoke_http(out, stream, head, &request, rest, opening);
            }
        }
    }
}
