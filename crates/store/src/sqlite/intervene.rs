//! What people and new versions do to deliveries that nobody has claimed.

use rusqlite::{OptionalExtension, Row, params};
use wakeful_core::{
    delivery::DeadReason,
    id::{EventId, RunId},
    limits,
    name::{FunctionName, Scope, TriggerId},
    port::{Ended, Ending, Intervention, Parked},
    time::Timestamp,
};

use super::{
    apply::Applier,
    fault::{Fault, malformed},
    lanes::{member, member_columns},
    rows::BLOCKS,
    steps::Rest,
    traces,
};
use crate::lanes::{self, Member, Place};

/// Does what is asked for; adds to `changed` what it changed.
pub(super) fn intervene(
    applier: &mut Applier<'_>,
    intervention: &Intervention,
    changed: &mut Vec<RunId>,
) -> Result<(), Fault> {
    let (run, done) = match intervention {
        Intervention::Redrive {
            run,
            now,
            expires_at,
        } => (run, redrive(applier, *run, *now, *expires_at)?),
        Intervention::Discard { run, at, why } => (run, discard(applier, *run, *at, why)?),
        Intervention::Expire { run, at } => (run, expire(applier, *run, *at)?),
        Intervention::Defer { run, until } => {
            changed.extend(defer(applier, *run, *until)?.then_some(*run));
            return Ok(());
        }
        Intervention::Park { run, why, key } => {
            changed.extend(park(applier, *run, *why, key)?.then_some(*run));
            return Ok(());
        }
        Intervention::Unpark { .. } => return unpark(applier, intervention, changed),
        Intervention::Limit {
            scope,
            trigger,
            limit,
        } => return set_limit_of(applier, scope, trigger, *limit),
        Intervention::ReleaseHeld {
            scope,
            function,
            live,
            now,
        } => {
            let full = release(applier, (scope, function), live, *now, changed)?;
            let again = full.then(|| Rest::Again(intervention.clone()));
            applier.rest.extend(again);
            return Ok(());
        }
    };
    match done {
        true => changed.push(*run),
        false => applier.ignored += 1,
    }
    Ok(())
}

/// A delivery, where it stands, and its event.
fn standing(applier: &Applier<'_>, run: RunId) -> Result<Option<(Member, Place, EventId)>, Fault> {
    let found = applier
        .conn
        .prepare_cached(concat!(
            "SELECT ",
            member_columns!(),
            ", state, event FROM deliveries WHERE id = ?1"
        ))?
        .query_row([run.raw()], |row: &Row<'_>| {
            let event = EventId::from_raw(row.get(6)?);
            Ok((member(row)?, row.get::<_, u8>(5)?, event))
        })
        .optional()?;
    found
        .map(|(member, state, event)| {
            let place = Place::from_stored(state).ok_or_else(|| malformed("a state"))?;
            Ok((member, place, event))
        })
        .transpose()
}

fn redrive(
    applier: &mut Applier<'_>,
    run: RunId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool, Fault> {
    let Some((dead, Place::Dead, _)) = standing(applier, run)? else {
        return Ok(false);
    };
    let back = Member {
        ready_at: now,
        ..dead
    };
    let place = lanes::enter(applier, &back)?;
    applier
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, attempts = 0, ready_at = ?3, expires_at = ?4, \
             dead_reason = NULL, dead_at = NULL, debounce_key = NULL, since = NULL, \
             blocks = blocks & ?5 WHERE id = ?1",
        )?
        .execute(params![
            run.raw(),
            place as u8,
            now.as_millis(),
            expires_at.as_millis(),
            BLOCKS
        ])?;
    applier
        .delta
        .moved(back.trigger, Some(Place::Dead), Some(place));
    Ok(true)
}

fn discard(applier: &mut Applier<'_>, run: RunId, at: Timestamp, why: &str) -> Result<bool, Fault> {
    let Some((gone, Place::Dead, event)) = standing(applier, run)? else {
        return Ok(false);
    };
    applier
        .conn
        .prepare_cached("DELETE FROM deliveries WHERE id = ?1")?
        .execute([run.raw()])?;
    applier.delta.moved(gone.trigger, Some(Place::Dead), None);
    let conn = applier.conn;
    let (_, trigger) = applier.memory.names.triggers.name(conn, gone.trigger)?;
    let how = Ended::Discarded(why.to_owned());
    let ending = Ending {
        event,
        run,
        trigger,
        at,
        how,
    };
    traces::end(conn, gone.trigger, &ending)?;
    lanes::left(applier, &gone, Place::Dead)?;
    Ok(true)
}

fn expire(applier: &mut Applier<'_>, run: RunId, at: Timestamp) -> Result<bool, Fault> {
    match standing(applier, run)? {
        None | Some((_, Place::Dead | Place::Running, _)) => Ok(false),
        Some((_, place, _)) => {
            applier.bury(run, place, (DeadReason::TooOld, at))?;
            Ok(true)
        }
    }
}

fn defer(applier: &mut Applier<'_>, run: RunId, until: Timestamp) -> Result<bool, Fault> {
    let Some((ready, Place::Queued, _)) = standing(applier, run)? else {
        return Ok(false);
    };
    applier
        .conn
        .prepare_cached("UPDATE deliveries SET ready_at = ?2 WHERE id = ?1")?
        .execute(params![run.raw(), until.as_millis()])?;
    let later = Member {
        ready_at: until,
        ..ready
    };
    lanes::requeued(applier, &later)?;
    Ok(true)
}

fn park(applier: &mut Applier<'_>, run: RunId, why: Parked, key: &str) -> Result<bool, Fault> {
    let place = Place::from(why);
    let trigger = applier
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = ?2, held_for = ?3 WHERE id = ?1 AND state = 0 \
             RETURNING trigger",
        )?
        .query_row(params![run.raw(), place as u8, key], |row| row.get(0))
        .optional()?;
    if let Some(trigger) = trigger {
        let delta = &mut applier.delta;
        delta.moved(trigger, Some(Place::Queued), Some(place));
    }
    Ok(trigger.is_some())
}

pub(super) const PARKED: &str = "SELECT id FROM deliveries INDEXED BY deliveries_parked \
     WHERE trigger = ?1 AND state > 5 AND state = ?2 ORDER BY id LIMIT ?3";
pub(super) const PARKED_WITH_KEY: &str = "SELECT id FROM deliveries \
     INDEXED BY deliveries_parked_key WHERE trigger = ?1 AND state > 5 AND state = ?2 \
     AND held_for = ?4 ORDER BY id LIMIT ?3";

/// One step of it.
fn unpark(
    applier: &mut Applier<'_>,
    intervention: &Intervention,
    changed: &mut Vec<RunId>,
) -> Result<(), Fault> {
    let Intervention::Unpark {
        scope,
        trigger,
        why,
        key,
        now,
        most,
    } = intervention
    else {
        return Ok(());
    };
    let conn = applier.conn;
    let Some(number) = applier.memory.names.triggers.find(conn, scope, trigger)? else {
        return Ok(());
    };
    let place = Place::from(*why);
    let step = most.unwrap_or(usize::MAX).min(limits::RELEASE_STEP);
    let (state, limit) = (place as u8, step as i64);
    let runs: Vec<i64> = match key {
        None => conn
            .prepare_cached(PARKED)?
            .query_map(params![number, state, limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?,
        Some(key) => conn
            .prepare_cached(PARKED_WITH_KEY)?
            .query_map(params![number, state, limit, key], |row| row.get(0))?
            .collect::<Result<_, _>>()?,
    };
    let left = most.map(|most| most - runs.len().min(most));
    if runs.len() == limits::RELEASE_STEP && left != Some(0) {
        let mut again = intervention.clone();
        if let Intervention::Unpark { most, .. } = &mut again {
            *most = left;
        }
        applier.rest.push(Rest::Again(again));
    }
    for run in runs {
        make_ready(applier, RunId::from_raw(run), place, *now)?;
        changed.push(RunId::from_raw(run));
    }
    Ok(())
}

/// One step of it; whether it was full.
fn release(
    applier: &mut Applier<'_>,
    (scope, function): (&Scope, &FunctionName),
    live: &str,
    now: Timestamp,
    changed: &mut Vec<RunId>,
) -> Result<bool, Fault> {
    let conn = applier.conn;
    let Some(function) = applier.memory.names.functions.find(conn, scope, function)? else {
        return Ok(false);
    };
    let mut statement = conn.prepare_cached(
        "SELECT id FROM deliveries \
         WHERE state = 3 AND function = ?1 AND held_for <> ?2 ORDER BY id LIMIT ?3",
    )?;
    let most = limits::RELEASE_STEP as i64;
    let held = statement.query_map(params![function, live, most], |row| row.get(0))?;
    let held: Vec<i64> = held.collect::<Result<_, _>>()?;
    let full = held.len() == limits::RELEASE_STEP;
    for run in held {
        make_ready(applier, RunId::from_raw(run), Place::Version, now)?;
        changed.push(RunId::from_raw(run));
    }
    Ok(full)
}

/// Makes ready what was held with a seat.
fn make_ready(
    applier: &mut Applier<'_>,
    run: RunId,
    from: Place,
    now: Timestamp,
) -> Result<(), Fault> {
    let ready = applier
        .conn
        .prepare_cached(concat!(
            "UPDATE deliveries SET state = 0, held_for = NULL, ready_at = ?2 WHERE id = ?1 \
             RETURNING ",
            member_columns!()
        ))?
        .query_row(params![run.raw(), now.as_millis()], member)?;
    applier
        .delta
        .moved(ready.trigger, Some(from), Some(Place::Queued));
    applier.released.insert(ready.trigger);
    lanes::requeued(applier, &ready)
}

fn set_limit_of(
    applier: &mut Applier<'_>,
    scope: &Scope,
    trigger: &TriggerId,
    limit: Option<u32>,
) -> Result<(), Fault> {
    let names = &mut applier.memory.names;
    let number = names.triggers.intern(applier.conn, scope, trigger)?;
    applier.set_limit(number, limit)
}

impl Applier<'_> {
    /// Changes how many seats the concurrency keys of a trigger have.
    pub(super) fn set_limit(&mut self, trigger: i64, limit: Option<u32>) -> Result<(), Fault> {
        if lanes::Table::limit(self, trigger)? == limit {
            return Ok(());
        }
        self.conn
            .prepare_cached("UPDATE triggers SET key_limit = ?2 WHERE id = ?1")?
            .execute(params![trigger, limit])?;
        self.memory.limits.insert(trigger, limit);
        fill(self, trigger, "")
    }
}

/// One step of filling the seats of all concurrency keys of a trigger, from the key `from` on.
pub(super) fn fill(applier: &mut Applier<'_>, trigger: i64, from: &str) -> Result<(), Fault> {
    let left = lanes::fill_rooms(applier, trigger, from, limits::RELEASE_STEP)?;
    let rest = left.map(|from| Rest::Fill { trigger, from });
    applier.rest.extend(rest);
    Ok(())
}
