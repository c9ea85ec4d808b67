use std::fmt;

use wakeful_core::name::DatabaseName;

/// What kind of failure, in the words of the worker protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No such database, or no such transaction.
    NotFound,
    /// The function may not do that.
    Denied,
    /// The SQL or its parameters are wrong.
    Invalid,
    /// A constraint of the database was violated.
    Conflict,
    /// The result, or a value, is larger than allowed.
    TooLarge,
    /// The database cannot be used at the moment; trying again may help.
    Unavailable,
    /// Anything else.
    Failed,
}

impl ErrorCode {
    /// The word of the worker protocol.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Denied => "denied",
            Self::Invalid => "invalid",
            Self::Conflict => "conflict",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Why a query failed. Unless its transaction was committed, nothing of it took effect.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct QueryError {
    /// What kind of failure.
    pub code: ErrorCode,
    /// What happened, to what, and what can be done.
    pub message: String,
    /// Where in the SQL, as a byte offset, when the engine knows.
    pub offset: Option<usize>,
    /// Whether a lock was in the way, so that the same may succeed in a moment.
    pub(crate) locked: bool,
}

impl QueryError {
    /// An error of this kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            offset: None,
            locked: false,
        }
    }

    pub(crate) fn no_database(database: &DatabaseName) -> Self {
        Self::new(
            ErrorCode::NotFound,
            format!("there is no database `{database}`: declare it as [database.{database}]"),
        )
    }

    pub(crate) fn out_of_patience() -> Self {
        Self::new(
            ErrorCode::Unavailable,
            "other queries or transactions kept the database for too long; nothing took effect, \
             trying again is safe",
        )
    }

    pub(crate) fn stopped() -> Self {
        Self::new(
            ErrorCode::Unavailable,
            "the query was stopped, because its attempt ended; nothing took effect",
        )
    }

    pub(crate) fn crashed() -> Self {
        Self::new(ErrorCode::Failed, "the query ended without an answer")
    }

    pub(crate) fn no_transaction() -> Self {
        Self::new(
            ErrorCode::NotFound,
            "the transaction is over: it was committed, rolled back, or took too long",
        )
    }
}
