//! What can go wrong in SQLite, sorted by what must happen next.

use std::collections::BTreeSet;

use parking_lot::Mutex;
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
    /// A page of the file is damaged, which only what needs that page suffers from.
    Corrupt(String),
    /// A row holds what no version of this program wrote; only what needs that row suffers.
    Malformed(String),
    /// The disk failed: nothing may be written any more.
    Broken(String),
    /// Anything else; nothing was written.
    Other(String),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        if let Error::InvalidColumnType(..)
        | Error::FromSqlConversionFailure(..)
        | Error::IntegralValueOutOfRange(..)
        | Error::Utf8Error(..)
        | Error::QueryReturnedNoRows = error
        {
            return Self::Malformed(text);
        }
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig) => Self::Refused(text),
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied | ErrorCode::CannotOpen) => {
                Self::ReadOnly(text)
            }
            Some(ErrorCode::DatabaseCorrupt) => Self::Corrupt(text),
            Some(ErrorCode::SystemIoFailure | ErrorCode::NotADatabase) => Self::Broken(text),
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
            Self::Refused(text)
            | Self::Corrupt(text)
            | Self::Malformed(text)
            | Self::Broken(text)
            | Self::Other(text) => StoreError::Failed(text),
        }
    }

    /// Whether something else in the database may well be as it should.
    pub(super) fn is_local(&self) -> bool {
        matches!(
            self,
            Self::Refused(_) | Self::Corrupt(_) | Self::Malformed(_)
        )
    }
}

/// Damaged rows that were told of: what is met again and again is told once.
static TOLD: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
/// How many are remembered; of further ones is told each time.
const MOST_TOLD: usize = 4096;

/// Tells people of damage, once for each row.
pub(super) fn tell_damage(what: &str, id: i64, fault: &Fault) {
    let mut told = TOLD.lock();
    if told.contains(&id) {
        return;
    }
    if told.len() < MOST_TOLD {
        told.insert(id);
    }
    tracing::error!(
        id,
        ?fault,
        "the store holds {what} that is damaged; it is passed over, and the rest goes on: \
         restore a backup if it matters"
    );
}

/// What a row holds that no version of this program wrote.
pub(super) fn malformed(what: &str) -> Fault {
    Fault::Malformed(format!(
        "the database holds {what} that cannot be understood"
    ))
}
