//! Attempts that run: which deliveries they serve, what causes what they do, and the effects that
//! they gather for the moment in which they have succeeded (docs/worker-protocol.md, "Effects
//! that apply once").
//!
//! Three have a part in it. The dispatcher says what an attempt is for when it starts, and takes
//! what it has gathered when it settles. The worker's side says when its code has ended. Calls of
//! that code come in meanwhile, and find the attempt here by what the server knows of the worker.
//! Nothing here knows how effects are asked for, or how they are applied.

mod effects;
mod gathering;

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use parking_lot::Mutex;
use wakeful_core::{
    event::{Event, Lineage},
    id::RunId,
    name::FunctionName,
    port::Delivery,
};

pub use effects::{Effect, Effects};
pub use gathering::{Attempt, GatheringId, Refused, Transaction, Unsettled};

/// What names an attempt: the run by which its worker knows it, and its number.
pub type AttemptKey = (RunId, u32);

/// Attempts that are remembered although the dispatcher is done with them, because their code may
/// still run: after a timeout. Far more than run at once; further ones are forgotten, oldest
/// first.
const MOST_LINGERING: usize = 10_000;

/// The attempts that run. Cheap to clone; all clones are the same.
#[derive(Clone, Default)]
pub struct Attempts {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    attempts: HashMap<AttemptKey, Entry>,
    /// Those that only the end of their code removes, oldest first; some are gone already.
    lingering: VecDeque<AttemptKey>,
}

struct Entry {
    attempt: Arc<Attempt>,
    /// Whether the dispatcher is done with it, or never had to do with it.
    settled: bool,
    /// Whether its code has ended.
    ended: bool,
}

impl Table {
    fn linger(&mut self, key: AttemptKey) {
        self.lingering.push_back(key);
        while self.lingering.len() > MOST_LINGERING {
            let oldest = self.lingering.pop_front();
            let forgotten = oldest.and_then(|oldest| self.attempts.remove(&oldest));
            if let Some(entry) = forgotten {
                entry.attempt.close();
            }
        }
    }
}

impl Attempts {
    /// An attempt for deliveries begins, to be told before its code can call. What the answer
    /// does not hand out is dropped with it.
    pub fn serving<'a>(
        &self,
        key: AttemptKey,
        deliveries: impl IntoIterator<Item = (&'a Delivery, &'a Event)>,
    ) -> Underway {
        let mut function = None;
        let served = deliveries.into_iter().map(|(delivery, event)| {
            function = Some(delivery.function.clone());
            let cause = Lineage {
                run: Some(delivery.id),
                parent: Some(event.key),
                depth: event.lineage.depth.saturating_add(1),
                replay_of: None,
            };
            (delivery.id, cause)
        });
        let attempt = Attempt::serving(served.collect());
        self.enter(key, attempt.of(function))
    }

    /// A synchronous invocation of `function` begins. What it does is caused by `cause`; `callers`
    /// are the functions that wait for it, the first one longest.
    pub fn answering(
        &self,
        key: AttemptKey,
        function: &FunctionName,
        cause: Lineage,
        callers: Vec<FunctionName>,
    ) -> Underway {
        let attempt = Attempt::answering(cause, callers);
        self.enter(key, attempt.of(Some(function.clone())))
    }

    fn enter(&self, key: AttemptKey, attempt: Attempt) -> Underway {
        let attempt = Arc::new(attempt);
        let entry = Entry {
            attempt: Arc::clone(&attempt),
            settled: false,
            ended: false,
        };
        self.table.lock().attempts.insert(key, entry);
        Underway {
            attempts: self.clone(),
            key,
            attempt,
        }
    }

    /// The attempt that calls. One that nobody announced answers a request.
    pub fn calling(&self, key: AttemptKey) -> Arc<Attempt> {
        let mut table = self.table.lock();
        if let Some(entry) = table.attempts.get(&key) {
            return Arc::clone(&entry.attempt);
        }
        let cause = request_cause(key.0);
        let attempt = Arc::new(Attempt::answering(cause, Vec::new()));
        let entry = Entry {
            attempt: Arc::clone(&attempt),
            settled: true,
            ended: false,
        };
        table.attempts.insert(key, entry);
        table.linger(key);
        attempt
    }

    /// The same, if it is known.
    pub fn find(&self, key: AttemptKey) -> Option<Arc<Attempt>> {
        let table = self.table.lock();
        table
            .attempts
            .get(&key)
            .map(|entry| Arc::clone(&entry.attempt))
    }

    /// What causes what this attempt does.
    pub fn cause(&self, key: AttemptKey) -> Lineage {
        let known = self.find(key);
        known.map_or_else(|| request_cause(key.0), |attempt| attempt.cause())
    }

    /// The code of an attempt has ended: it gathers nothing more.
    pub fn ended(&self, key: AttemptKey) {
        let mut table = self.table.lock();
        let Some(entry) = table.attempts.get_mut(&key) else {
            return;
        };
        entry.ended = true;
        let attempt = Arc::clone(&entry.attempt);
        if entry.settled {
            table.attempts.remove(&key);
        }
        drop(table);
        attempt.close();
    }

    fn settled(&self, key: AttemptKey) {
        let mut table = self.table.lock();
        let Some(entry) = table.attempts.get_mut(&key) else {
            return;
        };
        entry.settled = true;
        match entry.ended {
            true => drop(table.attempts.remove(&key)),
            false => table.linger(key),
        }
    }

    /// How many attempts are known.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.table.lock().attempts.len()
    }
}

/// What causes what a request does: it has a run, and comes from outside.
fn request_cause(run: RunId) -> Lineage {
    Lineage {
        run: Some(run),
        ..Lineage::default()
    }
}

/// An attempt, in the hands of whoever started it. Dropped, all that it gathered and nobody took
/// is dropped.
pub struct Underway {
    attempts: Attempts,
    key: AttemptKey,
    attempt: Arc<Attempt>,
}

impl Underway {
    /// No code runs for it, so that no end of code will be told.
    pub fn without_code(&self) {
        self.attempts.ended(self.key);
    }

    /// Waits until it is certain what the attempt has gathered: no commit in a database is under
    /// way. Nothing can be gathered from here on.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn certain(&self) -> Result<(), Unsettled> {
        self.attempt.certain().await
    }

    /// What it has gathered for one delivery, once.
    pub fn take(&self, run: RunId) -> Effects {
        self.attempt.take(run)
    }
}

impl Drop for Underway {
    fn drop(&mut self) {
        self.attempts.settled(self.key);
        self.attempt.clear();
    }
}

#[cfg(test)]
mod tests;
