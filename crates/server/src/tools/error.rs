//! Why a tool refuses or fails.

use wakeful_core::port::{StoreError, SubmitError};
use wakeful_store::HistoryError;

/// Why a tool refuses or fails.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// Something named does not exist.
    #[error("there is no {what} `{name}`")]
    NotFound {
        /// What kind of thing.
        what: &'static str,
        /// Its name.
        name: String,
        /// What to do instead.
        help: Option<String>,
    },
    /// What is asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The server stopped half-way. What was done until then stays done.
    #[error("the server is stopping: what was done until now stays done")]
    Stopping,
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The history cannot be read.
    #[error(transparent)]
    History(#[from] HistoryError),
    /// A new event was refused.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// Something that cannot be written as JSON.
    #[error("the server failed while {0}")]
    Internal(&'static str),
}

/// Names that a help text lists.
const MOST_LISTED: usize = 20;

impl ToolError {
    pub(super) fn not_found(what: &'static str, name: impl ToString) -> Self {
        Self::NotFound {
            what,
            name: name.to_string(),
            help: None,
        }
    }

    /// Something does not exist; `known` are those that do.
    pub(super) fn unknown(what: &'static str, name: impl ToString, known: Vec<String>) -> Self {
        let help = match known.as_slice() {
            [] => format!("the project has no {what}s"),
            list => {
                let more = if list.len() > MOST_LISTED {
                    ", …"
                } else {
                    ""
                };
                let shown = list.iter().take(MOST_LISTED);
                let shown: Vec<_> = shown.map(|name| format!("`{name}`")).collect();
                format!("there is {}{more}", shown.join(", "))
            }
        };
        Self::NotFound {
            what,
            name: name.to_string(),
            help: Some(help),
        }
    }
}
