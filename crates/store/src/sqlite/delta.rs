//! What transactions change in the counters, gathered until their group is committed.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use wakeful_core::delivery::State;

use super::fault::Fault;
use crate::lanes::{PLACES, Place};

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
    /// Per trigger, deliveries in each place. Those that run are counted when it is asked for.
    standing: BTreeMap<i64, [i64; PLACES]>,
}

impl Delta {
    /// A delivery of `trigger` comes (`from` is `None`), goes (`to` is `None`) or changes its place.
    pub(super) fn moved(&mut self, trigger: i64, from: Option<Place>, to: Option<Place>) {
        self.count(trigger, from, -1);
        self.count(trigger, to, 1);
    }

    fn count(&mut self, trigger: i64, place: Option<Place>, by: i64) {
        let Some(place) = place else {
            return;
        };
        match place.state() {
            State::Queued => self.queued += by,
            State::Running => self.running += by,
            State::Dead => self.dead += by,
        }
        if place != Place::Running {
            self.standing.entry(trigger).or_default()[place as usize] += by;
        }
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
        for (trigger, places) in other.standing {
            let ours = self.standing.entry(trigger).or_default();
            for (ours, by) in ours.iter_mut().zip(places) {
                *ours += by;
            }
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
        // Nearly always only those in state 0 have changed.
        let mut waiting =
            conn.prepare_cached("UPDATE triggers SET waiting = waiting + ?2 WHERE id = ?1")?;
        let mut all = conn.prepare_cached(
            "UPDATE triggers SET waiting = waiting + ?2, dead = dead + ?3, \
             for_version = for_version + ?4, for_order = for_order + ?5, \
             for_concurrency = for_concurrency + ?6, paused = paused + ?7, \
             by_breaker = by_breaker + ?8 WHERE id = ?1",
        )?;
        for (trigger, by) in &self.standing {
            let [queued, _, rest @ ..] = *by;
            if rest != [0; PLACES - 2] {
                let [dead, version, order, concurrency, paused, breaker] = rest;
                all.execute(params![
                    trigger,
                    queued,
                    dead,
                    version,
                    order,
                    concurrency,
                    paused,
                    breaker
                ])?;
            } else if queued != 0 {
                waiting.execute(params![trigger, queued])?;
            }
        }
        Ok(())
    }
}
