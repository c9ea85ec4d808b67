//! Which blobs are being read, so that none is removed under a reader.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use wakeful_core::port::BlobId;

use super::BlobFolder;

#[derive(Default)]
struct Pin {
    readers: u32,
    retired: bool,
}

/// Blobs that may wait to be removed while someone keeps all of them; further ones are left to
/// the sweep of the next start.
const MOST_KEPT: usize = 1_000_000;

/// The blobs with readers; memory grows with the reads under way, not with the blobs.
#[derive(Default)]
pub(super) struct Pins {
    readers: Mutex<HashMap<BlobId, Pin, RandomState>>,
    kept: Mutex<Kept>,
}

/// Who keeps all blobs, and which of them are to go afterwards.
#[derive(Default)]
struct Kept {
    keepers: u32,
    removed: Vec<BlobId>,
}

impl Pins {
    /// Whether the file of a blob has to stay for now; it is removed when nobody keeps it any more.
    pub(super) fn keeps(&self, blob: BlobId) -> bool {
        let mut kept = self.kept.lock();
        if kept.keepers == 0 {
            return false;
        }
        if kept.removed.len() < MOST_KEPT {
            kept.removed.push(blob);
        }
        true
    }

    fn add(&self, blobs: &[BlobId]) {
        let mut pins = self.readers.lock();
        for blob in blobs {
            pins.entry(*blob).or_default().readers += 1;
        }
    }

    /// Ends one reader of each; returns those that are to be removed now.
    fn release(&self, blobs: &[BlobId]) -> Vec<BlobId> {
        let mut pins = self.readers.lock();
        let mut over = Vec::new();
        for blob in blobs {
            let Some(pin) = pins.get_mut(blob) else {
                continue;
            };
            pin.readers -= 1;
            if pin.readers == 0 {
                if pin.retired {
                    over.push(*blob);
                }
                pins.remove(blob);
            }
        }
        over
    }

    /// Whether the blob can be removed now; otherwise its last reader does it.
    pub(super) fn retire(&self, blob: BlobId) -> bool {
        match self.readers.lock().get_mut(&blob) {
            Some(pin) => {
                pin.retired = true;
                false
            }
            None => true,
        }
    }
}

/// Blobs that stay until this is dropped.
pub(crate) struct Pinned {
    folder: BlobFolder,
    blobs: Vec<BlobId>,
}

impl Pinned {
    pub(super) fn new(folder: BlobFolder, blobs: Vec<BlobId>) -> Self {
        folder.0.pins.add(&blobs);
        Self { folder, blobs }
    }

    pub(super) fn folder(&self) -> &BlobFolder {
        &self.folder
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        for blob in self.folder.0.pins.release(&self.blobs) {
            self.folder.unlink(blob);
        }
    }
}

impl std::fmt::Debug for Pinned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Pinned").field(&self.blobs).finish()
    }
}

/// While this lives the file of no blob is removed, so that a copy of the index finds all that it
/// names. What was to be removed meanwhile is removed when the last of them goes.
pub struct KeptRemoved {
    folder: BlobFolder,
}

impl KeptRemoved {
    pub(super) fn new(folder: BlobFolder) -> Self {
        folder.0.pins.kept.lock().keepers += 1;
        Self { folder }
    }
}

impl Drop for KeptRemoved {
    fn drop(&mut self) {
        let removed = {
            let mut kept = self.folder.0.pins.kept.lock();
            kept.keepers -= 1;
            if kept.keepers > 0 {
                return;
            }
            std::mem::take(&mut kept.removed)
        };
        // Someone may have begun to read one of them meanwhile.
        self.folder.retire(removed);
    }
}

impl std::fmt::Debug for KeptRemoved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeptRemoved")
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use wakeful_core::{id::IdSource, port::Clock, time::Timestamp};

    use super::*;

    struct Still;

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_800_000_000_000)
        }
    }

    #[test]
    fn what_is_removed_while_all_are_kept_goes_afterwards() {
        let root = tempfile::tempdir().unwrap();
        let ids = Arc::new(IdSource::after(0));
        let folder = BlobFolder::open(root.path().join("blobs"), Arc::new(Still), ids).unwrap();
        let blob = BlobId(7);
        let path = folder.path(blob);
        fs::write(&path, "x").unwrap();
        let (first, second) = (folder.keep_removed(), folder.keep_removed());
        folder.retire([blob]);
        assert!(path.exists());
        drop(first);
        assert!(path.exists(), "someone keeps it still");
        let pinned = folder.pin([blob]);
        drop(second);
        assert!(path.exists(), "someone reads it");
        drop(pinned);
        assert!(!path.exists());
        fs::write(&path, "x").unwrap();
        folder.retire([blob]);
        assert!(!path.exists());
    }
}
