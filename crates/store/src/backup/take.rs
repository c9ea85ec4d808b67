//! Taking a backup.

use std::{
    ops::ControlFlow,
    path::{Path, PathBuf},
    time::Instant,
};

use rusqlite::Connection;
use wakeful_core::{limits::DISK_RESERVE, port::BlobId, time::Timestamp};

use super::{
    Part, Progress, Source, Summary, Watch, WithHistory, database,
    error::{BackupError, io},
    files,
    manifest::{self, Entry, List},
    restore,
};
use crate::{
    doctor::{around, objects},
    sqlite::anatomy,
};

/// Takes a backup of `source` to the folder `to`, which is empty or does not exist, and verifies
/// it. Blocks. One that ends early leaves a folder that is no backup.
pub fn take(
    source: Source<'_>,
    to: &Path,
    history: WithHistory,
    now: Timestamp,
    mut watch: Watch<'_>,
) -> Result<Summary, BackupError> {
    let begun = Instant::now();
    let (folder, _lock) = match source {
        Source::Running(store) => (store.folder().to_owned(), None),
        Source::Stopped(folder) => {
            if !folder.join(anatomy::FILE).is_file() {
                return Err(BackupError::NotAFolder {
                    folder: folder.display().to_string(),
                });
            }
            let lock = anatomy::lock(folder).map_err(BackupError::held)?;
            (folder.to_owned(), Some(lock))
        }
    };
    files::make_empty(to)?;
    let mut taking = Taking {
        folder,
        to,
        list: List::begin(to)?,
        watch: &mut watch,
    };
    let (format, seq) = taking.store()?;
    taking.objects()?;
    for name in around::VAULT {
        taking.file(name)?;
    }
    if history == WithHistory::Yes {
        taking.history()?;
    }
    files::sync_all(to)?;
    let Taking { list, .. } = taking;
    let mut summary = Summary {
        at: now,
        format,
        seq,
        files: list.files,
        bytes: list.bytes,
        objects: list.objects,
        took: begun.elapsed(),
        damage: Vec::new(),
    };
    let list_crc = list.end()?;
    // Before its last word: what cannot be read back must not become a backup.
    let unfinished = restore::check(to, &summary, list_crc, &mut watch)?;
    manifest::write(to, &summary, list_crc)?;
    summary.damage = unfinished;
    Ok(summary)
}

struct Taking<'a, 'w> {
    folder: PathBuf,
    to: &'a Path,
    list: List,
    watch: &'a mut Watch<'w>,
}

impl Taking<'_, '_> {
    /// Copies the database; replies its format and the number of its last commit.
    fn store(&mut self) -> Result<(u32, u64), BackupError> {
        let file = self.folder.join(anatomy::FILE);
        let doing = format!("reading {}", file.display());
        let failed = |error: rusqlite::Error| BackupError::failed(&doing, error);
        let conn =
            anatomy::open_reader(&file).map_err(|cause| BackupError::failed(&doing, cause))?;
        let format = anatomy::format(&conn).map_err(|cause| BackupError::failed(&doing, cause))?;
        conn.execute_batch("BEGIN").map_err(failed)?;
        // The first read decides which commit is seen from now on.
        let seq = anatomy::count(&conn, "SELECT seq FROM counters").map_err(failed)?;
        let bytes = size(&conn).map_err(failed)?;
        files::room(self.to, bytes.saturating_add(2 * DISK_RESERVE))?;
        let to = self.to.join(anatomy::FILE);
        database::copy(&conn, &to, (Part::Store, &self.folder), self.watch)?;
        // Only now may the log be reused.
        drop(conn);
        self.listed(anatomy::FILE)?;
        Ok((format, seq))
    }

    fn objects(&mut self) -> Result<(), BackupError> {
        let copied = self.to.join(anatomy::FILE);
        let failed =
            |error: rusqlite::Error| BackupError::failed("reading the copied index", error);
        let conn = anatomy::open_reader(&copied)
            .map_err(|cause| BackupError::failed("opening the copied store", cause))?;
        let scratch = objects::scratch().map_err(failed)?;
        objects::needed(&conn, &scratch).map_err(failed)?;
        let total = anatomy::count(&scratch, "SELECT coalesce(sum(size), 0) FROM needed")
            .map_err(failed)?;
        files::room(self.to, DISK_RESERVE.saturating_add(total))?;
        let mut statement = scratch
            .prepare("SELECT id FROM needed ORDER BY id")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut done = 0;
        while let Some(row) = rows.next().map_err(failed)? {
            let id = row.get(0).map(BlobId).map_err(failed)?;
            // One that is missing was missing already; the check names it.
            done += self.file(&format!("{}/{}", objects::FOLDER, id.file()))?;
            self.tell(Part::Objects, done, total)?;
        }
        Ok(())
    }

    /// Copies one file if it is there; replies its bytes.
    fn file(&mut self, name: &str) -> Result<u64, BackupError> {
        let (from, to) = (self.folder.join(name), self.to.join(name));
        if !from.is_file() {
            return Ok(0);
        }
        files::make_parent(&to).map_err(io("making the folder of", &to))?;
        let (crc, size) = files::copy(&from, &to).map_err(io("copying", &from))?;
        self.list.add(&Entry {
            crc,
            size,
            path: name.to_owned(),
        })?;
        Ok(size)
    }

    fn history(&mut self) -> Result<(), BackupError> {
        let file = self.folder.join(around::HISTORY);
        if !file.is_file() {
            return Ok(());
        }
        let doing = format!(
            "reading {} (leave the history out if it is damaged)",
            file.display()
        );
        let failed = |error: rusqlite::Error| BackupError::failed(&doing, error);
        let conn =
            anatomy::open_reader(&file).map_err(|cause| BackupError::failed(&doing, cause))?;
        conn.execute_batch("BEGIN").map_err(failed)?;
        let bytes = size(&conn).map_err(failed)?;
        files::room(self.to, bytes.saturating_add(2 * DISK_RESERVE))?;
        let to = self.to.join(around::HISTORY);
        database::copy(&conn, &to, (Part::History, &self.folder), self.watch)?;
        self.listed(around::HISTORY)
    }

    /// Lists a file that was written by other means.
    fn listed(&mut self, name: &str) -> Result<(), BackupError> {
        let path = self.to.join(name);
        let (crc, size) = files::sum(&path).map_err(io("reading", &path))?;
        self.list.add(&Entry {
            crc,
            size,
            path: name.to_owned(),
        })
    }

    fn tell(&mut self, part: Part, done: u64, total: u64) -> Result<(), BackupError> {
        match (self.watch)(Progress { part, done, total }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(BackupError::stopped(self.to)),
        }
    }
}

/// The bytes of the database that `conn` reads.
fn size(conn: &Connection) -> rusqlite::Result<u64> {
    Ok(anatomy::count(conn, "PRAGMA page_count")? * anatomy::count(conn, "PRAGMA page_size")?)
}
