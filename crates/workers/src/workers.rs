//! The service: all pools, and what they share.

use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::limits;

use crate::{
    CancelReason, Host, Observer, Options, Pool, VersionSpec, WorkerInfo,
    blank::{Blanks, Class, Fill},
    orders::Order,
    seating::PoolShared,
    spawn::Spawner,
    worker::Worker,
};

/// Between two looks for idle workers.
const JANITOR: Duration = Duration::from_millis(250);
/// Between two looks whether attempts still run, while stopping.
const DRAIN_POLLING: Duration = Duration::from_millis(10);

/// All worker pools of a server. A cheap handle. [`shutdown`](Self::shutdown) must be called
/// to end them; a server that is killed takes its workers with it.
#[derive(Clone)]
pub struct Workers(Arc<Shared>);

/// What all pools and workers share.
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) spawner: Spawner,
    /// One permit for each process there may be.
    pub(crate) capacity: Arc<Semaphore>,
    /// One permit for each process that may come up at once.
    pub(crate) starting: Semaphore,
    pub(crate) fleet: Mutex<Fleet>,
    /// Fires when the pools stop.
    pub(crate) stop: CancellationToken,
    pub(crate) cpus: usize,
    runtime: Handle,
    tasks: TaskTracker,
}

/// All processes and pools there are. Its lock is never held together with a pool's.
#[derive(Default)]
pub(crate) struct Fleet {
    pub(crate) blanks: Blanks,
    workers: Vec<Arc<Worker>>,
    pools: Vec<Arc<PoolShared>>,
}

impl Fleet {
    /// Whether a pool that is not retired needs workers of this class.
    pub(crate) fn uses(&self, class: &Class) -> bool {
        self.pools.iter().any(|pool| pool.class == *class)
    }
}

impl Workers {
    /// Must be called within the tokio runtime on which the I/O with workers shall live.
    pub fn new(options: Options, host: Arc<dyn Host>, observer: Arc<dyn Observer>) -> Self {
        let shared = Arc::new(Shared {
            capacity: Arc::new(Semaphore::new(options.max_workers.max(1))),
            starting: Semaphore::new(options.max_starting.max(1)),
            host,
            observer,
            spawner: Spawner::new(),
            fleet: Mutex::default(),
            stop: CancellationToken::new(),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            runtime: Handle::current(),
            tasks: TaskTracker::new(),
            options,
        });
        shared.spawn(keep_house(Arc::downgrade(&shared), shared.stop.clone()));
        Self(shared)
    }

    /// The workers of one immutable version of a function. Keep it: each call makes a new one.
    pub fn pool(&self, spec: VersionSpec) -> Pool {
        let pool = Pool::new(Arc::clone(&self.0), spec);
        let inner = pool.inner();
        if self.0.stop.is_cancelled() {
            inner.retire();
            return pool;
        }
        self.0.fleet.lock().pools.push(Arc::clone(inner));
        self.0.fill_shelf(&inner.class, Fill::Now);
        pool
    }

    /// Refuses new reservations, lets attempts run for at most `drain`, then ends all workers:
    /// abort signal, SIGTERM, grace, SIGKILL. Returns when all processes and tasks are gone.
    pub async fn shutdown(&self, drain: Duration) {
        let shared = &self.0;
        shared.stop.cancel();
        shared.starting.close();
        let pools = std::mem::take(&mut shared.fleet.lock().pools);
        for pool in &pools {
            pool.retire();
        }
        let until = Instant::now() + drain;
        while Instant::now() < until && shared.workers().iter().any(|w| w.in_flight() > 0) {
            tokio::time::sleep(DRAIN_POLLING).await;
        }
        let left = shared.workers();
        let mut interrupted = false;
        for worker in &left {
            interrupted |= worker.cancel_all(CancelReason::Stopping);
        }
        if interrupted {
            tokio::time::sleep(limits::ABORT_GRACE).await;
        }
        shared.tasks.close();
        // Again and again: a process that was being started joins late.
        loop {
            for worker in shared.workers() {
                worker.orders.give(Order::Terminate);
            }
            let all_gone = shared.tasks.wait();
            if tokio::time::timeout(DRAIN_POLLING, all_gone).await.is_ok() {
                return;
            }
        }
    }

    /// All workers, for people.
    pub fn snapshot(&self) -> Vec<WorkerInfo> {
        let workers = self.0.workers();
        workers.iter().map(|worker| worker.describe()).collect()
    }
}

impl fmt::Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Workers({} processes)", self.0.workers().len())
    }
}

impl Shared {
    /// Runs a task on the runtime of the workers; a stop waits for it.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    /// Sleeps; says whether it slept to the end, and not only until the stop.
    pub(crate) async fn pause(&self, time: Duration) -> bool {
        let sleep = tokio::time::sleep(time);
        self.stop.run_until_cancelled(sleep).await.is_some()
    }

    fn workers(&self) -> Vec<Arc<Worker>> {
        self.fleet.lock().workers.clone()
    }

    /// A process was started.
    pub(crate) fn enlist(&self, worker: &Arc<Worker>) {
        self.fleet.lock().workers.push(Arc::clone(worker));
    }

    /// A process is gone.
    pub(crate) fn strike_off(&self, worker: &Worker) {
        let mut fleet = self.fleet.lock();
        fleet
            .workers
            .retain(|other| !std::ptr::eq(&**other, worker));
        fleet.blanks.remove(worker);
    }

    pub(crate) fn take_blank(&self, class: &Class) -> Option<Arc<Worker>> {
        self.fleet.lock().blanks.take(class)
    }

    /// Makes room for a worker of `pool`: a blank worker of another class, else the longest
    /// idle worker of another pool; else, if `pool` has less than its share, a busy one of a
    /// pool that has more finishes what runs and ends.
    pub(crate) fn make_room(&self, pool: &Arc<PoolShared>) -> Option<Arc<Worker>> {
        let (blank, others) = {
            let mut fleet = self.fleet.lock();
            let blank = fleet.blanks.take_other(&pool.class);
            let others = fleet.pools.iter().filter(|other| !Arc::ptr_eq(other, pool));
            (blank, others.cloned().collect::<Vec<_>>())
        };
        if let Some(blank) = blank {
            blank.leave();
            return Some(blank);
        }
        let idle = others
            .iter()
            .filter_map(|other| Some((other.idle_since()?, other)));
        let victim = match idle.min_by_key(|(since, _)| *since) {
            Some((_, other)) => other.give_up_one(false),
            None => self.over_its_share(pool, &others)?.give_up_one(true),
        }?;
        victim.leave();
        Some(victim)
    }

    fn over_its_share<'a>(
        &self,
        pool: &PoolShared,
        others: &'a [Arc<PoolShared>],
    ) -> Option<&'a Arc<PoolShared>> {
        let busy = others.iter().filter(|other| other.size() > 0).count() + 1;
        let share = (self.options.max_workers / busy).max(1);
        if pool.size() >= share {
            return None;
        }
        let largest = others.iter().max_by_key(|other| other.size())?;
        (largest.size() > share || pool.size() == 0).then_some(largest)
    }

    /// Ends what has had nothing to do for long enough, and forgets pools that are over.
    fn sweep(&self) {
        let now = Instant::now();
        let pools = self.fleet.lock().pools.clone();
        for pool in &pools {
            for worker in pool.take_idle(now) {
                worker.leave();
            }
        }
        let (over, blanks) = {
            let retired: Vec<_> = pools.iter().filter(|pool| pool.is_retired()).collect();
            let mut fleet = self.fleet.lock();
            let (over, kept) = std::mem::take(&mut fleet.pools)
                .into_iter()
                .partition::<Vec<_>, _>(|pool| retired.iter().any(|r| Arc::ptr_eq(r, pool)));
            fleet.pools = kept;
            let used: Vec<Class> = fleet.pools.iter().map(|pool| pool.class.clone()).collect();
            let linger = self.options.blank_linger;
            let blanks = fleet
                .blanks
                .sweep(|class| used.contains(class), now, linger);
            (over, blanks)
        };
        drop(over);
        for blank in blanks {
            blank.leave();
        }
    }
}

async fn keep_house(shared: Weak<Shared>, stop: CancellationToken) {
    let every = async {
        loop {
            tokio::time::sleep(JANITOR).await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            shared.sweep();
        }
    };
    stop.run_until_cancelled(every).await;
}
