//! A store for tests that can be told to wait and to fail.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Instant,
};

use bytes::Bytes;
use tokio::sync::Semaphore;
use wakeful_core::{
    event::Event,
    id::EventId,
    port::{
        Answer, AnswerKey, Backlog, BeginAnswer, Begun, BlobId, BucketRef, Census, CheckpointKey,
        Committed, DeadQuery, Ending, Epoch, EventsQuery, Expired, ExpiredQuery, Object, ObjectId,
        ObjectsQuery, Pause, ReadyQuery, Reply, StoreStats, Sweep, Upload, UploadId,
    },
};
use wakeful_store::MemoryStore;

use super::*;

/// A store that passes everything on, but only when it may, and counts.
pub(super) struct Moody {
    pub(super) store: MemoryStore,
    /// Commits that may go through; each takes one.
    pub(super) gate: Arc<Semaphore>,
    /// The answers to the next commits, instead of doing them.
    pub(super) refusals: Arc<Mutex<Vec<StoreError>>>,
    pub(super) commits: AtomicUsize,
    pub(super) looks: Arc<Mutex<Vec<Instant>>>,
}

impl Store for Moody {
    fn commit(&self, transaction: Transaction) -> Reply<Committed, StoreError> {
        self.commits.fetch_add(1, Ordering::SeqCst);
        let (store, gate) = (self.store.clone(), Arc::clone(&self.gate));
        let refusals = Arc::clone(&self.refusals);
        Box::pin(async move {
            gate.acquire().await.unwrap().forget();
            let refusal = refusals.lock().pop();
            match refusal {
                Some(error) => Err(error),
                None => store.commit(transaction).await,
            }
        })
    }

    fn ready(&self, query: ReadyQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.looks.lock().push(Instant::now());
        self.store.ready(query)
    }

    fn epoch(&self) -> Epoch {
        self.store.epoch()
    }
    fn greatest_id(&self) -> i64 {
        self.store.greatest_id()
    }
    fn claim(&self, runs: Vec<RunId>, now: Timestamp) -> Reply<Vec<Delivery>, StoreError> {
        self.store.claim(runs, now)
    }
    fn backlog(&self) -> Reply<Vec<Backlog>, StoreError> {
        self.store.backlog()
    }
    fn expired(&self, query: ExpiredQuery) -> Reply<Expired, StoreError> {
        self.store.expired(query)
    }
    fn event(&self, id: EventId) -> Reply<Option<Event>, StoreError> {
        self.store.event(id)
    }
    fn delivery(&self, id: RunId) -> Reply<Option<Delivery>, StoreError> {
        self.store.delivery(id)
    }
    fn deliveries_of(&self, event: EventId) -> Reply<Vec<Delivery>, StoreError> {
        self.store.deliveries_of(event)
    }
    fn dead(&self, query: DeadQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.store.dead(query)
    }
    fn checkpoint(&self, key: CheckpointKey) -> Reply<Option<Bytes>, StoreError> {
        self.store.checkpoint(key)
    }
    fn object(&self, at: ObjectId) -> Reply<Option<Object>, StoreError> {
        self.store.object(at)
    }
    fn objects(&self, query: ObjectsQuery) -> Reply<Vec<Object>, StoreError> {
        self.store.objects(query)
    }
    fn upload(&self, id: UploadId) -> Reply<Option<Upload>, StoreError> {
        self.store.upload(id)
    }
    fn uploads(&self, bucket: BucketRef) -> Reply<Vec<Upload>, StoreError> {
        self.store.uploads(bucket)
    }
    fn unreferenced(&self, blobs: Vec<BlobId>) -> Reply<Vec<BlobId>, StoreError> {
        self.store.unreferenced(blobs)
    }
    fn events(&self, query: EventsQuery) -> Reply<Vec<Result<Event, EventId>>, StoreError> {
        self.store.events(query)
    }
    fn endings(&self, event: EventId) -> Reply<Vec<Ending>, StoreError> {
        self.store.endings(event)
    }
    fn children(&self, event: EventId) -> Reply<Vec<EventId>, StoreError> {
        self.store.children(event)
    }
    fn census(&self, scope: Scope, trigger: TriggerId) -> Reply<Census, StoreError> {
        self.store.census(scope, trigger)
    }
    fn ahead_of(&self, run: RunId) -> Reply<Vec<Delivery>, StoreError> {
        self.store.ahead_of(run)
    }
    fn pauses(&self) -> Reply<Vec<Pause>, StoreError> {
        self.store.pauses()
    }
    fn begin_answer(&self, begin: BeginAnswer) -> Reply<Begun, StoreError> {
        self.store.begin_answer(begin)
    }
    fn finish_answer(&self, key: AnswerKey, answer: Option<Answer>) -> Reply<(), StoreError> {
        self.store.finish_answer(key, answer)
    }
    fn sweep(&self, sweep: Sweep) -> Reply<u64, StoreError> {
        self.store.sweep(sweep)
    }
    fn stats(&self) -> Reply<StoreStats, StoreError> {
        self.store.stats()
    }
}
