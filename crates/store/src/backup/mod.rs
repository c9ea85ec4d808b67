//! Backups of a data folder: taken while its server runs, verified, restored.
//!
//! # What is in one
//! The layout of a data folder: `store.db`, `objects/…`, `vault` and `vault.key`, and `history.db`
//! if it is wanted. Beside them `wakeful-backup.files`, a line with checksum, size and path for
//! each, and, written last, `wakeful-backup`, which says of when and of what it is. Without that
//! file a folder is no backup. Not in it: the copies of code (`versions`, made anew at each
//! start) and the databases of the project.
//!
//! # How it is consistent
//! The database is copied page by page within one read transaction, so it is the store as it was
//! at one commit, with everything that was acknowledged before the backup began. The log cannot
//! be reused meanwhile and grows with what is written; the copy therefore does nothing but copy,
//! and gives up before the disk is full. Files of objects never change once they are written, and
//! those that the copied index names are copied after it; the caller sees to it that none is
//! removed in between (`Buckets::keep_removed`).

mod database;
mod error;
mod files;
mod manifest;
mod restore;
mod take;

use std::{ops::ControlFlow, path::Path, time::Duration};

use serde::Serialize;
use wakeful_core::time::Timestamp;

pub use error::BackupError;
pub use restore::{restore, verify};
pub use take::take;

use crate::{SqliteStore, doctor::Finding};

/// What is backed up.
#[derive(Debug)]
pub enum Source<'a> {
    /// A store that is open; its objects are in the same folder.
    Running(&'a SqliteStore),
    /// A data folder that no server uses.
    Stopped(&'a Path),
}

/// Whether the history of runs and logs is copied too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithHistory {
    /// Yes.
    Yes,
    /// No: no work depends on it.
    No,
}

/// What is being copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The database.
    Store,
    /// The files of objects.
    Objects,
    /// The history.
    History,
    /// Nothing more: it is read again.
    Verify,
    /// All of it, back.
    Restore,
}

impl std::fmt::Display for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Store => "copying the store",
            Self::Objects => "copying objects",
            Self::History => "copying the history",
            Self::Verify => "verifying",
            Self::Restore => "restoring",
        })
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// With what.
    pub part: Part,
    /// Bytes that are done.
    pub done: u64,
    /// All bytes of this part.
    pub total: u64,
}

/// Where progress is told; `Break` stops the work.
pub type Watch<'a> = &'a mut dyn FnMut(Progress) -> ControlFlow<()>;

/// What a backup is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// When it was begun.
    pub at: Timestamp,
    /// The format of its store.
    pub format: u32,
    /// The number of the last commit in it.
    pub seq: u64,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many of them are files of objects.
    pub objects: u64,
    /// How long the copying took.
    pub took: Duration,
    /// What is wrong with what it holds, at most a thousand: it was so in the folder already.
    pub damage: Vec<Finding>,
}

/// What a backup is of, from its own words; nothing is verified but these.
pub fn inspect(backup: &Path) -> Result<Summary, BackupError> {
    manifest::read(backup).map(|manifest| manifest.summary)
}
