//! Changes of the store, and what follows from them.

use super::*;

impl World {
    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<Committed, StoreError> {
        let mut around = Around {
            dice: &mut self.dice,
            model: &mut self.model,
            trace: &mut self.trace,
        };
        match self.disk.commit(transaction, &mut around) {
            Ok(committed) => Ok(committed),
            Err(Gone::Refused(error)) => {
                self.refused(&error);
                Err(error)
            }
            Err(Gone::Crashed) => {
                self.crash("at a commit");
                Err(StoreError::Closed)
            }
        }
    }

    /// After a disk that failed somebody restarts the server.
    pub(super) fn refused(&mut self, error: &StoreError) {
        self.line(format_args!("the store refuses: {error}"));
        if matches!(error, StoreError::Unknown(_)) {
            let after = 50 + self.hop();
            self.soon(after, Happening::Kill);
        }
    }

    /// Commits what must not be lost, again and again while that may help.
    pub(super) fn insist(&mut self, transaction: Transaction, trigger: usize, pause: i64) {
        match self.commit(transaction.clone()) {
            Ok(committed) => self.follow(trigger, &transaction, &committed),
            Err(StoreError::Unknown(_) | StoreError::Closed) => {}
            Err(_) => {
                let next = (pause * 2).min(5000);
                let again = Happening::Insist(Box::new(transaction), trigger, next);
                self.soon(pause, again);
            }
        }
    }

    pub(super) fn follow(
        &mut self,
        trigger: usize,
        transaction: &Transaction,
        committed: &Committed,
    ) {
        let probes = transaction.interventions.iter().find_map(|one| match one {
            Intervention::Unpark {
                why: Parked::Breaker,
                key: Some(key),
                most: Some(1),
                ..
            } => Some(key),
            _ => None,
        });
        if let (Some(key), true) = (probes, committed.intervened.is_empty())
            && let Some(gate) = self.gate(trigger)
        {
            gate.none_parked(key);
        }
        self.fed_by(committed);
        self.feed(trigger);
    }

    /// Feeds triggers of which something became ready.
    pub(super) fn fed_by(&mut self, committed: &Committed) {
        for trigger in 0..self.scenario.specs.len() {
            if committed.released.contains(&self.spec(trigger).trigger) {
                self.feed(trigger);
            }
        }
    }

    // What everybody needs.
}
