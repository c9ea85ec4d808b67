//! Noticing that files of the project changed.
//!
//! Each folder of the code is watched by itself: a recursive watch would take thousands of
//! watches for `node_modules` and wake us for our own data. Changes that come together are one.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, time::timeout};

use super::relevance::{Kind, Place, Relevance};

/// Saving a file makes several events; a change is complete when it was quiet for this long.
const QUIET: Duration = Duration::from_millis(15);
/// A change is acted on after this at the latest, however busy the folder is.
const LONGEST: Duration = Duration::from_millis(150);

/// Watches a project's folder.
pub struct Watch {
    relevance: Relevance,
    watcher: RecommendedWatcher,
    changes: mpsc::Receiver<()>,
    /// A change that was seen but not returned yet.
    pending: bool,
}

impl Watch {
    /// Watches the folder `project` for changes of its code. Nothing is noticed in folders that
    /// are made later, until [`refresh`](Self::refresh).
    pub fn new(project: &Path, relevance: Relevance) -> Result<Self, notify::Error> {
        let (sender, changes) = mpsc::channel(1);
        let knows = relevance.clone();
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                if event.map_or(true, |event| matters(&event, &knows)) {
                    // A full channel already says that something changed.
                    let _ = sender.try_send(());
                }
            })?;
        watcher.watch(project, RecursiveMode::NonRecursive)?;
        let mut watch = Self {
            relevance,
            watcher,
            changes,
            pending: false,
        };
        watch.refresh();
        Ok(watch)
    }

    /// Waits for the next change, and until it is complete. Cancel-safe.
    pub async fn changed(&mut self) {
        if !self.pending {
            if self.changes.recv().await.is_none() {
                std::future::pending::<()>().await;
            }
            self.pending = true;
        }
        let quiet = async {
            while timeout(QUIET, self.changes.recv())
                .await
                .is_ok_and(|change| change.is_some())
            {}
        };
        let _ = timeout(LONGEST, quiet).await;
        self.pending = false;
    }

    /// Watches folders that are new. To be called before the folder is read, so that whatever
    /// comes into a new folder is read or noticed.
    pub fn refresh(&mut self) {
        let mut folders = vec![self.relevance.project().to_owned()];
        while let Some(folder) = folders.pop() {
            // A folder that was there already is watched again: it may be another one now that
            // bears the same name and even the same inode. And it is watched before it is read,
            // so that no folder within it is missed.
            if let Err(error) = self.watcher.watch(&folder, RecursiveMode::NonRecursive) {
                if folder.is_dir() {
                    let folder = folder.display();
                    tracing::warn!(%folder, %error, "a folder cannot be watched");
                }
                continue;
            }
            folders.extend(self.folders_in(&folder));
        }
    }

    fn folders_in(&self, folder: &Path) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(folder) else {
            return Vec::new();
        };
        let folders = entries
            .flatten()
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path());
        folders
            .filter(|path| self.relevance.of(path, Kind::Folder) == Place::Code)
            .collect()
    }
}

fn matters(event: &notify::Event, relevance: &Relevance) -> bool {
    // Events were lost, or are about nothing in particular.
    if event.need_rescan() || event.paths.is_empty() {
        return true;
    }
    let is_change = match event.kind {
        EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
        _ => true,
    };
    is_change && event.paths.iter().any(|path| relevance.raises_change(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    struct Scene {
        folder: tempfile::TempDir,
        watch: Watch,
    }

    fn scene() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("lib")).unwrap();
        let relevance = Relevance::new(folder.path(), &folder.path().join("data"));
        let watch = Watch::new(folder.path(), relevance).unwrap();
        Scene { folder, watch }
    }

    impl Scene {
        fn path(&self, path: &str) -> PathBuf {
            self.folder.path().join(path)
        }

        /// Waits for a change, and looks for new folders as a reload does.
        async fn change(&mut self) {
            timeout(PATIENCE, self.watch.changed()).await.unwrap();
            self.watch.refresh();
        }

        /// Takes what is still on its way; the file says when all before it has come.
        async fn settle(&mut self) {
            while timeout(LONGEST * 2, self.watch.changed()).await.is_ok() {
                self.watch.refresh();
            }
        }
    }

    #[tokio::test]
    async fn a_change_that_nobody_waited_for_to_the_end_is_not_lost() {
        let mut scene = scene();
        fs::write(scene.path("a.js"), "1").unwrap();
        // The message is taken, then the wait for quiet is given up.
        let taken = async {
            while !scene.watch.pending {
                let _ = timeout(Duration::from_millis(1), scene.watch.changed()).await;
                if scene.watch.changes.is_empty() && !scene.watch.pending {
                    tokio::task::yield_now().await;
                }
            }
        };
        timeout(PATIENCE, taken).await.unwrap();
        scene.change().await;
        assert!(!scene.watch.pending);
    }

    #[tokio::test]
    async fn a_folder_that_was_made_again_is_watched_again() {
        let mut scene = scene();
        for round in 0..5 {
            fs::remove_dir_all(scene.path("lib")).unwrap();
            fs::create_dir_all(scene.path("lib/deep")).unwrap();
            scene.change().await;
            scene.settle().await;
            fs::write(scene.path("lib/deep/a.js"), format!("{round}")).unwrap();
            scene.change().await;
            scene.settle().await;
        }
    }

    #[tokio::test]
    async fn packages_logs_and_data_are_no_changes() {
        let mut scene = scene();
        for folder in ["node_modules/x", "data", ".git", "coverage"] {
            fs::create_dir_all(scene.path(folder)).unwrap();
        }
        scene.watch.refresh();
        for file in [
            "node_modules/x/index.js",
            "data/store",
            ".git/HEAD",
            "coverage/a.js",
            "out.log",
            "README.md",
        ] {
            fs::write(scene.path(file), "1").unwrap();
        }
        let change = timeout(LONGEST * 3, scene.watch.changed()).await;
        assert!(change.is_err(), "a change was raised");
        // It does notice what matters.
        fs::write(scene.path("lib/a.js"), "1").unwrap();
        scene.change().await;
    }
}
