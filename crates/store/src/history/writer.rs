//! The thread that writes the history: batches, retention, and a new file when the old is bad.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rusqlite::{Connection, ErrorCode, params};
use wakeful_core::{id::RunId, name::FunctionName, port::Clock, time::Timestamp};

use super::{
    HistoryError, HistoryOptions,
    queue::{Queue, Record},
    rows,
    schema::{self, NotOpened},
};
use crate::sqlite::{folder, space};

/// How often what is too old or too much is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(10);
/// The pause between its steps while there is more to drop.
const SWEEP_PAUSE: Duration = Duration::from_millis(10);
/// Rows that one step drops, so that batches go on between steps.
const STEP: i64 = 5_000;
/// Free pages given back to the file system in one step.
const SHRINK: i64 = 2_000;

pub(super) struct Writer {
    conn: Connection,
    file: PathBuf,
    clock: Arc<dyn Clock>,
    retention: Duration,
    max_bytes: u64,
    reserve: u64,
    /// Whether less than the reserve was free.
    low: bool,
    queue: Arc<Queue>,
    /// Counts the files; readers open the new one when it grew.
    generation: Arc<AtomicU64>,
    functions: HashMap<FunctionName, i64>,
    /// When to look again for what can be dropped.
    sweep_at: Instant,
}

impl Writer {
    pub(super) fn open(
        options: &HistoryOptions,
        queue: Arc<Queue>,
        generation: Arc<AtomicU64>,
    ) -> Result<Self, HistoryError> {
        let file = options.folder.join(schema::FILE);
        let failed = |cause: String| HistoryError::Open {
            file: file.display().to_string(),
            cause,
        };
        folder::create(&options.folder).map_err(|error| failed(error.to_string()))?;
        let conn = match schema::open_writer(&file) {
            Ok(conn) => conn,
            Err(NotOpened::Useless(cause)) => {
                set_aside(&file, options.clock.now(), &cause).map_err(failed)?;
                schema::open_writer(&file).map_err(|why| failed(why.cause()))?
            }
            Err(NotOpened::Hindered(cause)) => return Err(failed(cause)),
        };
        Ok(Self {
            conn,
            file,
            clock: Arc::clone(&options.clock),
            retention: options.retention,
            max_bytes: options.max_bytes,
            reserve: options.reserve,
            low: false,
            queue,
            generation,
            functions: HashMap::new(),
            sweep_at: Instant::now(),
        })
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        loop {
            let idle = self.sweep_at.saturating_duration_since(Instant::now());
            let batch = self.queue.next(idle);
            if !batch.records.is_empty() {
                let count = batch.records.len() as u64;
                if self.is_low() {
                    self.queue.drop_records(count);
                } else if let Err(error) = self.write(batch.records) {
                    self.queue.drop_records(count);
                    self.failed(&error, count);
                }
            }
            for reply in batch.flushes {
                let _ = reply.send(());
            }
            if batch.closed {
                break;
            }
            if Instant::now() >= self.sweep_at {
                let more = self.sweep().unwrap_or_else(|error| {
                    self.failed(&error, 0);
                    false
                });
                self.sweep_at = Instant::now() + if more { SWEEP_PAUSE } else { SWEEP_EVERY };
            }
        }
    }

    /// Whether the rest of the disk is for the store alone.
    fn is_low(&mut self) -> bool {
        let folder = self.file.parent().unwrap_or(&self.file);
        let low = space::free(folder).is_some_and(|free| free < self.reserve);
        if low && !self.low {
            tracing::warn!(
                folder = %folder.display(),
                "the disk is nearly full: runs and lines are not recorded until there is room"
            );
        }
        self.low = low;
        low
    }

    fn write(&mut self, records: Vec<Record>) -> rusqlite::Result<()> {
        // Only the last of several records of one run need be written.
        let mut last = HashMap::with_capacity(records.len());
        for (place, record) in records.iter().enumerate() {
            if let Record::Run(run) = record {
                last.insert(run.id, place);
            }
        }
        let transaction = self.conn.unchecked_transaction()?;
        for (place, record) in records.iter().enumerate() {
            match record {
                Record::Run(run) if last.get(&run.id) == Some(&place) => {
                    let function = function(&self.conn, &mut self.functions, &run.function)?;
                    rows::insert_run(&self.conn, function, run)?;
                }
                Record::Run(_) => {}
                Record::Attempt(attempt) => rows::insert_attempt(&self.conn, attempt)?,
                Record::Line(line) => {
                    let function = function(&self.conn, &mut self.functions, &line.function)?;
                    rows::insert_line(&self.conn, function, line)?;
                }
            }
        }
        transaction.commit()
    }

    /// Drops a step of what is too old, then of what is too much; whether there is more.
    fn sweep(&mut self) -> rusqlite::Result<bool> {
        let before = self.clock.now().minus(self.retention);
        let mut more = self.drop_before(before)?;
        if self.bytes()? > self.max_bytes {
            self.drop_oldest()?;
            more = true;
        }
        let free = pragma(&self.conn, "freelist_count")?;
        if free > SHRINK {
            // It frees one page per row that it is asked for.
            let mut statement = self
                .conn
                .prepare(&format!("PRAGMA incremental_vacuum({SHRINK})"))?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            more = true;
        }
        Ok(more)
    }

    fn drop_before(&self, before: Timestamp) -> rusqlite::Result<bool> {
        let bound = RunId::first_at(before).raw();
        let transaction = self.conn.unchecked_transaction()?;
        let mut gone = 0;
        for (table, id) in [("runs", "id"), ("attempts", "run")] {
            let sql = format!(
                "DELETE FROM {table} WHERE {id} < ?1 AND {id} <= coalesce((SELECT {id} FROM {table} \
                 ORDER BY {id} LIMIT 1 OFFSET ?2), ?1)"
            );
            gone += self.conn.execute(&sql, params![bound, STEP])?;
        }
        // Lines are in the order in which they came, which is nearly that of their time.
        gone += self.conn.execute(
            "DELETE FROM logs WHERE seq <= (SELECT max(seq) FROM \
             (SELECT seq, at FROM logs ORDER BY seq LIMIT ?2)) AND at < ?1",
            params![before.as_millis(), STEP],
        )?;
        transaction.commit()?;
        Ok(gone > 0)
    }

    /// Drops the oldest step of everything.
    fn drop_oldest(&self) -> rusqlite::Result<()> {
        let transaction = self.conn.unchecked_transaction()?;
        for (table, id) in [("runs", "id"), ("attempts", "run"), ("logs", "seq")] {
            let sql = format!(
                "DELETE FROM {table} WHERE {id} <= (SELECT max({id}) FROM \
                 (SELECT {id} FROM {table} ORDER BY {id} LIMIT ?1))"
            );
            self.conn.execute(&sql, [STEP])?;
        }
        transaction.commit()
    }

    /// Bytes that are in use.
    fn bytes(&self) -> rusqlite::Result<u64> {
        let pages = pragma(&self.conn, "page_count")? - pragma(&self.conn, "freelist_count")?;
        let size = pragma(&self.conn, "page_size")?;
        Ok((pages * size).unsigned_abs())
    }

    /// Says what went wrong, and begins a new file if this one is malformed.
    fn failed(&mut self, error: &rusqlite::Error, dropped: u64) {
        tracing::warn!(file = %self.file.display(), %error, dropped, "the history was not written");
        self.functions.clear();
        let malformed = matches!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        );
        if !malformed {
            return;
        }
        // Closed before its files are renamed: closing deletes a log by its name.
        match Connection::open_in_memory() {
            Ok(none) => drop(std::mem::replace(&mut self.conn, none)),
            Err(error) => return tracing::error!(%error, "the history could not be closed"),
        }
        let begun = set_aside(&self.file, self.clock.now(), &error.to_string())
            .and_then(|()| schema::open_writer(&self.file).map_err(NotOpened::cause));
        match begun {
            Ok(conn) => {
                self.conn = conn;
                self.generation.fetch_add(1, Ordering::Release);
            }
            Err(cause) => tracing::error!(%cause, "no new history could be begun"),
        }
    }
}

fn function(
    conn: &Connection,
    known: &mut HashMap<FunctionName, i64>,
    name: &FunctionName,
) -> rusqlite::Result<i64> {
    if let Some(id) = known.get(name) {
        return Ok(*id);
    }
    let id = rows::intern(conn, name)?;
    known.insert(name.clone(), id);
    Ok(id)
}

fn pragma(conn: &Connection, name: &str) -> rusqlite::Result<i64> {
    conn.prepare_cached(&format!("PRAGMA {name}"))?
        .query_row([], |row| row.get(0))
}

/// Renames a file that is of no use, so that a new one can be begun and this one looked at.
fn set_aside(file: &Path, now: Timestamp, cause: &str) -> Result<(), String> {
    let name = format!("{}.damaged-{}", schema::FILE, now.as_millis());
    let aside = file.with_file_name(name);
    tracing::warn!(
        file = %file.display(), aside = %aside.display(), cause,
        "the history cannot be used; it was set aside and a new one begun, no work is lost"
    );
    std::fs::rename(file, &aside).map_err(|error| error.to_string())?;
    for end in ["-wal", "-shm"] {
        let companion = |of: &Path| PathBuf::from(format!("{}{end}", of.display()));
        // The log belongs to the file it was written for; it must not meet the new one.
        match std::fs::rename(companion(file), companion(&aside)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error.to_string());
            }
            _ => {}
        }
    }
    Ok(())
}
