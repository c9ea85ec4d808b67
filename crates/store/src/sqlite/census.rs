//! What waits for a trigger, and who stands before whom.

use rusqlite::{OptionalExtension, params};
use wakeful_core::{
    id::RunId,
    limits,
    name::{Scope, TriggerId},
    port::{Census, Delivery, Held},
    time::Timestamp,
};

use super::{
    fault::Fault,
    readers::Reader,
    reads,
    rows::{self, delivery_columns},
};

pub(super) const RUNNING: &str = "SELECT count(*) FROM deliveries INDEXED BY deliveries_running \
     WHERE state = 1 AND trigger = ?1";
pub(super) const BLOCKING: &str = "SELECT id FROM deliveries INDEXED BY deliveries_blocking \
     WHERE turn = 2 AND trigger = ?1 ORDER BY id LIMIT ?2";

/// What waits for a trigger: by its counters, but for those that run, of which there are few.
pub(super) fn census(
    reader: &mut Reader,
    scope: &Scope,
    trigger: &TriggerId,
) -> Result<Census, Fault> {
    let Reader { conn, names } = reader;
    let Some(number) = names.triggers.find(conn, scope, trigger)? else {
        return Ok(Census::default());
    };
    let mut statement = conn.prepare_cached(
        "SELECT waiting, dead, for_version, for_order, for_concurrency, paused, by_breaker, \
         (SELECT ready_at FROM deliveries INDEXED BY deliveries_queued \
          WHERE state = 0 AND trigger = ?1 ORDER BY ready_at LIMIT 1) \
         FROM triggers WHERE id = ?1",
    )?;
    let mut census = statement.query_row([number], |row| {
        let count = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(Census {
            queued: count(0)?,
            dead: count(1)?,
            for_version: count(2)?,
            for_order: count(3)?,
            for_concurrency: count(4)?,
            paused: count(5)?,
            by_breaker: count(6)?,
            earliest: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
            ..Census::default()
        })
    })?;
    let running: i64 = conn
        .prepare_cached(RUNNING)?
        .query_row([number], |row| row.get(0))?;
    census.running = running.unsigned_abs();
    let mut blocking = conn.prepare_cached(BLOCKING)?;
    let most = limits::CENSUS_BLOCKING as i64;
    let found = blocking.query_map(params![number, most], |row| row.get(0).map(RunId::from_raw))?;
    census.blocking = found.collect::<Result<_, _>>()?;
    Ok(census)
}

pub(super) const AHEAD_IN_LANE: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM deliveries INDEXED BY deliveries_lane \
     WHERE trigger = ?1 AND ordering_key = ?2 AND turn = ?3 AND (turn = 0 OR id < ?4) \
     ORDER BY id LIMIT ?5"
);
pub(super) const AHEAD_IN_ROOM: &str = concat!(
    "SELECT ",
    delivery_columns!(),
    " FROM deliveries INDEXED BY deliveries_seated \
     WHERE trigger = ?1 AND concurrency_key = ?2 AND seat < 2 ORDER BY id LIMIT ?3"
);

/// Who stands before a delivery.
pub(super) fn ahead_of(reader: &mut Reader, run: RunId) -> Result<Vec<Delivery>, Fault> {
    let Some(held) = reads::delivery(reader, run)? else {
        return Ok(Vec::new());
    };
    let Reader { conn, names } = reader;
    let trigger: Option<i64> = conn
        .prepare_cached("SELECT trigger FROM deliveries WHERE id = ?1")?
        .query_row([run.raw()], |row| row.get(0))
        .optional()?;
    let most = limits::STORE_READ_ROWS as i64;
    let mut found = Vec::new();
    match held.held {
        Some(Held::Order) => {
            for turn in [0, 2] {
                let params = params![trigger, held.keys.ordering, turn, run.raw(), most];
                let statement = conn.prepare_cached(AHEAD_IN_LANE)?;
                found.extend(rows::deliveries(conn, names, statement, params)?);
            }
        }
        Some(Held::Concurrency) => {
            let params = params![trigger, held.keys.concurrency, most];
            let statement = conn.prepare_cached(AHEAD_IN_ROOM)?;
            found.extend(rows::deliveries(conn, names, statement, params)?);
        }
        _ => {}
    }
    found.sort_by_key(|delivery| delivery.id);
    found.truncate(limits::STORE_READ_ROWS);
    Ok(found)
}
