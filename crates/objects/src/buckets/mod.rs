//! The rules of buckets and objects: conditions, generations, events, multipart uploads.
//!
//! Every change is one submission to the sink, made with the generation it expects; when another
//! writer was faster it is decided anew. Writers of one key take turns, so that this is rare.
//! Knows no protocol and no credentials.

mod get;
mod list;
mod multipart;
mod publish;
mod put;
mod remove;
mod staged;

pub use staged::{Joint, Staged};

use std::{
    collections::BTreeSet,
    hash::{BuildHasher, Hash},
    path::PathBuf,
    sync::Arc,
};

use foldhash::quality::FixedState;
use parking_lot::RwLock;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    event::Lineage,
    id::IdSource,
    limits::MAX_OBJECT_KEY,
    name::{BucketName, Scope},
    port::{BlobId, BucketRef, Clock, ObjectId, Sink, Store},
    time::Timestamp,
};

use crate::{
    blob::{BlobFolder, KeptRemoved},
    error::{ObjectError, OpenError},
};

/// Turns that may be taken at once; keys that share one only wait a little longer.
const TURNS: usize = 1024;

/// What the buckets need.
pub struct Options {
    /// The folder of the blobs. It belongs to this `Buckets` alone: what it finds there and the
    /// index does not know, it removes.
    pub folder: PathBuf,
    /// Whose buckets these are.
    pub scope: Scope,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The server's ids, for blobs, generations and uploads.
    pub ids: Arc<IdSource>,
}

/// The buckets of one project, and what causes the changes that are made through this handle.
/// Cheap to clone.
#[derive(Clone)]
pub struct Buckets(Arc<Inner>, Lineage);

struct Inner {
    scope: Scope,
    clock: Arc<dyn Clock>,
    ids: Arc<IdSource>,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    blobs: BlobFolder,
    declared: RwLock<BTreeSet<BucketName>>,
    opened: Timestamp,
    keys: Turns<ObjectId>,
    uploads: Turns<i64>,
    /// What must come to its end although nobody waits for it any more.
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Buckets {
    /// Opens the buckets of a scope, none of them declared yet, and begins to sweep in the
    /// background what an earlier run left behind. To be called within a Tokio runtime.
    pub fn open(
        options: Options,
        store: Arc<dyn Store>,
        sink: Arc<dyn Sink>,
    ) -> Result<Self, OpenError> {
        let Options {
            folder,
            scope,
            clock,
            ids,
        } = options;
        let blobs = BlobFolder::open(folder.clone(), clock.clone(), ids.clone())
            .map_err(|cause| OpenError { folder, cause })?;
        let inner = Arc::new(Inner {
            scope,
            opened: clock.now(),
            clock,
            ids,
            store,
            sink,
            blobs,
            declared: RwLock::default(),
            keys: Turns::new(),
            uploads: Turns::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        });
        let buckets = Self(inner, Lineage::default());
        // Drawn before anyone can write: every blob of this run is above it.
        let boundary = buckets.0.blobs.boundary();
        buckets.0.tasks.spawn(sweep(buckets.0.clone(), boundary));
        Ok(buckets)
    }

    /// The same buckets; events of changes that are made through the answer have this cause.
    #[must_use]
    pub fn caused_by(&self, cause: Lineage) -> Self {
        Self(Arc::clone(&self.0), cause)
    }

    /// Says which buckets there are. The objects of a bucket that is no longer declared stay on
    /// disk and are out of reach until it is declared again.
    pub fn set_buckets(&self, buckets: BTreeSet<BucketName>) {
        *self.0.declared.write() = buckets;
    }

    /// The declared buckets.
    pub fn buckets(&self) -> BTreeSet<BucketName> {
        self.0.declared.read().clone()
    }

    /// Whether a bucket is declared.
    pub fn is_declared(&self, bucket: &BucketName) -> bool {
        self.0.declared.read().contains(bucket)
    }

    /// When these buckets were opened.
    pub fn opened(&self) -> Timestamp {
        self.0.opened
    }

    /// Keeps the file of every blob until the answer is dropped, also of objects that are removed
    /// meanwhile: for a backup, which copies the index first.
    pub fn keep_removed(&self) -> KeptRemoved {
        self.0.blobs.keep_removed()
    }

    /// Waits until every change that was begun has come to its end.
    pub async fn close(&self) {
        self.0.stop.cancel();
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }

    /// The present time, and a number drawn now, as text: for request ids.
    pub(crate) fn draw(&self) -> i64 {
        self.0.ids.draw(self.0.clock.now())
    }

    fn bucket(&self, bucket: &BucketName) -> Result<BucketRef, ObjectError> {
        if !self.is_declared(bucket) {
            return Err(ObjectError::NoSuchBucket {
                bucket: bucket.clone(),
            });
        }
        Ok(BucketRef {
            scope: self.0.scope.clone(),
            name: bucket.clone(),
        })
    }

    fn place(&self, bucket: &BucketName, key: &str) -> Result<ObjectId, ObjectError> {
        let bucket = self.bucket(bucket)?;
        if !(1..=MAX_OBJECT_KEY).contains(&key.len()) {
            return Err(ObjectError::Key { length: key.len() });
        }
        Ok(ObjectId {
            bucket,
            key: key.to_owned(),
        })
    }

    /// Runs a change to its end even when the caller goes away in the middle.
    async fn see_through<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ObjectError>> + Send + 'static,
    ) -> Result<T, ObjectError> {
        match self.0.tasks.spawn(change).await {
            Ok(result) => result,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(ObjectError::Stopping),
            },
        }
    }
}

async fn sweep(inner: Arc<Inner>, boundary: BlobId) {
    let sweep = inner.blobs.sweep(boundary, &*inner.store);
    match inner.stop.run_until_cancelled(sweep).await {
        Some(Ok(0)) | None => {}
        Some(Ok(removed)) => {
            tracing::info!(
                removed,
                "removed blobs that an interrupted upload had left behind"
            );
        }
        Some(Err(error)) => {
            tracing::warn!(%error, "blobs that are not used were not removed; the next start tries again");
        }
    }
}

/// Turns by a key: those who change the same thing do it one after the other.
struct Turns<K> {
    turns: Box<[Arc<Mutex<()>>]>,
    hasher: FixedState,
    of: std::marker::PhantomData<fn(&K)>,
}

/// A turn that was taken; given back by being dropped.
type Turn = OwnedMutexGuard<()>;

impl<K: Hash> Turns<K> {
    fn new() -> Self {
        Self {
            turns: (0..TURNS).map(|_| Arc::default()).collect(),
            hasher: FixedState::default(),
            of: std::marker::PhantomData,
        }
    }

    fn place(&self, key: &K) -> usize {
        self.hasher.hash_one(key) as usize % TURNS
    }

    async fn take(&self, key: &K) -> Turn {
        Arc::clone(&self.turns[self.place(key)]).lock_owned().await
    }

    /// The turns of several keys, always in the same order: so nobody waits in a circle.
    async fn take_all<'k>(&self, keys: impl Iterator<Item = &'k K>) -> Vec<Turn>
    where
        K: 'k,
    {
        let places: BTreeSet<usize> = keys.map(|key| self.place(key)).collect();
        let mut turns = Vec::with_capacity(places.len());
        for place in places {
            turns.push(Arc::clone(&self.turns[place]).lock_owned().await);
        }
        turns
    }
}
