//! Key expressions: where in an event a rule finds its key.

use std::fmt;

use crate::filter::EventView;

/// Paths into an event whose values, together, are a key: `data.order.id`, `subject`,
/// `["data.tenant", "data.order.id"]`.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyExpression {
    paths: Vec<String>,
}

/// Why a text is no key expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct KeyMistake {
    /// What is wrong.
    pub message: String,
    /// What would help.
    pub help: String,
}

impl KeyExpression {
    /// Reads the paths; the error says which is wrong and how.
    pub fn parse(paths: &[&str]) -> Result<Self, KeyMistake> {
        Ok(Self {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        })
    }

    /// The key of an event; `None` when it is not there, null, or no plain value.
    pub fn key_of(&self, event: &EventView<'_>) -> Option<String> {
        let _ = event;
        None
    }

    /// The paths as they were written.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.paths.iter().map(String::as_str)
    }
}

impl fmt::Debug for KeyExpression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.paths).finish()
    }
}
