//! The workers of one function: processes with places.

use std::collections::BTreeSet;

use crate::scenario::Spec;

/// All workers of one function.
#[derive(Debug)]
pub(super) struct Pool {
    workers: Vec<Worker>,
    per_worker: usize,
}

#[derive(Debug, Default)]
struct Worker {
    /// Places that are reserved or in use.
    taken: usize,
    /// Nobody may come to the one who is there.
    alone: bool,
    attempts: BTreeSet<u64>,
}

/// A place on a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) worker: usize,
}

impl Pool {
    pub(super) fn new(spec: &Spec) -> Self {
        Self {
            workers: (0..spec.workers).map(|_| Worker::default()).collect(),
            per_worker: spec.per_worker,
        }
    }

    /// A free place, if there is one now.
    pub(super) fn reserve(&mut self, alone: bool) -> Option<Place> {
        let fits = |worker: &Worker| match alone {
            true => worker.taken == 0,
            false => worker.taken < self.per_worker && !worker.alone,
        };
        let found = self.workers.iter().position(fits)?;
        self.workers[found].taken += 1;
        self.workers[found].alone = alone;
        Some(Place { worker: found })
    }

    pub(super) fn occupy(&mut self, place: Place, attempt: u64) {
        self.workers[place.worker].attempts.insert(attempt);
    }

    /// The place is free again.
    pub(super) fn leave(&mut self, place: Place, attempt: Option<u64>) {
        let worker = &mut self.workers[place.worker];
        worker.taken -= 1;
        if worker.taken == 0 {
            worker.alone = false;
        }
        if let Some(attempt) = attempt {
            worker.attempts.remove(&attempt);
        }
    }

    /// Who runs on that worker.
    pub(super) fn on(&self, worker: usize) -> Vec<u64> {
        self.workers[worker].attempts.iter().copied().collect()
    }
}
