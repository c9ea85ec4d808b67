//! Wakes the follower when the database's files are written.

use std::{ffi::OsString, path::Path, sync::Arc};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;

/// Watches the folder of a database for as long as it is kept.
pub(super) struct FileWatch {
    _watcher: RecommendedWatcher,
}

impl FileWatch {
    /// `wake` is notified when the database, its write-ahead log or its journal was written. The
    /// notice may come before the change is visible to readers.
    pub(super) fn start(path: &Path, wake: Arc<Notify>) -> notify::Result<Self> {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let files = files_of(path);
        let mut watcher =
            notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
                let wakes = match event {
                    Ok(event) => {
                        !matches!(event.kind, EventKind::Access(_))
                            && event.paths.iter().any(|path| {
                                path.file_name()
                                    .is_some_and(|name| files.iter().any(|file| file == name))
                            })
                    }
                    // Notices were lost: look.
                    Err(_) => true,
                };
                if wakes {
                    wake.notify_one();
                }
            })?;
        watcher.watch(folder, RecursiveMode::NonRecursive)?;
        Ok(Self { _watcher: watcher })
    }
}

fn files_of(path: &Path) -> Vec<OsString> {
    let name = path.file_name().unwrap_or_default();
    ["", "-wal", "-journal"]
        .iter()
        .map(|ending| {
            let mut file = name.to_owned();
            file.push(ending);
            file
        })
        .collect()
}
