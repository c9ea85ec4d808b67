//! Noticing that files of the project changed.
//!
//! Each folder of the code is watched by itself: a recursive watch would take thousands of
//! watches for `node_modules` and wake us for our own data. Changes that come together are one.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use ignore::WalkBuilder;
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::{sync::mpsc, time::timeout};

/// Saving a file makes several events; a change is complete when it was quiet for this long.
const QUIET: Duration = Duration::from_millis(15);
/// A change is acted on after this at the latest, however busy the folder is.
const LONGEST: Duration = Duration::from_millis(150);

/// Watches a project's folder.
pub struct Watch {
    folder: PathBuf,
    left_out: Vec<PathBuf>,
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    changes: mpsc::Receiver<()>,
}

impl Watch {
    /// Watches `folder`; what lies at `left_out` (absolute) is ignored.
    pub fn new(folder: &Path, left_out: Vec<PathBuf>) -> Result<Self, notify::Error> {
        let (sender, changes) = mpsc::channel(1);
        let ignored = left_out.clone();
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let matters = match &event {
                Ok(event) => {
                    is_change(&event.kind)
                        && event.paths.iter().any(|path| !lies_at(path, &ignored))
                }
                Err(_) => true,
            };
            if matters {
                // A full channel already says that something changed.
                let _ = sender.try_send(());
            }
        })?;
        let folder = folder.to_owned();
        let mut watch = Self {
            folder,
            left_out,
            watcher,
            watched: HashSet::new(),
            changes,
        };
        watch.refresh();
        Ok(watch)
    }

    /// Waits for the next change, and until it is complete. Cancel-safe.
    pub async fn changed(&mut self) {
        if self.changes.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        let quiet = async {
            while timeout(QUIET, self.changes.recv())
                .await
                .is_ok_and(|change| change.is_some())
            {}
        };
        let _ = timeout(LONGEST, quiet).await;
    }

    /// Watches folders that are new.
    pub fn refresh(&mut self) {
        let left_out = self.left_out.clone();
        let walk = WalkBuilder::new(&self.folder)
            .standard_filters(false)
            .filter_entry(move |entry| {
                entry.file_type().is_some_and(|kind| kind.is_dir())
                    && (entry.depth() == 0 || !is_foreign(entry.path()))
                    && !lies_at(entry.path(), &left_out)
            })
            .build();
        let mut found = HashSet::new();
        for folder in walk.flatten() {
            found.insert(folder.into_path());
        }
        for new in found.difference(&self.watched) {
            if let Err(error) = self.watcher.watch(new, RecursiveMode::NonRecursive) {
                tracing::warn!(folder = %new.display(), %error, "a folder cannot be watched");
            }
        }
        self.watched = found;
    }
}

fn is_change(kind: &EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(_)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

fn is_foreign(path: &Path) -> bool {
    let name = path
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or_default();
    name == "node_modules" || name.starts_with('.')
}

fn lies_at(path: &Path, left_out: &[PathBuf]) -> bool {
    if path
        .file_name()
        .is_some_and(|name| name.to_string_lossy().ends_with('~'))
    {
        return true;
    }
    let path = path.as_os_str().as_encoded_bytes();
    left_out
        .iter()
        .any(|out| path.starts_with(out.as_os_str().as_encoded_bytes()))
}
