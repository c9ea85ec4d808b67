//! When another worker is started: a pure rule.

/// What a pool has, and what waits for it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Demand {
    /// Reservations that wait for a place, company welcome.
    pub(crate) shared: usize,
    /// Reservations that wait for a worker to themselves.
    pub(crate) alone: usize,
    /// How many of them the function's concurrency lets in now.
    pub(crate) permits: usize,
    /// Attempts that may share a worker; not known before code was loaded once.
    pub(crate) per_worker: Option<u32>,
    /// Workers that take attempts.
    pub(crate) serving: usize,
    /// Someone waits for the code to be loaded, whether or not anything is to be run.
    pub(crate) load_wanted: bool,
}

impl Demand {
    /// How many workers must be on their way for what waits now.
    ///
    /// A burst starts as many as it fills, not one for each of its reservations; as long as
    /// nobody knows how many attempts share a worker, one is started to find out.
    pub(crate) fn workers_wanted(&self) -> usize {
        let alone = self.alone.min(self.permits);
        let shared = self.shared.min(self.permits - alone);
        let for_shared = match self.per_worker {
            Some(places) => shared.div_ceil((places as usize).max(1)),
            None => shared.min(1),
        };
        let wanted = match self.per_worker {
            Some(_) => alone + for_shared,
            None => (alone + for_shared).min(1),
        };
        let to_load = usize::from(self.load_wanted && self.serving == 0);
        wanted.max(to_load)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_starts_what_it_fills() {
        let check = |shared, alone, permits, per_worker, expected| {
            let demand = Demand {
                shared,
                alone,
                permits,
                per_worker,
                ..Demand::default()
            };
            assert_eq!(demand.workers_wanted(), expected, "{demand:?}");
        };
        check(0, 0, 9, Some(1), 0);
        check(100, 0, 1000, Some(100), 1);
        check(101, 0, 1000, Some(100), 2);
        check(32, 0, 1000, Some(1), 32);
        check(32, 0, 10, Some(1), 10);
        check(32, 0, 0, Some(1), 0);
        check(32, 3, 1000, None, 1);
        check(100, 2, 1000, Some(100), 3);
        check(100, 2, 1, Some(100), 1);
    }

    #[test]
    fn loading_needs_one_worker_at_most() {
        let demand = Demand {
            load_wanted: true,
            ..Demand::default()
        };
        assert_eq!(demand.workers_wanted(), 1);
        let serving = 1;
        assert_eq!(Demand { serving, ..demand }.workers_wanted(), 0);
    }
}
