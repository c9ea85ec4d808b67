use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{
    BlobId, BucketRef, Object, ObjectChange, ObjectId, ObjectsQuery, Reply, StoreError, Upload,
    UploadId,
};
use crate::{
    delivery::{DeadReason, Failure, State},
    event::Event,
    flow::OnUnknown,
    id::{EventId, RunId},
    name::{FunctionName, Scope, TriggerId},
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

/// Changes that are applied together.
#[derive(Debug, Clone, Default)]
pub struct Transaction {
    /// Events to keep.
    pub events: Vec<Event>,
    /// Deliveries that they are owed; each event is in `events` or already kept.
    pub deliveries: Vec<NewDelivery>,
    /// What sources want to remember.
    pub checkpoints: Vec<Checkpoint>,
    /// Changes of the object index.
    pub objects: Vec<ObjectChange>,
    /// Ends of claims.
    pub settlements: Vec<Settlement>,
    /// What people or new versions do to deliveries that nobody has claimed.
    pub interventions: Vec<Intervention>,
    /// Pauses that begin (`true`) or end.
    pub pauses: Vec<(Pause, bool)>,
    /// When it is applied at all.
    pub condition: Condition,
}

/// When a transaction is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Condition {
    /// Always; a stale settlement or an ignored intervention changes nothing while the rest
    /// stands.
    #[default]
    Always,
    /// Only if none of its settlements is stale and none of its interventions on one run
    /// (`Redrive`, `Discard`, `Expire`) would be ignored.
    IfApplied,
}

/// What a commit did, where its transaction did not already say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Deliveries that were left out because they repeat earlier ones, each with the one that it
    /// repeats.
    pub duplicates: Vec<(RunId, RunId)>,
    /// Deliveries that left the store because a new one took their place, each with that one.
    pub superseded: Vec<(RunId, RunId)>,
    /// New deliveries that should have been born claimed and were not: it is not their turn.
    pub unclaimed: Vec<RunId>,
    /// Triggers of which held deliveries became ready, in order of their names: to be read from
    /// their start again, for who waited longest is before those that were read.
    pub released: Vec<TriggerId>,
    /// For each settlement, in order.
    pub settled: Vec<Settled>,
    /// Deliveries that interventions changed.
    pub intervened: Vec<RunId>,
}

/// A delivery to be created.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// Its id.
    pub id: RunId,
    /// The scope of the trigger.
    pub scope: Scope,
    /// The event that is owed.
    pub event: EventId,
    /// The trigger it is owed to.
    pub trigger: TriggerId,
    /// The function of that trigger.
    pub function: FunctionName,
    /// The keys of its trigger's rules.
    pub keys: Keys,
    /// How many with its concurrency key may run at once; holds for the whole trigger from then
    /// on. `None`, or no concurrency key: as it was before.
    pub key_limit: Option<u32>,
    /// Whether its death blocks its ordering key.
    pub blocks: bool,
    /// What happens to it when the server dies in mid-attempt.
    pub on_unknown: OnUnknown,
    /// What it supersedes.
    pub debounce: Option<NewDebounce>,
    /// Not started before this.
    pub ready_at: Timestamp,
    /// Not started from this on.
    pub expires_at: Timestamp,
    /// Born `Running`, for a worker that is waiting for it.
    pub claimed: bool,
    /// Born a dead letter, for this reason, and in no lane: an event that must not run by itself,
    /// such as one of a loop, is kept for a person to see. Never together with `claimed`.
    pub dead: Option<DeadReason>,
    /// How a repetition of it is recognised.
    pub dedup: Option<Dedup>,
}

impl NewDelivery {
    /// The partition it belongs to.
    pub fn partition(&self) -> u8 {
        partition(&self.scope, &self.trigger, self.keys.ordering.as_deref())
    }
}

/// The keys that the rules of its trigger found in a delivery's event. The partition follows from
/// the ordering key; `None` spreads by trigger alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Keys {
    /// For order.
    pub ordering: Option<String>,
    /// For concurrency.
    pub concurrency: Option<String>,
    /// For rate.
    pub rate: Option<String>,
    /// For the breaker.
    pub breaker: Option<String>,
}

/// How a new delivery takes the place of those before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDebounce {
    /// What they have in common.
    pub key: String,
    /// How long it must be quiet.
    pub wait: Duration,
    /// The longest wait, counted from the first one.
    pub most: Duration,
}

/// The partition of a delivery: order, rates and breakers live with the partition's owner.
/// CRC-32C of project, environment, trigger and ordering key, NUL between them, modulo 256.
/// Stored: it must never change.
pub fn partition(scope: &Scope, trigger: &TriggerId, ordering_key: Option<&str>) -> u8 {
    let mut hash = crc32c::crc32c(scope.project.as_str().as_bytes());
    for part in [
        scope.environment.as_str(),
        trigger.as_str(),
        ordering_key.unwrap_or_default(),
    ] {
        hash = crc32c::crc32c_append(hash, b"\0");
        hash = crc32c::crc32c_append(hash, part.as_bytes());
    }
    (hash % 256) as u8
}

/// How a repetition is recognised: per trigger, by key, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dedup {
    /// The key, such as the outside event's source and id.
    pub key: String,
    /// How long it is remembered.
    pub window: Duration,
}

/// A delivery as the store has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// Its id.
    pub id: RunId,
    /// The scope of the trigger.
    pub scope: Scope,
    /// The event that is owed.
    pub event: EventId,
    /// The trigger it is owed to.
    pub trigger: TriggerId,
    /// The function of that trigger.
    pub function: FunctionName,
    /// The keys of its trigger's rules.
    pub keys: Keys,
    /// Whether its death blocks its ordering key.
    pub blocks: bool,
    /// What happens to it when its worker or the server dies in mid-attempt.
    pub on_unknown: OnUnknown,
    /// Its partition.
    pub partition: u8,
    /// Where it stands.
    pub state: State,
    /// How often user code was started for it, charged or not.
    pub starts: u32,
    /// How many of those were charged, the running one included.
    pub attempts: u32,
    /// Not started before this.
    pub ready_at: Timestamp,
    /// Not started from this on.
    pub expires_at: Timestamp,
    /// It must run with nobody beside it on its worker.
    pub alone: bool,
    /// Why it waits although its time may have come; only while it is queued.
    pub held: Option<Held>,
    /// Why it is dead, and since when.
    pub dead: Option<(DeadReason, Timestamp)>,
    /// How its last attempt failed.
    pub failure: Option<Failure>,
}

impl Delivery {
    /// Its present claim, when `epoch` claimed it.
    pub const fn claim(&self, epoch: Epoch) -> Claim {
        Claim {
            run: self.id,
            epoch,
            start: self.starts,
        }
    }
}

/// Why a queued delivery is not ready, whatever its time.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Held {
    /// The code of this version cannot be loaded; another one may.
    Version(String),
    /// An earlier delivery with its ordering key has not ended.
    Order,
    /// As many with its concurrency key as may run do.
    Concurrency,
    /// Its key is paused by hand.
    Paused,
    /// The breaker of its key is open.
    Breaker,
}

/// Which claim a settlement ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// The delivery.
    pub run: RunId,
    /// The epoch that claimed it.
    pub epoch: Epoch,
    /// Its `starts` at that claim.
    pub start: u32,
}

/// The end of a claim.
#[derive(Debug, Clone, PartialEq)]
pub struct Settlement {
    /// Which claim.
    pub claim: Claim,
    /// How it ended.
    pub end: End,
}

/// How a claim ended.
#[derive(Debug, Clone, PartialEq)]
pub enum End {
    /// It succeeded; the delivery leaves the store.
    Succeeded,
    /// It is queued again from `at` on.
    Retry {
        /// The earliest time of the next attempt.
        at: Timestamp,
        /// Whether this attempt counts; otherwise `attempts` goes back by one.
        charged: bool,
        /// Whether it must run with nobody beside it.
        alone: bool,
        /// How it failed; `None` keeps what was there.
        failure: Option<Failure>,
    },
    /// It is queued, but not ready until a version other than `version` is live. Not charged.
    HeldForVersion {
        /// The version that cannot run it.
        version: String,
        /// Why.
        failure: Failure,
    },
    /// It is a dead letter.
    Dead {
        /// Why.
        reason: DeadReason,
        /// When.
        at: Timestamp,
        /// How its last attempt failed; `None` keeps what was there.
        failure: Option<Failure>,
    },
}

/// What a settlement did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settled {
    /// The claim ended.
    Applied,
    /// The claim was not the delivery's present one; nothing changed.
    Stale,
}

/// What people or new versions do to deliveries that nobody has claimed.
#[derive(Debug, Clone, PartialEq)]
pub enum Intervention {
    /// A dead letter is queued again with fresh attempts.
    Redrive {
        /// Which; ignored unless dead.
        run: RunId,
        /// Ready from then on.
        now: Timestamp,
        /// Its new end of life.
        expires_at: Timestamp,
    },
    /// A dead letter leaves the store; the word why is kept as its `Ending`.
    Discard {
        /// Which; ignored unless dead.
        run: RunId,
        /// When.
        at: Timestamp,
        /// Why, in the words of who did it; empty when nothing was said.
        why: String,
    },
    /// A ready delivery is not started before `until`: its rate is used up.
    Defer {
        /// Which; ignored unless queued and not held.
        run: RunId,
        /// The earliest time.
        until: Timestamp,
    },
    /// A ready delivery is held because of its key, until `Unpark`. It keeps its place in its lanes.
    Park {
        /// Which; ignored unless queued and not held.
        run: RunId,
        /// Why.
        why: Parked,
        /// The key that is paused or whose breaker is open.
        key: String,
    },
    /// Deliveries that were parked for this are ready. As with `ReleaseHeld`, of many only a step
    /// is released together with the rest of the transaction.
    Unpark {
        /// The scope of the trigger.
        scope: Scope,
        /// The trigger.
        trigger: TriggerId,
        /// Why they were parked.
        why: Parked,
        /// Only those with this key; `None` for all keys.
        key: Option<String>,
        /// Ready from then on.
        now: Timestamp,
        /// At most this many, first come first; `None` for all.
        most: Option<usize>,
    },
    /// From now on so many deliveries with one concurrency key of this trigger may run at once.
    /// More seats are filled before the reply, of many keys in further commits (what a crash
    /// leaves undone is done as those that have seats end); fewer are kept to as those that have
    /// one end. It is in `released`, not in `intervened`.
    Limit {
        /// The scope of the trigger.
        scope: Scope,
        /// The trigger.
        trigger: TriggerId,
        /// The limit; `None` when the trigger has none any more: all are ready.
        limit: Option<u32>,
    },
    /// A queued delivery that grew too old becomes a dead letter; ignored unless queued.
    Expire {
        /// Which.
        run: RunId,
        /// When.
        at: Timestamp,
    },
    /// Deliveries of a function that were held for a version other than `live` are ready.
    ///
    /// Of many, only `limits::RELEASE_STEP` are released together with the rest of the
    /// transaction; the others follow in commits of their own before the reply, which names the
    /// first `limits::STORE_READ_ROWS` of them. A reply that is dropped may leave some held: to
    /// be released again.
    ReleaseHeld {
        /// The scope of the function.
        scope: Scope,
        /// The function.
        function: FunctionName,
        /// The version that is live now.
        live: String,
        /// Ready from then on.
        now: Timestamp,
    },
}

/// Why a delivery is parked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Parked {
    /// Someone paused its key.
    Pause,
    /// The breaker of its key is open.
    Breaker,
}

/// Something that is paused by hand, until it is resumed. It survives restarts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pause {
    /// The scope.
    pub scope: Scope,
    /// What: with a trigger only that, with a key only what has that key.
    pub function: FunctionName,
    /// The trigger.
    pub trigger: Option<TriggerId>,
    /// One of the keys of its deliveries: of order, concurrency, rate or breaker.
    pub key: Option<String>,
    /// Since when.
    pub at: Timestamp,
    /// Why, in the words of who did it; empty when nothing was said.
    pub why: String,
}

/// A delivery that ended without a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ending {
    /// The event.
    pub event: EventId,
    /// The delivery.
    pub run: RunId,
    /// Its trigger.
    pub trigger: TriggerId,
    /// When.
    pub at: Timestamp,
    /// How.
    pub how: Ended,
}

/// How a delivery ended without a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// It repeats this delivery; 0 when that is not known any more.
    Duplicate(RunId),
    /// This later delivery with its debounce key runs in its place.
    Superseded(RunId),
    /// Someone discarded the dead letter, and said why.
    Discarded(String),
}

/// The identity of a synchronous request that carries an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The scope of the endpoint.
    pub scope: Scope,
    /// The endpoint.
    pub trigger: TriggerId,
    /// What the caller sent as `Idempotency-Key`, after who the caller is.
    pub key: String,
}

/// Asks whether a request was answered already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginAnswer {
    /// Which request.
    pub key: AnswerKey,
    /// A hash of what was asked: the same key with another one is a mistake of the caller.
    pub fingerprint: [u8; 32],
    /// The run that would answer it.
    pub run: RunId,
    /// Now.
    pub now: Timestamp,
    /// Until when the answer is kept.
    pub until: Timestamp,
    /// Whether a request whose outcome is unknown is begun again.
    pub again: OnUnknown,
}

/// What stands under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: this request is to be answered.
    Fresh,
    /// A request with this key is being answered by this run of this epoch.
    Running(RunId),
    /// It was answered, by this run.
    Answered(RunId, Answer),
    /// The server died while this run answered it, and it is not to be run again.
    Unknown(RunId),
    /// The key belongs to another request.
    Mismatch(RunId),
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, in order.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
}

/// What waits for one trigger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Queued, whose time has come or will come.
    pub queued: u64,
    /// The earliest time among them.
    pub earliest: Option<Timestamp>,
    /// Claimed.
    pub running: u64,
    /// Held for a new version.
    pub for_version: u64,
    /// Held for their order.
    pub for_order: u64,
    /// Held for a place of their concurrency key.
    pub for_concurrency: u64,
    /// Parked by hand.
    pub paused: u64,
    /// Parked by a breaker.
    pub by_breaker: u64,
    /// Dead letters.
    pub dead: u64,
    /// Dead letters that block their ordering key, the first few.
    pub blocking: Vec<RunId>,
}

/// Which events to read.
#[derive(Debug, Clone, Copy)]
pub struct EventsQuery {
    /// From this id on.
    pub from: EventId,
    /// Only those before this id.
    pub before: EventId,
    /// At most this many.
    pub limit: usize,
}

/// Which queued deliveries to read.
#[derive(Debug, Clone)]
pub struct ReadyQuery {
    /// The scope of the trigger.
    pub scope: Scope,
    /// The trigger.
    pub trigger: TriggerId,
    /// Ready at or before this.
    pub now: Timestamp,
    /// Only those after this (`ready_at`, `id`); `None` from the start.
    pub after: Option<(Timestamp, RunId)>,
    /// At most this many.
    pub limit: usize,
}

/// What waits for one trigger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// The scope of the trigger.
    pub scope: Scope,
    /// The trigger.
    pub trigger: TriggerId,
    /// How many queued deliveries, ready or not.
    pub queued: u64,
    /// The earliest `ready_at` among them.
    pub earliest: Timestamp,
}

/// Which expired deliveries to read.
#[derive(Debug, Clone, Copy)]
pub struct ExpiredQuery {
    /// Expired at or before this.
    pub now: Timestamp,
    /// Only those after this id; `None` from the start.
    pub after: Option<RunId>,
}

/// What a look for expired deliveries found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Expired {
    /// Those it found.
    pub deliveries: Vec<Delivery>,
    /// After which id to go on; `None` when all were looked at.
    pub next: Option<RunId>,
}

/// Which dead letters to read.
#[derive(Debug, Clone, Default)]
pub struct DeadQuery {
    /// Only those of this function.
    pub function: Option<FunctionName>,
    /// Only those of this trigger.
    pub trigger: Option<TriggerId>,
    /// Only those that died for this reason.
    pub reason: Option<DeadReason>,
    /// Only those that died at this time or later.
    pub since: Option<Timestamp>,
    /// Only those that died before this time.
    pub until: Option<Timestamp>,
    /// Only those before this id (newest first).
    pub before: Option<RunId>,
    /// At most this many.
    pub limit: usize,
}

/// Under what a source remembers something: `database:shop`, `schedule:report/…`, in its scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CheckpointKey {
    /// The scope of the source.
    pub scope: Scope,
    /// The source.
    pub source: String,
}

/// What a source remembers: how far it has read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Under what.
    pub key: CheckpointKey,
    /// What; only the source understands it.
    pub value: Bytes,
}

/// What to drop.
#[derive(Debug, Clone, Copy)]
pub struct Sweep {
    /// Now, for dedup keys.
    pub now: Timestamp,
    /// Events accepted before this, to which nothing is owed.
    pub events_before: Timestamp,
    /// Dead letters that died before this; `None` keeps all.
    pub dead_before: Option<Timestamp>,
}

/// Figures about the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreStats {
    /// Events kept.
    pub events: u64,
    /// Deliveries queued, ready or not.
    pub queued: u64,
    /// Deliveries claimed.
    pub running: u64,
    /// Dead letters.
    pub dead: u64,
    /// Transactions committed since the store was opened.
    pub commits: u64,
    /// Disk writes they took.
    pub syncs: u64,
    /// Settlements refused as stale since the store was opened.
    pub stale: u64,
    /// Deliveries left out as repetitions since the store was opened.
    pub duplicates: u64,
    /// Bytes of the store's files.
    pub bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_what_they_were() {
        let scope = Scope {
            project: "photos".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        };
        let trigger = TriggerId::from_stored("thumbnail/bucket.photos.default");
        assert_eq!(
            partition(&scope, &trigger, None),
            partition(&scope, &trigger, Some(""))
        );
        assert_eq!(
            [Some("a"), Some("b"), None].map(|key| partition(&scope, &trigger, key)),
            [45, 217, 103]
        );
    }
}
