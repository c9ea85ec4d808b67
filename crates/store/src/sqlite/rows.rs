//! Deliveries as rows.

use rusqlite::{CachedStatement, Connection, Params, Row};
use wakeful_core::{
    delivery::{DeadReason, Failure, State},
    id::{EventId, RunId},
    port::Delivery,
    time::Timestamp,
};

use super::{
    fault::{Fault, malformed, tell_damage},
    names::Names,
};

/// `deliveries.state` of a queued delivery that waits for a version.
pub(super) const HELD: u8 = 3;

/// The columns of a delivery, in the order in which [`delivery`] reads them.
macro_rules! delivery_columns {
    () => {
        "id, event, trigger, function, partition, state, starts, attempts, ready_at, \
         expires_at, alone, ordering_key, held_for, dead_reason, dead_at, failure"
    };
}
pub(super) use delivery_columns;

/// The delivery of a row.
pub(super) fn delivery(
    conn: &Connection,
    names: &mut Names,
    row: &Row<'_>,
) -> Result<Delivery, Fault> {
    let (scope, trigger) = names.triggers.name(conn, row.get(2)?)?;
    let (_, function) = names.functions.name(conn, row.get(3)?)?;
    let state = match row.get(5)? {
        HELD => State::Queued,
        number => State::from_stored(number).ok_or_else(|| malformed("a state"))?,
    };
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
        keys: wakeful_core::port::Keys {
            ordering: row.get(11)?,
            ..wakeful_core::port::Keys::default()
        },
        blocks: false,
        on_unknown: wakeful_core::flow::OnUnknown::Retry,
        partition: row.get(4)?,
        state,
        starts: row.get(6)?,
        attempts: row.get(7)?,
        ready_at: Timestamp::from_millis(row.get(8)?),
        expires_at: Timestamp::from_millis(row.get(9)?),
        alone: row.get(10)?,
        held: row
            .get::<_, Option<String>>(12)?
            .map(wakeful_core::port::Held::Version),
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
