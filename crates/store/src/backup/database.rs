//! A database copied page by page while others write to the original.

use std::{ops::ControlFlow, path::Path, time::Duration};

use rusqlite::{
    Connection,
    backup::{Backup, StepResult},
};
use wakeful_core::limits::DISK_RESERVE;

use super::{Part, Progress, Watch, error::BackupError, files};

/// Pages that are copied between two looks at the disk and at whoever watches.
const STEP: i32 = 1024;
/// Bytes of a page.
const PAGE: u64 = 4096;
/// How long to wait when someone holds the database.
const PAUSE: Duration = Duration::from_millis(5);

/// Copies what `from` sees to `to`. Other connections go on writing: `from` must be in a read
/// transaction, so that all pages are those of one commit.
pub(super) fn copy(
    from: &Connection,
    to: &Path,
    (part, log): (Part, &Path),
    watch: &mut Watch<'_>,
) -> Result<(), BackupError> {
    let failed = |error: rusqlite::Error| {
        BackupError::failed(format!("copying a database to {}", to.display()), error)
    };
    let mut target = Connection::open(to).map_err(failed)?;
    // All of it is brought to the disk in the end.
    target
        .pragma_update(None, "synchronous", "OFF")
        .map_err(failed)?;
    {
        let backup = Backup::new(from, &mut target).map_err(failed)?;
        loop {
            let step = backup.step(STEP).map_err(failed)?;
            let pages = backup.progress();
            let (total, left) = (pages.pagecount.max(0) as u64, pages.remaining.max(0) as u64);
            let progress = Progress {
                part,
                done: total.saturating_sub(left) * PAGE,
                total: total * PAGE,
            };
            if watch(progress) == ControlFlow::Break(()) {
                return Err(BackupError::stopped(to));
            }
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(PAUSE),
            }
            // The log of the original grows meanwhile: its server must not run out of room.
            files::room(log, DISK_RESERVE)?;
            files::room(to.parent().unwrap_or(to), DISK_RESERVE)?;
        }
    }
    // One file, without a log beside it.
    target
        .pragma_update_and_check(None, "journal_mode", "DELETE", |_| Ok(()))
        .map_err(failed)?;
    target.close().map_err(|(_, error)| failed(error))
}
