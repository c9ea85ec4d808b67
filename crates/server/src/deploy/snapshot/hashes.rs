//! Hashes of files, computed again only for files that changed.

use std::{
    collections::HashMap,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use sha2::{Digest, Sha256};

/// A file that changed within this time may change again within the same tick of the file
/// system's clock, so that its stamp proves nothing yet. The coarsest clocks tick every 2 s.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The hash of a file, with whether it may be executed.
pub(super) type Hash = [u8; 32];

/// A file as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    /// Of content, mode or owner; cannot be set by programs.
    changed: (i64, i64),
    size: u64,
    file: (u64, u64),
    mode: u32,
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            modified: (meta.mtime(), meta.mtime_nsec()),
            changed: (meta.ctime(), meta.ctime_nsec()),
            size: meta.size(),
            file: (meta.dev(), meta.ino()),
            mode: meta.mode(),
        }
    }

    /// Whether an equal stamp later means an equal file.
    pub(super) fn is_settled(&self) -> bool {
        let Ok(seconds) = u64::try_from(self.changed.0) else {
            return false;
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        at.elapsed().is_ok_and(|age| age > SETTLED_AFTER)
    }

    pub(super) fn is_executable(&self) -> bool {
        self.mode & 0o111 != 0
    }
}

/// The hashes of files that were seen.
#[derive(Default)]
pub(super) struct Hashes(HashMap<PathBuf, (Stamp, Hash)>);

impl Hashes {
    /// The hash of a file that has this stamp; read only when it is not known.
    pub(super) fn of(&mut self, path: &Path, stamp: Stamp) -> io::Result<Hash> {
        if let Some((seen, hash)) = self.0.get(path)
            && *seen == stamp
        {
            return Ok(*hash);
        }
        // Looked at before it is read: a stamp that settles only afterwards may be that of two
        // contents.
        let is_settled = stamp.is_settled();
        let hash = hash_of(path, stamp)?;
        if is_settled {
            self.0.insert(path.to_owned(), (stamp, hash));
        }
        Ok(hash)
    }

    /// Forgets files that are gone.
    pub(super) fn sweep(&mut self, present: usize) {
        if self.0.len() > present {
            self.0.retain(|path, _| path.is_file());
        }
    }
}

/// The hash of a file's content as it is now.
pub(super) fn hash_of(path: &Path, stamp: Stamp) -> io::Result<Hash> {
    let content = fs::read(path)?;
    let mut hasher = Sha256::new();
    hasher.update([u8::from(stamp.is_executable())]);
    hasher.update(content);
    Ok(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_remembered_only_when_its_stamp_proves_something() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.js");
        fs::write(&path, "one").unwrap();
        let fresh = Stamp::of(&fs::metadata(&path).unwrap());
        let settled = Stamp {
            changed: (1_000_000_000, 0),
            ..fresh
        };
        assert!(!fresh.is_settled() && settled.is_settled());
        for (stamp, is_read_again) in [(fresh, true), (settled, false)] {
            let mut hashes = Hashes::default();
            fs::write(&path, "one").unwrap();
            let first = hashes.of(&path, stamp).unwrap();
            fs::write(&path, "two").unwrap();
            let second = hashes.of(&path, stamp).unwrap();
            assert_eq!(first != second, is_read_again);
        }
    }
}
