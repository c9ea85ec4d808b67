//! The tables of `store.db` and how each format becomes the next.
//!
//! # Format
//! `PRAGMA user_version` holds the format number; an older one is migrated on opening, a newer
//! one is refused. Times are milliseconds since 1970, ids the numbers of `wakeful_core::id`.
//!
//! - `counters`: one row with the number of the last group of commits (what the high-water mark
//!   names), the epoch, the greatest id, and how many rows there are of each kind.
//! - `triggers`, `functions`, `buckets`: names as small integers. `triggers.waiting` counts the
//!   deliveries in state 0 of a trigger; `dead`, `for_version`, `for_order`, `for_concurrency`,
//!   `paused` and `by_breaker` those in the states 2 to 7. `key_limit` is the number of seats that
//!   each of its concurrency keys has, NULL for no limit.
//! - `events`: see `envelope`. `children` names the events that runs for an event caused, and
//!   those that repeat it; a row goes with its parent.
//! - `deliveries`: `state` is a `lanes::Place`. Deliveries that succeeded or were discarded are
//!   gone. `held_for` is the version that state 3 waits to be rid of, or the key that the states 6
//!   and 7 are parked for. `blocks`: 1 when its death blocks its lane; 3 is 1 for one that was
//!   born dead, and is in no lane until it is redriven. `on_unknown`: 0 retry, 1 hold.
//!   `debounce_key` and `since` (when the first of its chain was to be ready) are there until it
//!   is redriven.
//!   `turn` is what a delivery is in its lane: 0 has the turn, 1 waits for it, 2 is dead and
//!   blocks it. `seat` is what it is in the room of its concurrency key: 0 queued in a seat, 1 in
//!   a seat that it keeps (running, or held for something else), 2 waits for one. Both are NULL
//!   for a delivery that is in none, and both follow from the other columns, so that they cannot
//!   contradict them.
//!   Every index but the one by event is partial, so that a row costs only the indexes of the
//!   state it is in; all grow with time at their end, but those with keys of users in them, where
//!   there are as many ends as keys.
//! - `endings`: deliveries that ended without a run; `how` is 0 duplicate of `other`, 1 superseded
//!   by `other`, 2 discarded because of `why`. They go with their event.
//! - `pauses`: by what is paused, JSON; `answers`: see `answers`.
//! - `dedup_<class>_<n>`: keys to be recognised, by when they may be forgotten; see `dedup`.
//! - `objects`, `uploads`, `parts`: the object index; `blobs` counts for each blob how many
//!   stretches of objects and parts refer to it. See `objects`.
//! - `checksum` of those and of `checkpoints`: see `sums`.
//!
//! Format 2 came with lanes. What format 1 knew of ordering keys was kept but not obeyed: the
//! migration makes lanes of it.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, OpenFlags, config::DbConfig};

use super::{
    dedup,
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
pub(super) const MIGRATIONS: &[&str] = &[FORMAT_1, FORMAT_2];

pub(super) const FORMAT_1: &str = "
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

const FORMAT_2: &str = "
ALTER TABLE triggers ADD COLUMN key_limit INTEGER;
ALTER TABLE triggers ADD COLUMN dead INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN for_version INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN for_order INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN for_concurrency INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN paused INTEGER NOT NULL DEFAULT 0;
ALTER TABLE triggers ADD COLUMN by_breaker INTEGER NOT NULL DEFAULT 0;

ALTER TABLE deliveries ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN on_unknown INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deliveries ADD COLUMN concurrency_key TEXT;
ALTER TABLE deliveries ADD COLUMN rate_key TEXT;
ALTER TABLE deliveries ADD COLUMN breaker_key TEXT;
ALTER TABLE deliveries ADD COLUMN debounce_key TEXT;
ALTER TABLE deliveries ADD COLUMN since INTEGER;
ALTER TABLE deliveries ADD COLUMN turn INTEGER AS (CASE
    WHEN ordering_key IS NULL THEN NULL
    WHEN state = 4 THEN 1
    WHEN state = 2 THEN CASE WHEN blocks = 1 THEN 2 END
    ELSE 0 END) VIRTUAL;
ALTER TABLE deliveries ADD COLUMN seat INTEGER AS (CASE
    WHEN concurrency_key IS NULL OR state IN (2, 4) THEN NULL
    WHEN state = 0 THEN 0
    WHEN state = 5 THEN 2
    ELSE 1 END) VIRTUAL;
DROP INDEX deliveries_running;
DROP INDEX deliveries_dead;
DROP INDEX deliveries_dead_function;
CREATE INDEX deliveries_running ON deliveries (trigger) WHERE state = 1;
CREATE INDEX deliveries_dead ON deliveries (state, id, dead_reason, dead_at) WHERE state = 2;
CREATE INDEX deliveries_dead_function ON deliveries (function, id, dead_reason, dead_at)
    WHERE state = 2;
CREATE INDEX deliveries_dead_trigger ON deliveries (trigger, id, dead_reason, dead_at)
    WHERE state = 2;
CREATE INDEX deliveries_lane ON deliveries (trigger, ordering_key, turn) WHERE turn IS NOT NULL;
CREATE INDEX deliveries_blocking ON deliveries (trigger) WHERE turn = 2;
CREATE INDEX deliveries_seated ON deliveries (trigger, concurrency_key, seat, ready_at)
    WHERE seat < 2;
CREATE INDEX deliveries_unseated ON deliveries (trigger, concurrency_key, ready_at)
    WHERE seat = 2;
CREATE INDEX deliveries_debounced ON deliveries (trigger, debounce_key)
    WHERE debounce_key IS NOT NULL AND starts = 0 AND state <> 2;
CREATE INDEX deliveries_parked ON deliveries (trigger, state) WHERE state > 5;
CREATE INDEX deliveries_parked_key ON deliveries (trigger, state, held_for) WHERE state > 5;

UPDATE counters SET queued = queued + running, running = 0;
UPDATE deliveries SET state = 0, attempts = attempts - 1 WHERE state = 1;
UPDATE deliveries SET state = 4, held_for = NULL
    WHERE ordering_key IS NOT NULL AND state IN (0, 3) AND EXISTS (
        SELECT 1 FROM deliveries AS first INDEXED BY deliveries_lane
        WHERE first.turn = 0 AND first.trigger = deliveries.trigger
        AND first.ordering_key = deliveries.ordering_key AND first.id < deliveries.id);
UPDATE triggers SET waiting = 0;
UPDATE triggers SET waiting = standing.queued, dead = standing.dead,
    for_version = standing.version, for_order = standing.lane
    FROM (SELECT trigger, sum(state = 0) AS queued, sum(state = 2) AS dead,
        sum(state = 3) AS version, sum(state = 4) AS lane
        FROM deliveries GROUP BY trigger) AS standing
    WHERE standing.trigger = triggers.id;

ALTER TABLE checkpoints ADD COLUMN checksum INTEGER;
ALTER TABLE objects ADD COLUMN checksum INTEGER;
ALTER TABLE uploads ADD COLUMN checksum INTEGER;
ALTER TABLE parts ADD COLUMN checksum INTEGER;

CREATE TABLE children (
    parent INTEGER NOT NULL, child INTEGER NOT NULL, PRIMARY KEY (parent, child)
) STRICT, WITHOUT ROWID;
CREATE TABLE endings (
    event INTEGER NOT NULL, run INTEGER NOT NULL, trigger INTEGER NOT NULL,
    at INTEGER NOT NULL, how INTEGER NOT NULL, other INTEGER, why TEXT,
    PRIMARY KEY (event, run)
) STRICT, WITHOUT ROWID;
CREATE TABLE pauses (what TEXT PRIMARY KEY, pause TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL, trigger INTEGER NOT NULL, key TEXT NOT NULL,
    fingerprint BLOB NOT NULL, epoch INTEGER NOT NULL, run INTEGER NOT NULL,
    until INTEGER NOT NULL, checksum INTEGER, status INTEGER, headers BLOB, body BLOB
) STRICT;
CREATE INDEX answers_hash ON answers (hash);
CREATE INDEX answers_until ON answers (until);
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
    conn.set_prepared_statement_cache_capacity(256);
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
            if format == 2 {
                dedup::migrate(&transaction)?;
            }
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
