//! Applies a transaction within the group's database transaction.

use rusqlite::{Connection, params};
use wakeful_core::{
    delivery::{DeadReason, State},
    event::Event,
    id::RunId,
    port::{Checkpoint, Committed, Delivery, Epoch, NewDelivery, Transaction},
    time::Timestamp,
};

use super::{
    dedup::Dedup,
    delta::Delta,
    envelope,
    fault::{Fault, tell_damage},
    names::Names,
    objects,
    rows::{self, HELD, delivery_columns},
    settle,
};
use crate::ids::greatest_in;

/// What the writer has learnt of its database; forgotten when a transaction is rolled back.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) names: Names,
    pub(super) dedup: Dedup,
}

impl Memory {
    /// Reads what is there.
    pub(super) fn load(conn: &Connection) -> Result<Self, Fault> {
        Ok(Self {
            names: Names::default(),
            dedup: Dedup::load(conn)?,
        })
    }
}

/// The database while a group is applied to it.
pub(super) struct Applier<'a> {
    pub(super) conn: &'a Connection,
    pub(super) memory: &'a mut Memory,
    pub(super) epoch: Epoch,
    pub(super) delta: Delta,
}

impl Applier<'_> {
    /// Applies `transaction`. After `Fault::Conflict` nothing of it is left; after any other
    /// fault the caller rolls back.
    pub(super) fn commit(&mut self, transaction: &Transaction) -> Result<Committed, Fault> {
        objects::apply(self.conn, &mut self.memory.names, &transaction.objects)?;
        let mut committed = Committed::default();
        for event in &transaction.events {
            self.insert_event(event)?;
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
            settle::intervene(self, intervention, &mut committed.intervened)?;
        }
        self.delta.greatest = self.delta.greatest.max(greatest_in(transaction));
        self.delta.duplicates += committed.duplicates.len() as u64;
        self.delta.commits += 1;
        Ok(committed)
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

    fn enqueue(
        &mut self,
        new: &NewDelivery,
        transaction: &Transaction,
        committed: &mut Committed,
    ) -> Result<(), Fault> {
        let conn = self.conn;
        let trigger = self
            .memory
            .names
            .triggers
            .intern(conn, &new.scope, &new.trigger)?;
        if let Some(key) = &new.dedup {
            let now = new.id.drawn_at();
            if self.memory.dedup.repeats(conn, trigger, key, now)? {
                committed.duplicates.push((new.id, new.id));
                return Ok(());
            }
        }
        // Nearly always its event is the first or the only one; the index knows of the others.
        let brought = transaction
            .events
            .first()
            .is_some_and(|event| event.key == new.event);
        if !brought && !self.keeps(new)? {
            let why = format!(
                "delivery {} is owed for {}, which is not kept",
                new.id, new.event
            );
            return Err(Fault::Refused(why));
        }
        self.insert_delivery(new, trigger)?;
        if new.claimed {
            self.delta.running += 1;
        } else {
            self.delta.queued += 1;
            self.delta.waiting(trigger, 1);
        }
        Ok(())
    }

    fn insert_delivery(&mut self, new: &NewDelivery, trigger: i64) -> Result<(), Fault> {
        let functions = &mut self.memory.names.functions;
        let function = functions.intern(self.conn, &new.scope, &new.function)?;
        let state = if new.claimed {
            State::Running
        } else {
            State::Queued
        };
        self.conn
            .prepare_cached(
                "INSERT INTO deliveries (id, event, trigger, function, partition, state, epoch, \
                 starts, attempts, ready_at, expires_at, ordering_key) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11)",
            )?
            .execute(params![
                new.id.raw(),
                new.event.raw(),
                trigger,
                function,
                new.partition(),
                state as u8,
                self.epoch.0,
                u32::from(new.claimed),
                new.ready_at.as_millis(),
                new.expires_at.as_millis(),
                new.keys.ordering,
            ])?;
        Ok(())
    }

    fn keeps(&self, new: &NewDelivery) -> Result<bool, Fault> {
        let mut statement = self
            .conn
            .prepare_cached("SELECT 1 FROM events WHERE id = ?1")?;
        Ok(statement.exists([new.event.raw()])?)
    }

    fn remember(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let key = &checkpoint.key;
        self.conn
            .prepare_cached("INSERT OR REPLACE INTO checkpoints VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![
                key.scope.project.as_str(),
                key.scope.environment.as_str(),
                key.source,
                &checkpoint.value[..]
            ])?;
        Ok(())
    }

    /// Claims what is queued of `runs`.
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
            let (trigger, state): (i64, u8) = (row.get(2)?, row.get(5)?);
            let read = rows::delivery(conn, &mut self.memory.names, row);
            drop(found);
            let mut delivery = match read {
                Err(fault @ Fault::Malformed(_)) => {
                    tell_damage("a delivery", run.raw(), &fault);
                    self.bury(*run, (trigger, state), now)?;
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
            if state != HELD {
                self.delta.waiting(trigger, -1);
            }
            self.delta.queued -= 1;
            self.delta.running += 1;
            claimed.push(delivery);
        }
        Ok(claimed)
    }
}

impl Applier<'_> {
    /// Makes a dead letter of a queued delivery that cannot be read.
    fn bury(
        &mut self,
        run: RunId,
        (trigger, state): (i64, u8),
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.conn
            .prepare_cached(
                "UPDATE deliveries SET state = 2, held_for = NULL, dead_reason = ?2, \
                 dead_at = ?3 WHERE id = ?1",
            )?
            .execute(params![
                run.raw(),
                DeadReason::Damaged as u8,
                now.as_millis()
            ])?;
        if state != HELD {
            self.delta.waiting(trigger, -1);
        }
        self.delta.queued -= 1;
        self.delta.dead += 1;
        Ok(())
    }
}

/// Queues again what older epochs had claimed, uncharged; replies how many.
pub(super) fn void_claims(conn: &Connection, delta: &mut Delta) -> Result<usize, Fault> {
    let mut statement =
        conn.prepare("SELECT trigger, count(*) FROM deliveries WHERE state = 1 GROUP BY trigger")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        delta.waiting(row.get(0)?, row.get(1)?);
    }
    let voided = conn.execute(
        "UPDATE deliveries SET state = 0, attempts = attempts - 1 WHERE state = 1",
        [],
    )?;
    delta.running -= voided as i64;
    delta.queued += voided as i64;
    Ok(voided)
}
