//! Dropping what nobody needs any more, in steps so small that other commits hardly notice.

use rusqlite::{Connection, params};
use wakeful_core::{id::EventId, limits, port::Sweep, time::Timestamp};

use super::{apply::Applier, fault::Fault};

/// Payload bytes of the events that one step drops: their pages are all touched.
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Free pages that the file may keep for what comes next; those beyond are given back.
const SPARE_PAGES: i64 = 4096;

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Drops a table of keys.
    Dedup(Sweep),
    /// Drops dead letters.
    Dead(Sweep),
    /// Drops events after this one.
    Events(Sweep, EventId),
    /// Gives free pages back to the file system.
    Shrink,
}

/// What a step did.
#[derive(Debug)]
pub(super) struct Stepped {
    /// Events that went.
    pub(super) events: u64,
    /// What to do next; `None` when all is done.
    pub(super) next: Option<Step>,
}

impl Stepped {
    fn then(next: Step) -> Self {
        Self {
            events: 0,
            next: Some(next),
        }
    }
}

/// Does one step.
pub(super) fn step(applier: &mut Applier<'_>, step: Step) -> Result<Stepped, Fault> {
    let conn = applier.conn;
    match step {
        Step::Dedup(sweep) => {
            let more = applier.memory.dedup.drop_one(conn, sweep.now)?;
            Ok(Stepped::then(if more { step } else { Step::Dead(sweep) }))
        }
        Step::Dead(sweep) => {
            let more = match sweep.dead_before {
                Some(before) => drop_dead(applier, before)?,
                None => false,
            };
            let first = EventId::from_raw(i64::MIN);
            Ok(Stepped::then(if more {
                step
            } else {
                Step::Events(sweep, first)
            }))
        }
        Step::Events(sweep, after) => drop_events(applier, sweep, after),
        Step::Shrink => shrink(conn),
    }
}

fn drop_dead(applier: &mut Applier<'_>, before: Timestamp) -> Result<bool, Fault> {
    let gone = applier
        .conn
        .prepare_cached(
            "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries \
             INDEXED BY deliveries_dead_since WHERE state = 2 AND dead_at < ?1 LIMIT ?2)",
        )?
        .execute(params![before.as_millis(), limits::SWEEP_STEP as i64])?;
    applier.delta.dead -= gone as i64;
    Ok(gone == limits::SWEEP_STEP)
}

/// Looks at the next events in order, however many of them are still owed.
fn drop_events(applier: &mut Applier<'_>, sweep: Sweep, after: EventId) -> Result<Stepped, Fault> {
    let bound = EventId::first_at(sweep.events_before);
    let Some(last) = last_of_step(applier.conn, after, bound)? else {
        return Ok(Stepped::then(Step::Shrink));
    };
    let gone = applier
        .conn
        .prepare_cached(
            "DELETE FROM events WHERE id > ?1 AND id <= ?2 \
             AND NOT EXISTS (SELECT 1 FROM deliveries WHERE event = events.id)",
        )?
        .execute(params![after.raw(), last])?;
    applier.delta.events -= gone as i64;
    Ok(Stepped {
        events: gone as u64,
        next: Some(Step::Events(sweep, EventId::from_raw(last))),
    })
}

fn last_of_step(conn: &Connection, after: EventId, bound: EventId) -> Result<Option<i64>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, length(data) FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after.raw(), bound.raw(), limits::SWEEP_STEP as i64])?;
    let (mut last, mut bytes) = (None, 0);
    while let Some(row) = rows.next()?
        && bytes < STEP_BYTES
    {
        last = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    Ok(last)
}

fn shrink(conn: &Connection) -> Result<Stepped, Fault> {
    let free: i64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    if free <= SPARE_PAGES {
        return Ok(Stepped {
            events: 0,
            next: None,
        });
    }
    let pages = limits::SWEEP_STEP as i64;
    // It frees one page per row that it is asked for.
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(Stepped::then(Step::Shrink))
}
