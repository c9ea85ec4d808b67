//! The tables of `store.db` and how each format becomes the next.
//!
//! # Format
//! `PRAGMA user_version` holds the format number; an older one is migrated on opening, a newer
//! one is refused. Times are milliseconds since 1970, ids the numbers of `wakeful_core::id`.
//!
//! - `counters`: one row with the number of the last group of commits (what the high-water mark
//!   names), the epoch, the greatest id, and how many rows there are of each kind.
//! - `triggers`, `functions`, `buckets`: names as small integers. `triggers.waiting` counts the
//!   deliveries in state 0 of a trigger.
//! - `events`: see `envelope`.
//! - `deliveries`: state 0 queued, 1 running, 2 dead, 3 queued but held for a version. Deliveries
//!   that succeeded or were discarded are gone. Every index but the one by event is partial, so
//!   that a row costs only the index of the state it is in; all grow with time at their end.
//! - `dedup_<class>_<n>`: keys to be recognised, by when they may be forgotten; see `dedup`.
//! - `objects`, `uploads`, `parts`: the object index; `blobs` counts for each blob how many
//!   stretches of objects and parts refer to it. See `objects`.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    fault::{Fault, malformed},
    folder,
};

/// The file of the store in its folder.
pub(super) const FILE: &str = "store.db";
/// The newest format, which this version writes.
pub(super) const FORMAT: u32 = MIGRATIONS.len() as u32;
/// `WKFL`: tells `file` and us that a database is a store.
const APPLICATION_ID: i32 = 0x574b_464c;
/// How long to wait for a lock that someone else's tool holds on the database.
pub(super) const BUSY: Duration = Duration::from_secs(10);

/// The step at index n makes format n into format n + 1.
const MIGRATIONS: &[&str] = &[FORMAT_1];

const FORMAT_1: &str = "
CREATE TABLE counters (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL, epoch INTEGER NOT NULL, greatest INTEGER NOT NULL,
    events INTEGER NOT NULL, queued INTEGER NOT NULL,
    running INTEGER NOT NULL, dead INTEGER NOT NULL
) STRICT;
INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0, 0);
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE triggers (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL, environment TEXT NOT NULL, name TEXT NOT NULL,
    waiting INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, environment, name)
) STRICT;
CREATE INDEX triggers_waiting ON triggers (id) WHERE waiting > 0;
CREATE TABLE functions (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL, environment TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (project, environment, name)
) STRICT;
CREATE TABLE buckets (
    id INTEGER PRIMARY KEY,
    project TEXT NOT NULL, environment TEXT NOT NULL, name TEXT NOT NULL,
    UNIQUE (project, environment, name)
) STRICT;

CREATE TABLE events (
    id INTEGER PRIMARY KEY,
    checksum INTEGER NOT NULL, envelope BLOB NOT NULL, data BLOB NOT NULL
) STRICT;

CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL, trigger INTEGER NOT NULL, function INTEGER NOT NULL,
    partition INTEGER NOT NULL, state INTEGER NOT NULL, epoch INTEGER NOT NULL,
    starts INTEGER NOT NULL, attempts INTEGER NOT NULL,
    ready_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, alone INTEGER NOT NULL DEFAULT 0,
    ordering_key TEXT, held_for TEXT, dead_reason INTEGER, dead_at INTEGER, failure TEXT
) STRICT;
CREATE INDEX deliveries_event ON deliveries (event);
CREATE INDEX deliveries_queued ON deliveries (trigger, ready_at) WHERE state = 0;
CREATE INDEX deliveries_running ON deliveries (state) WHERE state = 1;
CREATE INDEX deliveries_dead ON deliveries (state) WHERE state = 2;
CREATE INDEX deliveries_dead_function ON deliveries (function) WHERE state = 2;
CREATE INDEX deliveries_dead_since ON deliveries (dead_at) WHERE state = 2;
CREATE INDEX deliveries_held ON deliveries (function) WHERE state = 3;

CREATE TABLE checkpoints (
    project TEXT NOT NULL, environment TEXT NOT NULL, source TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (project, environment, source)
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
    bucket INTEGER NOT NULL, key BLOB NOT NULL,
    generation INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, blobs BLOB NOT NULL, meta BLOB NOT NULL,
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE uploads (
    id INTEGER PRIMARY KEY,
    bucket INTEGER NOT NULL, key BLOB NOT NULL, started INTEGER NOT NULL, meta BLOB NOT NULL
) STRICT;
CREATE INDEX uploads_bucket ON uploads (bucket, key);
CREATE TABLE parts (
    upload INTEGER NOT NULL, number INTEGER NOT NULL,
    blob INTEGER NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL,
    modified INTEGER NOT NULL, meta BLOB NOT NULL,
    PRIMARY KEY (upload, number)
) STRICT, WITHOUT ROWID;
CREATE TABLE blobs (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL) STRICT;
";

/// Opens `file` for the one writer, without changing anything yet: nothing is copied out of the
/// log or deleted until [`begin`] was called, so that a folder that is refused stays as it is.
pub(super) fn open_writer(file: &Path) -> Result<Connection, Fault> {
    folder::own(file).map_err(|error| Fault::ReadOnly(error.to_string()))?;
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -32 * 1024)?;
    conn.pragma_update(None, "synchronous", "FULL")?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    Ok(conn)
}

/// Opens `file` for reading only.
pub(super) fn open_reader(file: &Path) -> Result<Connection, Fault> {
    let conn = Connection::open_with_flags(
        file,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    conn.busy_timeout(BUSY)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.set_prepared_statement_cache_capacity(64);
    conn.pragma_update(None, "temp_store", "MEMORY")?;
    conn.pragma_update(None, "cache_size", -8 * 1024)?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// The format of the database; 0 when it is new.
pub(super) fn format(conn: &Connection) -> Result<u32, Fault> {
    let version: i64 = conn.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let application: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let tables: i64 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    if tables > 0 && application != APPLICATION_ID {
        return Err(Fault::Other(format!(
            "its `{FILE}` is a database of something else"
        )));
    }
    u32::try_from(version).map_err(|_| malformed("a format number"))
}

/// Makes the database one of the newest format and ready for writing.
pub(super) fn begin(conn: &mut Connection, found: u32) -> Result<(), Fault> {
    if found == 0 {
        // Only before the first table: later the file could never shrink.
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if !mode.eq_ignore_ascii_case("wal") {
        let why = format!("its file system has no write-ahead log (journal mode {mode})");
        return Err(Fault::Other(why));
    }
    for (format, step) in (1u32..).zip(MIGRATIONS) {
        if format > found {
            let transaction = conn.transaction()?;
            transaction.execute_batch(step)?;
            transaction.pragma_update(None, "user_version", format)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()?;
        }
    }
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    Ok(())
}

/// The number of the last group of commits.
pub(super) fn seq(conn: &Connection) -> Result<u64, Fault> {
    let seq: i64 = conn.query_row("SELECT seq FROM counters", [], |row| row.get(0))?;
    u64::try_from(seq).map_err(|_| malformed("a commit number"))
}
