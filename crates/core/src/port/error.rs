//! How a store refuses and fails.

use crate::id::EventId;

/// Why the store refused or failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// An object was not what the change expected, or its upload is gone. Nothing was applied.
    #[error("the object `{0}` was changed by someone else meanwhile")]
    Conflict(String),
    /// No room for new work. Nothing was applied; settlements still go through.
    #[error("the disk of the data folder is full: free some space, new work is refused until then")]
    DiskFull,
    /// The data folder cannot be written. Nothing was applied.
    #[error("the data folder cannot be written: {0}")]
    ReadOnly(String),
    /// An event's payload does not fit its checksum.
    #[error("event {0} is damaged on disk: its payload does not fit its checksum")]
    Damaged(EventId),
    /// The disk failed while writing. Whether this change survived is not known; nothing further
    /// is accepted until the server was restarted and found out.
    #[error("the disk failed while writing ({0}): no change is accepted until a restart")]
    Unknown(String),
    /// The store was closed, or its writer ended.
    #[error("the store is closed")]
    Closed,
    /// The store failed in another way. Nothing was applied.
    #[error("the store failed: {0}")]
    Failed(String),
}

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another server holds it.
    #[error("the data folder {folder} is in use by another server{holder}")]
    InUse {
        /// The folder.
        folder: String,
        /// ` (process 123)` when known.
        holder: String,
    },
    /// A newer version wrote it.
    #[error(
        "the data folder {folder} was written by a newer version of Wakeful \
         (format {found}, this one reads up to {supported}): use that version, or another folder"
    )]
    Newer {
        /// The folder.
        folder: String,
        /// The format it has.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// Commits that were acknowledged are not there.
    #[error(
        "the data folder {folder} has lost acknowledged changes: its high-water mark says commit \
         {expected}, the database ends at {found}. Restore a backup; or, to go on without the lost \
         changes, remove {mark}"
    )]
    Lost {
        /// The folder.
        folder: String,
        /// The last commit that was acknowledged.
        expected: u64,
        /// The last commit that is there.
        found: u64,
        /// The file that holds the mark.
        mark: String,
    },
    /// It cannot be read or written.
    #[error("the data folder {folder} cannot be opened: {cause}")]
    Failed {
        /// The folder.
        folder: String,
        /// Why.
        cause: String,
    },
}
