//! What the store is asked, and what it answers beyond events and deliveries.

use serde::{Deserialize, Serialize};

use super::Delivery;
use crate::{
    delivery::DeadReason,
    id::{EventId, RunId},
    name::{FunctionName, Scope, TriggerId},
    time::Timestamp,
};

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
