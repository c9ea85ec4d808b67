//! Both stores keep the contract of the port.

mod support;

use std::sync::Arc;

use wakeful_core::port::Epoch;
use wakeful_store::{
    MemoryStore,
    conformance::{Subject, conformance},
};

fn memory(store: MemoryStore) -> Subject {
    let ended = store.clone();
    Subject::new(Arc::new(store), move || memory(ended.restart()))
}

#[tokio::test]
async fn the_store_in_memory() {
    conformance(|| memory(MemoryStore::new(Epoch(1)))).await;
}

#[tokio::test]
async fn the_store_on_sqlite() {
    conformance(support::sqlite).await;
}
