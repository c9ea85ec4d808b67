//! What transactions change in the counters, gathered until their group is committed.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::fault::Fault;

/// A change of the counters.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) events: i64,
    pub(super) queued: i64,
    pub(super) running: i64,
    pub(super) dead: i64,
    /// The greatest id that was given out; 0 for none.
    pub(super) greatest: i64,
    /// Transactions that were applied.
    pub(super) commits: u64,
    pub(super) stale: u64,
    pub(super) duplicates: u64,
    /// Per trigger, deliveries in state 0.
    waiting: BTreeMap<i64, i64>,
}

impl Delta {
    /// A delivery of `trigger` begins (1) or ceases (-1) to wait.
    pub(super) fn waiting(&mut self, trigger: i64, by: i64) {
        *self.waiting.entry(trigger).or_insert(0) += by;
    }

    /// Adds what one transaction of the group changed.
    pub(super) fn add(&mut self, other: Self) {
        self.events += other.events;
        self.queued += other.queued;
        self.running += other.running;
        self.dead += other.dead;
        self.greatest = self.greatest.max(other.greatest);
        self.commits += other.commits;
        self.stale += other.stale;
        self.duplicates += other.duplicates;
        for (trigger, by) in other.waiting {
            self.waiting(trigger, by);
        }
    }

    /// Writes the counters with the number of this group of commits.
    pub(super) fn write(&self, conn: &Connection, seq: i64) -> Result<(), Fault> {
        conn.prepare_cached(
            "UPDATE counters SET seq = ?1, events = events + ?2, queued = queued + ?3, \
             running = running + ?4, dead = dead + ?5, greatest = max(greatest, ?6) WHERE id = 1",
        )?
        .execute(params![
            seq,
            self.events,
            self.queued,
            self.running,
            self.dead,
            self.greatest
        ])?;
        let mut statement =
            conn.prepare_cached("UPDATE triggers SET waiting = waiting + ?2 WHERE id = ?1")?;
        for (trigger, by) in self.waiting.iter().filter(|(_, by)| **by != 0) {
            statement.execute(params![trigger, by])?;
        }
        Ok(())
    }
}
