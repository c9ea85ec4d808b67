//! One install at a time in a folder, among all processes.

use std::{
    fs::File,
    io,
    path::Path,
    time::{Duration, Instant},
};

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};

use super::error::PackageError;
use crate::{limits, progress::Progress};

/// The right to install into a folder; given back when dropped, and when the process ends.
/// The lock is on the folder itself: npm removes everything inside node_modules.
#[derive(Debug)]
pub(crate) struct FolderLock(#[expect(dead_code, reason = "holds the lock")] File);

impl FolderLock {
    /// Waits for it, for `most` at the longest.
    pub(crate) async fn acquire(
        folder: &Path,
        most: Duration,
        progress: &dyn Progress,
    ) -> Result<Self, PackageError> {
        let failed = |source: io::Error| PackageError::Lock {
            folder: folder.to_owned(),
            source,
        };
        let file = File::open(folder).map_err(failed)?;
        let began = Instant::now();
        let mut told = false;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Self(file)),
                Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(failed(error.into())),
            }
            if began.elapsed() >= most {
                return Err(PackageError::Busy {
                    folder: folder.to_owned(),
                    waited: began.elapsed(),
                });
            }
            if !told {
                let folder = folder.display();
                progress.step(&format!("Waiting for another install in {folder}"));
                told = true;
            }
            tokio::time::sleep(limits::LOOK_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    #[tokio::test]
    async fn the_second_waits_for_the_first_and_gives_up_in_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let lock = |most| FolderLock::acquire(folder.path(), most, &Silent);
        let first = lock(Duration::ZERO).await.unwrap();
        let refused = lock(Duration::from_millis(10)).await;
        assert!(
            matches!(refused, Err(PackageError::Busy { .. })),
            "{refused:?}"
        );
        let (second, ()) = tokio::join!(lock(Duration::from_secs(60)), async { drop(first) });
        second.unwrap();
    }
}
