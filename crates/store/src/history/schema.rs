//! The tables of `history.db`.
//!
//! # Format
//! `PRAGMA user_version` holds the format number; a file of another format is set aside and a
//! new one begun, for a history may be lost. Ids are the numbers of `wakeful_core::id`, which
//! grow with time, so the tables grow at their end and age at their beginning.
//!
//! - `functions`: names as small integers.
//! - `runs`: the latest record of each run. `state` is 0 queued, 1 running, 2 succeeded,
//!   3 retrying, 4 held, 5 failed, 6 dead, 7 discarded; those from 3 on have an index, for they
//!   are few and what people look for. `detail` is JSON: what is shown, never searched.
//! - `attempts`: by run and number, `detail` as above.
//! - `logs`: lines by number; `stream` is 0 console, 1 stdout, 2 stderr.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};

use crate::sqlite::folder;

/// The file in its folder.
pub(super) const FILE: &str = "history.db";
/// The format that this version writes.
const FORMAT: i64 = 1;

const TABLES: &str = "
CREATE TABLE functions (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE runs (
    id INTEGER PRIMARY KEY, function INTEGER NOT NULL, state INTEGER NOT NULL,
    kind INTEGER NOT NULL, event INTEGER, accepted_at INTEGER NOT NULL, ended_at INTEGER,
    attempts INTEGER NOT NULL, status INTEGER, trigger TEXT, about TEXT NOT NULL, failure TEXT
) STRICT;
CREATE INDEX runs_function ON runs (function);
CREATE INDEX runs_noteworthy ON runs (state) WHERE state >= 3;
CREATE TABLE attempts (
    run INTEGER NOT NULL, number INTEGER NOT NULL, detail TEXT NOT NULL,
    PRIMARY KEY (run, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, function INTEGER NOT NULL,
    run INTEGER, attempt INTEGER, worker INTEGER NOT NULL, level INTEGER NOT NULL,
    stream INTEGER NOT NULL, text TEXT NOT NULL, fields TEXT
) STRICT;
CREATE INDEX logs_function ON logs (function);
CREATE INDEX logs_run ON logs (run) WHERE run IS NOT NULL;
";

/// Why the file was not opened.
pub(super) enum NotOpened {
    /// The file itself is of no use, for good.
    Useless(String),
    /// Something is in the way, which may go.
    Hindered(String),
}

impl NotOpened {
    pub(super) fn cause(self) -> String {
        match self {
            Self::Useless(cause) | Self::Hindered(cause) => cause,
        }
    }
}

impl From<rusqlite::Error> for NotOpened {
    fn from(error: rusqlite::Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            // What the tables lack belongs to another format.
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown) => {
                Self::Useless(text)
            }
            _ => Self::Hindered(text),
        }
    }
}

/// Opens or makes the file for writing.
pub(super) fn open_writer(file: &Path) -> Result<Connection, NotOpened> {
    folder::own(file).map_err(|error| NotOpened::Hindered(error.to_string()))?;
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    prepare(&conn)?;
    let format: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    match format {
        0 => begin(&conn)?,
        FORMAT => probe(&conn)?,
        other => {
            let cause = format!("it has format {other}, this version knows {FORMAT}");
            return Err(NotOpened::Useless(cause));
        }
    }
    Ok(conn)
}

fn prepare(conn: &Connection) -> rusqlite::Result<()> {
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.set_prepared_statement_cache_capacity(32);
    // Only before the first table; otherwise the file could never shrink.
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // A power cut may take the last seconds of a history; it takes no work.
    conn.pragma_update(None, "synchronous", "NORMAL")?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -16 * 1024)?;
    conn.pragma_update(None, "wal_autocheckpoint", 4096)?;
    conn.pragma_update(None, "journal_size_limit", 64 * 1024 * 1024)
}

fn begin(conn: &Connection) -> rusqlite::Result<()> {
    conn.execute_batch(&format!(
        "BEGIN; {TABLES} PRAGMA user_version = {FORMAT}; COMMIT;"
    ))
}

/// Touches each table at both ends: enough to find a file that is of no use at all.
fn probe(conn: &Connection) -> rusqlite::Result<()> {
    for table in ["runs", "attempts", "logs", "functions"] {
        for order in ["ASC", "DESC"] {
            let sql = format!("SELECT * FROM {table} ORDER BY 1 {order} LIMIT 1");
            let mut statement = conn.prepare(&sql)?;
            statement.query([])?.next()?;
        }
    }
    Ok(())
}

/// Opens the file for reading only.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(Duration::from_secs(10))?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -8 * 1024)?;
    Ok(conn)
}
