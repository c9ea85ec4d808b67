//! The store on SQLite.
//!
//! One thread writes, a few read, each with a connection of its own; handles talk to them
//! through bounded queues. What is where: `open` and `folder` bring a store up, `intake` and
//! `writer` take changes in and commit them in groups. `apply`, `enqueue`, `settle`, `intervene`,
//! `objects`, `dedup`, `answers`, `traces` and `sweep` are the changes, `lanes` what the rules of
//! lanes ask of the tables, `steps` what a commit leaves for further ones. `readers`, `reads`,
//! `dead` and `census` answer questions, `mark` and `space` guard against lost commits and a full
//! disk, `schema`, `rows`, `envelope` and `names` are the format.

pub(crate) mod anatomy;
mod answers;
mod apply;
mod census;
mod dead;
mod dedup;
mod delta;
mod enqueue;
mod envelope;
mod fault;
pub(crate) mod folder;
mod intake;
mod intervene;
mod lanes;
mod mark;
mod names;
mod objects;
mod open;
mod readers;
mod reads;
mod rows;
mod schema;
mod settle;
pub(crate) mod space;
mod steps;
mod sums;
mod sweep;
#[cfg(test)]
mod tests;
mod traces;
mod writer;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::oneshot;
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    name::{Scope, TriggerId},
    port::{
        Answer, AnswerKey, Backlog, BeginAnswer, Begun, BlobId, BucketRef, Census, CheckpointKey,
        Clock, Committed, DeadQuery, Delivery, Ending, Epoch, EventsQuery, Expired, ExpiredQuery,
        Object, ObjectId, ObjectsQuery, OpenError, Pause, ReadyQuery, Reply, Store, StoreError,
        StoreStats, Sweep, Transaction, Upload, UploadId,
    },
    time::Timestamp,
};

use fault::Fault;
use folder::FolderLock;
use intake::{Intake, Work};
use readers::{Reader, Readers};
use steps::Done;
use sweep::Step;
use writer::Figures;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    /// The folder of `store.db` and its companions; made (mode 0700) if it is missing.
    pub folder: PathBuf,
    /// The time of day, to note when the store was made and opened.
    pub clock: Arc<dyn Clock>,
    /// Free bytes below which new work is refused.
    pub reserve: u64,
}

impl Options {
    /// The default limits, in `folder`.
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: folder.into(),
            clock,
            reserve: limits::DISK_RESERVE,
        }
    }
}

/// The store on SQLite. Clones are handles to the same store; it is closed by
/// [`SqliteStore::close`], or when the last handle goes.
///
/// What waits for the writer is bounded by `limits::COMMIT_QUEUE` and `COMMIT_QUEUE_BYTES`; the
/// next caller's reply waits. A read returns at most `limits::STORE_READ_ROWS` rows.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    folder: PathBuf,
    epoch: Epoch,
    intake: Arc<Intake>,
    readers: Readers,
    figures: Arc<Figures>,
    writer: Mutex<Option<JoinHandle<()>>>,
    lock: Mutex<Option<FolderLock>>,
}

impl SqliteStore {
    /// Opens or makes the store of a folder, and begins a new epoch. Blocks; the work is
    /// proportional to the deliveries that were running, not to those that wait.
    pub fn open(options: Options) -> Result<Self, OpenError> {
        let inner = open::open(&options)?;
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Finishes what was handed in, ends the threads and lets go of the folder. Blocks. Later
    /// calls on any handle find the store closed.
    pub fn close(&self) {
        self.inner.close();
    }

    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&mut Reader) -> Result<T, Fault> + Send + 'static,
    ) -> Reply<T, StoreError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner
                .readers
                .run(|reader| read(reader).map_err(Fault::into_read_error))
                .await
        })
    }
}

impl Inner {
    fn close(&self) {
        // The readers first: the last connection to go tidies the log away, and only the
        // writer's can.
        self.readers.close();
        let mut writer = self.writer.lock();
        if let Some(thread) = writer.take() {
            self.intake.send(Work::Close, None);
            if thread.join().is_err() {
                tracing::error!("the thread that writes the store panicked");
            }
        }
        self.lock.lock().take();
    }

    /// Bytes of the database and its log.
    fn bytes(&self) -> u64 {
        ["", "-wal", "-shm"]
            .iter()
            .filter_map(|end| {
                let path = self.folder.join(format!("{}{end}", schema::FILE));
                std::fs::metadata(path).ok().map(|meta| meta.len())
            })
            .sum()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("folder", &self.inner.folder)
            .field("epoch", &self.inner.epoch)
            .finish_non_exhaustive()
    }
}

impl Store for SqliteStore {
    fn epoch(&self) -> Epoch {
        self.inner.epoch
    }

    fn greatest_id(&self) -> i64 {
        self.inner.figures.greatest.load(Ordering::Acquire)
    }

    fn commit(&self, transaction: Transaction) -> Reply<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        let intake = Arc::clone(&self.inner.intake);
        let first = intake.submit(Work::Commit(transaction, reply), answer);
        Box::pin(async move {
            let Done {
                mut committed,
                mut rest,
            } = first.await?;
            while !rest.is_empty() {
                let (reply, answer) = oneshot::channel();
                let more: Done = intake.submit(Work::GoOn(rest, reply), answer).await?;
                let room = limits::STORE_READ_ROWS.saturating_sub(committed.intervened.len());
                let intervened = more.committed.intervened.into_iter();
                committed.intervened.extend(intervened.take(room));
                committed.released.extend(more.committed.released);
                committed.released.sort();
                committed.released.dedup();
                rest = more.rest;
            }
            Ok(committed)
        })
    }

    fn claim(&self, runs: Vec<RunId>, now: Timestamp) -> Reply<Vec<Delivery>, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.inner
            .intake
            .submit(Work::Claim(runs, now, reply), answer)
    }

    fn ready(&self, query: ReadyQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.read(move |reader| reads::ready(reader, &query))
    }

    fn backlog(&self) -> Reply<Vec<Backlog>, StoreError> {
        self.read(reads::backlog)
    }

    fn expired(&self, query: ExpiredQuery) -> Reply<Expired, StoreError> {
        self.read(move |reader| reads::expired(reader, query))
    }

    fn event(&self, id: EventId) -> Reply<Option<Event>, StoreError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner
                .readers
                .run(move |reader| reads::event(reader, id))
                .await
        })
    }

    fn delivery(&self, id: RunId) -> Reply<Option<Delivery>, StoreError> {
        self.read(move |reader| reads::delivery(reader, id))
    }

    fn events(&self, query: EventsQuery) -> Reply<Vec<Result<Event, EventId>>, StoreError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            inner
                .readers
                .run(move |reader| reads::events(reader, query))
                .await
        })
    }

    fn endings(&self, event: EventId) -> Reply<Vec<Ending>, StoreError> {
        self.read(move |reader| traces::endings(reader, event))
    }

    fn children(&self, event: EventId) -> Reply<Vec<EventId>, StoreError> {
        self.read(move |reader| traces::children(reader, event))
    }

    fn census(&self, scope: Scope, trigger: TriggerId) -> Reply<Census, StoreError> {
        self.read(move |reader| census::census(reader, &scope, &trigger))
    }

    fn ahead_of(&self, run: RunId) -> Reply<Vec<Delivery>, StoreError> {
        self.read(move |reader| census::ahead_of(reader, run))
    }

    fn pauses(&self) -> Reply<Vec<Pause>, StoreError> {
        self.read(traces::pauses)
    }

    fn begin_answer(&self, begin: BeginAnswer) -> Reply<Begun, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Work::BeginAnswer(begin, reply);
        self.inner.intake.submit(work, answer)
    }

    fn finish_answer(&self, key: AnswerKey, answer: Option<Answer>) -> Reply<(), StoreError> {
        let (reply, finished) = oneshot::channel();
        let work = Work::FinishAnswer(key, answer, reply);
        self.inner.intake.submit(work, finished)
    }

    fn deliveries_of(&self, event: EventId) -> Reply<Vec<Delivery>, StoreError> {
        self.read(move |reader| reads::deliveries_of(reader, event))
    }

    fn dead(&self, query: DeadQuery) -> Reply<Vec<Delivery>, StoreError> {
        self.read(move |reader| dead::dead(reader, &query))
    }

    fn checkpoint(&self, key: CheckpointKey) -> Reply<Option<Bytes>, StoreError> {
        self.read(move |reader| reads::checkpoint(reader, &key))
    }

    fn object(&self, at: ObjectId) -> Reply<Option<Object>, StoreError> {
        self.read(move |reader| objects::object(&reader.conn, &mut reader.names, &at))
    }

    fn objects(&self, query: ObjectsQuery) -> Reply<Vec<Object>, StoreError> {
        self.read(move |reader| {
            let limit = reads::bounded(query.limit);
            objects::list(&reader.conn, &mut reader.names, &query, limit)
        })
    }

    fn upload(&self, id: UploadId) -> Reply<Option<Upload>, StoreError> {
        self.read(move |reader| objects::upload(&reader.conn, &mut reader.names, id))
    }

    fn uploads(&self, bucket: BucketRef) -> Reply<Vec<Upload>, StoreError> {
        self.read(move |reader| objects::uploads(&reader.conn, &mut reader.names, &bucket))
    }

    fn unreferenced(&self, blobs: Vec<BlobId>) -> Reply<Vec<BlobId>, StoreError> {
        self.read(move |reader| objects::unreferenced(&reader.conn, blobs))
    }

    /// Each step is a commit of its own; a reply that is dropped ends the sweep after the step
    /// that is under way.
    fn sweep(&self, sweep: Sweep) -> Reply<u64, StoreError> {
        let intake = Arc::clone(&self.inner.intake);
        Box::pin(async move {
            let mut gone = 0;
            let mut next = Some(Step::Dedup(sweep));
            while let Some(step) = next {
                let (reply, answer) = oneshot::channel();
                let stepped = intake.submit(Work::Sweep(step, reply), answer).await?;
                gone += stepped.events;
                next = stepped.next;
            }
            Ok(gone)
        })
    }

    fn stats(&self) -> Reply<StoreStats, StoreError> {
        let counts = self.read(reads::counts);
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let [events, queued, running, dead] = counts.await?;
            let figures = &inner.figures;
            Ok(StoreStats {
                events,
                queued,
                running,
                dead,
                commits: figures.commits.load(Ordering::Relaxed),
                syncs: figures.syncs.load(Ordering::Relaxed),
                stale: figures.stale.load(Ordering::Relaxed),
                duplicates: figures.duplicates.load(Ordering::Relaxed),
                bytes: inner.bytes(),
            })
        })
    }
}
