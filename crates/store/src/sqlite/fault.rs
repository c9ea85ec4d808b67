//! What can go wrong in SQLite, sorted by what must happen next.

use rusqlite::{Error, ErrorCode};
use wakeful_core::port::StoreError;

/// Why an operation on the database failed.
#[derive(Debug)]
pub(super) enum Fault {
    /// The object index is not what the change expected.
    Conflict(String),
    /// The caller broke the contract; only its own transaction suffers.
    Refused(String),
    /// No room on the disk; nothing was written.
    Full,
    /// The files cannot be written; nothing was written.
    ReadOnly(String),
    /// The disk failed or the file is malformed: nothing may be written any more.
    Broken(String),
    /// Anything else; nothing was written.
    Other(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => Self::Refused(text),
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly(text)
            }
            Some(
                ErrorCode::SystemIoFailure | ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase,
            ) => Self::Broken(text),
            _ => Self::Other(text),
        }
    }
}

impl Fault {
    /// What a reader is told.
    pub(super) fn into_read_error(self) -> StoreError {
        match self {
            Self::Conflict(key) => StoreError::Conflict(key),
            Self::Full => StoreError::DiskFull,
            Self::ReadOnly(text) => StoreError::ReadOnly(text),
            Self::Refused(text) | Self::Broken(text) | Self::Other(text) => {
                StoreError::Failed(text)
            }
        }
    }
}

/// What a row holds that no version of this program wrote.
pub(super) fn malformed(what: &str) -> Fault {
    Fault::Other(format!(
        "the database holds {what} that cannot be understood"
    ))
}
