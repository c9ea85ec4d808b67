//! The files of objects against the index: none is missing, none is left over.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, OptionalExtension};
use wakeful_core::{id::EventId, port::BlobId, time::Timestamp};

use super::{
    exam::{Exam, recount},
    objects::{self, FOLDER, Known},
    report::{Code, Remedy, Step},
};
use crate::sqlite::anatomy;

/// A file to which nothing refers may belong to an upload that a crash cut off; from this age on,
/// milliseconds, nobody can want it any more.
const ORPHAN_AGE: i64 = 24 * 3600 * 1000;

/// Checks them.
pub(super) fn check(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let scratch = objects::scratch()?;
    let known = objects::needed(exam.conn, &scratch)?;
    files(exam, &scratch)?;
    if known == Known::NotAll {
        // What an unreadable entry needs must not be taken for left over.
        return Ok(());
    }
    counts(exam, &scratch)?;
    orphans(exam, &scratch)
}

/// Ids and counts of `sql`, in order.
struct Cursor<'c> {
    rows: rusqlite::Rows<'c>,
}

impl Cursor<'_> {
    fn next(&mut self) -> rusqlite::Result<Option<(i64, i64)>> {
        let row = self.rows.next()?;
        row.map(|row| Ok((row.get(0)?, row.get(1)?))).transpose()
    }
}

/// How many of `blobs.refs` are not what the index says.
pub(super) fn wrong_counts(conn: &Connection, scratch: &Connection) -> rusqlite::Result<u64> {
    let mut kept = conn.prepare("SELECT id, refs FROM blobs ORDER BY id")?;
    let mut found = scratch.prepare("SELECT id, refs FROM needed ORDER BY id")?;
    let mut kept = Cursor {
        rows: kept.query([])?,
    };
    let mut found = Cursor {
        rows: found.query([])?,
    };
    let (mut a, mut b) = (kept.next()?, found.next()?);
    let mut wrong = 0;
    loop {
        match (a, b) {
            (None, None) => return Ok(wrong),
            (Some(x), Some(y)) if x.0 == y.0 => {
                wrong += u64::from(x.1 != y.1);
                (a, b) = (kept.next()?, found.next()?);
            }
            (Some(x), y) if y.is_none_or(|y| x.0 < y.0) => {
                wrong += 1;
                a = kept.next()?;
            }
            _ => {
                wrong += 1;
                b = found.next()?;
            }
        }
    }
}

fn counts(exam: &mut Exam<'_>, scratch: &Connection) -> rusqlite::Result<()> {
    let wrong = wrong_counts(exam.conn, scratch)?;
    if wrong > 0 {
        exam.add(
            Code::BlobCount,
            "blobs.refs",
            format!("{wrong} files are referred to more or less often than is on record"),
            "a file that is still needed could be removed, or one that is not could stay",
            recount("count anew"),
        );
    }
    Ok(())
}

fn files(exam: &mut Exam<'_>, scratch: &Connection) -> rusqlite::Result<()> {
    let folder = exam.folder.join(FOLDER);
    let total = anatomy::count(scratch, "SELECT count(*) FROM needed")?;
    let mut statement = scratch.prepare("SELECT id, size, place FROM needed ORDER BY id")?;
    let mut rows = statement.query([])?;
    let mut done = 0;
    while let Some(row) = rows.next()? {
        done += 1;
        exam.tell_now_and_then(Step::Blobs, done, Some(total));
        let (id, size): (i64, i64) = (row.get(0)?, row.get(1)?);
        let path = folder.join(BlobId(id).file());
        let person = || Remedy::Person("restore a backup, or write the object again".to_owned());
        let (code, what) = match fs::metadata(&path) {
            Ok(meta) if meta.is_file() && meta.len() == size.unsigned_abs() => continue,
            Ok(meta) => (
                Code::BlobSize,
                format!(
                    "{} has {} bytes, {size} were written",
                    path.display(),
                    meta.len()
                ),
            ),
            Err(error) => (Code::BlobMissing, format!("{}: {error}", path.display())),
        };
        let place: String = row.get(2)?;
        exam.add(code, place, what, "the object cannot be read", person());
    }
    exam.report.checked.blobs = done;
    exam.tell(Step::Blobs, done, Some(total));
    Ok(())
}

fn orphans(exam: &mut Exam<'_>, scratch: &Connection) -> rusqlite::Result<()> {
    let folder = exam.folder.join(FOLDER);
    let (mut old, mut young, mut bytes) = (0_u64, 0_u64, 0);
    let now = exam.now;
    let listed = each_orphan(&folder, scratch, |path, id| {
        match is_old(id, now) {
            true => old += 1,
            false => young += 1,
        }
        bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
    })?;
    if let Err(error) = listed {
        exam.add(
            Code::Unchecked,
            folder.display().to_string(),
            format!("the files of objects could not be listed: {error}"),
            "whether some are left over is not known",
            Remedy::Person("see that the folder can be read".to_owned()),
        );
    }
    if old + young > 0 {
        exam.add(
            Code::BlobOrphaned,
            folder.display().to_string(),
            format!(
                "nothing refers to {} of the files ({bytes} bytes)",
                old + young
            ),
            "they take room",
            match old {
                0 => Remedy::None,
                old => Remedy::Repair(format!("remove those that are older than a day: {old}")),
            },
        );
    }
    Ok(())
}

/// Whether nobody can want a blob any more to which nothing refers.
pub(super) fn is_old(blob: BlobId, now: Timestamp) -> bool {
    let drawn = EventId::from_raw(blob.0.max(0)).drawn_at();
    now.as_millis().saturating_sub(drawn.as_millis()) > ORPHAN_AGE
}

/// Calls `meet` for each file of a blob that `scratch` does not need. The inner error is the file
/// system's.
pub(super) fn each_orphan(
    folder: &Path,
    scratch: &Connection,
    mut meet: impl FnMut(PathBuf, BlobId),
) -> rusqlite::Result<std::io::Result<()>> {
    let mut find = scratch.prepare("SELECT 1 FROM needed WHERE id = ?1")?;
    for digits in 0..=u8::MAX {
        let entries = match fs::read_dir(folder.join(format!("{digits:02x}"))) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Ok(Err(error)),
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return Ok(Err(error)),
            };
            // What is not ours is left alone.
            let Some(id) = entry.file_name().to_str().and_then(id_of) else {
                continue;
            };
            let known = find.query_row([id.0], |_| Ok(())).optional()?;
            if known.is_none() {
                meet(entry.path(), id);
            }
        }
    }
    Ok(Ok(()))
}

/// The blob whose file is called `name`.
fn id_of(name: &str) -> Option<BlobId> {
    let id = i64::from_str_radix(name, 16).ok().map(BlobId)?;
    id.file().ends_with(&format!("/{name}")).then_some(id)
}
