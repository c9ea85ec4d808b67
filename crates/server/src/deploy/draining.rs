//! Versions that are no longer live and may still run something.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use wakeful_workers::PoolStats;

use crate::live::{Live, Version};

/// Versions that were live. What they run may still load files of theirs.
#[derive(Default)]
pub struct Draining(Vec<Arc<Version>>);

impl Draining {
    /// A version was replaced: its code stays until the next look at least.
    pub fn add(&mut self, version: Arc<Version>) {
        self.0.push(version);
    }

    /// The copies of code that are needed, by `live` and by what drains; forgets what is over.
    pub fn roots(&mut self, live: &Live) -> BTreeSet<PathBuf> {
        let roots = live
            .versions()
            .chain(&self.0)
            .map(|version| version.pool.spec().root.clone())
            .collect();
        self.0.retain(|version| is_busy(version.pool.stats()));
        roots
    }
}

fn is_busy(stats: PoolStats) -> bool {
    stats.serving + stats.starting + stats.leaving + stats.in_flight > 0
}
