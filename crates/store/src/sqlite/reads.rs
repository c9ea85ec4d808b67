//! The reads of the port, each one short: a long one would keep the log from being reused.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    port::{
        Backlog, CheckpointKey, DeadQuery, Delivery, Expired, ExpiredQuery, ReadyQuery, StoreError,
    },
    time::Timestamp,
};

use super::{
    envelope,
    fault::Fault,
    readers::Reader,
    rows::{self, delivery_columns},
};

/// What a query may return, as SQLite takes it.
pub(super) fn bounded(limit: usize) -> usize {
    limit.min(limits::STORE_READ_ROWS)
}

pub(super) fn ready(reader: &mut Reader, query: &ReadyQuery) -> Result<Vec<Delivery>, Fault> {
    let Reader { conn, names } = reader;
    let Some(trigger) = names.triggers.find(conn, &query.scope, &query.trigger)? else {
        return Ok(Vec::new());
    };
    let (after_at, after_id) = query
        .after
        .map_or((i64::MIN, i64::MIN), |(at, id)| (at.as_millis(), id.raw()));
    let statement = conn.prepare_cached(concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries INDEXED BY deliveries_queued WHERE state = 0 AND trigger = ?1 \
         AND ready_at <= ?2 AND (ready_at, id) > (?3, ?4) ORDER BY ready_at, id LIMIT ?5"
    ))?;
    let limit = bounded(query.limit) as i64;
    let params = params![trigger, query.now.as_millis(), after_at, after_id, limit];
    rows::deliveries(conn, names, statement, params)
}

pub(super) fn backlog(reader: &mut Reader) -> Result<Vec<Backlog>, Fault> {
    let Reader { conn, names } = reader;
    let mut statement = conn.prepare_cached(
        "SELECT id, waiting, (SELECT ready_at FROM deliveries INDEXED BY deliveries_queued \
         WHERE state = 0 AND trigger = triggers.id ORDER BY ready_at LIMIT 1) \
         FROM triggers WHERE waiting > 0",
    )?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let (scope, trigger) = names.triggers.name(conn, row.get(0)?)?;
        let queued: i64 = row.get(1)?;
        found.push(Backlog {
            scope,
            trigger,
            queued: queued.unsigned_abs(),
            earliest: Timestamp::from_millis(row.get(2)?),
        });
    }
    found.sort_by(|a, b| (&a.scope, &a.trigger).cmp(&(&b.scope, &b.trigger)));
    Ok(found)
}

pub(super) fn expired(reader: &mut Reader, query: ExpiredQuery) -> Result<Expired, Fault> {
    let Reader { conn, names } = reader;
    let after = query.after.map_or(i64::MIN, RunId::raw);
    let step = limits::EXPIRY_STEP as i64;
    let (last, looked): (Option<i64>, i64) = conn
        .prepare_cached(
            "SELECT max(id), count(*) FROM \
             (SELECT id FROM deliveries WHERE id > ?1 ORDER BY id LIMIT ?2)",
        )?
        .query_row(params![after, step], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let Some(last) = last else {
        return Ok(Expired::default());
    };
    let statement = conn.prepare_cached(concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries NOT INDEXED WHERE id > ?1 AND id <= ?2 \
         AND state IN (0, 3) AND expires_at <= ?3 ORDER BY id"
    ))?;
    let params = params![after, last, query.now.as_millis()];
    Ok(Expired {
        deliveries: rows::deliveries(conn, names, statement, params)?,
        next: (looked == step).then(|| RunId::from_raw(last)),
    })
}

/// One event; whatever is wrong with its bytes makes it damaged, and only it.
pub(super) fn event(reader: &mut Reader, id: EventId) -> Result<Option<Event>, StoreError> {
    let found = read_event(reader, id).map_err(|fault| match fault {
        Fault::Broken(_) | Fault::Corrupt(_) | Fault::Malformed(_) => StoreError::Damaged(id),
        other => other.into_read_error(),
    })?;
    let Some((checksum, envelope, data)) = found else {
        return Ok(None);
    };
    if i64::from(envelope::checksum(id, &envelope, &data)) != checksum {
        return Err(StoreError::Damaged(id));
    }
    envelope::decode(id, &envelope, Bytes::from(data))
        .map(Some)
        .ok_or(StoreError::Damaged(id))
}

type StoredEvent = (i64, Vec<u8>, Vec<u8>);

fn read_event(reader: &Reader, id: EventId) -> Result<Option<StoredEvent>, Fault> {
    let mut statement = reader
        .conn
        .prepare_cached("SELECT checksum, envelope, data FROM events WHERE id = ?1")?;
    let row = statement.query_row([id.raw()], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    });
    Ok(row.optional()?)
}

pub(super) fn delivery(reader: &mut Reader, id: RunId) -> Result<Option<Delivery>, Fault> {
    let Reader { conn, names } = reader;
    let mut statement = conn.prepare_cached(concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries WHERE id = ?1"
    ))?;
    let mut rows = statement.query([id.raw()])?;
    match rows.next()? {
        Some(row) => rows::delivery(conn, names, row).map(Some),
        None => Ok(None),
    }
}

pub(super) fn deliveries_of(reader: &mut Reader, event: EventId) -> Result<Vec<Delivery>, Fault> {
    let Reader { conn, names } = reader;
    let statement = conn.prepare_cached(concat!(
        "SELECT ",
        delivery_columns!(),
        " FROM deliveries WHERE event = ?1 ORDER BY id"
    ))?;
    rows::deliveries(conn, names, statement, [event.raw()])
}

pub(super) fn dead(reader: &mut Reader, query: &DeadQuery) -> Result<Vec<Delivery>, Fault> {
    let Reader { conn, names } = reader;
    let before = query.before.map_or(i64::MAX, RunId::raw);
    let limit = bounded(query.limit) as i64;
    let Some(function) = &query.function else {
        let statement = conn.prepare_cached(concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM deliveries INDEXED BY deliveries_dead WHERE state = 2 AND id < ?1 \
             ORDER BY id DESC LIMIT ?2"
        ))?;
        return rows::deliveries(conn, names, statement, params![before, limit]);
    };
    // A function of that name may live in several scopes, each with a number of its own.
    let mut statement = conn.prepare_cached("SELECT id FROM functions WHERE name = ?1")?;
    let ids = statement.query_map([function.as_str()], |row| row.get::<_, i64>(0))?;
    let ids: Vec<i64> = ids.collect::<Result<_, _>>()?;
    let mut found = Vec::new();
    for id in ids {
        let statement = conn.prepare_cached(concat!(
            "SELECT ",
            delivery_columns!(),
            " FROM deliveries INDEXED BY deliveries_dead_function WHERE state = 2 \
             AND function = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
        ))?;
        found.extend(rows::deliveries(
            conn,
            names,
            statement,
            params![id, before, limit],
        )?);
    }
    found.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
    found.truncate(bounded(query.limit));
    Ok(found)
}

pub(super) fn checkpoint(reader: &mut Reader, key: &CheckpointKey) -> Result<Option<Bytes>, Fault> {
    let value: Option<Vec<u8>> = reader
        .conn
        .prepare_cached(
            "SELECT value FROM checkpoints \
             WHERE project = ?1 AND environment = ?2 AND source = ?3",
        )?
        .query_row(
            params![
                key.scope.project.as_str(),
                key.scope.environment.as_str(),
                key.source
            ],
            |row| row.get(0),
        )
        .optional()?;
    Ok(value.map(Bytes::from))
}

/// What the counters say: events, queued, running, dead.
pub(super) fn counts(reader: &mut Reader) -> Result<[u64; 4], Fault> {
    let mut statement = reader
        .conn
        .prepare_cached("SELECT events, queued, running, dead FROM counters")?;
    let counts = statement.query_row([], |row| {
        Ok([row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?])
    })?;
    Ok(counts.map(i64::unsigned_abs))
}
