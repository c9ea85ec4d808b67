//! The store in memory: for simulations and for tests of what stands on the port.
//!
//! It keeps the contract of the port by maps behind one lock: `rows` holds the deliveries in every
//! order in which they are looked for, `state` the rest and how a transaction is applied,
//! `changes` what happens to deliveries, `queries` and `answers` the rest. Whose turn it is in a
//! lane is decided by the same rules as in the store on SQLite, so that a simulation on this one
//! tests them.
//!
//! There are no threads: a change is made when its method is called, and its reply is ready at
//! once, so that the same calls give the same answers. It survives nothing, except a
//! [`MemoryStore::restart`] that plays the server's own.

mod answers;
mod changes;
mod objects;
mod queries;
mod rows;
mod state;

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
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
    /// every running delivery is queued (or a dead letter, where its trigger wants that of an
    /// unknown outcome), and handles of older epochs find the store closed.
    ///
    /// It happens when the greatest id was drawn; see [`MemoryStore::restart_at`].
    pub fn restart(&self) -> Self {
        let greatest = self.state.lock().greatest;
        self.restart_at(RunId::from_raw(greatest).drawn_at())
    }

    /// [`MemoryStore::restart`] at a time of the caller's clock, which dead letters bear.
    pub fn restart_at(&self, now: Timestamp) -> Self {
        let epoch = self.state.lock().restart(now);
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
        self.with(|state| Ok(state.delivery(id)))
    }

    fn events(&self, query: EventsQuery) -> Reply<Vec<Result<Event, EventId>>, StoreError> {
        self.with(|state| Ok(state.events(query)))
    }

    fn endings(&self, event: EventId) -> Reply<Vec<Ending>, StoreError> {
        self.with(|state| {
            let endings = state.endings.get(&event).into_iter();
            let endings = endings.flat_map(|endings| endings.values().cloned());
            Ok(endings.take(limits::STORE_READ_ROWS).collect())
        })
    }

    fn children(&self, event: EventId) -> Reply<Vec<EventId>, StoreError> {
        self.with(|state| {
            let mut children = state.children(event);
            children.truncate(limits::STORE_READ_ROWS);
            Ok(children)
        })
    }

    fn census(&self, scope: Scope, trigger: TriggerId) -> Reply<Census, StoreError> {
        self.with(|state| Ok(state.census(&scope, &trigger)))
    }

    fn ahead_of(&self, run: RunId) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.ahead_of(run)))
    }

    fn pauses(&self) -> Reply<Vec<Pause>, StoreError> {
        self.with(|state| Ok(state.pauses.values().cloned().collect()))
    }

    fn begin_answer(&self, begin: BeginAnswer) -> Reply<Begun, StoreError> {
        self.with(|state| {
            state.greatest = state.greatest.max(begin.run.raw());
            Ok(state.answers.begin(begin, state.epoch))
        })
    }

    fn finish_answer(&self, key: AnswerKey, answer: Option<Answer>) -> Reply<(), StoreError> {
        self.with(|state| {
            state.answers.finish(&key, answer, state.epoch);
            Ok(())
        })
    }

    fn deliveries_of(&self, event: EventId) -> Reply<Vec<Delivery>, StoreError> {
        self.with(|state| Ok(state.deliveries_of(event)))
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
