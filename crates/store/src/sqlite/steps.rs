//! What one commit leaves for further ones, so that no commit keeps the others waiting.

use wakeful_core::port::{Committed, Intervention};

/// What a commit did, and what is left of it.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) committed: Committed,
    pub(super) rest: Vec<Rest>,
}

/// What is left.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// An intervention that found more than one step may change.
    Again(Intervention),
    /// Free seats of the concurrency keys of a trigger, from this key on.
    Fill {
        /// The number of the trigger.
        trigger: i64,
        /// The key.
        from: String,
    },
}
