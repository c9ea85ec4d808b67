use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use wakeful_core::{limits, name::DatabaseName, project::Level};

use crate::{CaptureHandle, DatabaseUrl};

/// How queries are run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Reading queries of one database that may run at once, beside its one writer.
    pub readers: usize,
    /// Queries that may run at once, over all databases; the next ones wait.
    pub threads: usize,
    /// How long a query may wait for its turn and for locks of other processes.
    pub patience: Duration,
    /// How long one query may run.
    pub statement: Duration,
    /// A transaction in which nothing was asked for this long is rolled back.
    pub idle: Duration,
    /// A transaction older than this is rolled back.
    pub total: Duration,
    /// Rows that one query may return.
    pub max_rows: usize,
    /// Bytes of JSON that one query may return.
    pub max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            readers: limits::DATABASE_READERS,
            threads: limits::DATABASE_THREADS,
            patience: limits::DATABASE_PATIENCE,
            statement: limits::DATABASE_STATEMENT,
            idle: limits::TRANSACTION_IDLE,
            total: limits::TRANSACTION_TOTAL,
            max_rows: limits::MAX_QUERY_ROWS,
            max_bytes: limits::MAX_QUERY_BYTES,
        }
    }
}

/// One database that functions may use.
#[derive(Debug, Clone)]
pub struct Target {
    /// Where it is.
    pub url: DatabaseUrl,
    /// Its capture, which is told at once when a function wrote.
    pub capture: Option<CaptureHandle>,
}

/// Who opened a transaction: an attempt. The server gives each its own number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner(pub u128);

/// A transaction that is open, as functions name it. Never used twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TxId(pub u64);

/// One query.
#[derive(Debug, Clone)]
pub struct Query<'a> {
    /// The database.
    pub database: &'a DatabaseName,
    /// One statement; several only without parameters, which then take effect together.
    pub sql: String,
    /// A JSON array of positional parameters, a JSON object of named ones, or nothing.
    pub params: Option<Box<RawValue>>,
    /// What the asking function may do.
    pub access: Level,
    /// The transaction in which it runs; `None` for one of its own.
    pub tx: Option<TxId>,
    /// Who asks.
    pub owner: Owner,
}

/// What a query answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryResult {
    /// `{"columns": […], "rows": [[…], …], "changes": n, "lastInsertRowid": n|null}`.
    pub json: Bytes,
    /// How many rows it returned.
    pub rows: usize,
    /// How many rows it changed.
    pub changes: u64,
}
