//! What is on disk: the data folder, opened in the order in which it can be refused.

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, bail};
use wakeful_core::{
    id::IdSource,
    port::{Clock, Store},
    project::Project,
    time::Timestamp,
};
use wakeful_store::{History, HistoryOptions, Options as StoreOptions, SqliteStore};

use crate::{clock::SystemClock, options::ServeOptions, vault::Vault};

/// A folder that holds one of these is a data folder: a server, `init` or `secret` made it.
const OURS: [&str; 3] = ["store.db", "schema.json", "vault.lock"];

/// What is on disk.
pub(super) struct Ground {
    pub(super) data: PathBuf,
    /// When the store was opened.
    pub(super) opened: Timestamp,
    pub(super) store: SqliteStore,
    pub(super) history: History,
    pub(super) vault: Arc<Vault>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) ids: Arc<IdSource>,
}

impl Ground {
    pub(super) fn open(options: &ServeOptions, project: &Project) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let data = &options.data;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(data)
            .with_context(|| format!("the data folder {} cannot be made", data.display()))?;
        let data = data.canonicalize()?;
        close_to_others(&data)?;
        let opened = clock.now();
        let store = SqliteStore::open(StoreOptions::new(&data, Arc::clone(&clock)))?;
        let history = History::open(HistoryOptions::new(&data, Arc::clone(&clock)))?;
        let vault = Arc::new(Vault::open(&data)?);
        let ids = Arc::new(IdSource::after(store.greatest_id()));
        tracing::debug!(project = %project.name, data = %data.display(), "data folder opened");
        Ok(Self {
            data,
            opened,
            store,
            history,
            vault,
            clock,
            ids,
        })
    }
}

/// Closes the data folder to other users: payloads, logs and keys are for the server's alone. A
/// folder that holds something else is not ours to close, and is refused.
fn close_to_others(data: &Path) -> anyhow::Result<()> {
    let mode = fs::metadata(data)?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    let shown = data.display();
    let is_empty = fs::read_dir(data)?.next().is_none();
    if !is_empty && !OURS.iter().any(|name| data.join(name).exists()) {
        bail!(
            "{shown} holds files of something else and is open to other users: choose a new or \
             empty folder with --data"
        );
    }
    fs::set_permissions(data, fs::Permissions::from_mode(mode & 0o700)).with_context(|| {
        format!("the data folder {shown} is open to other users: `chmod 700 {shown}`")
    })
}
