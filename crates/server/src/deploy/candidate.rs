//! Versions on their way to being live.

use std::sync::Arc;

use crate::live::Version;

/// A version that may go live. Unless it is kept, its workers end when it is dropped: a reload
/// may be given up at any point, and nothing of it must stay behind.
pub struct Candidate {
    version: Arc<Version>,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    New,
    Live,
}

impl Candidate {
    /// A version that was just made.
    pub fn new(version: Version) -> Self {
        Self {
            version: Arc::new(version),
            origin: Origin::New,
        }
    }

    /// A version that is live and stays so.
    pub fn live(version: Arc<Version>) -> Self {
        Self {
            version,
            origin: Origin::Live,
        }
    }

    /// Whether it is live already.
    pub fn is_live(&self) -> bool {
        self.origin == Origin::Live
    }

    /// The version.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The version, which is live from now on.
    pub fn keep(mut self) -> Arc<Version> {
        self.origin = Origin::Live;
        Arc::clone(&self.version)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if self.origin == Origin::New {
            self.version.pool.retire();
        }
    }
}
