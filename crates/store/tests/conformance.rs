//! Both stores keep the contract of the port.

use std::sync::Arc;

use tempfile::TempDir;
use wakeful_core::{
    port::{Clock, Epoch},
    time::Timestamp,
};
use wakeful_store::{
    MemoryStore, Options, SqliteStore,
    conformance::{Subject, conformance},
};

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
}

fn memory(store: MemoryStore) -> Subject {
    let ended = store.clone();
    Subject::new(Arc::new(store), move || memory(ended.restart()))
}

fn sqlite(folder: Arc<TempDir>) -> Subject {
    let store = SqliteStore::open(Options::new(folder.path(), Arc::new(Still))).unwrap();
    let handle = store.clone();
    Subject::new(Arc::new(store), move || {
        handle.close();
        sqlite(folder)
    })
}

#[tokio::test]
async fn the_store_in_memory() {
    conformance(|| memory(MemoryStore::new(Epoch(1)))).await;
}

#[tokio::test]
async fn the_store_on_sqlite() {
    conformance(|| sqlite(Arc::new(tempfile::tempdir().unwrap()))).await;
}
