//! The reads of the port, each one short: a long one would keep the log from being reused.

use bytes::Bytes;
use rusqlite::{OptionalExtension, params};
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    port::{
        Backlog, CheckpointKey, Delivery, EventsQuery, Expired, ExpiredQuery, ReadyQuery,
        StoreError,
    },
    time::Timestamp,
};

use super::{
    envelope,
    fault::Fault,
    readers::Reader,
    rows::{self, delivery_columns},
    sums, sweep,
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
         AND state NOT IN (1, 2) AND expires_at <= ?3 ORDER BY id"
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

/// Events by id, until they weigh as much as one read may; damaged ones are named instead.
pub(super) fn events(
    reader: &mut Reader,
    query: EventsQuery,
) -> Result<Vec<Result<Event, EventId>>, StoreError> {
    let (mut from, mut weight) = (query.from, 0);
    let mut found = Vec::new();
    while found.len() < bounded(query.limit) && weight < limits::COMMIT_GROUP_BYTES {
        let next = match sweep::next_event(&reader.conn, from.raw()) {
            Ok(next) => next.map(EventId::from_raw),
            // A page of the table is damaged: it is named by the id from which it is met.
            Err(fault) if fault.is_local() => {
                found.push(Err(from));
                let beyond = sweep::beyond(&reader.conn, from, query.before);
                match beyond.map_err(Fault::into_read_error)? {
                    Some(last) => from = EventId::from_raw(last.raw().saturating_add(1)),
                    None => return Ok(found),
                }
                continue;
            }
            Err(fault) => return Err(fault.into_read_error()),
        };
        let Some(id) = next.filter(|id| *id < query.before) else {
            break;
        };
        match event(reader, id) {
            Ok(None) => {}
            Ok(Some(event)) => {
                weight += event.data.len() as u64;
                found.push(Ok(event));
            }
            Err(StoreError::Damaged(id)) => found.push(Err(id)),
            Err(error) => return Err(error),
        }
        from = EventId::from_raw(id.raw().saturating_add(1));
    }
    Ok(found)
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

pub(super) fn checkpoint(reader: &mut Reader, key: &CheckpointKey) -> Result<Option<Bytes>, Fault> {
    let mut statement = reader.conn.prepare_cached(
        "SELECT project, environment, source, value, checksum FROM checkpoints \
         WHERE project = ?1 AND environment = ?2 AND source = ?3",
    )?;
    let mut rows = statement.query(params![
        key.scope.project.as_str(),
        key.scope.environment.as_str(),
        key.source
    ])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    sums::check(row, 4, "a checkpoint")?;
    Ok(Some(Bytes::from(row.get::<_, Vec<u8>>(3)?)))
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
