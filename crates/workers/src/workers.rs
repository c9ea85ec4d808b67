//! The service: all pools, and what they share.

use std::{sync::Arc, time::Duration};

use crate::{Host, Observer, Options, Pool, VersionSpec, WorkerInfo};

/// All worker pools of a server. A cheap handle. [`shutdown`](Self::shutdown) must be called
/// to end them; a server that is killed takes its workers with it.
#[derive(Clone)]
pub struct Workers(Arc<()>);

impl Workers {
    /// Must be called within the tokio runtime on which the I/O with workers shall live.
    pub fn new(_options: Options, _host: Arc<dyn Host>, _observer: Arc<dyn Observer>) -> Self {
        Self(Arc::new(()))
    }

    /// The workers of one immutable version of a function. Keep it: each call makes a new one.
    pub fn pool(&self, spec: VersionSpec) -> Pool {
        Pool::new(spec)
    }

    /// Refuses new reservations, lets attempts run for at most `drain`, then ends all workers:
    /// abort signal, SIGTERM, grace, SIGKILL. Returns when all processes and tasks are gone.
    pub async fn shutdown(&self, _drain: Duration) {}

    /// All workers, for people.
    pub fn snapshot(&self) -> Vec<WorkerInfo> {
        Vec::new()
    }
}
