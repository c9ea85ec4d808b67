//! The connections of one database. Everything here blocks.

use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rusqlite::Connection;

use super::{
    super::capture::{create, renew_within},
    failure::{failure, plain_failure},
    gate::{Guarded, Role, Stop},
    params::Params,
    run::{self, Read, Request},
};
use crate::{
    capture::CaptureHandle,
    query::{ErrorCode, Options, Query, QueryError, QueryResult},
};

/// The connections of one database.
pub(crate) struct Pool {
    path: PathBuf,
    idle_readers: Mutex<Vec<Opened>>,
    capture: Mutex<Option<CaptureHandle>>,
}

/// A connection, and which file it has open.
struct Opened {
    conn: Guarded,
    file: (u64, u64),
}

/// A query made ready for a connection.
pub(crate) struct Session {
    request: Request,
    stop: Stop,
    patience: Duration,
    statement: Duration,
}

impl Session {
    pub(crate) fn new(query: Query<'_>, options: &Options, stop: Stop) -> Result<Self, QueryError> {
        Ok(Self {
            request: Request {
                params: Params::parse(query.params.as_deref())?,
                sql: query.sql,
                access: query.access,
                max_rows: options.max_rows,
                max_bytes: options.max_bytes,
            },
            stop,
            patience: options.patience,
            statement: options.statement,
        })
    }

    /// From now on it runs there, for as long as it may.
    fn begin(&self, conn: &Guarded) {
        let until = Instant::now() + self.statement;
        conn.serve(self.request.access, &self.stop, until);
    }

    /// Whether a reader is worth asking first.
    pub(crate) fn may_only_read(&self) -> bool {
        self.request.access == wakeful_core::project::Level::Read
            || run::looks_like_reading(&self.request.sql)
    }
}

impl Pool {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self {
            path,
            idle_readers: Mutex::default(),
            capture: Mutex::new(None),
        }
    }

    /// Whom to tell when something was written.
    pub(crate) fn set_capture(&self, capture: Option<CaptureHandle>) {
        *self.capture.lock() = capture;
    }

    /// Runs a query on a reader; `None` when it writes.
    pub(crate) fn read(&self, session: &Session) -> Result<Option<QueryResult>, QueryError> {
        let idle = self.idle_readers.lock().pop();
        let reader = match idle.filter(|reader| Some(reader.file) == file_of(&self.path)) {
            Some(reader) => reader,
            None => self.open(Role::Reader)?,
        };
        session.begin(&reader.conn);
        let deadline = Instant::now() + session.patience;
        let read = retried(&session.stop, deadline, || {
            run::read(&reader.conn, &session.request)
        });
        // A reader leaves nothing behind but what it has prepared.
        if reader.conn.conn.is_autocommit() {
            self.idle_readers.lock().push(reader);
        }
        Ok(match read? {
            Read::Answered(result) => Some(result),
            Read::Writes => None,
        })
    }

    fn open(&self, role: Role) -> Result<Opened, QueryError> {
        let cannot = |cause: String| {
            QueryError::new(
                ErrorCode::Unavailable,
                format!(
                    "the database {} cannot be opened: {cause}",
                    self.path.display()
                ),
            )
        };
        create(&self.path).map_err(cannot)?;
        let conn = Guarded::open(&self.path, role).map_err(|error| cannot(error.to_string()))?;
        Ok(Opened {
            conn,
            file: file_of(&self.path).unwrap_or_default(),
        })
    }

    fn nudge(&self) {
        if let Some(capture) = &*self.capture.lock() {
            capture.nudge();
        }
    }
}

/// The writer's connection, in the hands of whoever's turn it is.
pub(crate) struct WriterSession {
    pool: Arc<Pool>,
    opened: Option<Opened>,
    /// The version of the schema when the transaction began.
    schema: i64,
}

impl WriterSession {
    pub(crate) fn new(pool: Arc<Pool>) -> Self {
        Self {
            pool,
            opened: None,
            schema: 0,
        }
    }

    /// Whether a transaction is open. SQLite ends one by itself after some errors.
    pub(crate) fn is_open(&self) -> bool {
        let opened = self.opened.as_ref();
        opened.is_some_and(|opened| !opened.conn.conn.is_autocommit())
    }

    /// Opens a transaction that holds the write lock.
    pub(crate) fn begin(&mut self, stop: &Stop, patience: Duration) -> Result<(), QueryError> {
        let current = file_of(&self.pool.path);
        let opened = match self.opened.take() {
            Some(opened) if Some(opened.file) == current => opened,
            _ => self.pool.open(Role::Writer)?,
        };
        self.opened = Some(opened);
        // What a turn that panicked left open must not be in everyone's way.
        self.rollback();
        let opened = match self.opened.take() {
            Some(opened) => opened,
            None => self.pool.open(Role::Writer)?,
        };
        let opened = self.opened.insert(opened);
        let deadline = Instant::now() + patience;
        retried(stop, deadline, || {
            let begun = opened
                .conn
                .ours(|conn| conn.execute_batch("BEGIN IMMEDIATE"));
            begun.map_err(|error| plain_failure(&error))
        })?;
        let schema = opened.conn.ours(schema_version);
        self.schema = schema.map_err(|error| plain_failure(&error))?;
        Ok(())
    }

    /// Runs a query within the open transaction. When it fails, what it did is undone.
    pub(crate) fn query(&mut self, session: &Session) -> Result<QueryResult, QueryError> {
        let Some(opened) = self.opened.as_ref().filter(|_| self.is_open()) else {
            return Err(QueryError::no_transaction());
        };
        let conn = &opened.conn;
        let ours = |sql: &str| {
            let done = conn.ours(|conn| conn.execute_batch(sql));
            done.map_err(|error| plain_failure(&error))
        };
        ours("SAVEPOINT wakeful_query")?;
        session.begin(conn);
        let result = run::write(conn, &session.request);
        // SQLite may have ended the transaction, and the savepoint with it.
        if self.is_open() {
            match result {
                Ok(_) => ours("RELEASE wakeful_query")?,
                Err(_) => ours("ROLLBACK TO wakeful_query; RELEASE wakeful_query")?,
            }
        }
        result
    }

    /// Runs what is ours within the open transaction; `None` when there is none.
    pub(super) fn ours_within<T>(&mut self, work: impl FnOnce(&Connection) -> T) -> Option<T> {
        let opened = self.opened.as_ref().filter(|_| self.is_open())?;
        Some(opened.conn.ours(work))
    }

    /// Commits. When that fails, everything is rolled back.
    pub(crate) fn commit(&mut self, stop: &Stop, patience: Duration) -> Result<(), QueryError> {
        let Some(opened) = self.opened.as_ref().filter(|_| self.is_open()) else {
            return Err(QueryError::no_transaction());
        };
        let committed = match stop.load(Ordering::SeqCst) {
            true => Err(QueryError::stopped()),
            false => self.commit_within(opened, stop, Instant::now() + patience),
        };
        if committed.is_err() {
            self.rollback();
        } else {
            self.pool.nudge();
        }
        committed
    }

    fn commit_within(
        &self,
        opened: &Opened,
        stop: &Stop,
        deadline: Instant,
    ) -> Result<(), QueryError> {
        let capture = self.pool.capture.lock().clone();
        opened.conn.ours(|conn| {
            let changed = schema_version(conn).map_err(|error| plain_failure(&error))?;
            if changed != self.schema
                && let Some(capture) = &capture
            {
                // So that a migration leaves no moment in which changes are not captured.
                renew_within(conn, capture);
            }
            Ok(())
        })?;
        retried(stop, deadline, || {
            let committed = opened.conn.ours(|conn| conn.execute_batch("COMMIT"));
            committed.map_err(|error| failure(&opened.conn, &error))
        })
    }

    /// Rolls back what is open. A connection that cannot is closed, which does the same.
    pub(crate) fn rollback(&mut self) {
        if let Some(opened) = &self.opened
            && self.is_open()
            && opened
                .conn
                .ours(|conn| conn.execute_batch("ROLLBACK"))
                .is_err()
        {
            self.opened = None;
        }
    }
}

fn schema_version(conn: &Connection) -> rusqlite::Result<i64> {
    conn.pragma_query_value(None, "schema_version", |row| row.get(0))
}

fn file_of(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Tries again while the database is locked, somebody still waits, and there is time.
fn retried<T>(
    stop: &Stop,
    deadline: Instant,
    mut work: impl FnMut() -> Result<T, QueryError>,
) -> Result<T, QueryError> {
    loop {
        let result = work();
        match &result {
            Err(error)
                if error.locked && Instant::now() < deadline && !stop.load(Ordering::SeqCst) => {}
            _ => return result,
        }
    }
}
