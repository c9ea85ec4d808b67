//! Commits that must go through: tried again while the store refuses them for a reason that may
//! pass, such as a full disk.
//!
//! Meanwhile they keep nobody from working: what follows from them gives back the places that
//! were reserved for it. And they are bounded: a trigger with too many of them is not fed, since
//! each further attempt would wait here too, with its event and its result in memory.

use std::{collections::HashMap, time::Duration};

use parking_lot::Mutex;
use wakeful_core::{
    name::TriggerId,
    port::{Committed, Condition, StoreError, Transaction},
};

use super::{Inner, submit::Prepared};

/// The wait before a commit that failed is tried again, doubled each time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// And the longest such wait.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Ends of one trigger that wait to be written down, from which on it is not fed.
const MOST_UNWRITTEN: usize = 64;

/// How many ends of each trigger the store refuses for now.
#[derive(Default)]
pub(super) struct Unwritten(Mutex<HashMap<TriggerId, usize>>);

impl Unwritten {
    /// Whether so many wait that nothing further is to be started.
    pub(super) fn is_full(&self, trigger: &TriggerId) -> bool {
        let waiting = self.0.lock();
        waiting
            .get(trigger)
            .is_some_and(|count| *count >= MOST_UNWRITTEN)
    }

    /// One more waits, until the reply is dropped.
    fn wait<'a>(&'a self, trigger: &'a TriggerId) -> Waiting<'a> {
        *self.0.lock().entry(trigger.clone()).or_default() += 1;
        Waiting {
            unwritten: self,
            trigger,
        }
    }
}

struct Waiting<'a> {
    unwritten: &'a Unwritten,
    trigger: &'a TriggerId,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut waiting = self.unwritten.0.lock();
        if let Some(count) = waiting.get_mut(self.trigger) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(self.trigger);
            }
        }
    }
}

impl Inner {
    /// Commits what must not be lost, trying again while that may help.
    pub(super) async fn insist(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        self.insist_with(transaction, None, []).await
    }

    /// The same with what follows from it: then it is all or nothing. `end_of` is the trigger of
    /// the deliveries whose ends it writes down.
    pub(super) async fn insist_with<const N: usize>(
        &self,
        mut transaction: Transaction,
        end_of: Option<&TriggerId>,
        mut follows: [&mut Prepared; N],
    ) -> Result<Committed, StoreError> {
        if follows.iter().any(|prepared| !prepared.is_empty()) {
            transaction.condition = Condition::IfApplied;
        }
        let (mut pause, mut waiting) = (FIRST_PAUSE, None);
        loop {
            let mut whole = transaction.clone();
            for prepared in &follows {
                prepared.write_into(&mut whole);
            }
            let error = match self.parts.store.commit(whole).await {
                Err(error) if may_pass(&error) => error,
                outcome => return outcome,
            };
            if pause == FIRST_PAUSE {
                tracing::error!(%error, "the store refuses what must be written; trying again");
                waiting = end_of.map(|trigger| self.unwritten.wait(trigger));
                for prepared in &mut follows {
                    prepared.let_go();
                }
            }
            let slept = tokio::time::sleep(pause);
            if self.closed.run_until_cancelled(slept).await.is_none() {
                drop(waiting);
                return Err(error);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

/// Whether trying the same again may help. After `Unknown` and `Closed` only a restart does, and
/// after `Conflict` it is to be worked out anew.
const fn may_pass(error: &StoreError) -> bool {
    !matches!(
        error,
        StoreError::Unknown(_) | StoreError::Closed | StoreError::Conflict(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trigger_is_full_until_one_of_its_ends_is_written() {
        let unwritten = Unwritten::default();
        let trigger = |name| TriggerId::new(&"f".parse().unwrap(), name);
        let (ours, other) = (trigger("a"), trigger("b"));
        let mut waiting: Vec<_> = (1..MOST_UNWRITTEN).map(|_| unwritten.wait(&ours)).collect();
        assert!(!unwritten.is_full(&ours));
        waiting.push(unwritten.wait(&ours));
        assert!(unwritten.is_full(&ours) && !unwritten.is_full(&other));
        waiting.pop();
        assert!(!unwritten.is_full(&ours));
        drop(waiting);
        assert!(unwritten.0.lock().is_empty());
    }
}
