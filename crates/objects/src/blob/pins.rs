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

/// The blobs with readers; memory grows with the reads under way, not with the blobs.
#[derive(Default)]
pub(super) struct Pins(Mutex<HashMap<BlobId, Pin, RandomState>>);

impl Pins {
    fn add(&self, blobs: &[BlobId]) {
        let mut pins = self.0.lock();
        for blob in blobs {
            pins.entry(*blob).or_default().readers += 1;
        }
    }

    /// Ends one reader of each; returns those that are to be removed now.
    fn release(&self, blobs: &[BlobId]) -> Vec<BlobId> {
        let mut pins = self.0.lock();
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
        match self.0.lock().get_mut(&blob) {
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
