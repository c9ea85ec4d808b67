//! What is kept about deliveries and events so that people can ask about them: how deliveries
//! ended without a run, which events came of which; and the pauses that people put on.

use rusqlite::{Connection, Row, params};
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    port::{Ended, Ending, Pause},
    time::Timestamp,
};

use super::{
    fault::{Fault, malformed, tell_damage},
    readers::Reader,
};

const DUPLICATE: u8 = 0;
const SUPERSEDED: u8 = 1;
const DISCARDED: u8 = 2;

/// Keeps how a delivery ended.
pub(super) fn end(conn: &Connection, trigger: i64, ending: &Ending) -> Result<(), Fault> {
    let (how, other, why) = match &ending.how {
        Ended::Duplicate(first) => (DUPLICATE, Some(first.raw()), None),
        Ended::Superseded(later) => (SUPERSEDED, Some(later.raw()), None),
        Ended::Discarded(why) => (DISCARDED, None, Some(why)),
    };
    conn.prepare_cached("INSERT OR REPLACE INTO endings VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
        .execute(params![
            ending.event.raw(),
            ending.run.raw(),
            trigger,
            ending.at.as_millis(),
            how,
            other,
            why
        ])?;
    Ok(())
}

/// How deliveries of an event ended.
pub(super) fn endings(reader: &mut Reader, event: EventId) -> Result<Vec<Ending>, Fault> {
    let Reader { conn, names } = reader;
    let mut statement = conn.prepare_cached(
        "SELECT run, trigger, at, how, other, why FROM endings WHERE event = ?1 \
         ORDER BY run LIMIT ?2",
    )?;
    let mut rows = statement.query(params![event.raw(), limits::STORE_READ_ROWS as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let how = match how(row) {
            Err(fault @ Fault::Malformed(_)) => {
                tell_damage("the end of a delivery", row.get(0)?, &fault);
                continue;
            }
            other => other?,
        };
        found.push(Ending {
            event,
            run: RunId::from_raw(row.get(0)?),
            trigger: names.triggers.name(conn, row.get(1)?)?.1,
            at: Timestamp::from_millis(row.get(2)?),
            how,
        });
    }
    Ok(found)
}

fn how(row: &Row<'_>) -> Result<Ended, Fault> {
    match row.get(3)? {
        DUPLICATE => Ok(Ended::Duplicate(RunId::from_raw(row.get(4)?))),
        SUPERSEDED => Ok(Ended::Superseded(RunId::from_raw(row.get(4)?))),
        DISCARDED => Ok(Ended::Discarded(row.get(5)?)),
        _ => Err(malformed("a way to end")),
    }
}

/// Keeps of which events another one came, as long as those are kept.
pub(super) fn relate(conn: &Connection, event: &Event) -> Result<(), Fault> {
    let lineage = event.lineage;
    for parent in [lineage.parent, lineage.replay_of].into_iter().flatten() {
        conn.prepare_cached(
            "INSERT OR IGNORE INTO children SELECT id, ?2 FROM events WHERE id = ?1",
        )?
        .execute(params![parent.raw(), event.key.raw()])?;
    }
    Ok(())
}

/// Which events came of an event.
pub(super) fn children(reader: &mut Reader, event: EventId) -> Result<Vec<EventId>, Fault> {
    let mut statement = reader.conn.prepare_cached(
        "SELECT child FROM children WHERE parent = ?1 \
         AND EXISTS (SELECT 1 FROM events WHERE id = child) ORDER BY child LIMIT ?2",
    )?;
    let most = limits::STORE_READ_ROWS as i64;
    let found = statement.query_map(params![event.raw(), most], |row| {
        row.get(0).map(EventId::from_raw)
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Drops what is kept about events after `after` up to `last` that are gone.
pub(super) fn forget(conn: &Connection, after: i64, last: i64) -> Result<(), Fault> {
    for sql in [
        "DELETE FROM endings WHERE event > ?1 AND event <= ?2 \
         AND NOT EXISTS (SELECT 1 FROM events WHERE id = endings.event)",
        "DELETE FROM children WHERE parent > ?1 AND parent <= ?2 \
         AND NOT EXISTS (SELECT 1 FROM events WHERE id = children.parent)",
    ] {
        conn.prepare_cached(sql)?.execute(params![after, last])?;
    }
    Ok(())
}

/// Begins or ends a pause.
pub(super) fn pause(conn: &Connection, pause: &Pause, begins: bool) -> Result<(), Fault> {
    let what = crate::pauses::identity(pause);
    if begins {
        let text =
            serde_json::to_string(pause).map_err(|error| Fault::Refused(error.to_string()))?;
        conn.prepare_cached("INSERT OR REPLACE INTO pauses VALUES (?1, ?2)")?
            .execute(params![what, text])?;
    } else {
        conn.prepare_cached("DELETE FROM pauses WHERE what = ?1")?
            .execute([what])?;
    }
    Ok(())
}

/// All pauses.
pub(super) fn pauses(reader: &mut Reader) -> Result<Vec<Pause>, Fault> {
    let mut statement = reader
        .conn
        .prepare_cached("SELECT pause FROM pauses ORDER BY what")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let text: String = row.get(0)?;
        // What is paused must not run because its pause cannot be read: nobody is told of less.
        found.push(serde_json::from_str(&text).map_err(|_| malformed("a pause"))?);
    }
    Ok(found)
}
