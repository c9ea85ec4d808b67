//! Deliveries as rows.

use rusqlite::{CachedStatement, Connection, Params, Row};
use wakeful_core::{
    delivery::{DeadReason, Failure},
    flow::OnUnknown,
    id::{EventId, RunId},
    port::{Delivery, Keys},
    time::Timestamp,
};

use super::{
    fault::{Fault, malformed, tell_damage},
    names::Names,
};
use crate::lanes::Place;

/// The columns of a delivery, in the order in which [`delivery`] reads them.
macro_rules! delivery_columns {
    () => {
        "id, event, trigger, function, partition, state, starts, attempts, ready_at, \
         expires_at, alone, ordering_key, held_for, dead_reason, dead_at, failure, \
         blocks, on_unknown, concurrency_key, rate_key, breaker_key"
    };
}
pub(super) use delivery_columns;

/// `deliveries.blocks` of one whose death blocks its lane.
pub(super) const BLOCKS: u8 = 1;
/// Of one that was born dead: with this it is in no lane.
pub(super) const ASIDE: u8 = 2;

/// What `deliveries.on_unknown` says.
pub(super) fn on_unknown(stored: u8) -> Result<OnUnknown, Fault> {
    match stored {
        0 => Ok(OnUnknown::Retry),
        1 => Ok(OnUnknown::Hold),
        _ => Err(malformed("a rule for unknown outcomes")),
    }
}

/// What is written for it.
pub(super) const fn stored_on_unknown(rule: OnUnknown) -> u8 {
    match rule {
        OnUnknown::Retry => 0,
        OnUnknown::Hold => 1,
    }
}

/// The delivery of a row.
pub(super) fn delivery(
    conn: &Connection,
    names: &mut Names,
    row: &Row<'_>,
) -> Result<Delivery, Fault> {
    let (scope, trigger) = names.triggers.name(conn, row.get(2)?)?;
    let (_, function) = names.functions.name(conn, row.get(3)?)?;
    let place = Place::from_stored(row.get(5)?).ok_or_else(|| malformed("a state"))?;
    let dead: Option<(u8, i64)> = row.get::<_, Option<u8>>(13)?.zip(row.get(14)?);
    let dead = dead
        .map(|(reason, at)| {
            let reason = DeadReason::from_stored(reason).ok_or_else(|| malformed("a reason"))?;
            Ok::<_, Fault>((reason, Timestamp::from_millis(at)))
        })
        .transpose()?;
    let failure: Option<String> = row.get(15)?;
    Ok(Delivery {
        id: RunId::from_raw(row.get(0)?),
        scope,
        event: EventId::from_raw(row.get(1)?),
        trigger,
        function,
        keys: Keys {
            ordering: row.get(11)?,
            concurrency: row.get(18)?,
            rate: row.get(19)?,
            breaker: row.get(20)?,
        },
        blocks: row.get::<_, u8>(16)? & BLOCKS != 0,
        on_unknown: on_unknown(row.get(17)?)?,
        partition: row.get(4)?,
        state: place.state(),
        starts: row.get(6)?,
        attempts: row.get(7)?,
        ready_at: Timestamp::from_millis(row.get(8)?),
        expires_at: Timestamp::from_millis(row.get(9)?),
        alone: row.get(10)?,
        held: place.held(row.get(12)?),
        dead,
        failure: failure.as_deref().and_then(|text| parse_failure(text, row)),
    })
}

/// All deliveries that `statement` finds, but those whose rows are damaged.
pub(super) fn deliveries(
    conn: &Connection,
    names: &mut Names,
    mut statement: CachedStatement<'_>,
    params: impl Params,
) -> Result<Vec<Delivery>, Fault> {
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        match delivery(conn, names, row) {
            Err(fault @ Fault::Malformed(_)) => tell_damage("a delivery", row.get(0)?, &fault),
            other => found.push(other?),
        }
    }
    Ok(found)
}

/// A failure as text.
pub(super) fn failure_text(failure: &Failure) -> Result<String, Fault> {
    serde_json::to_string(failure).map_err(|error| Fault::Refused(error.to_string()))
}

/// A failure is for people to read: the delivery does without one that is damaged.
fn parse_failure(text: &str, row: &Row<'_>) -> Option<Failure> {
    let parsed = serde_json::from_str(text);
    if parsed.is_err() {
        tell_damage(
            "the failure of a delivery",
            row.get(0).unwrap_or_default(),
            &malformed("a failure"),
        );
    }
    parsed.ok()
}
