//! Blank workers: up, with the bootstrap loaded, and no user code yet.
//!
//! They wait by class, because the heap limit and the Node program cannot change once a process
//! runs. One is replaced shortly after it is taken; those of a class that no function uses are
//! ended after a while.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use tokio::sync::oneshot;

use crate::{WorkerEvent, worker::Worker, workers::Shared};

/// After one is taken: the cold start that took it has the processor first.
const REPLENISH_AFTER: Duration = Duration::from_millis(100);
/// After one did not come up.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// What blank workers have in common that can serve the same functions.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Class {
    pub(crate) node: Arc<Path>,
    pub(crate) heap_mib: u64,
}

/// The blank workers there are.
#[derive(Default)]
pub(crate) struct Blanks {
    shelves: HashMap<Class, Shelf>,
}

#[derive(Default)]
struct Shelf {
    ready: Vec<Arc<Worker>>,
    coming: usize,
    /// Those who wait for one that is coming.
    claims: Vec<oneshot::Sender<Arc<Worker>>>,
    /// A task fills this shelf.
    filling: bool,
    unused_since: Option<Instant>,
}

impl Blanks {
    pub(crate) fn take(&mut self, class: &Class) -> Option<Arc<Worker>> {
        self.shelves.get_mut(class)?.ready.pop()
    }

    /// Takes one of another class than this: room for something more useful.
    pub(crate) fn take_other(&mut self, class: &Class) -> Option<Arc<Worker>> {
        let mut others = self.shelves.iter_mut().filter(|(other, _)| *other != class);
        others.find_map(|(_, shelf)| shelf.ready.pop())
    }

    /// The next one to come up that nobody else waits for.
    pub(crate) fn claim(&mut self, class: &Class) -> Option<oneshot::Receiver<Arc<Worker>>> {
        let shelf = self.shelves.get_mut(class)?;
        shelf.claims.retain(|claim| !claim.is_closed());
        if shelf.claims.len() >= shelf.coming {
            return None;
        }
        let (claim, worker) = oneshot::channel();
        shelf.claims.push(claim);
        Some(worker)
    }

    pub(crate) fn remove(&mut self, worker: &Worker) {
        if let Some(shelf) = self.shelves.get_mut(&worker.class) {
            shelf.ready.retain(|blank| blank.pid != worker.pid);
        }
    }

    /// Takes out those that no function has had a use for since `linger` ago.
    pub(crate) fn sweep(
        &mut self,
        in_use: impl Fn(&Class) -> bool,
        now: Instant,
        linger: Duration,
    ) -> Vec<Arc<Worker>> {
        let mut out = Vec::new();
        for (class, shelf) in &mut self.shelves {
            if in_use(class) {
                shelf.unused_since = None;
            } else if now - *shelf.unused_since.get_or_insert(now) >= linger {
                out.append(&mut shelf.ready);
            }
        }
        out
    }

    /// One that was coming is up, or not; says whether it is of use.
    fn came(&mut self, class: &Class, worker: Option<Arc<Worker>>) -> bool {
        let shelf = self.shelves.entry(class.clone()).or_default();
        shelf.coming -= 1;
        // One that ends is closed before it is taken off the shelf: not put there after that.
        let Some(mut worker) = worker.filter(|worker| !worker.is_closed()) else {
            // Those who wait look for another way.
            shelf.claims.clear();
            return false;
        };
        while !shelf.claims.is_empty() {
            match shelf.claims.remove(0).send(worker) {
                Ok(()) => return true,
                Err(returned) => worker = returned,
            }
        }
        shelf.ready.push(worker);
        true
    }
}

impl Shared {
    /// A blank worker that was taken and is not needed.
    pub(crate) fn give_blank_back(&self, worker: Arc<Worker>) {
        let mut fleet = self.fleet.lock();
        // It is closed before it is taken off the shelf, which needs the same lock.
        if worker.is_closed() {
            return;
        }
        let shelf = fleet
            .blanks
            .shelves
            .entry(worker.class.clone())
            .or_default();
        if shelf.ready.len() < self.options.blank_workers {
            shelf.ready.push(worker);
        } else {
            drop(fleet);
            worker.leave();
        }
    }

    /// Sees to it that blank workers of this class get ready, now or after a moment.
    pub(crate) fn fill_shelf(self: &Arc<Self>, class: &Class, when: Fill) {
        if self.options.blank_workers == 0 {
            return;
        }
        let mut fleet = self.fleet.lock();
        let shelf = fleet.blanks.shelves.entry(class.clone()).or_default();
        if std::mem::replace(&mut shelf.filling, true) {
            return;
        }
        drop(fleet);
        let pause = match when {
            Fill::Now => Duration::ZERO,
            Fill::Soon => REPLENISH_AFTER,
        };
        self.spawn(fill(Arc::downgrade(self), class.clone(), pause));
    }

    /// Whether another blank worker of this class is wanted; counts it as coming if so.
    fn wants_blank(&self, class: &Class) -> bool {
        let mut fleet = self.fleet.lock();
        let in_use = fleet.uses(class) && !self.stop.is_cancelled();
        let shelf = fleet.blanks.shelves.entry(class.clone()).or_default();
        let wanted = in_use && shelf.ready.len() + shelf.coming < self.options.blank_workers;
        if wanted {
            shelf.coming += 1;
        } else {
            shelf.filling = false;
        }
        wanted
    }
}

/// When a shelf is to be filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fill {
    /// At once: a function of this class was deployed.
    Now,
    /// When whoever took the last one has had the processor for a moment.
    Soon,
}

async fn fill(shared: Weak<Shared>, class: Class, pause: Duration) {
    tokio::time::sleep(pause).await;
    while let Some(shared) = shared.upgrade()
        && shared.wants_blank(&class)
    {
        // Blank workers never push anything else out.
        let launched = match Arc::clone(&shared.capacity).try_acquire_owned() {
            Ok(permit) => Some(Worker::launch(&shared, class.clone(), permit).await),
            Err(_) => None,
        };
        let (worker, failure) = match launched {
            Some(Ok(worker)) => (Some(worker), None),
            Some(Err(failure)) => (None, Some(failure)),
            None => (None, None),
        };
        let came = shared.fleet.lock().blanks.came(&class, worker);
        if let Some(failure) = failure {
            shared.observer.worker(WorkerEvent::NotStarted { failure });
        }
        if !came && !shared.pause(RETRY_AFTER).await {
            return;
        }
    }
}
