//! New deliveries: repetitions are left out, debounced ones superseded, the others get a place.

use rusqlite::{OptionalExtension, params};
use wakeful_core::{
    id::EventId,
    port::{Committed, Ended, Ending, Keys, NewDebounce, NewDelivery, Transaction},
    time::Timestamp,
};

use super::{
    apply::Applier,
    fault::{Fault, malformed},
    lanes::{member, member_columns},
    rows::{ASIDE, BLOCKS, stored_on_unknown},
    traces,
};
use crate::{
    debounce,
    lanes::{self, Member, Place},
};

/// How a new delivery is written.
struct Entry {
    trigger: i64,
    place: Place,
    ready_at: Timestamp,
    /// When the first of its debounced chain was to be ready.
    since: Option<Timestamp>,
}

impl Applier<'_> {
    pub(super) fn enqueue(
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
        // Nearly always its event is the first or the only one; the index knows of the others.
        let brought = transaction
            .events
            .first()
            .is_some_and(|event| event.key == new.event);
        if let Some(key) = &new.dedup
            && let Some(first) = self.memory.dedup.repeats(conn, trigger, key, new.id)?
        {
            committed.duplicates.push((new.id, first));
            if brought || self.keeps(new.event)? {
                let ending = ending(new, Ended::Duplicate(first));
                traces::end(conn, trigger, &ending)?;
            }
            return Ok(());
        }
        if !brought && !self.keeps(new.event)? {
            let why = format!(
                "delivery {} is owed for {}, which is not kept",
                new.id, new.event
            );
            return Err(Fault::Refused(why));
        }
        let entry = match new.dead {
            Some(_) => Entry {
                trigger,
                place: Place::Dead,
                ready_at: new.ready_at,
                since: None,
            },
            None => self.place(new, trigger, committed)?,
        };
        self.insert_delivery(new, &entry)?;
        self.delta.moved(trigger, None, Some(entry.place));
        Ok(())
    }

    /// Where a new delivery stands, once others have made way for it.
    fn place(
        &mut self,
        new: &NewDelivery,
        trigger: i64,
        committed: &mut Committed,
    ) -> Result<Entry, Fault> {
        if new.keys.concurrency.is_some() && new.key_limit.is_some() {
            self.set_limit(trigger, new.key_limit)?;
        }
        let mut since = None;
        let mut ready_at = new.ready_at;
        if let Some(rule) = &new.debounce {
            let first = self.supersede(new, rule, trigger, committed)?;
            since = Some(first.unwrap_or(new.ready_at));
            ready_at = debounce::ready_at(rule, new.ready_at, first);
        }
        let entering = Member {
            run: new.id,
            trigger,
            ordering: new.keys.ordering.clone(),
            concurrency: new.keys.concurrency.clone(),
            ready_at,
        };
        let mut place = lanes::enter(self, &entering)?;
        if new.claimed {
            match place {
                Place::Queued if since.is_none() => place = Place::Running,
                _ => committed.unclaimed.push(new.id),
            }
        }
        Ok(Entry {
            trigger,
            place,
            ready_at,
            since,
        })
    }

    /// Removes the delivery whose place a debounced one takes; replies since when its chain
    /// waits.
    fn supersede(
        &mut self,
        new: &NewDelivery,
        rule: &NewDebounce,
        trigger: i64,
        committed: &mut Committed,
    ) -> Result<Option<Timestamp>, Fault> {
        let found = self
            .conn
            .prepare_cached(concat!(
                "SELECT ",
                member_columns!(),
                ", state, event, since FROM deliveries INDEXED BY deliveries_debounced \
                 WHERE trigger = ?1 AND debounce_key = ?2 AND starts = 0 AND state <> 2 LIMIT 1"
            ))?
            .query_row(params![trigger, rule.key], |row| {
                let since: Option<i64> = row.get(7)?;
                Ok((member(row)?, row.get(5)?, row.get(6)?, since))
            })
            .optional()?;
        let Some((old, state, event, since)) = found else {
            return Ok(None);
        };
        let place = Place::from_stored(state).ok_or_else(|| malformed("a state"))?;
        self.conn
            .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
            .execute([old.run.raw()])?;
        self.delta.moved(trigger, Some(place), None);
        let ending = Ending {
            event: EventId::from_raw(event),
            run: old.run,
            ..ending(new, Ended::Superseded(new.id))
        };
        traces::end(self.conn, trigger, &ending)?;
        committed.superseded.push((old.run, new.id));
        lanes::left(self, &old, place)?;
        Ok(since.map(Timestamp::from_millis).or(Some(old.ready_at)))
    }

    fn insert_delivery(&mut self, new: &NewDelivery, entry: &Entry) -> Result<(), Fault> {
        let functions = &mut self.memory.names.functions;
        let function = functions.intern(self.conn, &new.scope, &new.function)?;
        let plain = new.keys == Keys::default() && entry.since.is_none() && new.dead.is_none();
        if !plain {
            return self.insert_with_rules(new, entry, function);
        }
        // Nearly all are like this, and a third of the statement's time goes into its values.
        self.conn
            .prepare_cached(
                "INSERT INTO deliveries (id, event, trigger, function, partition, state, epoch, \
                 starts, attempts, ready_at, expires_at, blocks, on_unknown) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12)",
            )?
            .execute(params![
                new.id.raw(),
                new.event.raw(),
                entry.trigger,
                function,
                new.partition(),
                entry.place as u8,
                self.epoch.0,
                u32::from(entry.place == Place::Running),
                entry.ready_at.as_millis(),
                new.expires_at.as_millis(),
                u8::from(new.blocks) * BLOCKS,
                stored_on_unknown(new.on_unknown),
            ])?;
        Ok(())
    }

    fn insert_with_rules(
        &mut self,
        new: &NewDelivery,
        entry: &Entry,
        function: i64,
    ) -> Result<(), Fault> {
        let died = new.dead.map(|_| new.id.drawn_at().as_millis());
        let blocks = match (new.blocks, new.dead) {
            (false, _) => 0,
            (true, None) => BLOCKS,
            (true, Some(_)) => BLOCKS | ASIDE,
        };
        self.conn
            .prepare_cached(
                "INSERT INTO deliveries (id, event, trigger, function, partition, state, epoch, \
                 starts, attempts, ready_at, expires_at, ordering_key, dead_reason, dead_at, \
                 blocks, on_unknown, concurrency_key, rate_key, breaker_key, debounce_key, since) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                 ?16, ?17, ?18, ?19, ?20)",
            )?
            .execute(params![
                new.id.raw(),
                new.event.raw(),
                entry.trigger,
                function,
                new.partition(),
                entry.place as u8,
                self.epoch.0,
                u32::from(entry.place == Place::Running),
                entry.ready_at.as_millis(),
                new.expires_at.as_millis(),
                new.keys.ordering,
                new.dead.map(|reason| reason as u8),
                died,
                blocks,
                stored_on_unknown(new.on_unknown),
                new.keys.concurrency,
                new.keys.rate,
                new.keys.breaker,
                entry.since.and(new.debounce.as_ref()).map(|rule| &rule.key),
                entry.since.map(Timestamp::as_millis),
            ])?;
        Ok(())
    }
}

/// How the delivery of `new` ended, or one whose place it takes.
fn ending(new: &NewDelivery, how: Ended) -> Ending {
    Ending {
        event: new.event,
        run: new.id,
        trigger: new.trigger.clone(),
        at: new.id.drawn_at(),
        how,
    }
}
