//! What is told while something takes time.

use std::time::Duration;

/// Hears what is going on, so that a terminal can show it. Called from several tasks at once;
/// must not block.
pub trait Progress: Send + Sync {
    /// Something that takes time begins: "Fetching Node 24.21.0 through npm (53 MB)".
    fn started(&self, what: &str);
    /// A line about how far it is, or something worth knowing.
    fn step(&self, text: &str);
    /// What was started last has ended well. What fails ends in an error instead.
    fn done(&self, took: Duration);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn started(&self, _: &str) {}
    fn step(&self, _: &str) {}
    fn done(&self, _: Duration) {}
}
