//! The workers of one version of a function, as the server uses them.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use tokio::sync::oneshot;
use wakeful_core::{name::HandlerName, project::Style};

use crate::{
    Call, Failure, Invocation, VersionSpec, WorkerRef,
    blank::Class,
    limit::Permit,
    roster::{Roster, Waiter, places_by_style},
    seating::PoolShared,
    worker::Worker,
    workers::Shared,
};

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
        let state = Roster {
            per_worker: spec.per_worker.or(spec.style.map(places_by_style)),
            ..Roster::default()
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

    /// How its handlers are called, as far as that is known yet.
    pub fn style(&self) -> Option<Style> {
        let given = self.0.spec.style;
        given.or_else(|| Some(self.0.state.lock().info.as_ref()?.style))
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

/// A place on a worker, and a permit of its function. Never dropped under a pool's lock.
pub(crate) struct Place {
    pub(crate) pool: Arc<PoolShared>,
    pub(crate) worker: Weak<Worker>,
    pub(crate) permit: Option<Permit>,
}

impl Place {
    pub(crate) fn spec(&self) -> &VersionSpec {
        &self.pool.spec
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut someone_waits = true;
        if let Some(worker) = self.worker.upgrade() {
            let vacated = self.pool.vacate(&worker);
            someone_waits = vacated.someone_waits;
            if vacated.last_of_leaving && worker.orders.wants_end() {
                worker.send_retire();
            }
        }
        // The permit goes first: whoever waits here may need it.
        drop(self.permit.take());
        if someone_waits {
            self.pool.serve_waiting();
        }
    }
}

/// A place on a worker. Dropping it gives it back.
pub struct Slot {
    pub(crate) worker: Arc<Worker>,
    pub(crate) place: Place,
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
