//! The ends of claims, and what people do to deliveries that nobody has claimed.

use rusqlite::{OptionalExtension, ToSql, params};
use wakeful_core::{
    delivery::{DeadReason, Failure},
    id::RunId,
    limits,
    name::{FunctionName, Scope},
    port::{Claim, End, Intervention, Settled, Settlement},
    time::Timestamp,
};

use super::{
    apply::Applier,
    fault::Fault,
    rows::{HELD, failure_text},
};

/// The claim that a settlement must fit.
const CLAIMED: &str = "id = ?1 AND state = 1 AND epoch = ?2 AND starts = ?3";

/// Ends a claim, unless it is no longer the present one.
pub(super) fn settle(applier: &mut Applier<'_>, settlement: &Settlement) -> Result<Settled, Fault> {
    let claim = settlement.claim;
    let applied = match &settlement.end {
        End::Succeeded => succeed(applier, claim)?,
        End::Retry {
            at,
            charged,
            alone,
            failure,
        } => retry(applier, claim, (*at, *charged, *alone), failure.as_ref())?,
        End::HeldForVersion { version, failure } => hold(applier, claim, version, failure)?,
        End::Dead {
            reason,
            at,
            failure,
        } => die(applier, claim, *reason, *at, failure.as_ref())?,
    };
    if applied {
        applier.delta.running -= 1;
        Ok(Settled::Applied)
    } else {
        applier.delta.stale += 1;
        Ok(Settled::Stale)
    }
}

fn succeed(applier: &Applier<'_>, claim: Claim) -> Result<bool, Fault> {
    let mut statement = applier.conn.prepare_cached(
        "DELETE FROM deliveries WHERE id = ?1 AND state = 1 AND epoch = ?2 AND starts = ?3",
    )?;
    let gone = statement.execute(params![claim.run.raw(), claim.epoch.0, claim.start])?;
    Ok(gone == 1)
}

fn retry(
    applier: &mut Applier<'_>,
    claim: Claim,
    (at, charged, alone): (Timestamp, bool, bool),
    failure: Option<&Failure>,
) -> Result<bool, Fault> {
    let failure = failure.map(failure_text).transpose()?;
    let trigger = change(
        applier,
        claim,
        "state = 0, ready_at = ?4, attempts = attempts - ?5, alone = ?6, \
         failure = coalesce(?7, failure)",
        &[&at.as_millis(), &u32::from(!charged), &alone, &failure],
    )?;
    if let Some(trigger) = trigger {
        applier.delta.queued += 1;
        applier.delta.waiting(trigger, 1);
    }
    Ok(trigger.is_some())
}

fn hold(
    applier: &mut Applier<'_>,
    claim: Claim,
    version: &str,
    failure: &Failure,
) -> Result<bool, Fault> {
    let failure = failure_text(failure)?;
    let held = change(
        applier,
        claim,
        "state = 3, attempts = attempts - 1, held_for = ?4, failure = ?5",
        &[&version, &failure],
    )?;
    applier.delta.queued += i64::from(held.is_some());
    Ok(held.is_some())
}

fn die(
    applier: &mut Applier<'_>,
    claim: Claim,
    reason: DeadReason,
    at: Timestamp,
    failure: Option<&Failure>,
) -> Result<bool, Fault> {
    let failure = failure.map(failure_text).transpose()?;
    let dead = change(
        applier,
        claim,
        "state = 2, dead_reason = ?4, dead_at = ?5, failure = coalesce(?6, failure)",
        &[&(reason as u8), &at.as_millis(), &failure],
    )?;
    applier.delta.dead += i64::from(dead.is_some());
    Ok(dead.is_some())
}

/// Changes the delivery of `claim` if it is the present one; replies its trigger.
fn change(
    applier: &Applier<'_>,
    claim: Claim,
    set: &str,
    values: &[&dyn ToSql],
) -> Result<Option<i64>, Fault> {
    let sql = format!("UPDATE deliveries SET {set} WHERE {CLAIMED} RETURNING trigger");
    let (run, epoch) = (claim.run.raw(), claim.epoch.0);
    let mut params: Vec<&dyn ToSql> = vec![&run, &epoch, &claim.start];
    params.extend(values);
    let mut statement = applier.conn.prepare_cached(&sql)?;
    Ok(statement
        .query_row(&params[..], |row| row.get(0))
        .optional()?)
}

/// Does what people or new versions ask for; adds to `changed` what it changed.
pub(super) fn intervene(
    applier: &mut Applier<'_>,
    intervention: &Intervention,
    changed: &mut Vec<RunId>,
) -> Result<(), Fault> {
    match intervention {
        Intervention::Redrive {
            run,
            now,
            expires_at,
        } => {
            if redrive(applier, *run, *now, *expires_at)? {
                changed.push(*run);
            }
        }
        Intervention::Discard { run, .. } => {
            let gone = applier
                .conn
                .prepare_cached("DELETE FROM deliveries WHERE id = ?1 AND state = 2")?
                .execute([run.raw()])?;
            if gone == 1 {
                applier.delta.dead -= 1;
                changed.push(*run);
            }
        }
        Intervention::Expire { run, at } => {
            if expire(applier, *run, *at)? {
                changed.push(*run);
            }
        }
        Intervention::ReleaseHeld {
            scope,
            function,
            live,
            now,
        } => release(applier, (scope, function), live, *now, changed)?,
        _ => {}
    }
    Ok(())
}

fn redrive(
    applier: &mut Applier<'_>,
    run: RunId,
    now: Timestamp,
    expires_at: Timestamp,
) -> Result<bool, Fault> {
    let trigger: Option<i64> = applier
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = 0, attempts = 0, ready_at = ?2, expires_at = ?3, \
             dead_reason = NULL, dead_at = NULL WHERE id = ?1 AND state = 2 RETURNING trigger",
        )?
        .query_row(
            params![run.raw(), now.as_millis(), expires_at.as_millis()],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(trigger) = trigger {
        applier.delta.dead -= 1;
        applier.delta.queued += 1;
        applier.delta.waiting(trigger, 1);
    }
    Ok(trigger.is_some())
}

fn expire(applier: &mut Applier<'_>, run: RunId, at: Timestamp) -> Result<bool, Fault> {
    let found: Option<(i64, u8)> = applier
        .conn
        .prepare_cached("SELECT trigger, state FROM deliveries WHERE id = ?1 AND state IN (0, 3)")?
        .query_row([run.raw()], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((trigger, state)) = found else {
        return Ok(false);
    };
    applier
        .conn
        .prepare_cached(
            "UPDATE deliveries SET state = 2, held_for = NULL, dead_reason = ?2, dead_at = ?3 \
             WHERE id = ?1",
        )?
        .execute(params![run.raw(), DeadReason::TooOld as u8, at.as_millis()])?;
    if state != HELD {
        applier.delta.waiting(trigger, -1);
    }
    applier.delta.queued -= 1;
    applier.delta.dead += 1;
    Ok(true)
}

/// One step of it; the caller asks again while a step was full.
fn release(
    applier: &mut Applier<'_>,
    (scope, function): (&Scope, &FunctionName),
    live: &str,
    now: Timestamp,
    changed: &mut Vec<RunId>,
) -> Result<(), Fault> {
    let conn = applier.conn;
    let Some(function) = applier.memory.names.functions.find(conn, scope, function)? else {
        return Ok(());
    };
    let mut statement = conn.prepare_cached(
        "SELECT id, trigger FROM deliveries \
         WHERE state = 3 AND function = ?1 AND held_for <> ?2 ORDER BY id LIMIT ?3",
    )?;
    let most = limits::RELEASE_STEP as i64;
    let held = statement.query_map(params![function, live, most], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    let held: Vec<(i64, i64)> = held.collect::<Result<_, _>>()?;
    let mut ready = conn.prepare_cached(
        "UPDATE deliveries SET state = 0, held_for = NULL, ready_at = ?2 WHERE id = ?1",
    )?;
    for (run, trigger) in held {
        ready.execute(params![run, now.as_millis()])?;
        applier.delta.waiting(trigger, 1);
        changed.push(RunId::from_raw(run));
    }
    Ok(())
}
