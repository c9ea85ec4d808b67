//! What a transaction of the store may hold, and what it did.

use bytes::Bytes;

use super::{Epoch, NewDelivery, ObjectChange, Pause};
use crate::{
    delivery::{DeadReason, Failure},
    event::Event,
    id::RunId,
    name::{FunctionName, Scope, TriggerId},
    time::Timestamp,
};

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
