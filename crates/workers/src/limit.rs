//! The concurrency of a function: attempts at once, over all of its versions.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;

use crate::seating::PoolShared;

/// A number of permits shared by all versions of a function.
pub struct Limit {
    most: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    used: u32,
    /// Pools that had to hold a reservation back because of this limit.
    waiting: Vec<Weak<PoolShared>>,
}

impl State {
    fn note(&mut self, pool: &Arc<PoolShared>) {
        let here = Arc::downgrade(pool);
        if !self.waiting.iter().any(|other| other.ptr_eq(&here)) {
            self.waiting.retain(|other| other.strong_count() > 0);
            self.waiting.push(here);
        }
    }
}

impl Limit {
    /// That many attempts at once; at least one.
    pub fn new(most: u32) -> Arc<Self> {
        Arc::new(Self {
            most: most.max(1),
            state: Mutex::default(),
        })
    }

    /// Attempts that run or have a place reserved.
    pub fn used(&self) -> u32 {
        self.state.lock().used
    }

    /// How many there may be.
    pub fn most(&self) -> u32 {
        self.most
    }

    /// Takes a permit if one is free.
    pub(crate) fn try_take(self: &Arc<Self>) -> Option<Permit> {
        let mut state = self.state.lock();
        if state.used >= self.most {
            return None;
        }
        state.used += 1;
        Some(Permit(Arc::clone(self)))
    }

    /// Takes a permit, or has `pool` look again when one comes free.
    pub(crate) fn try_take_or_wait(self: &Arc<Self>, pool: &Arc<PoolShared>) -> Option<Permit> {
        let mut state = self.state.lock();
        if state.used < self.most {
            state.used += 1;
            return Some(Permit(Arc::clone(self)));
        }
        state.note(pool);
        None
    }

    /// How many permits are free; where they are fewer than `needed`, `pool` looks again when
    /// one comes free. Whoever holds back for want of a permit must have asked here: nothing
    /// else wakes a pool for what another version gives back.
    pub(crate) fn free_or_wait(&self, needed: usize, pool: &Arc<PoolShared>) -> usize {
        let mut state = self.state.lock();
        let free = self.most.saturating_sub(state.used) as usize;
        if free < needed {
            state.note(pool);
        }
        free
    }
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Limit({} of {})", self.used(), self.most)
    }
}

/// One permit; dropping it gives it back and wakes the pools that wait. Never dropped while a
/// pool's lock is held.
#[derive(Debug)]
pub(crate) struct Permit(Arc<Limit>);

impl Drop for Permit {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.0.state.lock();
            state.used -= 1;
            // All of them, a handful of versions: the first may have no place for it.
            std::mem::take(&mut state.waiting)
        };
        for pool in waiting.iter().filter_map(Weak::upgrade) {
            pool.serve_waiting();
        }
    }
}
