//! Dropping what nobody needs any more, in steps so small that other commits hardly notice.

use rusqlite::{Connection, OptionalExtension, params};
use wakeful_core::{id::EventId, limits, port::Sweep, time::Timestamp};

use super::{
    answers,
    apply::Applier,
    fault::{Fault, tell_damage},
    lanes::{member, member_columns},
    traces,
};
use crate::lanes::{self, Member, Place};

/// Payload bytes of the events that one step drops: their pages are all touched.
const STEP_BYTES: i64 = 8 * 1024 * 1024;
/// Free pages that the file may keep for what comes next; those beyond are given back.
const SPARE_PAGES: i64 = 4096;

/// One step.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// Drops a table of keys.
    Dedup(Sweep),
    /// Drops answers to requests.
    Answers(Sweep),
    /// Drops dead letters.
    Dead(Sweep),
    /// Drops events after this one.
    Events(Sweep, EventId, Pace),
    /// Gives free pages back to the file system.
    Shrink,
}

/// How many events a step looks at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Pace {
    /// As many as it may.
    Wide,
    /// One, because of damage near by, for so many steps.
    Single(usize),
}

/// The first step of dropping events.
fn events(sweep: Sweep) -> Step {
    Step::Events(sweep, EventId::from_raw(i64::MIN), Pace::Wide)
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
            Ok(Stepped::then(if more {
                step
            } else {
                Step::Answers(sweep)
            }))
        }
        Step::Answers(sweep) => {
            let bounds = (limits::SWEEP_STEP, STEP_BYTES);
            let more = answers::sweep(applier, sweep.now, bounds)?;
            Ok(Stepped::then(if more { step } else { Step::Dead(sweep) }))
        }
        Step::Dead(sweep) => {
            let more = match sweep.dead_before {
                Some(before) => drop_dead(applier, before)?,
                None => false,
            };
            Ok(Stepped::then(if more { step } else { events(sweep) }))
        }
        Step::Events(sweep, after, pace) => drop_events(applier, sweep, after, pace),
        Step::Shrink => shrink(conn),
    }
}

fn drop_dead(applier: &mut Applier<'_>, before: Timestamp) -> Result<bool, Fault> {
    let mut statement = applier.conn.prepare_cached(concat!(
        "DELETE FROM deliveries WHERE id IN (SELECT id FROM deliveries \
         INDEXED BY deliveries_dead_since WHERE state = 2 AND dead_at < ?1 LIMIT ?2) RETURNING ",
        member_columns!()
    ))?;
    let params = params![before.as_millis(), limits::SWEEP_STEP as i64];
    let gone: Vec<Member> = statement
        .query_map(params, member)?
        .collect::<Result<_, _>>()?;
    for dead in &gone {
        applier.delta.moved(dead.trigger, Some(Place::Dead), None);
        lanes::left(applier, dead, Place::Dead)?;
    }
    Ok(gone.len() == limits::SWEEP_STEP)
}

/// Looks at the next events in order, however many of them are still owed.
fn drop_events(
    applier: &mut Applier<'_>,
    sweep: Sweep,
    after: EventId,
    pace: Pace,
) -> Result<Stepped, Fault> {
    let bound = EventId::first_at(sweep.events_before);
    let (most, pace) = match pace {
        Pace::Wide => (limits::SWEEP_STEP, Pace::Wide),
        Pace::Single(0) => (1, Pace::Wide),
        Pace::Single(left) => (1, Pace::Single(left - 1)),
    };
    let Some(last) = last_of_step(applier.conn, after, bound, most)? else {
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
    traces::forget(applier.conn, after.raw(), last)?;
    Ok(Stepped {
        events: gone as u64,
        next: Some(Step::Events(sweep, EventId::from_raw(last), pace)),
    })
}

fn last_of_step(
    conn: &Connection,
    after: EventId,
    bound: EventId,
    most: usize,
) -> Result<Option<i64>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, length(data) FROM events WHERE id > ?1 AND id < ?2 ORDER BY id LIMIT ?3",
    )?;
    let mut rows = statement.query(params![after.raw(), bound.raw(), most as i64])?;
    let (mut last, mut bytes) = (None, 0);
    while let Some(row) = rows.next()?
        && bytes < STEP_BYTES
    {
        last = Some(row.get(0)?);
        bytes += row.get::<_, i64>(1)?;
    }
    Ok(last)
}

/// What to do instead of a step that met damage and was undone. Only reads.
pub(super) fn past(conn: &Connection, step: Step, fault: &Fault) -> Result<Stepped, Fault> {
    match step {
        Step::Dedup(sweep) => {
            tell_damage("keys of events", 0, fault);
            Ok(Stepped::then(Step::Answers(sweep)))
        }
        Step::Answers(sweep) => {
            tell_damage("answers to requests", 3, fault);
            Ok(Stepped::then(Step::Dead(sweep)))
        }
        Step::Dead(sweep) => {
            tell_damage("dead letters", 1, fault);
            Ok(Stepped::then(events(sweep)))
        }
        Step::Events(sweep, after, Pace::Wide) => {
            let single = Pace::Single(limits::SWEEP_STEP);
            Ok(Stepped::then(Step::Events(sweep, after, single)))
        }
        Step::Events(sweep, after, Pace::Single(_)) => past_event(conn, sweep, after, fault),
        Step::Shrink => {
            tell_damage("free pages", 2, fault);
            Ok(Stepped {
                events: 0,
                next: None,
            })
        }
    }
}

/// Goes on behind the next event, or behind the page that it is in.
fn past_event(
    conn: &Connection,
    sweep: Sweep,
    after: EventId,
    fault: &Fault,
) -> Result<Stepped, Fault> {
    let bound = EventId::first_at(sweep.events_before);
    let next = match next_event(conn, after.raw().saturating_add(1)) {
        Ok(next) => {
            let id = next.filter(|id| *id < bound.raw());
            if let Some(id) = id {
                tell_damage("an event, or what is beside it,", id, fault);
            }
            id.map(EventId::from_raw)
        }
        Err(unread) if unread.is_local() => {
            tell_damage("a page of events", after.raw(), &unread);
            beyond(conn, after, bound)?
        }
        Err(other) => return Err(other),
    };
    Ok(Stepped::then(match next {
        Some(next) => Step::Events(sweep, next, Pace::Single(limits::SWEEP_STEP)),
        None => Step::Shrink,
    }))
}

/// The first event from `from` on.
pub(super) fn next_event(conn: &Connection, from: i64) -> Result<Option<i64>, Fault> {
    let mut statement =
        conn.prepare_cached("SELECT id FROM events WHERE id >= ?1 ORDER BY id LIMIT 1")?;
    Ok(statement.query_row([from], |row| row.get(0)).optional()?)
}

/// After which id events can be read again, when those after `after` cannot; found by halving,
/// for a damaged page does not say where it ends.
pub(super) fn beyond(
    conn: &Connection,
    after: EventId,
    bound: EventId,
) -> Result<Option<EventId>, Fault> {
    let readable = |from: i64| match next_event(conn, from) {
        Ok(_) => Ok(true),
        Err(fault) if fault.is_local() => Ok(false),
        Err(fault) => Err(fault),
    };
    let (mut not, mut yes) = (i128::from(after.raw()) + 1, i128::from(bound.raw()));
    if not >= yes || !readable(bound.raw())? {
        return Ok(None);
    }
    while yes - not > 1 {
        let middle = not + (yes - not) / 2;
        match readable(middle as i64)? {
            true => yes = middle,
            false => not = middle,
        }
    }
    Ok(Some(EventId::from_raw((yes - 1) as i64)))
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
