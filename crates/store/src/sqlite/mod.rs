//! SQLite store (being built).
use crate::memory::MemoryStore;
use std::{path::PathBuf, sync::Arc};
use wakeful_core::{
    limits,
    port::{Clock, Epoch, OpenError, Store},
};

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The folder of `store.db`; created (mode 0700) if it is missing.
    pub folder: PathBuf,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Free bytes below which new work is refused.
    pub reserve: u64,
}

impl Options {
    /// The defaults, in `folder`.
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: folder.into(),
            clock,
            reserve: limits::DISK_RESERVE,
        }
    }
}

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    inner: MemoryStore,
}

impl SqliteStore {
    /// Opens it; blocks.
    pub fn open(_options: Options) -> Result<Self, OpenError> {
        Ok(Self {
            inner: MemoryStore::new(Epoch(1)),
        })
    }
    /// Finishes what waits, and ends; blocks. Later calls find the store closed.
    pub fn close(&self) {}
}

impl Store for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.inner.epoch()
    }
    fn greatest_id(&self) -> i64 {
        self.inner.greatest_id()
    }
    fn commit(
        &self,
        t: wakeful_core::port::Transaction,
    ) -> wakeful_core::port::Reply<wakeful_core::port::Committed, wakeful_core::port::StoreError>
    {
        self.inner.commit(t)
    }
    fn claim(
        &self,
        r: Vec<wakeful_core::id::RunId>,
        n: wakeful_core::time::Timestamp,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Delivery>, wakeful_core::port::StoreError>
    {
        self.inner.claim(r, n)
    }
    fn ready(
        &self,
        q: wakeful_core::port::ReadyQuery,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Delivery>, wakeful_core::port::StoreError>
    {
        self.inner.ready(q)
    }
    fn backlog(
        &self,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Backlog>, wakeful_core::port::StoreError>
    {
        self.inner.backlog()
    }
    fn event(
        &self,
        i: wakeful_core::id::EventId,
    ) -> wakeful_core::port::Reply<Option<wakeful_core::event::Event>, wakeful_core::port::StoreError>
    {
        self.inner.event(i)
    }
    fn delivery(
        &self,
        i: wakeful_core::id::RunId,
    ) -> wakeful_core::port::Reply<
        Option<wakeful_core::port::Delivery>,
        wakeful_core::port::StoreError,
    > {
        self.inner.delivery(i)
    }
    fn deliveries_of(
        &self,
        i: wakeful_core::id::EventId,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Delivery>, wakeful_core::port::StoreError>
    {
        self.inner.deliveries_of(i)
    }
    fn dead(
        &self,
        q: wakeful_core::port::DeadQuery,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Delivery>, wakeful_core::port::StoreError>
    {
        self.inner.dead(q)
    }
    fn checkpoint(
        &self,
        k: wakeful_core::port::CheckpointKey,
    ) -> wakeful_core::port::Reply<Option<bytes::Bytes>, wakeful_core::port::StoreError> {
        self.inner.checkpoint(k)
    }
    fn object(
        &self,
        a: wakeful_core::port::ObjectId,
    ) -> wakeful_core::port::Reply<Option<wakeful_core::port::Object>, wakeful_core::port::StoreError>
    {
        self.inner.object(a)
    }
    fn objects(
        &self,
        q: wakeful_core::port::ObjectsQuery,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Object>, wakeful_core::port::StoreError>
    {
        self.inner.objects(q)
    }
    fn upload(
        &self,
        i: wakeful_core::port::UploadId,
    ) -> wakeful_core::port::Reply<Option<wakeful_core::port::Upload>, wakeful_core::port::StoreError>
    {
        self.inner.upload(i)
    }
    fn uploads(
        &self,
        b: wakeful_core::port::BucketRef,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::Upload>, wakeful_core::port::StoreError>
    {
        self.inner.uploads(b)
    }
    fn unreferenced(
        &self,
        b: Vec<wakeful_core::port::BlobId>,
    ) -> wakeful_core::port::Reply<Vec<wakeful_core::port::BlobId>, wakeful_core::port::StoreError>
    {
        self.inner.unreferenced(b)
    }
    fn sweep(
        &self,
        s: wakeful_core::port::Sweep,
    ) -> wakeful_core::port::Reply<u64, wakeful_core::port::StoreError> {
        self.inner.sweep(s)
    }
    fn stats(
        &self,
    ) -> wakeful_core::port::Reply<wakeful_core::port::StoreStats, wakeful_core::port::StoreError>
    {
        self.inner.stats()
    }
}
