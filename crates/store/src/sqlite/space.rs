//! Room on the disk: new work is refused before the last of it is gone.
//!
//! Two things stand between a full disk and a server that cannot even write down that work is
//! done. New work is refused while less than the reserve is free. And the file `ballast` holds
//! a quarter of the reserve as blocks of our own: when something else has filled the disk, it
//! is let go of, so that what runs can still be settled; it comes back when there is room.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

const FILE: &str = "ballast";
/// How old an answer of the file system may be.
const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Bytes that are free where `folder` is; `None`, and logged, when that cannot be told.
pub(crate) fn free(folder: &Path) -> Option<u64> {
    match statvfs(folder) {
        Ok(stat) => Some(stat.f_bavail.saturating_mul(stat.f_frsize)),
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "free space is unknown");
            None
        }
    }
}

/// Watches the room of one folder.
#[derive(Debug)]
pub(super) struct Space {
    folder: PathBuf,
    reserve: u64,
    checked: Option<Instant>,
    low: bool,
    ballast: bool,
}

impl Space {
    /// Watches `folder`, keeping `reserve` bytes free.
    pub(super) fn new(folder: &Path, reserve: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            reserve,
            checked: None,
            low: false,
            ballast: folder.join(FILE).exists(),
        }
    }

    /// Whether new work must be refused.
    pub(super) fn is_low(&mut self) -> bool {
        if self.checked.is_none_or(|at| at.elapsed() >= CHECK_EVERY) {
            self.checked = Some(Instant::now());
            let free = free(&self.folder);
            self.low = free.is_some_and(|free| free < self.reserve);
            if !self.ballast && free.is_some_and(|free| free >= self.reserve.saturating_mul(2)) {
                self.take_ballast();
            }
        }
        self.low
    }

    /// What [`Space::is_low`] answered last.
    pub(super) fn was_low(&self) -> bool {
        self.low
    }

    /// The disk said that it is full, whatever was asked of it before.
    pub(super) fn found_full(&mut self) {
        self.checked = Some(Instant::now());
        self.low = true;
    }

    /// Lets go of the ballast; `false` when there is none left.
    pub(super) fn drop_ballast(&mut self) -> bool {
        let had = std::mem::take(&mut self.ballast);
        had && std::fs::remove_file(self.folder.join(FILE)).is_ok()
    }

    fn take_ballast(&mut self) {
        let path = self.folder.join(FILE);
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&path);
        let taken = file.and_then(|file| {
            let bytes = (self.reserve / 4).max(1);
            Ok(fallocate(&file, FallocateFlags::empty(), 0, bytes)?)
        });
        self.ballast = true;
        if let Err(error) = taken {
            // Some file systems cannot set blocks aside: the reserve alone must do there.
            tracing::debug!(%error, "no ballast was set aside");
        }
    }
}
