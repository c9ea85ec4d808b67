//! The life of a worker process, from its start to its account.
//!
//! One task per worker owns the process. While nothing runs it looks at the clock only now
//! and then, for the memory; it is told what to do by `orders`.

use std::{
    os::unix::process::ExitStatusExt,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use rustix::process::Signal;
use tokio::{
    net::UnixStream,
    sync::{OwnedSemaphorePermit, oneshot},
    task::JoinSet,
    time::{sleep_until, timeout},
};
use wakeful_core::{limits, run::LogStream};

use crate::{
    Ended, Failure, FailureKind, WorkerEvent,
    blame::{Cause, Culprit, Verdict},
    blank::Class,
    inspect, link, memory,
    orders::Order,
    receive::Violation,
    spawn::{Process, Program},
    stdio,
    watch::Tick,
    worker::Worker,
    workers::Shared,
};

/// Between two looks at what runs: the most by which a deadline is late.
const TICK: Duration = Duration::from_millis(25);
/// Idle ticks until the ticker sleeps: a steady trickle of attempts need not wake it each time.
const IDLE_TICKS: u32 = 40;
/// The memory of an idle worker is looked at so many times less often.
const IDLE_MEMORY_FACTOR: u32 = 20;
/// How long we wait for what a process that has ended left in its pipes.
const LAST_OUTPUT: Duration = Duration::from_millis(200);
/// How long finding the culprit of a blocked loop may take.
const INSPECTION: Duration = Duration::from_secs(2);

impl Worker {
    /// Starts a process and waits until its bootstrap is loaded.
    pub(crate) async fn launch(
        shared: &Arc<Shared>,
        class: Class,
        permit: OwnedSemaphorePermit,
    ) -> Result<Arc<Self>, Failure> {
        let asked = Instant::now();
        let program = Program {
            node: class.node.to_path_buf(),
            bootstrap: shared.options.bootstrap.clone(),
            heap_mib: class.heap_mib,
            compile_cache: shared.options.compile_cache.clone(),
        };
        let failed = |what: String| Failure::ours(FailureKind::NotStarted, what);
        let cannot = |error: std::io::Error| {
            failed(format!("cannot start {}: {error}", class.node.display()))
        };
        let spawned = shared.spawner.spawn(program).await.map_err(cannot)?;
        let socket = UnixStream::from_std(spawned.socket).map_err(cannot)?;
        let worker = Arc::new(Self::new(
            spawned.process.pid(),
            class.clone(),
            Arc::clone(shared),
        ));
        let (ready, is_ready) = oneshot::channel();
        worker.boot.lock().ready = Some(ready);
        let io = Io {
            socket,
            stdout: spawned.stdout,
            stderr: spawned.stderr,
        };
        shared.enlist(&worker);
        shared.spawn(supervise(Arc::clone(&worker), spawned.process, io, permit));
        match timeout(shared.options.start_timeout, is_ready).await {
            Ok(Ok(())) => {
                let (pid, took) = (worker.pid, asked.elapsed());
                shared.observer.worker(WorkerEvent::Started { pid, took });
                Ok(worker)
            }
            Ok(Err(_)) => {
                worker.gone.cancelled().await;
                Err(failed(format!(
                    "{} ended before it was ready: {}",
                    class.node.display(),
                    worker.obituary.get().map_or("", String::as_str)
                )))
            }
            Err(_) => {
                let verdict = Verdict::unknown(Cause::Stopping);
                worker.orders.give(Order::Kill(Ended::Stuck, verdict));
                Err(failed(format!(
                    "{} was not ready within {:?}",
                    class.node.display(),
                    shared.options.start_timeout
                )))
            }
        }
    }
}

struct Io {
    socket: UnixStream,
    stdout: std::os::fd::OwnedFd,
    stderr: std::os::fd::OwnedFd,
}

async fn supervise(
    worker: Arc<Worker>,
    mut process: Process,
    io: Io,
    permit: OwnedSemaphorePermit,
) {
    let (reading, writing) = io.socket.into_split();
    let mut tasks = JoinSet::new();
    tasks.spawn(stdio::read(
        Arc::clone(&worker),
        io.stdout,
        LogStream::Stdout,
    ));
    tasks.spawn(stdio::read(
        Arc::clone(&worker),
        io.stderr,
        LogStream::Stderr,
    ));
    let mut writer = JoinSet::new();
    writer.spawn(link::write(Arc::clone(&worker), writing));
    let (broken, mut link) = oneshot::channel();
    let reader = Arc::clone(&worker);
    tasks.spawn(async move {
        // The receiver lives as long as this task does.
        let _ = broken.send(link::read(&reader, reading).await);
    });

    let fate = watch_over(&worker, &process, &mut link).await;
    let open = worker.close();
    process.signal_group(Signal::KILL);
    process.ended().await;
    // What it said last still lies in the socket and the pipes. A grandchild that left the
    // group may hold them open: it is not waited for.
    let _ = timeout(LAST_OUTPUT, async {
        while tasks.join_next().await.is_some() {}
    })
    .await;
    tasks.shutdown().await;
    writer.shutdown().await;
    let status = process.reap();
    account(&worker, fate, open, status);
    drop(permit);
}

/// Why the watch ended.
enum Fate {
    /// The process has ended.
    Ended,
    /// We end it now.
    Condemned(Ended, Verdict),
}

type LinkEnd = oneshot::Receiver<Result<(), Violation>>;

/// Watches until the process has ended or must be ended.
async fn watch_over(worker: &Arc<Worker>, process: &Process, link: &mut LinkEnd) -> Fate {
    let mut watch = Watch::new(worker.shared.options.memory_polling);
    let mut link_open = true;
    loop {
        let now = Instant::now();
        if let Some(fate) = watch.look(worker, process, now).await {
            return fate;
        }
        let wake_at = watch.wake_at(now);
        tokio::select! {
            () = process.ended() => return Fate::Ended,
            end = &mut *link, if link_open => {
                link_open = false;
                if let Ok(Err(violation)) = end {
                    let how = format!("broke the protocol: {violation}");
                    let verdict = Verdict::unknown(Cause::Crash(how));
                    return Fate::Condemned(Ended::Protocol, verdict);
                }
                // It closed its socket: it ends by itself in a moment, or never works again.
                if !worker.orders.is_leaving() {
                    worker.expire();
                }
            }
            () = worker.orders.changed() => {}
            () = sleep_until_some(wake_at) => {}
        }
    }
}

async fn sleep_until_some(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// When to look next, and how far an ordered end has come.
struct Watch {
    memory_polling: Duration,
    memory_at: Instant,
    /// The ticker runs; so many ticks found nothing to do.
    ticking: Option<u32>,
    /// Whoever is asked to end has until then.
    patience: Option<Instant>,
    terminated: bool,
}

impl Watch {
    fn new(memory_polling: Duration) -> Self {
        Self {
            memory_polling,
            memory_at: Instant::now(),
            ticking: Some(0),
            patience: None,
            terminated: false,
        }
    }

    fn wake_at(&self, now: Instant) -> Option<Instant> {
        let tick = self.ticking.map(|_| now + TICK);
        let wakes = [tick, self.patience, Some(self.memory_at)];
        wakes.into_iter().flatten().min()
    }

    async fn look(
        &mut self,
        worker: &Arc<Worker>,
        process: &Process,
        now: Instant,
    ) -> Option<Fate> {
        let seen = worker.tick(now);
        self.keep_ticking(worker, seen);
        match seen {
            Tick::Blocked => {
                let culprit = culprit_of_blocked_loop(worker, process).await;
                let cause = Cause::BlockedLoop;
                return Some(Fate::Condemned(
                    Ended::BlockedLoop,
                    Verdict { cause, culprit },
                ));
            }
            Tick::Stuck => {
                let verdict = Verdict::unknown(Cause::Stuck);
                return Some(Fate::Condemned(Ended::Stuck, verdict));
            }
            Tick::Idle | Tick::Busy => {}
        }
        if let Some(fate) = self.weigh(worker, seen, now) {
            return Some(fate);
        }
        self.follow_orders(worker, process, seen, now)
    }

    /// Looks at its memory, now and then: what attempts left behind may grow without them.
    fn weigh(&mut self, worker: &Worker, seen: Tick, now: Instant) -> Option<Fate> {
        let every = match seen {
            Tick::Idle => self.memory_polling * IDLE_MEMORY_FACTOR,
            _ => self.memory_polling,
        };
        // Who was idle need not have been looked at for long.
        self.memory_at = self.memory_at.min(now + every);
        if now < self.memory_at {
            return None;
        }
        self.memory_at = now + every;
        too_large(worker)
    }

    fn keep_ticking(&mut self, worker: &Worker, seen: Tick) {
        self.ticking = match (seen, self.ticking) {
            (Tick::Idle, None) => None,
            (Tick::Idle, Some(idle)) if idle >= IDLE_TICKS => {
                let mut desk = worker.desk.lock();
                desk.ticker_sleeps = desk.attempts.is_empty();
                if desk.ticker_sleeps { None } else { Some(0) }
            }
            (Tick::Idle, Some(idle)) => Some(idle + 1),
            _ => Some(0),
        };
    }

    fn follow_orders(
        &mut self,
        worker: &Worker,
        process: &Process,
        seen: Tick,
        now: Instant,
    ) -> Option<Fate> {
        let quiet = seen == Tick::Idle;
        match worker.orders.current() {
            Order::Serve => return None,
            // What runs may take its time, then the process has some to end by itself.
            Order::Leave if !quiet => {
                self.patience = None;
                return None;
            }
            Order::Kill(how, verdict) => return Some(Fate::Condemned(how, verdict)),
            Order::Terminate if !self.terminated => {
                self.terminated = true;
                self.patience = Some(now + limits::KILL_GRACE);
                process.signal_group(Signal::TERM);
            }
            Order::Leave | Order::Expire | Order::Terminate => {}
        }
        let patience = *self
            .patience
            .get_or_insert_with(|| now + time_to_end(worker));
        if now < patience {
            return None;
        }
        if !self.terminated {
            self.terminated = true;
            self.patience = Some(now + limits::KILL_GRACE);
            process.signal_group(Signal::TERM);
            return None;
        }
        let expired = matches!(worker.orders.current(), Order::Expire);
        let cause = if expired {
            Cause::Crash("closed its connection and did not end".into())
        } else {
            Cause::Stopping
        };
        Some(Fate::Condemned(Ended::Retired, Verdict::unknown(cause)))
    }
}

/// How long a worker that was asked to end by itself may take. What it goes on with after its
/// answers (`waitUntil`) has as long as an attempt has.
fn time_to_end(worker: &Worker) -> Duration {
    match (worker.orders.current(), worker.pool()) {
        (Order::Leave, Some(pool)) => pool.spec.timeout.max(limits::KILL_GRACE),
        _ => limits::KILL_GRACE,
    }
}

fn too_large(worker: &Worker) -> Option<Fate> {
    let bound = worker.class.heap_mib * 1024 * 1024 + limits::WORKER_OVERHEAD;
    let resident = memory::resident(worker.pid)?;
    if resident <= bound {
        return None;
    }
    let mib = |bytes: u64| bytes / (1024 * 1024);
    let of_what = format!(
        "its process holds {} MiB, more than the {} MiB that `memory` ({} MiB) and Node itself allow",
        mib(resident),
        mib(bound),
        worker.class.heap_mib
    );
    let verdict = Verdict::unknown(Cause::OutOfMemory(of_what));
    Some(Fate::Condemned(Ended::OutOfMemory, verdict))
}

/// Who blocks the loop: the only attempt there is, or the one V8 finds on the stack.
async fn culprit_of_blocked_loop(worker: &Arc<Worker>, process: &Process) -> Culprit {
    if worker.in_flight() < 2 {
        return Culprit::Unknown;
    }
    match timeout(INSPECTION, inspect::current_stream(worker, process)).await {
        Ok(Ok(0)) => Culprit::NoneOfThem,
        Ok(Ok(stream)) => Culprit::Stream(stream, None),
        Ok(Err(error)) => {
            tracing::warn!(
                worker = worker.pid,
                "cannot ask who blocks the loop: {error}"
            );
            Culprit::Unknown
        }
        Err(_) => Culprit::Unknown,
    }
}

/// The process is gone: says how, and settles what was under way on it.
fn account(worker: &Arc<Worker>, fate: Fate, open: usize, status: ExitStatus) {
    let (how, mut verdict) = match fate {
        Fate::Condemned(how, verdict) => (how, verdict),
        Fate::Ended if as_asked(worker) => (Ended::Retired, Verdict::unknown(Cause::Stopping)),
        Fate::Ended => by_itself(worker, status),
    };
    if verdict.culprit == Culprit::Unknown
        && let Some(culprit) = worker.desk.lock().confession.take()
    {
        verdict.culprit = culprit;
    }
    let words = worker.last_words.text();
    let said = if words.is_empty() {
        words
    } else {
        format!("\n{words}")
    };
    // Set once: this is the only place.
    let _ = worker.obituary.set(format!("{}{said}", describe(status)));
    worker.bury(&verdict, open);
    worker.shared.strike_off(worker);
    if let Some(pool) = worker.pool() {
        pool.ended(worker);
    }
    worker.gone.cancel();
    worker.shared.observer.worker(WorkerEvent::Ended {
        pid: worker.pid,
        function: worker.pool().map(|pool| pool.spec.function.clone()),
        how,
    });
}

fn as_asked(worker: &Worker) -> bool {
    match worker.orders.current() {
        Order::Serve | Order::Expire => false,
        Order::Leave => worker.in_flight() == 0,
        Order::Terminate | Order::Kill(..) => true,
    }
}

fn by_itself(worker: &Worker, status: ExitStatus) -> (Ended, Verdict) {
    let heap_full = worker.last_words.tell_of_full_heap();
    let signalled = |signal| Ended::Signalled { signal };
    let how = match (status.signal(), status.code()) {
        _ if heap_full => Ended::OutOfMemory,
        (Some(signal), _) => signalled(signal),
        (None, code) => Ended::Exited {
            code: code.unwrap_or(0),
        },
    };
    let cause = if heap_full {
        let heap = worker.class.heap_mib;
        Cause::OutOfMemory(format!("its heap of {heap} MiB (`memory`) is full"))
    } else {
        Cause::Crash(describe(status))
    };
    (how, Verdict::unknown(cause))
}

fn describe(status: ExitStatus) -> String {
    match (status.signal(), status.code()) {
        (Some(signal), _) => format!("was ended by signal {signal}"),
        (None, code) => format!("exited with code {}", code.unwrap_or(0)),
    }
}
