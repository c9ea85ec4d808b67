use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;

use super::Owner;

/// What runs, by owner, so that it can be stopped.
#[derive(Debug, Default)]
pub(super) struct Running {
    by_owner: Mutex<HashMap<Owner, Vec<Arc<AtomicBool>>>>,
}

impl Running {
    /// Something begins to run for `owner`; it ends when the stopper is dropped.
    pub(super) fn start(&self, owner: Owner) -> Stopper<'_> {
        let stop = Arc::new(AtomicBool::new(false));
        self.by_owner
            .lock()
            .entry(owner)
            .or_default()
            .push(Arc::clone(&stop));
        Stopper {
            running: self,
            owner,
            stop,
        }
    }

    /// Stops everything that runs for `owner` now.
    pub(super) fn stop_all(&self, owner: Owner) {
        if let Some(stops) = self.by_owner.lock().get(&owner) {
            for stop in stops {
                stop.store(true, Ordering::SeqCst);
            }
        }
    }
}

/// Stops what runs when it is dropped; what has ended by then does not mind.
#[derive(Debug)]
pub(super) struct Stopper<'a> {
    running: &'a Running,
    owner: Owner,
    stop: Arc<AtomicBool>,
}

impl Stopper<'_> {
    pub(super) fn stop(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.stop)
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

impl Drop for Stopper<'_> {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = self.running.by_owner.lock();
        if let Some(stops) = all.get_mut(&self.owner) {
            stops.retain(|stop| !Arc::ptr_eq(stop, &self.stop));
            if stops.is_empty() {
                all.remove(&self.owner);
            }
        }
    }
}
