//! Who gets a place on which worker of a pool, and when workers come and go.
//!
//! Everything stands behind one lock, which is never held while workers, callers or other pools
//! are told something. `scale` says how many workers are wanted, `start` brings them up.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::{
    Failure, FailureKind, LoadedInfo, Reserve, ReserveError, Slot, VersionSpec,
    blank::Class,
    limit::Permit,
    pool::Place,
    roster::{Member, Roster, Waiter, places_by_style},
    start,
    worker::Worker,
    workers::Shared,
};

/// So many failed starts in a row are told to those who wait.
const PATIENCE_WITH_STARTS: u32 = 3;
/// After a failed start the next one waits this long, and twice as long each time.
const START_BACKOFF: Duration = Duration::from_millis(100);
const MOST_START_BACKOFF: Duration = Duration::from_secs(10);

/// What follows from a place that was freed.
pub(crate) struct Vacated {
    pub(crate) someone_waits: bool,
    /// It was the last place on a worker that leaves.
    pub(crate) last_of_leaving: bool,
}

/// A pool, as its handles, its workers and its callers share it.
pub(crate) struct PoolShared {
    pub(crate) spec: VersionSpec,
    pub(crate) class: Class,
    pub(crate) shared: Arc<Shared>,
    pub(crate) state: Mutex<Roster>,
}

impl PoolShared {
    /// Up to so many workers are started because of late event loops: more cannot run at once.
    pub(crate) fn lag_cap(&self) -> usize {
        self.shared.cpus
    }

    pub(crate) fn seat(
        self: &Arc<Self>,
        state: &mut Roster,
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
        state: &mut Roster,
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

    /// How many workers must be on their way; looks again when permits that lack now come free.
    fn workers_wanted(self: &Arc<Self>, state: &Roster) -> usize {
        if state.retired || state.broken.is_some() {
            return 0;
        }
        let waiting = state.shared.len() + state.alone.len();
        let permits = self.spec.limit.free_or_wait(waiting, self);
        state.demand(permits).workers_wanted()
    }

    /// Counts new starts as queued and says how many they are.
    fn plan_starts(self: &Arc<Self>, state: &mut Roster) -> usize {
        let wanted = self.workers_wanted(state);
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

    fn look_again_at(self: &Arc<Self>, state: &mut Roster, at: Instant) {
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
    pub(crate) fn begin_start(self: &Arc<Self>) -> bool {
        let mut state = self.state.lock();
        let useful = state.starting < self.workers_wanted(&state);
        state.unqueue_start();
        state.starting += usize::from(useful);
        useful
    }

    /// Whether a queued start is still of use; it is called off where not. Both under one lock:
    /// in between, someone could count on it.
    pub(crate) fn keeps_start(self: &Arc<Self>) -> bool {
        let mut state = self.state.lock();
        let useful = state.starting < self.workers_wanted(&state);
        if !useful {
            state.unqueue_start();
        }
        useful
    }

    /// A queued start will not come about: the pools stop.
    pub(crate) fn start_called_off(&self) {
        self.state.lock().unqueue_start();
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
            let aside = state.retired || worker.orders.is_leaving() || worker.is_closed();
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
        } else if worker.obituary.get().is_some() {
            // It ended meanwhile, and when that was told here it was not a member yet.
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

    /// No further places on this worker are given out. Says whether all are empty, for good.
    pub(crate) fn set_aside(self: &Arc<Self>, worker: &Worker) -> bool {
        let empty = match self.state.lock().find(worker) {
            Some(member) => {
                member.aside = true;
                member.seated == 0
            }
            None => true,
        };
        self.serve_waiting();
        empty
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

    /// Frees a place.
    pub(crate) fn vacate(&self, worker: &Worker) -> Vacated {
        let mut state = self.state.lock();
        let mut last_of_leaving = false;
        if let Some(member) = state.find(worker) {
            member.seated -= 1;
            if member.seated == 0 {
                member.alone = false;
                member.idle_since = Instant::now();
                last_of_leaving = member.aside;
            }
        }
        Vacated {
            someone_waits: !state.shared.is_empty() || !state.alone.is_empty(),
            last_of_leaving,
        }
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
