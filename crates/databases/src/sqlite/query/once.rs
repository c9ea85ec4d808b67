//! The table `_wakeful_once` (docs/worker-protocol.md, "Effects that apply once").
//!
//! None of its statements are kept prepared: on this connection a function that asks for the same
//! SQL would get them, past the gate.

use rusqlite::{Connection, OptionalExtension, params};

use super::{super::names::ONCE, failure::plain_failure, pool::WriterSession};
use crate::query::{ErrorCode, Memory, QueryError, Recall, Recalled, Remember};

impl WriterSession {
    /// What an earlier transaction with the same key left, within the open transaction.
    pub(crate) fn recall(&mut self, recall: &Recall) -> Result<Recalled, QueryError> {
        self.with_ours(|conn| found(conn, recall))
    }

    /// Leaves a memory with the open transaction. When it cannot, the transaction is of no use.
    pub(crate) fn remember(&mut self, remember: &Remember) -> Result<(), QueryError> {
        let done = self.with_ours(|conn| write(conn, remember));
        done.map_err(|error| match error.code {
            ErrorCode::Conflict => QueryError::new(
                ErrorCode::Conflict,
                "another attempt of this delivery has done this meanwhile",
            ),
            _ => error,
        })
    }

    fn with_ours<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, QueryError> {
        match self.ours_within(work) {
            Some(done) => done.map_err(|error| plain_failure(&error)),
            None => Err(QueryError::no_transaction()),
        }
    }
}

fn found(conn: &Connection, recall: &Recall) -> rusqlite::Result<Recalled> {
    if !conn.table_exists(Some("main"), ONCE)? {
        return Ok(Recalled::default());
    }
    let memory = conn
        .prepare("SELECT effects, result FROM _wakeful_once WHERE key = ?1")?
        .query_row([&recall.key], |row| {
            Ok(Memory {
                effects: row.get(0)?,
                result: row.get(1)?,
            })
        })
        .optional()?;
    let mut others = conn.prepare(
        "SELECT key FROM _wakeful_once \
         WHERE key > max(?1, ?2) AND substr(key, 1, length(?1)) = ?1 ORDER BY key LIMIT ?3",
    )?;
    let rows = others.query_map(params![recall.prefix, recall.after, recall.limit], |row| {
        row.get(0)
    })?;
    Ok(Recalled {
        memory,
        others: rows.collect::<rusqlite::Result<_>>()?,
    })
}

fn write(conn: &Connection, remember: &Remember) -> rusqlite::Result<()> {
    if !conn.table_exists(Some("main"), ONCE)? {
        conn.execute_batch(
            "CREATE TABLE _wakeful_once (key TEXT PRIMARY KEY, at INTEGER NOT NULL, \
             effects TEXT NOT NULL, result TEXT) WITHOUT ROWID",
        )?;
    }
    let mut forget = conn.prepare("DELETE FROM _wakeful_once WHERE key = ?1")?;
    for key in &remember.forget {
        forget.execute([key])?;
    }
    conn.prepare("INSERT INTO _wakeful_once (key, at, effects, result) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![
            remember.key,
            remember.at,
            remember.memory.effects,
            remember.memory.result
        ])
        .map(drop)
}
