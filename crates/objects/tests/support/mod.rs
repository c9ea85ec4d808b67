//! A sink over a store, buckets over both, and what tests ask about them.

#![expect(dead_code, reason = "each test binary uses its part of this")]

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use futures::StreamExt;
use parking_lot::Mutex;
use serde_json::Value;
use tempfile::TempDir;
use wakeful_core::{
    event::{Event, Lineage},
    id::IdSource,
    name::{BucketName, Scope},
    port::{
        Arrival, BlobId, Clock, Epoch, Kind, ObjectChange, Receipt, Reply, Sink, Store, StoreError,
        Submission, SubmitError, Transaction,
    },
    time::Timestamp,
};
use wakeful_objects::{
    Body, BodyError, Buckets, ByteRange, Expect, Headers, ObjectError, Options, Written,
};
use wakeful_store::{MemoryStore, SqliteStore};

/// A clock that tests move.
pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

impl TestClock {
    pub fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::SeqCst);
    }

    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

/// An event as the sink got it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub verb: &'static str,
    pub cause: Lineage,
    pub subject: String,
    pub data: Value,
}

/// What happens to the next submission.
pub enum Fault {
    /// It is refused with this error, and not applied.
    Refuse(StoreError),
    /// It is applied, and then an error is answered.
    ApplyThen(StoreError),
}

/// Commits to the store, and remembers the events.
pub struct TestSink {
    inner: Arc<SinkState>,
}

struct SinkState {
    store: Arc<dyn Store>,
    ids: Arc<IdSource>,
    clock: Arc<TestClock>,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<Fault>>,
    gate: tokio::sync::Semaphore,
    /// Submissions that stand before the gate.
    waiting: AtomicI64,
    blobs: PathBuf,
}

impl SinkState {
    async fn submit(&self, submission: Submission) -> Result<Receipt, SubmitError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _open = self
            .gate
            .acquire()
            .await
            .expect("the gate is never closed for good");
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        for change in &submission.objects {
            self.assert_on_disk(change);
        }
        let fault = self.faults.lock().pop();
        if let Some(Fault::Refuse(error)) = fault {
            return Err(error.into());
        }
        let now = self.clock.now();
        let events: Vec<Event> = submission
            .arrivals
            .iter()
            .map(|arrival| {
                let key = self.ids.event(now);
                Event {
                    key,
                    origin: arrival.origin.clone(),
                    id: key.to_string(),
                    source: "/test".into(),
                    kind: format!("wakeful.bucket.{}", verb(arrival)),
                    subject: arrival.subject.clone(),
                    time: arrival.time,
                    content_type: arrival.content_type.clone(),
                    data: arrival.data.clone(),
                    extensions: arrival.extensions.clone(),
                    lineage: arrival.lineage,
                }
            })
            .collect();
        let receipt = Receipt {
            events: events.iter().map(|event| event.key).collect(),
            ..Receipt::default()
        };
        let transaction = Transaction {
            events,
            objects: submission.objects,
            ..Transaction::default()
        };
        self.store.commit(transaction).await?;
        for arrival in submission.arrivals {
            self.seen.lock().push(Seen {
                verb: verb(&arrival),
                cause: arrival.lineage,
                subject: arrival.subject.expect("a bucket's event has a subject"),
                data: serde_json::from_slice(&arrival.data).expect("a bucket's event is JSON"),
            });
        }
        match fault {
            Some(Fault::ApplyThen(error)) => Err(error.into()),
            _ => Ok(receipt),
        }
    }

    /// What a change refers to must be there, whole, before the change is submitted.
    fn assert_on_disk(&self, change: &ObjectChange) {
        let parts = match change {
            ObjectChange::Put { object, .. } => object.blobs.clone(),
            ObjectChange::Part(_, part) => vec![part.blob],
            ObjectChange::Delete { .. } | ObjectChange::Begin(_) | ObjectChange::Abort(_) => vec![],
        };
        for part in parts {
            let id = part.blob.0;
            let folder = (id ^ (id >> 21) ^ (id >> 8)) & 0xff;
            let path = self.blobs.join(format!("{folder:02x}/{id:016x}"));
            let size = path.metadata().expect("the blob is there").len();
            assert_eq!(size, part.size, "{}", path.display());
        }
    }
}

impl Sink for TestSink {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let inner = self.inner.clone();
        Box::pin(async move { inner.submit(submission).await })
    }
}

/// What holds the index.
enum Backing {
    Memory(MemoryStore),
    Sqlite(SqliteStore),
}

impl Backing {
    fn port(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Sqlite(store) => Arc::new(store.clone()),
        }
    }
}

fn open_sqlite(folder: &TempDir, clock: &Arc<TestClock>) -> Backing {
    let options = wakeful_store::Options::new(folder.path().join("store"), clock.clone());
    Backing::Sqlite(SqliteStore::open(options).unwrap())
}

/// Buckets `photos` and `other` over a memory store and a temporary folder.
pub struct World {
    pub buckets: Buckets,
    store: Backing,
    pub clock: Arc<TestClock>,
    sink: Arc<SinkState>,
    folder: Arc<TempDir>,
}

impl World {
    pub fn new() -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let store = Backing::Memory(MemoryStore::new(Epoch(1)));
        Self::over(store, folder, clock)
    }

    /// The same over a store on disk.
    pub fn durable() -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        let clock = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let store = open_sqlite(&folder, &clock);
        Self::over(store, folder, clock)
    }

    fn over(store: Backing, folder: Arc<TempDir>, clock: Arc<TestClock>) -> Self {
        let ids = Arc::new(IdSource::after(0));
        let shared = store.port();
        let sink = Arc::new(SinkState {
            store: shared.clone(),
            ids: ids.clone(),
            clock: clock.clone(),
            seen: Mutex::default(),
            faults: Mutex::default(),
            gate: tokio::sync::Semaphore::new(1000),
            waiting: AtomicI64::new(0),
            blobs: folder.path().join("blobs"),
        });
        let options = Options {
            folder: folder.path().join("blobs"),
            scope: Scope {
                project: "test".parse().unwrap(),
                environment: "dev".parse().unwrap(),
            },
            clock: clock.clone(),
            ids,
        };
        let port = Arc::new(TestSink {
            inner: sink.clone(),
        });
        let buckets = Buckets::open(options, shared, port).unwrap();
        buckets.set_buckets([bucket(), other()].into());
        Self {
            buckets,
            store,
            clock,
            sink,
            folder,
        }
    }

    /// As after kill -9: everything in memory is forgotten. (A store on disk is closed, since
    /// one process cannot open it twice.)
    pub fn restart(self) -> Self {
        self.clock.advance(1000);
        let store = match &self.store {
            Backing::Memory(store) => Backing::Memory(store.restart()),
            Backing::Sqlite(store) => {
                store.close();
                open_sqlite(&self.folder, &self.clock)
            }
        };
        Self::over(store, self.folder.clone(), self.clock.clone())
    }

    /// The events so far; forgets them.
    pub fn events(&self) -> Vec<Seen> {
        std::mem::take(&mut *self.sink.seen.lock())
    }

    pub fn verbs(&self) -> Vec<&'static str> {
        self.events().iter().map(|seen| seen.verb).collect()
    }

    /// Hands in what is not the buckets' own.
    pub async fn submit(&self, submission: Submission) -> Result<Receipt, SubmitError> {
        self.sink.submit(submission).await
    }

    /// The next submissions meet these, the last one first.
    pub fn faults(&self, faults: impl IntoIterator<Item = Fault>) {
        self.sink.faults.lock().extend(faults);
    }

    /// Submissions wait until the answer is dropped.
    pub async fn close_gate(&self) -> tokio::sync::SemaphorePermit<'_> {
        self.sink.gate.acquire_many(1000).await.unwrap()
    }

    /// Waits until a submission stands before the gate.
    pub async fn submission(&self) {
        until("a submission has come", || {
            self.sink.waiting.load(Ordering::SeqCst) > 0
        })
        .await;
    }

    pub fn blobs(&self) -> PathBuf {
        self.folder.path().join("blobs")
    }

    pub fn blob_count(&self) -> usize {
        blob_files(&self.blobs()).len()
    }

    /// How many blobs the index refers to.
    pub async fn visible_blobs(&self) -> usize {
        let ids = blob_files(&self.blobs())
            .iter()
            .map(|file| file.file_name().unwrap().to_str().unwrap().to_owned())
            .map(|name| BlobId(i64::from_str_radix(&name, 16).unwrap()))
            .collect::<Vec<_>>();
        let orphans = self.store.port().unreferenced(ids.clone()).await.unwrap();
        ids.len() - orphans.len()
    }

    pub async fn put(&self, key: &str, body: impl Into<Bytes>) -> Result<Written, ObjectError> {
        let body: Bytes = body.into();
        self.put_body(key, Body::from(body)).await
    }

    pub async fn put_body(&self, key: &str, body: Body) -> Result<Written, ObjectError> {
        self.buckets
            .put(
                &bucket(),
                key,
                Headers::of_type("text/plain"),
                body,
                Expect::Anything,
            )
            .await
    }

    pub async fn read(&self, key: &str) -> Option<Bytes> {
        self.read_range(key, None).await.unwrap()
    }

    pub async fn read_range(
        &self,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<Bytes>, ObjectError> {
        let Some(read) = self.buckets.get(&bucket(), key, range).await? else {
            return Ok(None);
        };
        let length = read.range.end - read.range.start;
        let body = collect(read.body).await?;
        assert_eq!(body.len() as u64, length);
        Ok(Some(body))
    }
}

pub async fn collect(
    mut stream: impl futures::Stream<Item = Result<Bytes, ObjectError>> + Unpin,
) -> Result<Bytes, ObjectError> {
    let mut all = Vec::new();
    while let Some(chunk) = stream.next().await {
        all.extend_from_slice(&chunk?);
    }
    Ok(all.into())
}

pub fn bucket() -> BucketName {
    "photos".parse().unwrap()
}

pub fn other() -> BucketName {
    "other".parse().unwrap()
}

/// A body that comes in chunks of this size.
pub fn chunked(body: &Bytes, size: usize) -> Body {
    let chunks: Vec<Result<Bytes, BodyError>> = body
        .chunks(size)
        .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
        .collect();
    Body::new(futures::stream::iter(chunks))
}

/// Bytes that differ from place to place.
pub fn noise(length: usize) -> Bytes {
    (0..length)
        .map(|at| (at * 31 % 251) as u8)
        .collect::<Vec<_>>()
        .into()
}

/// Every file below a folder.
pub fn blob_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(blob_files(&path));
        } else {
            files.push(path);
        }
    }
    files
}

/// Waits until something is so; fails after ten seconds.
pub async fn until(what: &str, condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !condition() {
        assert!(
            std::time::Instant::now() < deadline,
            "it never came about that {what}"
        );
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// What a bucket's arrival tells of.
fn verb(arrival: &Arrival) -> &'static str {
    match &arrival.kind {
        Kind::Verb(verb) => verb,
        Kind::Given(other) => panic!("a bucket's event is of the kind {other}"),
    }
}
