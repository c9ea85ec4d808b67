//! Where an attempt runs: on a worker, or, for what is only sent, on one of a few senders.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wakeful_workers::{Reserve, ReserveError, Slot};

use super::Inner;
use crate::live::{Duty, Task, Version};

/// Outcomes that are being sent to addresses at once; the next waits.
const SENDERS: usize = 64;

/// A place for one attempt. Dropping it gives it back.
pub(super) enum Place {
    /// On a worker.
    Worker(Slot),
    /// Among those that send.
    Sender(OwnedSemaphorePermit),
}

/// The places of those that send.
pub(super) fn senders() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(SENDERS))
}

impl Inner {
    /// A place that is free now.
    pub(super) fn place_now(&self, version: &Version, duty: &Duty) -> Option<Place> {
        match duty.task {
            Task::Event { .. } | Task::Request { .. } => {
                version.pool.try_reserve().map(Place::Worker)
            }
            Task::Send { .. } => {
                let permit = Arc::clone(&self.senders).try_acquire_owned();
                permit.ok().map(Place::Sender)
            }
        }
    }

    /// Waits for a place.
    pub(super) async fn place_for(
        &self,
        version: &Version,
        duty: &Duty,
        how: Reserve,
    ) -> Result<Place, ReserveError> {
        match duty.task {
            Task::Event { .. } | Task::Request { .. } => {
                version.pool.reserve(how).await.map(Place::Worker)
            }
            Task::Send { .. } => {
                let permit = Arc::clone(&self.senders).acquire_owned().await;
                permit.map(Place::Sender).map_err(|_| ReserveError::Retired)
            }
        }
    }
}
