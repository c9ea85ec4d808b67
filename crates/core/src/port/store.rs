use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    Answer, AnswerKey, Backlog, BeginAnswer, Begun, BlobId, BucketRef, Census, CheckpointKey,
    Committed, DeadQuery, Delivery, Ending, EventsQuery, Expired, ExpiredQuery, Object, ObjectId,
    ObjectsQuery, Pause, ReadyQuery, Reply, StoreError, StoreStats, Sweep, Transaction, Upload,
    UploadId,
};
use crate::{
    event::Event,
    id::{EventId, RunId},
    name::{Scope, TriggerId},
    time::Timestamp,
};

/// The durable store: events, deliveries, checkpoints and the object index, in one place so that
/// they can change together.
///
/// # Contract
///
/// **Transactions.** A `Transaction` is applied whole or not at all. When `commit` replies `Ok`,
/// it is on disk and survives a power cut; implementations may group transactions into one disk
/// write, and apply those of one caller in the order in which they were handed in. When it
/// replies an error, nothing of it is visible, except after `StoreError::Unknown`, where the
/// caller must read back. After a failed fsync the store refuses every further change: it is
/// never retried into success.
///
/// **Epochs.** Opening a store begins a new epoch, greater than all before. Every delivery that
/// an older epoch had claimed is `Queued` again before `open` returns, its interrupted attempt
/// not charged (`starts` stays, `attempts` goes back by one), or, with `OnUnknown::Hold`, a dead
/// letter with `DeadReason::OutcomeUnknown` (`attempts` stays: user code was started). A
/// settlement carries the claim it
/// settles; one that does not fit the delivery's present claim is refused as `Settled::Stale` and
/// changes nothing, while the rest of its transaction stands.
///
/// **Claims.** `claim` moves deliveries from `Queued` to `Running`, adds one to `starts` and
/// `attempts`, and is on disk when it replies. What is not `Queued`, is expired or is unknown is
/// left out of the reply. A delivery may be born claimed (`NewDelivery::claimed`), with
/// `starts` and `attempts` 1.
///
/// **Order.** `ready` returns the queued deliveries of one trigger whose time has come, by
/// (`ready_at`, `id`). Nothing promises that they are claimed in that order.
///
/// **Lanes.** A delivery with an ordering key stands in the lane of its trigger and key. Only the
/// first of a lane is ready or claimed; the others are `Held::Order`. The order is that of ids: of
/// two callers that draw their ids and commit at the same time the greater id may be committed
/// first, and then the lesser one takes the turn unless the greater one runs already. A retry keeps
/// its place. When the first one ends (succeeds, dies, is discarded), the next one takes over in
/// the same transaction; one that dies with `blocks` keeps its place until it is redriven,
/// discarded or swept. One that is redriven takes its place by its id: whoever has the turn and
/// does not run makes way.
///
/// **Seats.** A delivery with a concurrency key that is not `Held::Order` takes one of the
/// `key_limit` seats of its trigger and key, or is `Held::Concurrency` while all are taken. Of those
/// that are queued the first by (`ready_at`, `id`) have the seats: one that waits for a later time
/// gives its seat to one that could run sooner. Who runs, is parked or held for a version keeps its
/// seat. After the limit was lowered who has a seat keeps it until it ends or is tried again.
///
/// Who is held is not `ready`, and is not claimed, but for `Held::Version`: whoever claims that
/// knows better. `claimed` of a new delivery is a wish, and those that were not are in
/// `Committed::unclaimed`.
///
/// **Debounce.** A `NewDelivery` with a `debounce` takes the place of the delivery of the same
/// trigger and debounce key that was never started: that one leaves the store as superseded (its
/// place in a lane too), and the new one is ready `wait` after its own `ready_at`, but not later
/// than `most` after that of the first of its chain. One that is redriven is debounced no more.
///
/// **Conditions.** A transaction with `Condition::IfApplied` of which any settlement is stale, or
/// any intervention on one run (`Redrive`, `Discard`, `Expire`) would be ignored, changes nothing
/// at all: all its `settled` are `Stale`, its `intervened` is empty. That is found out before its
/// object changes are looked at: a conflict is told of only when everything else fits.
///
/// **Answers.** An answer to a request with an idempotency key is begun once: whoever begins it
/// gets `Begun::Fresh`, others learn what stands. What an older epoch had begun and not finished
/// is `Begun::Unknown`. An answer is there until its `until`; what this epoch has begun is
/// `Begun::Running` until it is finished, however long that takes. An answer of which the disk has
/// lost something is `Begun::Unknown` too: it certainly ran.
///
/// **Repetition.** A `NewDelivery` with a `dedup` whose key is remembered for the same trigger
/// is left out, counted in `Committed::duplicates` with the delivery it repeats, and kept
/// as an `Ending`; otherwise the key is remembered until
/// its window has passed, at least.
///
/// **Objects.** An `ObjectChange` states the generation it expects; if the index says otherwise
/// the transaction fails with `StoreError::Conflict` and nothing of it is applied.
///
/// **Memory.** What waits on disk takes no memory that grows with it. `commit` and `claim` wait
/// while too much is under way.
///
/// **Damage.** Events carry a checksum, checked on every read: `StoreError::Damaged` names the
/// event; other reads go on. `open` refuses a folder that a newer version wrote
/// (`OpenError::Newer`), one that is in use, and one whose high-water mark says that
/// acknowledged commits are missing.
///
/// **Disk full.** New events, objects and answers are refused with `StoreError::DiskFull` while
/// settlements, claims, releases, pauses and reads go on, and answers can be forgotten.
pub trait Store: Send + Sync + 'static {
    /// The epoch that began when this store was opened.
    fn epoch(&self) -> Epoch;

    /// The greatest id (event or run) that was ever given out in it; 0 for none.
    fn greatest_id(&self) -> i64;

    /// Applies a transaction.
    fn commit(&self, transaction: Transaction) -> Reply<Committed, StoreError>;

    /// Claims queued deliveries for this epoch; replies those that it got, in any order.
    fn claim(&self, runs: Vec<RunId>, now: Timestamp) -> Reply<Vec<Delivery>, StoreError>;

    /// Queued deliveries of one trigger whose time has come and that are not held.
    fn ready(&self, query: ReadyQuery) -> Reply<Vec<Delivery>, StoreError>;

    /// For each trigger with queued deliveries: how many, and the earliest `ready_at`.
    /// Held deliveries count in neither.
    fn backlog(&self) -> Reply<Vec<Backlog>, StoreError>;

    /// Queued deliveries, held ones too, that have grown too old, in the order of their ids. Looks
    /// at a bounded number of deliveries; the reply says where to go on.
    fn expired(&self, query: ExpiredQuery) -> Reply<Expired, StoreError>;

    /// One event; `None` when it is unknown or no longer kept.
    fn event(&self, id: EventId) -> Reply<Option<Event>, StoreError>;

    /// One delivery; `None` when it is unknown or has left the store.
    fn delivery(&self, id: RunId) -> Reply<Option<Delivery>, StoreError>;

    /// Events by id, for replays; damaged ones are named instead. A reply is bounded by bytes too
    /// and may hold fewer than were asked for: there are no more when it is empty.
    fn events(&self, query: EventsQuery) -> Reply<Vec<Result<Event, EventId>>, StoreError>;

    /// Deliveries of an event that ended without a run: repetitions, superseded and discarded ones.
    fn endings(&self, event: EventId) -> Reply<Vec<Ending>, StoreError>;

    /// Events that runs for this one caused, or that repeat it; at most `limits::STORE_READ_ROWS`.
    fn children(&self, event: EventId) -> Reply<Vec<EventId>, StoreError>;

    /// What waits for one trigger, and for what.
    fn census(&self, scope: Scope, trigger: TriggerId) -> Reply<Census, StoreError>;

    /// Who stands before a delivery that is held for its order or its concurrency: those that are
    /// ready, claimed or block the key, first come first.
    fn ahead_of(&self, run: RunId) -> Reply<Vec<Delivery>, StoreError>;

    /// All pauses.
    fn pauses(&self) -> Reply<Vec<Pause>, StoreError>;

    /// Begins the answer to a request with an idempotency key, durably.
    fn begin_answer(&self, begin: BeginAnswer) -> Reply<Begun, StoreError>;

    /// Keeps the answer, if this epoch began it; `None` forgets that it was begun.
    fn finish_answer(&self, key: AnswerKey, answer: Option<Answer>) -> Reply<(), StoreError>;

    /// The deliveries that an event is still owed, dead ones included.
    fn deliveries_of(&self, event: EventId) -> Reply<Vec<Delivery>, StoreError>;

    /// Dead letters, newest first.
    fn dead(&self, query: DeadQuery) -> Reply<Vec<Delivery>, StoreError>;

    /// What a source remembered under this key.
    fn checkpoint(&self, key: CheckpointKey) -> Reply<Option<Bytes>, StoreError>;

    /// One object of the index.
    fn object(&self, at: ObjectId) -> Reply<Option<Object>, StoreError>;

    /// Objects of a bucket in the byte order of their keys.
    fn objects(&self, query: ObjectsQuery) -> Reply<Vec<Object>, StoreError>;

    /// One multipart upload with its parts in order; `None` when there is none.
    fn upload(&self, id: UploadId) -> Reply<Option<Upload>, StoreError>;

    /// The multipart uploads of a bucket, without their parts, by key and id.
    fn uploads(&self, bucket: BucketRef) -> Reply<Vec<Upload>, StoreError>;

    /// Which of these blobs no object and no part refers to.
    fn unreferenced(&self, blobs: Vec<BlobId>) -> Reply<Vec<BlobId>, StoreError>;

    /// Drops what nobody needs any more: events to which nothing is owed and that are older than
    /// `events_before`, dead letters older than `dead_before`, expired dedup keys. Works in small
    /// steps between other commits; replies how many events went.
    fn sweep(&self, sweep: Sweep) -> Reply<u64, StoreError>;

    /// Figures about the store.
    fn stats(&self) -> Reply<StoreStats, StoreError>;
}

/// One life of the server over a store; grows with each opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u32);
