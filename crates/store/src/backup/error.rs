//! Why a backup was not taken, or not restored.

use std::{fmt::Display, io, path::Path};

use wakeful_core::port::OpenError;

/// Why a backup was not taken, or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A server holds the folder.
    #[error("{folder} is in use{holder}: back it up through that server, or stop it first")]
    InUse {
        /// The folder.
        folder: String,
        /// ` (process 123)` when known.
        holder: String,
    },
    /// There is no store to back up.
    #[error("{folder} is no data folder: it holds no `store.db`")]
    NotAFolder {
        /// The folder.
        folder: String,
    },
    /// Something is where it should go.
    #[error("{folder} is not empty: choose a folder that is empty or does not exist")]
    Occupied {
        /// The folder.
        folder: String,
    },
    /// It is none, or was not finished.
    #[error(
        "{folder} is no backup, or one that was not finished: it holds no `wakeful-backup`. Take \
         another one"
    )]
    NoBackup {
        /// The folder.
        folder: String,
    },
    /// A newer version made it.
    #[error("{folder} was made by a newer version of Wakeful: restore it with that version")]
    Newer {
        /// The folder.
        folder: String,
    },
    /// It is not as it was written.
    #[error("the backup is damaged: {file}: {what}. Use another backup")]
    Damaged {
        /// The file.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// There is not enough room.
    #[error("{folder} has no room for it: {needed} bytes are needed, {free} are free")]
    Full {
        /// The folder.
        folder: String,
        /// Bytes that are needed, the reserve of a running server included.
        needed: u64,
        /// Bytes that are free.
        free: u64,
    },
    /// Whoever asked for it stopped it.
    #[error("it was stopped; {folder} holds nothing that can be used")]
    Stopped {
        /// The folder.
        folder: String,
    },
    /// Anything else.
    #[error("{doing}: {cause}")]
    Failed {
        /// What was being done, to what.
        doing: String,
        /// Why it failed.
        cause: String,
    },
}

impl BackupError {
    pub(super) fn failed(doing: impl Into<String>, cause: impl Display) -> Self {
        Self::Failed {
            doing: doing.into(),
            cause: cause.to_string(),
        }
    }

    pub(super) fn stopped(folder: &Path) -> Self {
        Self::Stopped {
            folder: folder.display().to_string(),
        }
    }

    pub(super) fn damaged(file: impl Into<String>, what: impl Display) -> Self {
        Self::Damaged {
            file: file.into(),
            what: what.to_string(),
        }
    }

    pub(super) fn held(error: OpenError) -> Self {
        match error {
            OpenError::InUse { folder, holder } => Self::InUse { folder, holder },
            other => Self::failed("holding the folder", other),
        }
    }
}

/// An error of the file system while `doing` something to `path`.
pub(super) fn io(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> BackupError {
    let what = format!("{doing} {}", path.display());
    move |error| BackupError::failed(&what, error)
}
