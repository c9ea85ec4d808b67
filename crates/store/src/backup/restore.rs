//! Reading a backup: to see that it is whole, or back into a data folder.

use std::{fs, ops::ControlFlow, os::unix::fs::PermissionsExt, path::Path, sync::Arc};

use wakeful_core::{limits::DISK_RESERVE, port::Clock};

use super::{
    Part, Progress, Summary, Watch,
    error::{BackupError, io},
    files,
    manifest::{self, Entry, Manifest},
};
use crate::{
    Options, SqliteStore,
    doctor::{self, Code, Depth, Finding},
    sqlite::{anatomy, folder},
};

/// Reads all of a backup and holds it against its checksums. Blocks.
pub fn verify(backup: &Path, mut watch: Watch<'_>) -> Result<Summary, BackupError> {
    let manifest = manifest::read(backup)?;
    let damage = read_again(backup, &manifest, &mut watch)?;
    Ok(Summary {
        damage,
        ..manifest.summary
    })
}

/// The same before the manifest is written.
pub(super) fn check(
    backup: &Path,
    summary: &Summary,
    list_crc: u32,
    watch: &mut Watch<'_>,
) -> Result<Vec<Finding>, BackupError> {
    read_again(backup, &Manifest::new(summary.clone(), list_crc), watch)
}

fn read_again(
    backup: &Path,
    manifest: &Manifest,
    watch: &mut Watch<'_>,
) -> Result<Vec<Finding>, BackupError> {
    let total = manifest.summary.bytes;
    let mut done = 0;
    manifest::each(backup, manifest, |entry| {
        let path = backup.join(&entry.path);
        let found = files::sum(&path);
        done += entry.size;
        as_written(&entry, found)?;
        tell(watch, (Part::Verify, done, total), backup)
    })?;
    // A whole copy of a damaged store is still one.
    let mut quiet = |_| {};
    let report = doctor::look(backup, Depth::Normal, manifest.summary.at, &mut quiet)
        .map_err(|error| BackupError::failed("examining the copied store", error))?;
    let expected = [Code::MarkMissing, Code::OpenToOthers, Code::OlderFormat];
    let findings = report.findings.into_iter();
    Ok(findings
        .filter(|finding| !expected.contains(&finding.code))
        .collect())
}

fn as_written(entry: &Entry, found: std::io::Result<(u32, u64)>) -> Result<(), BackupError> {
    let damaged = |what: String| BackupError::damaged(&entry.path, what);
    let (crc, size) = found.map_err(|error| damaged(error.to_string()))?;
    if size != entry.size {
        return Err(damaged(format!(
            "it has {size} bytes, {} were written",
            entry.size
        )));
    }
    if crc != entry.crc {
        return Err(damaged(
            "its bytes are not those that were written".to_owned(),
        ));
    }
    Ok(())
}

fn tell(
    watch: &mut Watch<'_>,
    (part, done, total): (Part, u64, u64),
    folder: &Path,
) -> Result<(), BackupError> {
    match watch(Progress { part, done, total }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(BackupError::stopped(folder)),
    }
}

/// The store while the rest is copied: nothing opens it before all is there.
const UNFINISHED: &str = "store.db.restoring";

/// Restores a backup into `to`, which is empty or does not exist: copies everything and holds it
/// against its checksums, then opens the store once, which begins a new epoch. Blocks. One that
/// ends early leaves a folder in which no server starts.
pub fn restore(
    backup: &Path,
    to: &Path,
    clock: Arc<dyn Clock>,
    mut watch: Watch<'_>,
) -> Result<Summary, BackupError> {
    let manifest = manifest::read(backup)?;
    files::make_empty(to)?;
    files::room(to, manifest.summary.bytes.saturating_add(DISK_RESERVE))?;
    let mode = fs::Permissions::from_mode(0o700);
    fs::set_permissions(to, mode).map_err(io("closing to others", to))?;
    let lock = anatomy::lock(to).map_err(BackupError::held)?;
    // First of all: with a mark and no database a folder is refused.
    anatomy::set_mark(to, manifest.summary.seq.max(1))
        .and_then(|()| folder::sync(to))
        .map_err(io("writing the high-water mark of", to))?;
    let total = manifest.summary.bytes;
    let mut done = 0;
    manifest::each(backup, &manifest, |entry| {
        let name = match entry.path.as_str() {
            anatomy::FILE => UNFINISHED,
            name => name,
        };
        let target = to.join(name);
        files::make_parent(&target).map_err(io("making the folder of", &target))?;
        let copied = files::copy(&backup.join(&entry.path), &target);
        done += entry.size;
        as_written(&entry, copied)?;
        tell(&mut watch, (Part::Restore, done, total), to)
    })?;
    files::sync_all(to)?;
    let store = to.join(anatomy::FILE);
    fs::rename(to.join(UNFINISHED), &store)
        .and_then(|()| folder::sync(to))
        .map_err(io("putting in place", &store))?;
    drop(lock);
    let opened = SqliteStore::open(Options::new(to, clock))
        .map_err(|error| BackupError::failed("opening the restored store", error))?;
    opened.close();
    Ok(manifest.summary)
}
