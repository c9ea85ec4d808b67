//! The one door to the format for those who look at a store from outside: the doctor, backups.

use std::{io, path::Path};

use bytes::Bytes;
use rusqlite::{Connection, Row};
use wakeful_core::{
    event::Event,
    id::EventId,
    port::{BlobPart, OpenError},
};

use super::{SqliteStore, envelope, fault::Fault, folder, mark, objects, schema, sums};

/// The file of the store in its folder.
pub(crate) const FILE: &str = schema::FILE;
/// The newest format.
pub(crate) const FORMAT: u32 = schema::FORMAT;

/// Holds a data folder.
#[derive(Debug)]
pub(crate) struct Lock {
    _lock: folder::FolderLock,
}

/// Holds `folder` for this process, or says who does.
pub(crate) fn lock(folder: &Path) -> Result<Lock, OpenError> {
    folder::lock(folder).map(|lock| Lock { _lock: lock })
}

/// What the high-water mark says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// There is none.
    Missing,
    /// Neither of its slots is whole.
    Unreadable,
    /// The last acknowledged group of commits.
    At(u64),
}

/// Reads the mark of `folder`.
pub(crate) fn mark(folder: &Path) -> io::Result<Mark> {
    Ok(match mark::read(folder)? {
        mark::Found::Missing => Mark::Missing,
        mark::Found::Unreadable => Mark::Unreadable,
        mark::Found::At(seq) => Mark::At(seq),
    })
}

/// Sets the mark of `folder`, on disk.
pub(crate) fn set_mark(folder: &Path, seq: u64) -> io::Result<()> {
    mark::Mark::start(folder, seq).map(drop)
}

/// Opens `file` for reading only; nothing is copied out of the log.
pub(crate) fn open_reader(file: &Path) -> Result<Connection, String> {
    schema::open_reader(file).map_err(text)
}

/// Opens `file` for writing; nothing is copied out of the log on closing.
pub(crate) fn open_writer(file: &Path) -> Result<Connection, String> {
    schema::open_writer(file).map_err(text)
}

/// The format of a database; 0 when it is empty, an error when it is not a store's.
pub(crate) fn format(conn: &Connection) -> Result<u32, String> {
    schema::format(conn).map_err(text)
}

/// Makes an empty database one of the newest format.
pub(crate) fn begin(conn: &mut Connection) -> Result<(), String> {
    schema::begin(conn, 0).map_err(text)
}

/// A database in memory with the tables of the newest format and nothing in them.
pub(crate) fn model() -> rusqlite::Result<Connection> {
    let conn = Connection::open_in_memory()?;
    for step in schema::MIGRATIONS {
        conn.execute_batch(step)?;
    }
    Ok(conn)
}

/// The number that `sql` finds; what counts something is never below zero.
pub(crate) fn count(conn: &Connection, sql: &str) -> rusqlite::Result<u64> {
    let count: i64 = conn.query_row(sql, [], |row| row.get(0))?;
    Ok(count.max(0) as u64)
}

/// How an event's row stands.
#[derive(Debug)]
pub(crate) enum Stored {
    /// As it was written.
    Whole(Box<Event>),
    /// Its bytes are not those that were written.
    Checksum,
    /// Its bytes are those that were written, and no version of this program wrote such.
    Envelope,
}

/// Reads an event's row.
pub(crate) fn event(id: i64, checksum: i64, stored: &[u8], data: &[u8]) -> Stored {
    let key = EventId::from_raw(id);
    if i64::from(envelope::checksum(key, stored, data)) != checksum {
        return Stored::Checksum;
    }
    match envelope::decode(key, stored, Bytes::copy_from_slice(data)) {
        Some(event) => Stored::Whole(Box::new(event)),
        None => Stored::Envelope,
    }
}

/// The tables whose rows have a checksum, each with the columns before it in their order.
pub(crate) const SUMMED: [(&str, &str, usize); 4] = [
    ("checkpoints", "project, environment, source, value", 4),
    (
        "objects",
        "bucket, key, generation, size, etag, modified, blobs, meta",
        8,
    ),
    ("uploads", "id, bucket, key, started, meta", 5),
    (
        "parts",
        "upload, number, blob, size, etag, modified, meta",
        7,
    ),
];

/// Whether a row of one of these fits the checksum that comes after its columns.
pub(crate) fn fits(row: &Row<'_>, width: usize) -> bool {
    matches!(sums::fits(row, width), Ok(true))
}

/// The blobs of a row of `objects`; `None` when they are no list.
pub(crate) fn blobs(stored: &[u8]) -> Option<Vec<BlobPart>> {
    objects::decode_blobs(stored).ok()
}

fn text(fault: Fault) -> String {
    match fault {
        Fault::Conflict(text)
        | Fault::Refused(text)
        | Fault::ReadOnly(text)
        | Fault::Corrupt(text)
        | Fault::Malformed(text)
        | Fault::Broken(text)
        | Fault::Other(text) => text,
        Fault::Full => "the disk is full".to_owned(),
    }
}

impl SqliteStore {
    /// The folder that it was opened in.
    pub fn folder(&self) -> &Path {
        &self.inner.folder
    }
}
