//! Applies a transaction within the group's database transaction.

use std::collections::{BTreeSet, HashMap};

use foldhash::fast::RandomState;
use rusqlite::{Connection, params};
use wakeful_core::{
    delivery::{DeadReason, State},
    event::Event,
    flow::OnUnknown,
    id::{EventId, RunId},
    port::{Checkpoint, Committed, Condition, Delivery, Epoch, Settled, Transaction},
    time::Timestamp,
};

use super::{
    dedup::Dedup,
    delta::Delta,
    envelope,
    fault::{Fault, malformed, tell_damage},
    intervene,
    lanes::{member, member_columns},
    names::Names,
    objects,
    rows::{self, delivery_columns},
    settle,
    steps::{Done, Rest},
    sums, traces,
};
use crate::{
    ids::greatest_in,
    lanes::{self, Member, Place},
};

/// What the writer has learnt of its database; forgotten when a transaction is rolled back.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) dedup: Dedup,
    /// Of each trigger that was asked for: how many seats its concurrency keys have.
    pub(super) limits: HashMap<i64, Option<u32>, RandomState>,
}

impl Memory {
    /// Reads what is there.
    pub(super) fn load(conn: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            names: Names::default(),
            dedup: Dedup::load(conn)?,
            limits: HashMap::default(),
        })
    }
}

/// The database while a piece of work is applied to it.
pub(super) struct Applier<'a> {
    pub(super) conn: &'a Connection,
    pub(super) memory: &'a mut Memory,
    pub(super) epoch: Epoch,
    pub(super) delta: Delta,
    /// Triggers of which held deliveries became ready.
    pub(super) released: BTreeSet<i64>,
    /// Interventions on one run that found nothing to do.
    pub(super) ignored: usize,
    /// What is left for further commits.
    pub(super) rest: Vec<Rest>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(conn: &'a Connection, memory: &'a mut Memory, epoch: Epoch) -> Self {
        Self {
            conn,
            memory,
            epoch,
            delta: Delta::default(),
            released: BTreeSet::new(),
            ignored: 0,
            rest: Vec::new(),
        }
    }

    /// Applies `transaction`. After `Fault::Conflict` nothing of it is left; after any other
    /// fault the caller rolls back.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<Done, Fault> {
        let mut committed = match transaction.condition {
            Condition::Always => {
                objects::apply(self.conn, &mut self.memory.names, &transaction.objects)?;
                self.parts(transaction)?
            }
            Condition::IfApplied => match self.whole(transaction)? {
                Some(committed) => committed,
                None => return Ok(self.refused(transaction)),
            },
        };
        committed.released = self.released_names()?;
        self.delta.greatest = self.delta.greatest.max(greatest_in(transaction));
        self.delta.duplicates += committed.duplicates.len() as u64;
        self.delta.commits += 1;
        Ok(Done {
            committed,
            rest: std::mem::take(&mut self.rest),
        })
    }

    /// Everything but the objects.
    fn parts(&mut self, transaction: &Transaction) -> Result<Committed, Fault> {
        let mut committed = Committed::default();
        for event in &transaction.events {
            self.insert_event(event)?;
        }
        for event in &transaction.events {
            traces::relate(self.conn, event)?;
        }
        for new in &transaction.deliveries {
            self.enqueue(new, transaction, &mut committed)?;
        }
        for checkpoint in &transaction.checkpoints {
            self.remember(checkpoint)?;
        }
        for settlement in &transaction.settlements {
            committed.settled.push(settle::settle(self, settlement)?);
        }
        for intervention in &transaction.interventions {
            intervene::intervene(self, intervention, &mut committed.intervened)?;
        }
        for (pause, begins) in &transaction.pauses {
            traces::pause(self.conn, pause, *begins)?;
        }
        Ok(committed)
    }

    /// Applies a transaction if all that its condition names has an effect; `None`: it has not,
    /// and nothing of it is left.
    fn whole(&mut self, transaction: &Transaction) -> Result<Option<Committed>, Fault> {
        self.conn
            .prepare_cached("SAVEPOINT condition")?
            .execute([])?;
        let applied = self.parts(transaction).and_then(|committed| {
            let stale = committed.settled.contains(&Settled::Stale);
            if stale || self.ignored > 0 {
                return Ok(None);
            }
            objects::apply(self.conn, &mut self.memory.names, &transaction.objects)?;
            Ok(Some(committed))
        });
        if matches!(applied, Ok(None) | Err(Fault::Conflict(_))) {
            self.conn
                .prepare_cached("ROLLBACK TO condition")?
                .execute([])?;
            *self.memory = Memory::load(self.conn)?;
            self.delta = Delta::default();
            self.released.clear();
            self.rest.clear();
        }
        if matches!(applied, Ok(_) | Err(Fault::Conflict(_))) {
            self.conn.prepare_cached("RELEASE condition")?.execute([])?;
        }
        applied
    }

    /// The reply to a transaction of which something would have had no effect.
    fn refused(&mut self, transaction: &Transaction) -> Done {
        self.delta.stale += transaction.settlements.len() as u64;
        self.delta.commits += 1;
        Done {
            committed: Committed {
                settled: vec![Settled::Stale; transaction.settlements.len()],
                ..Committed::default()
            },
            rest: Vec::new(),
        }
    }

    /// Does one step of what earlier commits left.
    pub(super) fn go_on(&mut self, rest: &[Rest]) -> Result<Done, Fault> {
        let mut committed = Committed::default();
        for one in rest {
            match one {
                Rest::Again(intervention) => {
                    intervene::intervene(self, intervention, &mut committed.intervened)?;
                }
                Rest::Fill { trigger, from } => intervene::fill(self, *trigger, from)?,
            }
        }
        committed.released = self.released_names()?;
        self.delta.commits += 1;
        Ok(Done {
            committed,
            rest: std::mem::take(&mut self.rest),
        })
    }

    fn released_names(&mut self) -> Result<Vec<wakeful_core::name::TriggerId>, Fault> {
        let mut names = BTreeSet::new();
        for trigger in std::mem::take(&mut self.released) {
            let (_, name) = self.memory.names.triggers.name(self.conn, trigger)?;
            names.insert(name);
        }
        Ok(names.into_iter().collect())
    }

    fn insert_event(&mut self, event: &Event) -> Result<(), Fault> {
        let envelope = envelope::encode(event);
        let checksum = envelope::checksum(event.key, &envelope, &event.data);
        self.conn
            .prepare_cached(
                "INSERT INTO events (id, checksum, envelope, data) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![
                event.key.raw(),
                checksum,
                envelope,
                &event.data[..]
            ])?;
        self.delta.events += 1;
        Ok(())
    }

    /// Whether an event is kept.
    pub(super) fn keeps(&self, event: EventId) -> Result<bool, Fault> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
        Ok(statement.exists([event.raw()])?)
    }

    fn remember(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let key = &checkpoint.key;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                key.scope.project.as_str(),
                key.scope.environment.as_str(),
                key.source,
                &checkpoint.value[..],
                sums::sum(&[
                    key.scope.project.as_str().into(),
                    key.scope.environment.as_str().into(),
                    key.source.as_str().into(),
                    checkpoint.value[..].into(),
                ])?
            ])?;
        Ok(())
    }

    /// Claims what is ready of `runs`.
    pub(super) fn claim(&mut self, runs: &[RunId], now: Timestamp) -> Result<Vec<Delivery>, Fault> {
        let conn = self.conn;
        let mut find = conn.prepare_cached(concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM deliveries WHERE id = ?1 AND state IN (0, 3) AND expires_at > ?2"
        ))?;
        let mut claim = conn.prepare_cached(
            "UPDATE deliveries SET state = 1, epoch = ?2, starts = ?3, attempts = ?4, \
             held_for = NULL WHERE id = ?1",
        )?;
        let mut claimed = Vec::with_capacity(runs.len());
        for run in runs {
            let mut found = find.query(params![run.raw(), now.as_millis()])?;
            let Some(row) = found.next()? else {
                continue;
            };
            let trigger: i64 = row.get(2)?;
            let place = Place::from_stored(row.get(5)?).ok_or_else(|| malformed("a state"))?;
            let read = rows::delivery(conn, &mut self.memory.names, row);
            drop(found);
            let mut delivery = match read {
                Err(fault @ Fault::Malformed(_)) => {
                    tell_damage("a delivery", run.raw(), &fault);
                    self.bury(*run, place, (DeadReason::Damaged, now))?;
                    continue;
                }
                other => other?,
            };
            delivery.state = State::Running;
            delivery.held = None;
            delivery.starts += 1;
            delivery.attempts += 1;
            claim.execute(params![
                run.raw(),
                self.epoch.0,
                delivery.starts,
                delivery.attempts
            ])?;
            self.delta.moved(trigger, Some(place), Some(Place::Running));
            claimed.push(delivery);
        }
        Ok(claimed)
    }

    /// Makes a dead letter of a delivery that stood at `from`.
    pub(super) fn bury(
        &mut self,
        run: RunId,
        from: Place,
        (reason, at): (DeadReason, Timestamp),
    ) -> Result<(), Fault> {
        let trigger: i64 = self
            .conn
            .prepare_cached(
                "UPDATE deliveries SET state = 2, held_for = NULL, dead_reason = ?2, \
                 dead_at = ?3 WHERE id = ?1 RETURNING trigger",
            )?
            .query_row(params![run.raw(), reason as u8, at.as_millis()], |row| {
                row.get(0)
            })?;
        self.delta.moved(trigger, Some(from), Some(Place::Dead));
        match lanes::Table::member(self, run) {
            Ok(gone) => lanes::left(self, &gone, from),
            // Whose key cannot be read, nobody is found behind it.
            Err(fault @ Fault::Malformed(_)) => {
                tell_damage("the key of a delivery", run.raw(), &fault);
                Ok(())
            }
            Err(fault) => Err(fault),
        }
    }

    /// Ends the claims of older epochs: what they had begun is queued again, uncharged, or is a
    /// dead letter where that is what its trigger wants. Replies how many there were.
    pub(super) fn void_claims(&mut self, now: Timestamp) -> Result<usize, Fault> {
        let mut statement = self.conn.prepare(concat!(
            "SELECT ",
            member_columns!(),
            ", on_unknown FROM deliveries INDEXED BY deliveries_running \
             WHERE state = 1 ORDER BY id"
        ))?;
        let found = statement.query_map([], |row| Ok((member(row)?, row.get(5)?)))?;
        let found: Vec<(Member, u8)> = found.collect::<Result<_, _>>()?;
        for (voided, rule) in &found {
            if *rule == rows::stored_on_unknown(OnUnknown::Hold) {
                let why = (DeadReason::OutcomeUnknown, now);
                self.bury(voided.run, Place::Running, why)?;
                continue;
            }
            self.conn
                .prepare_cached(
                    "UPDATE deliveries SET state = 0, attempts = attempts - 1 WHERE id = ?1",
                )?
                .execute([voided.run.raw()])?;
            self.delta
                .moved(voided.trigger, Some(Place::Running), Some(Place::Queued));
            lanes::requeued(self, voided)?;
        }
        Ok(found.len())
    }
}
