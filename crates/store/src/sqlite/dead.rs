//! The dead letters that a query asks for, newest first.
//!
//! Function and trigger have indexes, each with what the other filters look at, so that only the
//! rows that are answered are read. The indexes are gone through in pieces: of a million dead
//! letters of one function those that died for a rare reason take a while to find, but no
//! snapshot is kept meanwhile, which would keep the log from being reused.

use rusqlite::{Connection, params};
use wakeful_core::{
    id::RunId,
    limits,
    port::{DeadQuery, Delivery},
};

use super::{
    fault::{Fault, tell_damage},
    readers::Reader,
    reads,
};

/// Entries of an index that are looked at in one piece.
const PIECE: usize = 4096;

/// The index to go through, and whose part of it.
#[derive(Clone, Copy)]
enum Part {
    All,
    Function(i64),
    Trigger(i64),
}

impl Part {
    const fn sql(self) -> &'static str {
        match self {
            Self::All => {
                "SELECT id, dead_reason, dead_at FROM deliveries INDEXED BY deliveries_dead \
                 WHERE state = 2 AND id < ?2 AND ?1 = 2 ORDER BY id DESC LIMIT ?3"
            }
            Self::Function(_) => {
                "SELECT id, dead_reason, dead_at FROM deliveries \
                 INDEXED BY deliveries_dead_function \
                 WHERE state = 2 AND function = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
            }
            Self::Trigger(_) => {
                "SELECT id, dead_reason, dead_at FROM deliveries \
                 INDEXED BY deliveries_dead_trigger \
                 WHERE state = 2 AND trigger = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
            }
        }
    }

    const fn number(self) -> i64 {
        match self {
            Self::All => 2,
            Self::Function(number) | Self::Trigger(number) => number,
        }
    }
}

/// The dead letters of `query`.
pub(super) fn dead(reader: &mut Reader, query: &DeadQuery) -> Result<Vec<Delivery>, Fault> {
    let limit = reads::bounded(query.limit);
    let mut found = Vec::new();
    for part in parts(&reader.conn, query)? {
        dead_in(reader, part, query, limit, &mut found)?;
    }
    found.sort_by_key(|delivery| std::cmp::Reverse(delivery.id));
    found.truncate(limit);
    Ok(found)
}

/// Where they are. A function or trigger of that name may live in several scopes, each with a
/// number of its own.
fn parts(conn: &Connection, query: &DeadQuery) -> Result<Vec<Part>, Fault> {
    let numbers = |sql: &str, name: &str| -> Result<Vec<i64>, Fault> {
        let mut statement = conn.prepare_cached(sql)?;
        let found = statement.query_map([name], |row| row.get(0))?;
        Ok(found.collect::<Result<_, _>>()?)
    };
    Ok(match (&query.trigger, &query.function) {
        (Some(trigger), _) => {
            let found = numbers("SELECT id FROM triggers WHERE name = ?1", trigger.as_str())?;
            found.into_iter().map(Part::Trigger).collect()
        }
        (None, Some(function)) => {
            let found = numbers(
                "SELECT id FROM functions WHERE name = ?1",
                function.as_str(),
            )?;
            found.into_iter().map(Part::Function).collect()
        }
        (None, None) => vec![Part::All],
    })
}

fn dead_in(
    reader: &mut Reader,
    part: Part,
    query: &DeadQuery,
    limit: usize,
    found: &mut Vec<Delivery>,
) -> Result<(), Fault> {
    let mut before = query.before.map_or(i64::MAX, RunId::raw);
    let most = found.len() + limit;
    while found.len() < most {
        let piece = if narrows(query) { PIECE } else { limit };
        let entries = entries(&reader.conn, part, before, piece)?;
        for (run, _, _) in entries.iter().filter(|entry| fits(query, **entry)) {
            if found.len() == most {
                return Ok(());
            }
            let delivery = match reads::delivery(reader, RunId::from_raw(*run)) {
                Err(fault @ Fault::Malformed(_)) => {
                    tell_damage("a delivery", *run, &fault);
                    continue;
                }
                other => other?,
            };
            let wanted = |delivery: &Delivery| {
                let function = query.function.as_ref();
                delivery.dead.is_some() && function.is_none_or(|name| *name == delivery.function)
            };
            found.extend(delivery.filter(wanted));
        }
        match entries.last() {
            Some((run, ..)) if entries.len() == piece => before = *run,
            _ => return Ok(()),
        }
    }
    Ok(())
}

/// Whether a query leaves out some of the entries it goes through.
fn narrows(query: &DeadQuery) -> bool {
    query.reason.is_some()
        || query.since.is_some()
        || query.until.is_some()
        || (query.trigger.is_some() && query.function.is_some())
}

type Entry = (i64, Option<u8>, Option<i64>);

fn entries(conn: &Connection, part: Part, before: i64, most: usize) -> Result<Vec<Entry>, Fault> {
    let most = most.min(limits::STORE_READ_ROWS) as i64;
    let mut statement = conn.prepare_cached(part.sql())?;
    let found = statement.query_map(params![part.number(), before, most], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn fits(query: &DeadQuery, (_, reason, at): Entry) -> bool {
    let reason_fits = query
        .reason
        .is_none_or(|wanted| reason == Some(wanted as u8));
    let since_fits = query
        .since
        .is_none_or(|since| at.is_some_and(|at| at >= since.as_millis()));
    let until_fits = query
        .until
        .is_none_or(|until| at.is_some_and(|at| at < until.as_millis()));
    reason_fits && since_fits && until_fits
}

#[cfg(test)]
pub(super) fn statements() -> [&'static str; 3] {
    [Part::All, Part::Function(0), Part::Trigger(0)].map(Part::sql)
}
