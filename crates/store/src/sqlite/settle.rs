//! The ends of claims.

use rusqlite::{OptionalExtension, ToSql, params};
use wakeful_core::{
    delivery::{DeadReason, Failure},
    port::{Claim, End, Settled, Settlement},
    time::Timestamp,
};

use super::{
    apply::Applier,
    fault::Fault,
    lanes::{member, member_columns},
    rows::failure_text,
};
use crate::lanes::{self, Member, Place};

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
        Ok(Settled::Applied)
    } else {
        applier.delta.stale += 1;
        Ok(Settled::Stale)
    }
}

fn succeed(applier: &mut Applier<'_>, claim: Claim) -> Result<bool, Fault> {
    let params = params![claim.run.raw(), claim.epoch.0, claim.start];
    // Nearly all have no keys, and nothing else to do when they are gone.
    let gone = applier
        .conn
        .prepare_cached(
            "DELETE FROM deliveries WHERE id = ?1 AND state = 1 AND epoch = ?2 AND starts = ?3 \
             AND ordering_key IS NULL AND concurrency_key IS NULL",
        )?
        .execute(params)?;
    if gone == 1 {
        applier.delta.running -= 1;
        return Ok(true);
    }
    let gone = applier
        .conn
        .prepare_cached(concat!(
            "DELETE FROM deliveries WHERE id = ?1 AND state = 1 AND epoch = ?2 AND starts = ?3 \
             RETURNING ",
            member_columns!()
        ))?
        .query_row(params, member)
        .optional()?;
    let Some(gone) = gone else {
        return Ok(false);
    };
    applier
        .delta
        .moved(gone.trigger, Some(Place::Running), None);
    lanes::left(applier, &gone, Place::Running)?;
    Ok(true)
}

fn retry(
    applier: &mut Applier<'_>,
    claim: Claim,
    (at, charged, alone): (Timestamp, bool, bool),
    failure: Option<&Failure>,
) -> Result<bool, Fault> {
    let failure = failure.map(failure_text).transpose()?;
    let queued = change(
        applier,
        claim,
        Place::Queued,
        "state = 0, ready_at = ?4, attempts = attempts - ?5, alone = ?6, \
         failure = coalesce(?7, failure)",
        &[&at.as_millis(), &u32::from(!charged), &alone, &failure],
    )?;
    if let Some(queued) = &queued {
        lanes::requeued(applier, queued)?;
    }
    Ok(queued.is_some())
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
        Place::Version,
        "state = 3, attempts = attempts - 1, held_for = ?4, failure = ?5",
        &[&version, &failure],
    )?;
    if let Some(held) = &held {
        lanes::stands_still(applier, held)?;
    }
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
        Place::Dead,
        "state = 2, dead_reason = ?4, dead_at = ?5, failure = coalesce(?6, failure)",
        &[&(reason as u8), &at.as_millis(), &failure],
    )?;
    if let Some(dead) = &dead {
        lanes::left(applier, dead, Place::Running)?;
    }
    Ok(dead.is_some())
}

/// Changes the delivery of `claim` if it is the present one; replies what it is now.
fn change(
    applier: &mut Applier<'_>,
    claim: Claim,
    to: Place,
    set: &str,
    values: &[&dyn ToSql],
) -> Result<Option<Member>, Fault> {
    let columns = member_columns!();
    let sql = format!("UPDATE deliveries SET {set} WHERE {CLAIMED} RETURNING {columns}");
    let (run, epoch) = (claim.run.raw(), claim.epoch.0);
    let mut params: Vec<&dyn ToSql> = vec![&run, &epoch, &claim.start];
    params.extend(values);
    let changed = applier
        .conn
        .prepare_cached(&sql)?
        .query_row(&params[..], member)
        .optional()?;
    if let Some(changed) = &changed {
        applier
            .delta
            .moved(changed.trigger, Some(Place::Running), Some(to));
    }
    Ok(changed)
}
