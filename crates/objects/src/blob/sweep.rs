//! Removes what a crash left behind: blobs from before this start to which nothing refers.

use std::{fs, io};

use wakeful_core::port::{BlobId, Store};

use super::{BlobFolder, blocking, disk, from_hex};
use crate::error::ObjectError;

/// Blobs that are asked about at once.
const BATCH: usize = 512;

impl BlobFolder {
    /// A number below which every blob is from before now.
    pub(crate) fn boundary(&self) -> BlobId {
        self.draw()
    }

    /// Removes the blobs below `boundary` to which the index does not refer; returns how many.
    /// One folder of the 256 after the other, a bounded batch at a time. Safe to stop anywhere.
    pub(crate) async fn sweep(
        &self,
        boundary: BlobId,
        store: &dyn Store,
    ) -> Result<u64, ObjectError> {
        let mut removed = 0;
        for digits in 0..=u8::MAX {
            let path = self.0.root.join(format!("{digits:02x}"));
            let mut entries = blocking(move || {
                fs::read_dir(&path).map_err(|cause| disk("listing", &path, cause))
            })
            .await?;
            loop {
                let folder = self.clone();
                let (rest, batch) = blocking(move || {
                    let batch = next_batch(&mut entries, boundary)
                        .map_err(|cause| disk("listing", &folder.0.root, cause))?;
                    Ok((entries, batch))
                })
                .await?;
                if batch.is_empty() {
                    break;
                }
                entries = rest;
                let orphans = store.unreferenced(batch).await?;
                removed += orphans.len() as u64;
                let folder = self.clone();
                blocking(move || {
                    folder.retire(orphans);
                    Ok(())
                })
                .await?;
            }
        }
        Ok(removed)
    }
}

fn next_batch(entries: &mut fs::ReadDir, boundary: BlobId) -> io::Result<Vec<BlobId>> {
    let mut batch = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        // What is not ours is left alone.
        let id = name.to_str().and_then(from_hex);
        if let Some(id) = id.filter(|id| *id < boundary.0) {
            batch.push(BlobId(id));
            if batch.len() == BATCH {
                break;
            }
        }
    }
    Ok(batch)
}
