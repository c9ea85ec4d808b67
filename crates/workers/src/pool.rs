//! The workers of one version of a function.

use std::sync::Arc;

use wakeful_core::{name::HandlerName, project::Style};

use crate::{Call, Failure, Invocation, VersionSpec, WorkerRef};

/// The workers of one immutable version of a function. A cheap handle.
#[derive(Clone)]
pub struct Pool(Arc<PoolShared>);

pub(crate) struct PoolShared {
    spec: VersionSpec,
}

impl PoolShared {
    pub(crate) fn serve_waiting(self: &Arc<Self>) {}
}

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
    /// Handlers that triggers name and that it does not export.
    pub missing: Vec<HandlerName>,
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
    pub(crate) fn new(spec: VersionSpec) -> Self {
        Self(Arc::new(PoolShared { spec }))
    }

    /// What it serves.
    pub fn spec(&self) -> &VersionSpec {
        &self.0.spec
    }

    /// A place on a loaded worker, if there is one now and nobody waits for it.
    pub fn try_reserve(&self) -> Option<Slot> {
        None
    }

    /// Waits for a place; starts workers by demand. Dropping the future gives the place up.
    pub async fn reserve(&self, _how: Reserve) -> Result<Slot, ReserveError> {
        Err(ReserveError::Retired)
    }

    /// Waits until at least one worker has loaded the code.
    pub async fn load(&self) -> Result<LoadedInfo, ReserveError> {
        Err(ReserveError::Retired)
    }

    /// Takes no new reservations; the workers finish what runs, then end.
    pub fn retire(&self) {}

    /// Counts, for people.
    pub fn stats(&self) -> PoolStats {
        PoolStats::default()
    }
}

/// A place on a worker. Dropping it gives it back.
#[derive(Debug)]
pub struct Slot {
    worker: WorkerRef,
}

impl Slot {
    /// The worker it is on.
    pub fn info(&self) -> WorkerRef {
        self.worker
    }

    /// Starts user code.
    pub fn start(self, _invocation: Invocation) -> Call {
        unreachable!("no slot is ever given out")
    }
}
