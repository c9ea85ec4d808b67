//! The workers of one version of a function: who gets a place, and who waits.
//!
//! Everything stands behind one lock, which is never held while workers, callers or other pools
//! are told something. `scale` says how many workers are wanted, `start` brings them up.

use std::{
    collections::VecDeque,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wakeful_core::{limits, name::HandlerName, project::Style};

use crate::{
    Call, Failure, FailureKind, Invocation, VersionSpec, WorkerRef, blank::Class, limit::Permit,
    scale::Demand, start, worker::Worker, workers::Shared,
};

/// So many failed starts in a row are told to those who wait.
const PATIENCE_WITH_STARTS: u32 = 3;
/// After a failed start the next one waits this long, and twice as long each time.
const START_BACKOFF: Duration = Duration::from_millis(100);
const MOST_START_BACKOFF: Duration = Duration::from_secs(10);

/// The workers of one immutable version of a function. A cheap handle.
#[derive(Clone)]
pub struct Pool(Arc<PoolShared>);

/// Whether an attempt minds company.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserve {
    /// Others may run on the same worker, as `per_worker` allows.
    Shared,
    /// Nothing else runs on the worker meanwhile: for suspects.
    Alone,
}

/// Why there is no place for an attempt. User code was not started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReserveError {
    /// The code cannot be loaded; it stays so for this version.
    #[error("the code of this version cannot be loaded: {}", .0.message)]
    Load(Failure),
    /// No worker came up, several times in a row. Trying again may help.
    #[error("no worker could be started: {}", .0.message)]
    NotStarted(Failure),
    /// Too many wait already. Trying again later helps.
    #[error("too many calls wait for this function already")]
    Overloaded,
    /// This version takes nothing any more; ask the pool of the version that is live now.
    #[error("this version is retired")]
    Retired,
}

/// What became known when the code was loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedInfo {
    /// How handlers are called.
    pub style: Style,
    /// The names it exports.
    pub exports: Vec<String>,
    /// Handlers that triggers name and that it does not export; `None` is the default one.
    pub missing: Vec<Option<HandlerName>>,
}

/// Counts of a pool, now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// Workers that take attempts.
    pub serving: usize,
    /// Workers on their way up.
    pub starting: usize,
    /// Workers that finish what runs, then end.
    pub leaving: usize,
    /// Attempts that run or have a place reserved.
    pub in_flight: usize,
    /// Reservations that wait for a place.
    pub waiting: usize,
}

impl Pool {
    pub(crate) fn new(shared: Arc<Shared>, spec: VersionSpec) -> Self {
        let class = Class {
            node: spec.node.as_path().into(),
            heap_mib: (spec.memory / (1024 * 1024)).max(1),
        };
        let state = PoolState {
            per_worker: spec.per_worker.or(spec.style.map(places_by_style)),
            ..PoolState::default()
        };
        Self(Arc::new(PoolShared {
            spec,
            class,
            shared,
            state: Mutex::new(state),
        }))
    }

    pub(crate) fn inner(&self) -> &Arc<PoolShared> {
        &self.0
    }

    /// What it serves.
    pub fn spec(&self) -> &VersionSpec {
        &self.0.spec
    }

    /// A place on a loaded worker, if there is one now and nobody waits for it.
    pub fn try_reserve(&self) -> Option<Slot> {
        let mut state = self.0.state.lock();
        if state.retired || !state.shared.is_empty() || !state.alone.is_empty() {
            return None;
        }
        let worker = state.pick(Reserve::Shared, self.0.lag_cap())?;
        let permit = self.0.spec.limit.try_take()?;
        Some(self.0.seat(&mut state, worker, permit, Reserve::Shared))
    }

    /// Waits for a place; starts workers by demand. Dropping the future gives the place up.
    pub async fn reserve(&self, how: Reserve) -> Result<Slot, ReserveError> {
        if how == Reserve::Shared
            && let Some(slot) = self.try_reserve()
        {
            return Ok(slot);
        }
        let (sender, place) = oneshot::channel();
        let queued = {
            let mut state = self.0.state.lock();
            state.refusal()?;
            if state.shared.len() + state.alone.len() >= self.0.spec.max_waiting {
                return Err(ReserveError::Overloaded);
            }
            let id = state.next_waiter;
            state.next_waiter += 1;
            state.queue(how).push_back(Waiter { id, sender });
            Queued {
                pool: &self.0,
                how,
                id,
            }
        };
        self.0.serve_waiting();
        let answer = place.await;
        drop(queued);
        answer.unwrap_or(Err(ReserveError::Retired))
    }

    /// Waits until at least one worker has loaded the code.
    pub async fn load(&self) -> Result<LoadedInfo, ReserveError> {
        let (sender, loaded) = oneshot::channel();
        {
            let mut state = self.0.state.lock();
            state.refusal()?;
            if let Some(info) = &state.info {
                return Ok(info.clone());
            }
            state.loaders.retain(|loader| !loader.is_closed());
            state.loaders.push(sender);
        }
        self.0.serve_waiting();
        loaded.await.unwrap_or(Err(ReserveError::Retired))
    }

    /// Takes no new reservations; the workers finish what runs, then end.
    pub fn retire(&self) {
        self.0.retire();
    }

    /// Counts, for people.
    pub fn stats(&self) -> PoolStats {
        let state = self.0.state.lock();
        let serving = state.members.iter().filter(|member| !member.aside);
        let serving = serving.count();
        PoolStats {
            serving,
            starting: state.queued_starts + state.starting,
            leaving: state.members.len() - serving,
            in_flight: state
                .members
                .iter()
                .map(|member| member.seated as usize)
                .sum(),
            waiting: state.shared.len() + state.alone.len(),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pool({} {})", self.0.spec.function, self.0.spec.version)
    }
}

pub(crate) fn places_by_style(style: Style) -> u32 {
    match style {
        Style::Lambda => limits::PER_WORKER_ALONE,
        Style::Web | Style::Native => limits::PER_WORKER_SHARED,
    }
}

pub(crate) struct PoolShared {
    pub(crate) spec: VersionSpec,
    pub(crate) class: Class,
    pub(crate) shared: Arc<Shared>,
    state: Mutex<PoolState>,
}

#[derive(Default)]
struct PoolState {
    retired: bool,
    info: Option<LoadedInfo>,
    broken: Option<Failure>,
    per_worker: Option<u32>,
    /// Workers that have loaded the code, those included that leave.
    members: Vec<Member>,
    shared: VecDeque<Waiter>,
    alone: VecDeque<Waiter>,
    next_waiter: u64,
    loaders: Vec<oneshot::Sender<Result<LoadedInfo, ReserveError>>>,
    /// Starts that wait for their turn or for room; they may still be called off.
    queued_starts: usize,
    /// Starts under way.
    starting: usize,
    /// There is no room for another process at present.
    crowded: bool,
    failed_starts: u32,
    /// No start before this.
    start_after: Option<Instant>,
}

struct Member {
    worker: Arc<Worker>,
    seated: u32,
    /// Takes nothing more: it leaves, or makes room for one who wants to be alone.
    aside: bool,
    alone: bool,
    idle_since: Instant,
}

struct Waiter {
    id: u64,
    sender: oneshot::Sender<Result<Slot, ReserveError>>,
}

/// Takes a waiter out of its queue when its future is dropped.
struct Queued<'a> {
    pool: &'a PoolShared,
    how: Reserve,
    id: u64,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock();
        let queue = state.queue(self.how);
        // Numbers grow along the queue.
        if let Ok(at) = queue.binary_search_by_key(&self.id, |waiter| waiter.id) {
            queue.remove(at);
        }
    }
}

impl PoolState {
    fn queue(&mut self, how: Reserve) -> &mut VecDeque<Waiter> {
        match how {
            Reserve::Shared => &mut self.shared,
            Reserve::Alone => &mut self.alone,
        }
    }

    fn refusal(&self) -> Result<(), ReserveError> {
        match &self.broken {
            _ if self.retired => Err(ReserveError::Retired),
            Some(failure) => Err(ReserveError::Load(failure.clone())),
            None => Ok(()),
        }
    }

    fn serving(&self) -> usize {
        self.members.iter().filter(|member| !member.aside).count()
    }

    /// The worker on which an attempt starts best: the one with the fewest, the oldest of
    /// those, so that the others fall idle. One whose loop is late is left alone while another
    /// can take it, or could be started.
    fn pick(&self, how: Reserve, lag_cap: usize) -> Option<usize> {
        let places = match how {
            Reserve::Shared => self.per_worker.unwrap_or(1),
            Reserve::Alone => 1,
        };
        let open = |member: &&Member| {
            let company = how == Reserve::Alone || !member.alone;
            !member.aside && company && member.seated < places
        };
        let best = |late: bool| {
            let fitting = self.members.iter().enumerate().filter(|(_, m)| open(m));
            fitting
                .filter(|(_, member)| member.worker.is_late() == late)
                .min_by_key(|(_, member)| member.seated)
                .map(|(at, _)| at)
        };
        let others_can_come = !self.crowded && self.failed_starts == 0 && self.serving() < lag_cap;
        best(false).or_else(|| best(true).filter(|_| !others_can_come))
    }

    /// Where no further worker fits, the one with the least to do is kept free for someone who
    /// must be alone: busy neighbours would keep him out for ever.
    fn clear_one(&mut self) {
        let open = self.members.iter_mut().filter(|member| !member.aside);
        if let Some(member) = open.min_by_key(|member| (!member.alone, member.seated)) {
            member.alone = true;
        }
    }

    fn find(&mut self, worker: &Worker) -> Option<&mut Member> {
        self.members
            .iter_mut()
            .find(|member| std::ptr::eq(&*member.worker, worker))
    }

    fn demand(&self, permits: usize) -> Demand {
        Demand {
            shared: self.shared.len(),
            alone: self.alone.len(),
            permits,
            per_worker: self.per_worker,
            serving: self.serving(),
            load_wanted: self.info.is_none() && self.loaders.iter().any(|l| !l.is_closed()),
        }
    }

    fn take_all_waiting(&mut self) -> Vec<Waiter> {
        let shared = std::mem::take(&mut self.shared);
        shared
            .into_iter()
            .chain(std::mem::take(&mut self.alone))
            .collect()
    }
}

impl PoolShared {
    /// Up to so many workers are started because of late event loops: more cannot run at once.
    fn lag_cap(&self) -> usize {
        self.shared.cpus
    }

    fn seat(
        self: &Arc<Self>,
        state: &mut PoolState,
        at: usize,
        permit: Permit,
        how: Reserve,
    ) -> Slot {
        let member = &mut state.members[at];
        member.seated += 1;
        member.alone = how == Reserve::Alone;
        let worker = Arc::clone(&member.worker);
        Slot {
            place: Place {
                pool: Arc::clone(self),
                worker: Arc::downgrade(&worker),
                permit: Some(permit),
            },
            worker,
        }
    }

    /// Gives free places to those who wait, and starts workers for the rest of them.
    pub(crate) fn serve_waiting(self: &Arc<Self>) {
        let mut granted = Vec::new();
        let starts = {
            let mut state = self.state.lock();
            self.grant(&mut state, Reserve::Alone, &mut granted);
            self.grant(&mut state, Reserve::Shared, &mut granted);
            self.plan_starts(&mut state)
        };
        for (waiter, slot) in granted {
            // A slot that nobody takes any more gives its place back.
            drop(waiter.sender.send(Ok(slot)));
        }
        for _ in 0..starts {
            self.shared.spawn(start::bring_up(Arc::clone(self)));
        }
    }

    fn grant(
        self: &Arc<Self>,
        state: &mut PoolState,
        how: Reserve,
        granted: &mut Vec<(Waiter, Slot)>,
    ) {
        loop {
            while state
                .queue(how)
                .front()
                .is_some_and(|w| w.sender.is_closed())
            {
                state.queue(how).pop_front();
            }
            if state.queue(how).is_empty() || state.retired {
                return;
            }
            let Some(at) = state.pick(how, self.lag_cap()) else {
                if how == Reserve::Alone && state.crowded {
                    state.clear_one();
                }
                return;
            };
            let Some(permit) = self.spec.limit.try_take_or_wait(self) else {
                return;
            };
            if let Some(waiter) = state.queue(how).pop_front() {
                let slot = self.seat(state, at, permit, how);
                granted.push((waiter, slot));
            }
        }
    }

    /// Counts new starts as queued and says how many they are.
    fn plan_starts(self: &Arc<Self>, state: &mut PoolState) -> usize {
        if state.retired || state.broken.is_some() {
            return 0;
        }
        let wanted = state.demand(self.spec.limit.free()).workers_wanted();
        let coming = state.queued_starts + state.starting;
        let missing = wanted
            .saturating_sub(coming)
            .min(self.shared.options.max_workers);
        if missing == 0 {
            return 0;
        }
        if let Some(after) = state.start_after.filter(|after| *after > Instant::now()) {
            self.look_again_at(state, after);
            return 0;
        }
        state.queued_starts += missing;
        missing
    }

    fn look_again_at(self: &Arc<Self>, state: &mut PoolState, at: Instant) {
        // One failed start, one timer: `start_after` only moves with a failed start.
        if state.queued_starts > 0 {
            return;
        }
        state.queued_starts += 1;
        let pool = Arc::clone(self);
        self.shared.spawn(async move {
            if pool.shared.pause(at - Instant::now()).await {
                start::bring_up(pool).await;
            } else {
                pool.start_called_off();
            }
        });
    }

    /// Whether a queued start is still of use; it is under way from then on.
    pub(crate) fn begin_start(&self) -> bool {
        let mut state = self.state.lock();
        let wanted = state.demand(self.spec.limit.free()).workers_wanted();
        let useful = !state.retired && state.broken.is_none() && state.starting < wanted;
        state.queued_starts -= 1;
        state.starting += usize::from(useful);
        state.crowded = false;
        useful
    }

    /// Whether a queued start is still of use.
    pub(crate) fn wants_start(&self) -> bool {
        let state = self.state.lock();
        let wanted = state.demand(self.spec.limit.free()).workers_wanted();
        !state.retired && state.broken.is_none() && state.starting < wanted
    }

    /// A queued start has no use any more.
    pub(crate) fn start_called_off(&self) {
        let mut state = self.state.lock();
        state.queued_starts -= 1;
        state.crowded = false;
    }

    /// A start waits for room.
    pub(crate) fn crowded(self: &Arc<Self>) {
        let was = std::mem::replace(&mut self.state.lock().crowded, true);
        if !was {
            self.serve_waiting();
        }
    }

    /// A worker has loaded the code.
    pub(crate) fn joined(self: &Arc<Self>, worker: &Arc<Worker>, info: LoadedInfo) {
        let (loaders, leave) = {
            let mut state = self.state.lock();
            state.starting -= 1;
            state.failed_starts = 0;
            state.start_after = None;
            let places = places_by_style(info.style);
            state.per_worker.get_or_insert(places);
            state.info = Some(info.clone());
            let aside = state.retired || worker.orders.is_leaving();
            state.members.push(Member {
                worker: Arc::clone(worker),
                seated: 0,
                aside,
                alone: false,
                idle_since: Instant::now(),
            });
            (std::mem::take(&mut state.loaders), state.retired)
        };
        for loader in loaders {
            // Whoever asked may have gone.
            let _ = loader.send(Ok(info.clone()));
        }
        if leave {
            worker.leave();
        } else if worker.gone.is_cancelled() {
            self.ended(worker);
        }
        self.serve_waiting();
    }

    /// The code cannot be loaded. Where it was loaded before, something else must be wrong:
    /// that is taken for a failed start.
    pub(crate) fn load_failed(self: &Arc<Self>, failure: Failure) {
        let (waiting, loaders) = {
            let mut state = self.state.lock();
            if state.info.is_some() {
                drop(state);
                let kind = FailureKind::NotStarted;
                return self.start_failed(Failure { kind, ..failure });
            }
            state.starting -= 1;
            state.broken = Some(failure.clone());
            (state.take_all_waiting(), std::mem::take(&mut state.loaders))
        };
        refuse(waiting, loaders, &ReserveError::Load(failure));
    }

    /// A worker did not come up.
    pub(crate) fn start_failed(self: &Arc<Self>, failure: Failure) {
        let (waiting, loaders) = {
            let mut state = self.state.lock();
            state.starting -= 1;
            state.failed_starts += 1;
            let doubled = 1 << (state.failed_starts - 1).min(10);
            let backoff = (START_BACKOFF * doubled).min(MOST_START_BACKOFF);
            state.start_after = Some(Instant::now() + backoff);
            if state.failed_starts >= PATIENCE_WITH_STARTS && state.serving() == 0 {
                (state.take_all_waiting(), std::mem::take(&mut state.loaders))
            } else {
                (Vec::new(), Vec::new())
            }
        };
        refuse(waiting, loaders, &ReserveError::NotStarted(failure));
        self.serve_waiting();
    }

    /// Nothing more is started on this worker.
    pub(crate) fn set_aside(self: &Arc<Self>, worker: &Worker) {
        if let Some(member) = self.state.lock().find(worker) {
            member.aside = true;
        }
        self.serve_waiting();
    }

    /// A worker is gone.
    pub(crate) fn ended(self: &Arc<Self>, worker: &Worker) {
        let gone = {
            let mut state = self.state.lock();
            let at = state
                .members
                .iter()
                .position(|m| std::ptr::eq(&*m.worker, worker));
            at.map(|at| state.members.remove(at))
        };
        drop(gone);
        self.serve_waiting();
    }

    /// Frees a place; says whether someone waits for one.
    fn vacate(&self, worker: &Worker) -> bool {
        let mut state = self.state.lock();
        if let Some(member) = state.find(worker) {
            member.seated -= 1;
            if member.seated == 0 {
                member.alone = false;
                member.idle_since = Instant::now();
            }
        }
        !state.shared.is_empty() || !state.alone.is_empty()
    }

    pub(crate) fn retire(&self) {
        let (waiting, loaders, workers) = {
            let mut state = self.state.lock();
            state.retired = true;
            for member in &mut state.members {
                member.aside = true;
            }
            let workers: Vec<_> = state
                .members
                .iter()
                .map(|m| Arc::clone(&m.worker))
                .collect();
            (
                state.take_all_waiting(),
                std::mem::take(&mut state.loaders),
                workers,
            )
        };
        refuse(waiting, loaders, &ReserveError::Retired);
        for worker in workers {
            worker.leave();
        }
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.state.lock().retired
    }

    /// Workers that have had nothing to do for longer than the version allows.
    pub(crate) fn take_idle(&self, now: Instant) -> Vec<Arc<Worker>> {
        let mut state = self.state.lock();
        let after = self.spec.scale_down_after;
        let idle = |member: &&mut Member| {
            member.seated == 0 && !member.aside && now - member.idle_since >= after
        };
        let idle = state.members.iter_mut().filter(idle);
        idle.map(|member| {
            member.aside = true;
            Arc::clone(&member.worker)
        })
        .collect()
    }

    /// Since when its longest idle worker has had nothing to do.
    pub(crate) fn idle_since(&self) -> Option<Instant> {
        let state = self.state.lock();
        let idle = state.members.iter().filter(|m| m.seated == 0 && !m.aside);
        idle.map(|member| member.idle_since).min()
    }

    /// Takes its longest idle worker out; failing that, if it may, the one with the least to do.
    pub(crate) fn give_up_one(&self, busy_too: bool) -> Option<Arc<Worker>> {
        let mut state = self.state.lock();
        let open = state.members.iter_mut().filter(|member| !member.aside);
        let member = open
            .filter(|member| busy_too || member.seated == 0)
            .min_by_key(|member| (member.seated, member.idle_since))?;
        member.aside = true;
        Some(Arc::clone(&member.worker))
    }

    /// Workers it has or is getting.
    pub(crate) fn size(&self) -> usize {
        let state = self.state.lock();
        state.serving() + state.starting
    }
}

fn refuse(
    waiting: Vec<Waiter>,
    loaders: Vec<oneshot::Sender<Result<LoadedInfo, ReserveError>>>,
    error: &ReserveError,
) {
    // Whoever waited may have gone.
    for waiter in waiting {
        let _ = waiter.sender.send(Err(error.clone()));
    }
    for loader in loaders {
        let _ = loader.send(Err(error.clone()));
    }
}

/// A place on a worker, and a permit of its function. Never dropped under a pool's lock.
pub(crate) struct Place {
    pool: Arc<PoolShared>,
    worker: std::sync::Weak<Worker>,
    permit: Option<Permit>,
}

impl Place {
    pub(crate) fn spec(&self) -> &VersionSpec {
        &self.pool.spec
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let someone_waits = match self.worker.upgrade() {
            Some(worker) => self.pool.vacate(&worker),
            None => true,
        };
        // The permit goes first: whoever waits here may need it.
        drop(self.permit.take());
        if someone_waits {
            self.pool.serve_waiting();
        }
    }
}

/// A place on a worker. Dropping it gives it back.
pub struct Slot {
    worker: Arc<Worker>,
    place: Place,
}

impl Slot {
    /// The worker it is on.
    pub fn info(&self) -> WorkerRef {
        self.worker.info()
    }

    /// Starts user code.
    pub fn start(self, invocation: Invocation) -> Call {
        self.worker.start(self.place, invocation)
    }
}

impl fmt::Debug for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slot({:?})", self.worker)
    }
}
