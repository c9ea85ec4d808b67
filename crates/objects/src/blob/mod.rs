//! Bytes in files. Knows neither keys nor buckets: a blob is a number, and a file named by it.
//!
//! Layout: `<folder>/<2 hex>/<16 hex of the id>`, see `BlobId::file`. A file's name says nothing about its being whole:
//! only what the index refers to is. Files are created exclusively at their final name, so two
//! writers can never share one, and a name left over from a crash is skipped.

mod pins;
mod read;
mod sweep;
mod write;

pub(crate) use read::BeginError;
pub use read::BlobStream;

use std::{
    fs::{self, File},
    io,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use wakeful_core::{
    id::IdSource,
    port::{BlobId, Clock},
};

use crate::error::ObjectError;
pub use pins::KeptRemoved;
pub(crate) use pins::Pinned;
use pins::Pins;
pub(crate) use write::{FreshBlob, Received};

/// The folder of all blobs. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BlobFolder(Arc<Inner>);

struct Inner {
    root: PathBuf,
    clock: Arc<dyn Clock>,
    ids: Arc<IdSource>,
    pins: Pins,
    sync: Sync,
}

/// Brings a file or folder to the disk: `File::sync_all`, or what a test puts in its place.
type Sync = Box<dyn Fn(&File) -> io::Result<()> + Send + std::marker::Sync>;

impl BlobFolder {
    /// Opens the folder; makes it and its 256 subfolders where they are missing, for their owner
    /// alone.
    pub(crate) fn open(
        root: PathBuf,
        clock: Arc<dyn Clock>,
        ids: Arc<IdSource>,
    ) -> io::Result<Self> {
        Self::with_sync(root, clock, ids, Box::new(File::sync_all))
    }

    fn with_sync(
        root: PathBuf,
        clock: Arc<dyn Clock>,
        ids: Arc<IdSource>,
        sync: Sync,
    ) -> io::Result<Self> {
        let mut private = fs::DirBuilder::new();
        private.mode(0o700).recursive(true).create(&root)?;
        let mut made = false;
        for digits in 0..=u8::MAX {
            let folder = root.join(format!("{digits:02x}"));
            if !folder.is_dir() {
                private.create(&folder)?;
                made = true;
            }
        }
        if made {
            sync(&File::open(&root)?)?;
            if let Some(parent) = root
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
            {
                sync(&File::open(parent)?)?;
            }
        }
        Ok(Self(Arc::new(Inner {
            root,
            clock,
            ids,
            pins: Pins::default(),
            sync,
        })))
    }

    fn draw(&self) -> BlobId {
        BlobId(self.0.ids.draw(self.0.clock.now()))
    }

    fn path(&self, blob: BlobId) -> PathBuf {
        self.0.root.join(blob.file())
    }

    /// Keeps these blobs readable until the answer is dropped, even when they are retired.
    pub(crate) fn pin(&self, blobs: impl IntoIterator<Item = BlobId>) -> Pinned {
        Pinned::new(self.clone(), blobs.into_iter().collect())
    }

    /// Keeps the files of all blobs until the answer is dropped, even of those that are retired.
    pub(crate) fn keep_removed(&self) -> KeptRemoved {
        KeptRemoved::new(self.clone())
    }

    /// Removes blobs that nothing refers to any more, at once or after their last reader.
    pub(crate) fn retire(&self, blobs: impl IntoIterator<Item = BlobId>) {
        for blob in blobs {
            if self.0.pins.retire(blob) {
                self.unlink(blob);
            }
        }
    }

    /// A blob that cannot be removed now costs room, not correctness: the next start sweeps it.
    fn unlink(&self, blob: BlobId) {
        if self.0.pins.keeps(blob) {
            return;
        }
        let path = self.path(blob);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(path = %path.display(), %error, "a blob could not be removed");
            }
            _ => {}
        }
    }
}

/// The number that 16 lower-case hex digits stand for, and nothing else.
pub(crate) fn from_hex(text: &str) -> Option<i64> {
    let digits = text
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    (text.len() == 16 && digits).then(|| i64::from_str_radix(text, 16).ok())?
}

/// An error of the disk, with what was being done. A full disk is told apart.
fn disk(doing: &str, path: &Path, cause: io::Error) -> ObjectError {
    match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => ObjectError::DiskFull,
        _ => ObjectError::Disk {
            doing: format!("{doing} {}", path.display()),
            cause,
        },
    }
}

/// Runs what blocks on a thread made for it. Panics go on here.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ObjectError> + Send + 'static,
) -> Result<T, ObjectError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(ObjectError::Stopping),
        },
    }
}
