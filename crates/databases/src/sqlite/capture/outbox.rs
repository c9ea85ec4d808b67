//! The outbox in the user's database: opening it, reading it in order, removing what was read.

use std::{
    collections::{BTreeMap, HashMap},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
    types::ValueRef,
};
use serde::{Deserialize, Serialize};
use wakeful_core::{
    limits,
    name::{DatabaseName, TableName},
    port::Arrival,
};

use super::{
    super::names::Names,
    change::{self, Change, Piece},
    install::{self, Standing},
    layout::{CHUNK, Image, Layout, verb_of},
    triggers,
};
use crate::capture::Watched;

/// The format of what we keep in users' databases.
const FORMAT: i64 = 1;
/// Rows of the outbox that are read, or removed, at once.
const BATCH_ROWS: u32 = limits::CAPTURE_BATCH_ROWS;
/// How long one statement waits for locks of other processes before the turn is tried again.
const BUSY: Duration = Duration::from_secs(2);

/// How far an outbox was read: the checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Position {
    /// The outbox's identity.
    pub(super) outbox: String,
    /// Its last row that was submitted; 0 for none.
    pub(super) last: i64,
    /// When that row was written, milliseconds since 1970.
    pub(super) at: i64,
}

/// A captured database, opened.
pub(super) struct Outbox {
    conn: Connection,
    path: PathBuf,
    names: Names,
    database: DatabaseName,
    /// The file's device and inode, to notice when another file takes its place.
    file: (u64, u64),
    schema: Option<i64>,
    data: Option<i64>,
    layouts: HashMap<i64, Arc<Layout>>,
    trimmed: i64,
}

/// What a look at the outbox found.
#[derive(Debug)]
pub(super) struct Look {
    /// How the watched tables stand, when that was looked into.
    pub(super) standings: Option<BTreeMap<TableName, Standing>>,
    /// What was found.
    pub(super) found: Found,
}

/// Changes that were found.
#[derive(Debug)]
pub(super) enum Found {
    /// Nothing new.
    Nothing,
    /// Changes, and how far they reach.
    Changes {
        arrivals: Vec<Arrival>,
        /// Further changes that could not be read, and are passed.
        lost: u64,
        position: Position,
        more: bool,
    },
    /// The outbox is not the one that the position speaks of.
    Replaced,
}

impl Outbox {
    /// Opens the database and makes our own tables in it.
    pub(super) fn open(
        path: &Path,
        names: Names,
        database: DatabaseName,
    ) -> rusqlite::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY)?;
        // What we delete may come back after a power cut without harm: the checkpoint decides.
        conn.pragma_update(None, "synchronous", "NORMAL")?;
        conn.set_prepared_statement_cache_capacity(32);
        if conn.is_readonly("main")? {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_READONLY),
                Some("no permission to write".to_owned()),
            ));
        }
        let trimmed = prepare(&mut conn, &names)?;
        Ok(Self {
            file: identity(path).unwrap_or_default(),
            conn,
            path: path.to_owned(),
            names,
            database,
            schema: None,
            data: None,
            layouts: HashMap::new(),
            trimmed,
        })
    }

    /// Where to go on, and whether that is where `checkpoint` says.
    pub(super) fn attach(
        &self,
        checkpoint: Option<Position>,
    ) -> rusqlite::Result<(Position, Attached)> {
        if let Some(position) = &checkpoint
            && self.fits(position)?
        {
            return Ok((position.clone(), Attached::Continued));
        }
        let start = Position {
            outbox: self.identity()?,
            last: self.trimmed,
            at: self.written_at(self.trimmed)?.unwrap_or(0),
        };
        let how = match checkpoint {
            Some(_) => Attached::Replaced,
            None => Attached::Continued,
        };
        Ok((start, how))
    }

    /// Looks for changes after `position`. `watched` says that the tables must be looked into;
    /// otherwise that is done only when the schema changed.
    pub(super) fn look(
        &mut self,
        watched: &Watched,
        look_into_tables: bool,
        position: &Position,
    ) -> rusqlite::Result<Look> {
        if identity(&self.path) != Some(self.file) {
            return Ok(Look {
                standings: None,
                found: Found::Replaced,
            });
        }
        let data = self.pragma("data_version")?;
        if self.data == Some(data) && !look_into_tables {
            return Ok(Look {
                standings: None,
                found: Found::Nothing,
            });
        }
        let schema = self.pragma("schema_version")?;
        let mut standings = None;
        if self.schema != Some(schema) || look_into_tables {
            standings = Some(install::reconcile(&mut self.conn, &self.names, watched)?);
            self.schema = Some(self.pragma("schema_version")?);
            self.layouts.clear();
        }
        let found = self.read(position)?;
        // Only now: whatever failed above is looked at again.
        self.data = match &found {
            Found::Changes { more: true, .. } => None,
            _ => Some(data),
        };
        Ok(Look { standings, found })
    }

    /// Takes all triggers away; what was recorded stays.
    pub(super) fn withdraw(&mut self) -> rusqlite::Result<()> {
        install::reconcile(&mut self.conn, &self.names, &Watched::new()).map(drop)
    }

    /// Whatever comes is looked at, even when the file seems unchanged.
    pub(super) fn look_again(&mut self) {
        self.data = None;
    }

    /// Removes one batch of rows before `last`, which was submitted; whether some are left. That
    /// row itself stays, as the sign by which this outbox is known again.
    pub(super) fn trim(&mut self, last: i64) -> rusqlite::Result<bool> {
        let upto = last - 1;
        if self.trimmed >= upto {
            return Ok(false);
        }
        let tx = Transaction::new_unchecked(&self.conn, TransactionBehavior::Immediate)?;
        let outbox = self.names.outbox();
        let removed = tx.execute(
            &format!(
                "DELETE FROM {outbox} WHERE id IN \
                 (SELECT id FROM {outbox} WHERE id <= ?1 ORDER BY id LIMIT ?2)"
            ),
            params![upto, BATCH_ROWS],
        )?;
        let left = removed == BATCH_ROWS as usize;
        let meta = self.names.meta();
        tx.execute(
            &format!("UPDATE {meta} SET value = ?1 WHERE key = 'consumed' AND value < ?1"),
            [last],
        )?;
        if !left {
            // What statements under way set aside is not visible here: the rest is of the past.
            tx.execute(&format!("DELETE FROM {}", self.names.replaced()), [])?;
            tx.execute(
                &format!(
                    "DELETE FROM {} WHERE NOT live AND id NOT IN (SELECT layout FROM {outbox})",
                    self.names.layouts()
                ),
                [],
            )?;
        }
        tx.commit()?;
        if !left {
            self.trimmed = upto;
        }
        Ok(left)
    }

    /// How many rows before `last` wait to be removed, at most.
    pub(super) fn untrimmed(&self, last: i64) -> i64 {
        (last - 1 - self.trimmed).max(0)
    }

    fn read(&mut self, position: &Position) -> rusqlite::Result<Found> {
        // One transaction, so that the check and the rows are of the same file.
        self.conn.execute_batch("BEGIN")?;
        let found = self.read_within(position);
        // A transaction that only read can be ended either way.
        let ended = self.conn.execute_batch("ROLLBACK");
        let found = found?;
        ended?;
        Ok(found)
    }

    fn read_within(&mut self, position: &Position) -> rusqlite::Result<Found> {
        if !self.fits(position)? {
            return Ok(Found::Replaced);
        }
        let sql = format!(
            "SELECT * FROM {} WHERE id > ?1 ORDER BY id",
            self.names.outbox()
        );
        let mut statement = self.conn.prepare_cached(&sql)?;
        let mut rows = statement.query([position.last])?;
        let mut batch = Batch::new(position);
        while let Some(row) = rows.next()? {
            let layout = cached(&mut self.layouts, &self.conn, &self.names, row)?;
            if !batch.add(row, layout, &self.database)? {
                batch.pass(row)?;
            }
            if batch.is_full() {
                break;
            }
        }
        Ok(batch.found())
    }

    /// Whether this is the outbox that `position` speaks of, as it was then.
    fn fits(&self, position: &Position) -> rusqlite::Result<bool> {
        if self.identity()? != position.outbox {
            return Ok(false);
        }
        Ok(position.last == 0 || self.written_at(position.last)?.unwrap_or(0) == position.at)
    }

    fn identity(&self) -> rusqlite::Result<String> {
        let sql = format!(
            "SELECT value FROM {} WHERE key = 'outbox'",
            self.names.meta()
        );
        self.conn
            .prepare_cached(&sql)?
            .query_row([], |row| row.get(0))
            .optional()
            .map(Option::unwrap_or_default)
    }

    fn written_at(&self, id: i64) -> rusqlite::Result<Option<i64>> {
        let sql = format!("SELECT at FROM {} WHERE id = ?1", self.names.outbox());
        self.conn
            .prepare_cached(&sql)?
            .query_row([id], |row| row.get(0))
            .optional()
    }

    fn pragma(&self, name: &str) -> rusqlite::Result<i64> {
        self.conn.pragma_query_value(None, name, |row| row.get(0))
    }
}

/// How an outbox fits its checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attached {
    /// It goes on where it was, or begins.
    Continued,
    /// It is another one.
    Replaced,
}

/// Creates an empty database in WAL mode, and its folder, unless there is a file.
pub(crate) fn create(path: &Path) -> Result<bool, String> {
    if path.exists() {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(|error| error.to_string())?;
    }
    let make = || {
        let conn = Connection::open(path)?;
        conn.busy_timeout(BUSY)?;
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
    };
    make()
        .map(|()| true)
        .map_err(|error: rusqlite::Error| error.to_string())
}

/// Whether there is an outbox in the database. Writes nothing.
pub(super) fn is_there(path: &Path, names: &Names) -> rusqlite::Result<bool> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    install::is_prepared(&conn, names)
}

/// Makes our tables; how far the outbox says it was consumed.
fn prepare(conn: &mut Connection, names: &Names) -> rusqlite::Result<i64> {
    let meta = names.meta();
    if !install::is_prepared(conn, names)? || !is_whole(conn, names)? {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for table in triggers::tables(names) {
            tx.execute_batch(&table)?;
        }
        tx.execute_batch(&format!(
            "INSERT OR IGNORE INTO {meta} VALUES ('format', {FORMAT}), ('consumed', 0), \
             ('outbox', lower(hex(randomblob(16)))); \
             UPDATE {meta} SET value = 0 \
             WHERE key = 'consumed' AND value NOT IN (SELECT id FROM {})",
            names.outbox()
        ))?;
        tx.commit()?;
    }
    let value = |key: &str| {
        conn.query_row(
            &format!("SELECT value FROM {meta} WHERE key = ?1"),
            [key],
            |row| row.get::<_, i64>(0),
        )
    };
    let format = value("format")?;
    if format > FORMAT {
        return Err(rusqlite::Error::SqliteFailure(
            rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR),
            Some(format!(
                "its outbox was written by a newer version of Wakeful (format {format}, this one \
                 reads up to {FORMAT}): use that version"
            )),
        ));
    }
    value("consumed")
}

/// Whether nobody emptied our tables, as tools do that clear a database for a test: what was
/// consumed last always stays.
fn is_whole(conn: &Connection, names: &Names) -> rusqlite::Result<bool> {
    let (meta, outbox) = (names.meta(), names.outbox());
    let sql = format!(
        "SELECT (SELECT count(*) FROM {meta} WHERE key IN ('format', 'consumed', 'outbox')) = 3 \
         AND NOT EXISTS (SELECT 1 FROM {meta} WHERE key = 'consumed' AND value <> 0 \
         AND value NOT IN (SELECT id FROM {outbox}))"
    );
    conn.query_row(&sql, [], |row| row.get(0))
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// The layout of a row of the outbox; `None` when it is gone or cannot be understood.
fn cached(
    layouts: &mut HashMap<i64, Arc<Layout>>,
    conn: &Connection,
    names: &Names,
    row: &Row<'_>,
) -> rusqlite::Result<Option<Arc<Layout>>> {
    let ValueRef::Integer(id) = row.get_ref(1)? else {
        return Ok(None);
    };
    if let Some(layout) = layouts.get(&id) {
        return Ok(Some(Arc::clone(layout)));
    }
    let sql = format!("SELECT layout FROM {} WHERE id = ?1", names.layouts());
    let layout = conn
        .prepare_cached(&sql)?
        .query_row([id], |row| match row.get_ref(0)? {
            ValueRef::Text(text) => Ok(serde_json::from_slice::<Layout>(text).ok()),
            _ => Ok(None),
        })
        .optional()?
        .flatten();
    Ok(layout.map(|layout| {
        let layout = Arc::new(layout);
        layouts.insert(id, Arc::clone(&layout));
        layout
    }))
}

/// Changes being gathered.
struct Batch {
    arrivals: Vec<Arrival>,
    lost: u64,
    bytes: usize,
    rows: usize,
    position: Position,
    /// The change of which not all rows were read yet.
    open: Option<(Arc<Layout>, Change)>,
}

impl Batch {
    fn new(position: &Position) -> Self {
        Self {
            arrivals: Vec::new(),
            lost: 0,
            bytes: 0,
            rows: 0,
            position: position.clone(),
            open: None,
        }
    }

    /// Adds a row; `false` when it cannot be understood, because someone tampered with it.
    fn add(
        &mut self,
        row: &Row<'_>,
        layout: Option<Arc<Layout>>,
        database: &DatabaseName,
    ) -> rusqlite::Result<bool> {
        let numbers = [2, 4].map(|at| row.get_ref(at).and_then(|value| Ok(value.as_i64()?)));
        let [Ok(verb), Ok(image)] = numbers else {
            return Ok(false);
        };
        let (Some(layout), Some(verb), Some(image)) =
            (layout, verb_of(verb), Image::numbered(image))
        else {
            return Ok(false);
        };
        let (id, at, rest): (i64, i64, i64) = (row.get(0)?, row.get(3)?, row.get(5)?);
        let (layout, mut change) = self
            .open
            .take()
            .unwrap_or_else(|| (layout, Change::new(verb, at)));
        let big: i64 = row.get(6)?;
        for place in 0..CHUNK {
            let omitted = big & (1 << place) != 0;
            change.add(piece(row.get_ref(7 + place)?, omitted));
        }
        change.end_of_row(&layout, image);
        if rest > 0 {
            self.rows += 1;
            self.open = Some((layout, change));
            return Ok(true);
        }
        let Some(arrival) = change::arrival(database, &layout, change) else {
            return Ok(false);
        };
        self.rows += 1;
        self.bytes += arrival.data.len();
        self.arrivals.push(arrival);
        self.position.last = id;
        self.position.at = at;
        Ok(true)
    }

    /// Passes a row that cannot be read, and the change that it belongs to.
    fn pass(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.rows += 1;
        self.open = None;
        self.position.last = row.get(0)?;
        self.position.at = row.get::<_, Option<i64>>(3)?.unwrap_or(0);
        if row.get::<_, Option<i64>>(5)?.unwrap_or(0) == 0 {
            self.lost += 1;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.open.is_none()
            && (self.rows >= BATCH_ROWS as usize || self.bytes >= limits::CAPTURE_BATCH_BYTES)
    }

    fn found(self) -> Found {
        if self.arrivals.is_empty() && self.lost == 0 {
            return Found::Nothing;
        }
        Found::Changes {
            more: self.is_full(),
            lost: self.lost,
            arrivals: self.arrivals,
            position: self.position,
        }
    }
}

fn piece(value: ValueRef<'_>, omitted: bool) -> Piece {
    match value {
        ValueRef::Integer(length) if omitted => Piece::omitted(length.unsigned_abs()),
        other => Piece::encoded(other),
    }
}
