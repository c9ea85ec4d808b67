//! The object index: what it says of objects, and which files it needs.

use md5::{Digest, Md5};
use rusqlite::{Connection, Row, params, types::ValueRef};
use std::{fs::File, io::Read, path::Path};
use wakeful_core::{
    limits::OBJECT_CHUNK,
    port::{BlobId, BlobPart},
};

use super::{
    exam::Exam,
    report::{Code, Remedy, Step},
};
use crate::sqlite::anatomy;

/// The folder of all blobs, in the data folder.
pub(crate) const FOLDER: &str = "objects";

/// Which files the index needs, how often, and of which size; on disk, for there may be many.
pub(crate) fn scratch() -> rusqlite::Result<Connection> {
    let conn = Connection::open("")?;
    conn.execute_batch(
        "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; \
         CREATE TABLE needed (id INTEGER PRIMARY KEY, refs INTEGER NOT NULL, \
         size INTEGER NOT NULL, place TEXT NOT NULL); BEGIN",
    )?;
    Ok(conn)
}

fn need(scratch: &Connection, part: &BlobPart, place: &str) -> rusqlite::Result<()> {
    scratch
        .prepare_cached(
            "INSERT INTO needed VALUES (?1, 1, ?2, ?3) \
             ON CONFLICT (id) DO UPDATE SET refs = refs + 1",
        )?
        .execute(params![part.blob.0, part.size as i64, place])?;
    Ok(())
}

/// An entry of the index, as far as it can be read.
struct Entry {
    place: String,
    size: i64,
    etag: String,
    /// `None` when they are no list.
    blobs: Option<Vec<BlobPart>>,
}

const ENTRIES: &str = "SELECT coalesce((SELECT name FROM buckets WHERE id = o.bucket), ''), \
     o.bucket, o.key, o.size, o.etag, o.blobs FROM objects o";

fn entry(row: &Row<'_>) -> rusqlite::Result<Entry> {
    let (bucket, number): (String, i64) = (row.get(0)?, row.get(1)?);
    let key: Vec<u8> = row.get(2)?;
    let key = String::from_utf8_lossy(&key);
    Ok(Entry {
        place: match bucket.as_str() {
            "" => format!("bucket number {number}, {key}"),
            bucket => format!("{bucket}/{key}"),
        },
        size: row.get(3)?,
        etag: row.get(4)?,
        blobs: row.get_ref(5)?.as_blob().ok().and_then(anatomy::blobs),
    })
}

/// Whether all that the index needs is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Yes.
    All,
    /// No: an entry does not say which files are its own.
    NotAll,
}

/// Adds to `scratch` what the index of `conn` needs.
pub(crate) fn needed(conn: &Connection, scratch: &Connection) -> rusqlite::Result<Known> {
    let mut statement = conn.prepare(ENTRIES)?;
    let mut rows = statement.query([])?;
    let mut known = Known::All;
    while let Some(row) = rows.next()? {
        let entry = entry(row)?;
        match entry.blobs {
            Some(parts) => parts
                .iter()
                .try_for_each(|part| need(scratch, part, &entry.place))?,
            None => known = Known::NotAll,
        }
    }
    parts_needed(conn, scratch)?;
    Ok(known)
}

fn parts_needed(conn: &Connection, scratch: &Connection) -> rusqlite::Result<()> {
    let mut statement = conn.prepare("SELECT upload, number, blob, size FROM parts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (upload, number): (i64, i64) = (row.get(0)?, row.get(1)?);
        let part = BlobPart {
            blob: BlobId(row.get(2)?),
            size: row.get::<_, i64>(3)?.max(0) as u64,
        };
        need(
            scratch,
            &part,
            &format!("part {number} of upload {upload:016x}"),
        )?;
    }
    Ok(())
}

/// Each entry is whole in itself.
pub(super) fn check(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    let total = Some(exam.number("SELECT count(*) FROM objects")? as u64);
    let mut statement = conn.prepare(ENTRIES)?;
    let mut rows = statement.query([])?;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        done += 1;
        exam.tell_now_and_then(Step::Objects, done, total);
        let entry = entry(row)?;
        one(exam, &entry);
    }
    exam.report.checked.objects = done;
    exam.tell(Step::Objects, done, total);
    Ok(())
}

fn one(exam: &mut Exam<'_>, entry: &Entry) {
    let person = || Remedy::Person("restore a backup, or write the object again".to_owned());
    let sum = entry
        .blobs
        .as_ref()
        .map(|parts| parts.iter().map(|part| i128::from(part.size)).sum::<i128>());
    if entry.place.starts_with("bucket number") || sum != Some(i128::from(entry.size)) {
        exam.add(
            Code::ObjectDamaged,
            &entry.place,
            match sum {
                None => "the list of its files cannot be understood".to_owned(),
                Some(sum) => format!("it has {} bytes, its files {sum}; or no bucket", entry.size),
            },
            "it cannot be read as it was written",
            person(),
        );
    } else if exam.is_deep()
        && let Some(parts) = &entry.blobs
    {
        let folder = exam.folder.join(FOLDER);
        let etag = etag_of(&folder, parts, &entry.etag);
        exam.report.checked.bytes += entry.size as u64;
        // A file that is missing or cannot be read is told of with the files.
        if etag.is_ok_and(|etag| etag != entry.etag) {
            exam.add(
                Code::BlobDamaged,
                &entry.place,
                "its bytes do not fit its ETag",
                "who reads it gets bytes that were not written",
                person(),
            );
        }
    }
}

/// The ETag that the bytes on disk have: the MD5, or, of an upload in parts, the MD5 of those.
fn etag_of(folder: &Path, parts: &[BlobPart], kept: &str) -> std::io::Result<String> {
    let (mut whole, mut each) = (Md5::new(), Md5::new());
    let mut buffer = vec![0; OBJECT_CHUNK];
    for part in parts {
        let mut one = Md5::new();
        let mut file = File::open(folder.join(part.blob.file()))?;
        loop {
            let read = file.read(&mut buffer)?;
            if read == 0 {
                break;
            }
            one.update(&buffer[..read]);
            whole.update(&buffer[..read]);
        }
        each.update(one.finalize());
    }
    Ok(match kept.split_once('-') {
        Some((_, count)) if count == parts.len().to_string() => {
            format!("{}-{count}", hex(&each.finalize()))
        }
        // In so many parts we do not have it: there is nothing to hold it against.
        Some(_) => kept.to_owned(),
        None => hex(&whole.finalize()),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Each part belongs to an upload, and has the bytes that were sent.
pub(super) fn parts(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let count = exam.number(
        "SELECT count(*) FROM parts WHERE NOT EXISTS \
         (SELECT 1 FROM uploads WHERE id = parts.upload)",
    )?;
    if count > 0 {
        exam.add(
            Code::PartOrphaned,
            "parts",
            format!("{count} parts belong to no upload"),
            "nobody can complete or give up that upload; its files take room",
            Remedy::Repair("drop them from the index".to_owned()),
        );
    }
    match exam.is_deep() {
        true => bytes_of_parts(exam),
        false => Ok(()),
    }
}

fn bytes_of_parts(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    let folder = exam.folder.join(FOLDER);
    let mut statement = conn.prepare("SELECT upload, number, blob, etag FROM parts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (upload, number): (i64, i64) = (row.get(0)?, row.get(1)?);
        let (blob, etag): (i64, String) = (row.get(2)?, row.get(3)?);
        let part = BlobPart {
            blob: BlobId(blob),
            size: 0,
        };
        if etag_of(&folder, &[part], &etag).is_ok_and(|found| found != etag) {
            exam.add(
                Code::BlobDamaged,
                format!("part {number} of upload {upload:016x}"),
                "its bytes do not fit its ETag",
                "the object that is made of it would hold bytes that were not sent",
                Remedy::Person("send the part again, or give the upload up".to_owned()),
            );
        }
    }
    Ok(())
}

/// Rows with a checksum are those that were written.
pub(super) fn sums(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    for (table, columns, width) in anatomy::SUMMED {
        let mut statement = conn.prepare(&format!("SELECT {columns}, checksum FROM {table}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            if anatomy::fits(row, width) {
                continue;
            }
            let place = (0..3).map(|at| shown(row.get_ref(at)));
            let place = format!("{table} ({})", place.collect::<Vec<_>>().join(", "));
            if table == "checkpoints" {
                exam.add(
                    Code::CheckpointDamaged,
                    place,
                    "it is not what was written",
                    "its source does not start: it might miss events, or bring them twice",
                    Remedy::Person(
                        "restore a backup; or remove it from the table `checkpoints`, and the \
                         source begins as a new one does"
                            .to_owned(),
                    ),
                );
            } else {
                exam.add(
                    Code::ObjectDamaged,
                    place,
                    "its entry in the index is not what was written",
                    "it cannot be read, listed or replaced",
                    Remedy::Person(format!(
                        "restore a backup; or remove it from the table `{table}`, repair, and \
                         write it again"
                    )),
                );
            }
        }
    }
    Ok(())
}

/// A key as people can read it.
fn shown(value: rusqlite::Result<ValueRef<'_>>) -> String {
    match value {
        Ok(ValueRef::Integer(number)) => number.to_string(),
        Ok(ValueRef::Text(bytes) | ValueRef::Blob(bytes)) => {
            String::from_utf8_lossy(bytes).chars().take(200).collect()
        }
        _ => "?".to_owned(),
    }
}
