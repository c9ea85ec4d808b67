//! What an error of SQLite means for a query.

use rusqlite::{Error, ErrorCode as Code};

use super::gate::Guarded;
use crate::query::{ErrorCode, QueryError};

/// The error of a query on a connection that may know more about it.
pub(super) fn failure(conn: &Guarded, error: &Error) -> QueryError {
    if let Some(why) = conn.denied() {
        return QueryError::new(ErrorCode::Denied, why);
    }
    if conn.ran_out_of_time() && error.sqlite_error_code() == Some(Code::OperationInterrupted) {
        return QueryError::new(
            ErrorCode::Unavailable,
            "the query ran for too long and was stopped: give it an index, or do less at once",
        );
    }
    plain_failure(error)
}

/// The error of a query.
pub(super) fn plain_failure(error: &Error) -> QueryError {
    match error {
        Error::SqlInputError { msg, offset, .. } => QueryError {
            code: ErrorCode::Invalid,
            message: format!("SQLite: {msg}"),
            offset: usize::try_from(*offset).ok(),
            locked: false,
        },
        Error::NulError(_) => QueryError::new(
            ErrorCode::Invalid,
            "the SQL contains a NUL character: pass it as a parameter",
        ),
        error => {
            let message = match error.sqlite_error_code() {
                Some(Code::OperationInterrupted) => {
                    "the query was stopped, because its attempt ended".to_owned()
                }
                Some(Code::DatabaseBusy | Code::DatabaseLocked) => {
                    "another process holds the lock of the database for longer than usual; \
                     nothing took effect, trying again is safe"
                        .to_owned()
                }
                _ => format!("SQLite: {error}"),
            };
            let mut failure = QueryError::new(code(error), message);
            failure.locked = is_busy(error);
            failure
        }
    }
}

fn code(error: &Error) -> ErrorCode {
    match error.sqlite_error_code() {
        Some(Code::ConstraintViolation) => ErrorCode::Conflict,
        Some(Code::TooBig) => ErrorCode::TooLarge,
        Some(Code::AuthorizationForStatementDenied | Code::ReadOnly | Code::PermissionDenied) => {
            ErrorCode::Denied
        }
        Some(
            Code::DatabaseBusy
            | Code::DatabaseLocked
            | Code::OperationInterrupted
            | Code::OperationAborted
            | Code::CannotOpen
            | Code::DiskFull
            | Code::FileLockingProtocolFailed,
        ) => ErrorCode::Unavailable,
        Some(Code::Unknown | Code::TypeMismatch | Code::ParameterOutOfRange) => ErrorCode::Invalid,
        _ => ErrorCode::Failed,
    }
}

/// Whether trying again after a moment may help.
fn is_busy(error: &Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(Code::DatabaseBusy | Code::DatabaseLocked)
    )
}
