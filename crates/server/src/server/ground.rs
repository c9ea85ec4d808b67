//! What is on disk: the data folder, opened in the order in which it can be refused.

use std::{fs, os::unix::fs::DirBuilderExt, path::PathBuf, sync::Arc};

use anyhow::Context;
use wakeful_core::{
    id::IdSource,
    port::{Clock, Store},
    project::Project,
};
use wakeful_store::{History, HistoryOptions, Options as StoreOptions, SqliteStore};

use crate::{clock::SystemClock, options::ServeOptions, vault::Vault};

/// What is on disk.
pub(super) struct Ground {
    pub(super) data: PathBuf,
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
        let store = SqliteStore::open(StoreOptions::new(&data, Arc::clone(&clock)))?;
        let history = History::open(HistoryOptions::new(&data, Arc::clone(&clock)))?;
        let vault = Arc::new(Vault::open(&data)?);
        let ids = Arc::new(IdSource::after(store.greatest_id()));
        tracing::debug!(project = %project.name, data = %data.display(), "data folder opened");
        Ok(Self {
            data,
            store,
            history,
            vault,
            clock,
            ids,
        })
    }
}
