//! What an error of SQLite means for a capture.

use std::path::Path;

use rusqlite::{Error, ErrorCode};

use crate::capture::Trouble;

/// Names the trouble behind an error.
pub(super) fn trouble(path: &Path, error: &Error) -> Trouble {
    let path = path.display().to_string();
    let cause = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Trouble::Locked { path },
        Some(ErrorCode::NotADatabase) => Trouble::NotADatabase { path },
        Some(ErrorCode::DatabaseCorrupt) => Trouble::Damaged { path, cause },
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            Trouble::ReadOnly { path, cause }
        }
        Some(ErrorCode::CannotOpen) => Trouble::CannotOpen { path, cause },
        Some(ErrorCode::DiskFull) => Trouble::DiskFull { path },
        _ => Trouble::Failed { path, cause },
    }
}

/// Whether an error lies in the SQL and what it names, not in the file or its locks.
pub(super) fn is_about_sql(error: &Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::Unknown)
        || matches!(error, Error::SqlInputError { .. })
}
