//! Runs, attempts and lines as rows.

use rusqlite::{Connection, OptionalExtension, Row, params};
use wakeful_core::{
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    run::{Attempt, LogLevel, LogLine, LogStream, Run, RunKind, RunState},
    time::Timestamp,
};

use super::types::LogRow;

/// States with this number or a greater one are noteworthy: they have an index.
pub(super) const NOTEWORTHY: u8 = 3;

pub(super) const fn state_number(state: RunState) -> u8 {
    match state {
        RunState::Queued => 0,
        RunState::Running => 1,
        RunState::Succeeded => 2,
        RunState::Retrying => 3,
        RunState::Held => 4,
        RunState::Failed => 5,
        RunState::Dead => 6,
        RunState::Discarded => 7,
        RunState::Skipped => 8,
        RunState::Superseded => 9,
    }
}

const fn kind_number(kind: RunKind) -> u8 {
    match kind {
        RunKind::Delivery => 0,
        RunKind::Http => 1,
        RunKind::Invoke => 2,
    }
}

const fn stream_number(stream: LogStream) -> u8 {
    match stream {
        LogStream::Console => 0,
        LogStream::Stdout => 1,
        LogStream::Stderr => 2,
    }
}

/// What a row holds that this version does not understand.
fn strange(column: usize) -> rusqlite::Error {
    let what = "a value that is not understood".into();
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Null, what)
}

pub(super) fn insert_run(conn: &Connection, function: i64, run: &Run) -> rusqlite::Result<()> {
    let failure = run.failure.as_ref().map(json).transpose()?;
    conn.prepare_cached(
        "INSERT OR REPLACE INTO runs VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    )?
    .execute(params![
        run.id.raw(),
        function,
        state_number(run.state),
        kind_number(run.kind),
        run.event.map(EventId::raw),
        run.accepted_at.as_millis(),
        run.ended_at.map(Timestamp::as_millis),
        run.attempts,
        run.status,
        run.trigger.as_ref().map(TriggerId::as_str),
        run.about,
        failure,
    ])?;
    Ok(())
}

pub(super) fn insert_attempt(conn: &Connection, attempt: &Attempt) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT OR REPLACE INTO attempts VALUES (?1, ?2, ?3)")?
        .execute(params![attempt.run.raw(), attempt.number, json(attempt)?])?;
    Ok(())
}

pub(super) fn insert_line(
    conn: &Connection,
    function: i64,
    line: &LogLine,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "INSERT INTO logs (at, function, run, attempt, worker, level, stream, text, fields) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![
        line.at.as_millis(),
        function,
        line.run.map(RunId::raw),
        line.attempt,
        line.worker,
        line.level as u8,
        stream_number(line.stream),
        line.text,
        line.fields,
    ])?;
    Ok(())
}

fn json(value: &impl serde::Serialize) -> rusqlite::Result<String> {
    serde_json::to_string(value)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

/// The number of a function, given to it now if it has none.
pub(super) fn intern(conn: &Connection, name: &FunctionName) -> rusqlite::Result<i64> {
    if let Some(id) = find(conn, name)? {
        return Ok(id);
    }
    conn.prepare_cached("INSERT INTO functions (name) VALUES (?1)")?
        .execute([name.as_str()])?;
    Ok(conn.last_insert_rowid())
}

/// The number of a function, if it ever ran.
pub(super) fn find(conn: &Connection, name: &FunctionName) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM functions WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0))
        .optional()
}

/// The columns that [`run`] reads after the first, of `runs t` and `functions f`.
macro_rules! run_columns {
    () => {
        "t.id, f.name, t.state, t.kind, t.event, t.accepted_at, t.ended_at, t.attempts, \
         t.status, t.trigger, t.about, t.failure"
    };
}
pub(super) use run_columns;

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let state: u8 = row.get(3)?;
    let kind = match row.get(4)? {
        0u8 => RunKind::Delivery,
        1 => RunKind::Http,
        2 => RunKind::Invoke,
        _ => return Err(strange(4)),
    };
    let failure: Option<String> = row.get(12)?;
    let trigger: Option<String> = row.get(10)?;
    Ok(Run {
        id: RunId::from_raw(row.get(1)?),
        kind,
        function: function(row, 2)?,
        trigger: trigger.as_deref().map(TriggerId::from_stored),
        event: row.get::<_, Option<i64>>(5)?.map(EventId::from_raw),
        about: row.get(11)?,
        state: RunState::ALL
            .iter()
            .copied()
            .find(|known| state_number(*known) == state)
            .ok_or_else(|| strange(3))?,
        accepted_at: Timestamp::from_millis(row.get(6)?),
        ended_at: row.get::<_, Option<i64>>(7)?.map(Timestamp::from_millis),
        attempts: row.get(8)?,
        status: row.get(9)?,
        failure: failure
            .map(|text| serde_json::from_str(&text).map_err(|_| strange(12)))
            .transpose()?,
    })
}

fn function(row: &Row<'_>, column: usize) -> rusqlite::Result<FunctionName> {
    let name: String = row.get(column)?;
    name.parse().map_err(|_| strange(column))
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let detail: String = row.get(0)?;
    serde_json::from_str(&detail).map_err(|_| strange(0))
}

/// The columns that [`line`] reads after the first, of `logs t` and `functions f`.
macro_rules! line_columns {
    () => {
        "t.seq, t.at, f.name, t.run, t.attempt, t.worker, t.level, t.stream, t.text, t.fields"
    };
}
pub(super) use line_columns;

pub(super) fn line(row: &Row<'_>) -> rusqlite::Result<LogRow> {
    let stream = match row.get(8)? {
        0u8 => LogStream::Console,
        1 => LogStream::Stdout,
        2 => LogStream::Stderr,
        _ => return Err(strange(8)),
    };
    Ok(LogRow {
        seq: row.get(1)?,
        line: LogLine {
            at: Timestamp::from_millis(row.get(2)?),
            function: function(row, 3)?,
            run: row.get::<_, Option<i64>>(4)?.map(RunId::from_raw),
            attempt: row.get(5)?,
            worker: row.get(6)?,
            level: LogLevel::from_stored(row.get(7)?).ok_or_else(|| strange(7))?,
            stream,
            text: row.get(9)?,
            fields: row.get(10)?,
        },
    })
}
