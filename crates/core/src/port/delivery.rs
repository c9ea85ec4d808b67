//! Deliveries as the store is given them and as it has them.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Claim, Epoch};
use crate::{
    delivery::{DeadReason, Failure, State},
    flow::OnUnknown,
    id::{EventId, RunId},
    name::{FunctionName, Scope, TriggerId},
    time::Timestamp,
};

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

    /// As the store has it while it waits.
    pub fn queued(self) -> Delivery {
        Delivery {
            partition: self.partition(),
            id: self.id,
            scope: self.scope,
            event: self.event,
            trigger: self.trigger,
            function: self.function,
            keys: self.keys,
            blocks: self.blocks,
            on_unknown: self.on_unknown,
            state: State::Queued,
            starts: 0,
            attempts: 0,
            ready_at: self.ready_at,
            expires_at: self.expires_at,
            alone: false,
            held: None,
            dead: None,
            failure: None,
        }
    }

    /// As the store has it once it was born claimed.
    pub fn started(self) -> Delivery {
        Delivery {
            state: State::Running,
            starts: 1,
            attempts: 1,
            ..self.queued()
        }
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
