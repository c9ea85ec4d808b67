//! Events, deliveries, dead letters.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wakeful_core::{
    delivery::{DeadReason, State},
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    port::Delivery,
};

use super::{FailureInfo, RunInfo, Time};

/// One event owed to one trigger, as the store has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeliveryInfo {
    /// Its id, also that of its run.
    #[schema(value_type = String)]
    pub id: RunId,
    /// The event that is owed.
    #[schema(value_type = String)]
    pub event: EventId,
    /// The trigger it is owed to.
    #[schema(value_type = String)]
    pub trigger: TriggerId,
    /// The function of that trigger.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// `queued`, `running` or `dead`.
    #[schema(value_type = String, example = "queued")]
    pub state: State,
    /// How often user code was started for it, charged or not.
    pub starts: u32,
    /// How many of those were charged.
    pub attempts: u32,
    /// Not started before this.
    pub ready_at: Time,
    /// Not started from this on.
    pub expires_at: Time,
    /// It waits for a version of the code other than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_for: Option<String>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<DeadInfo>,
    /// How its last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

/// Why a delivery is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadInfo {
    /// `attempts_exhausted`, `too_old` or `damaged`.
    #[schema(value_type = String, example = "attempts_exhausted")]
    pub reason: DeadReason,
    /// Since when.
    pub since: Time,
}

impl From<Delivery> for DeliveryInfo {
    fn from(delivery: Delivery) -> Self {
        Self {
            id: delivery.id,
            event: delivery.event,
            trigger: delivery.trigger,
            function: delivery.function,
            state: delivery.state,
            starts: delivery.starts,
            attempts: delivery.attempts,
            ready_at: delivery.ready_at.into(),
            expires_at: delivery.expires_at.into(),
            held_for: delivery.held_for,
            dead: delivery.dead.map(|(reason, since)| DeadInfo {
                reason,
                since: since.into(),
            }),
            failure: delivery.failure.map(FailureInfo::from),
        }
    }
}

/// An event and what it is still owed.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct EventDetail {
    /// Its id.
    #[schema(value_type = String)]
    pub id: EventId,
    /// When it was accepted.
    pub accepted_at: Time,
    /// What it happened to, such as `bucket:photos`.
    pub origin: String,
    /// The event as a CloudEvent.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
    /// The deliveries that are not over, dead ones included.
    pub deliveries: Vec<DeliveryInfo>,
    /// Its runs, newest first: of what is not over, and of what the history still has.
    #[serde(default)]
    pub runs: Vec<RunInfo>,
}

/// A dead letter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The id of its run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The function it was meant for.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// The trigger it was owed to.
    #[schema(value_type = String)]
    pub trigger: TriggerId,
    /// Its event.
    #[schema(value_type = String)]
    pub event: EventId,
    /// `attempts_exhausted`, `too_old` or `damaged`.
    #[schema(value_type = String, example = "attempts_exhausted")]
    pub reason: DeadReason,
    /// When it became one.
    pub died_at: Time,
    /// Attempts that were charged.
    pub attempts: u32,
    /// How its last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

impl DeadLetter {
    /// A delivery as a dead letter; `None` when it is not dead.
    pub fn of(delivery: Delivery) -> Option<Self> {
        let (reason, died_at) = delivery.dead?;
        Some(Self {
            run: delivery.id,
            function: delivery.function,
            trigger: delivery.trigger,
            event: delivery.event,
            reason,
            died_at: died_at.into(),
            attempts: delivery.attempts,
            failure: delivery.failure.map(FailureInfo::from),
        })
    }
}

/// Dead letters, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadList {
    /// One page of them.
    pub dead: Vec<DeadLetter>,
    /// The `before` of the next page; none when this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<RunId>,
}

/// A dead letter with its event.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadDetail {
    /// The dead letter.
    pub dead: DeadLetter,
    /// Its event as a CloudEvent; none when it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Box<RawValue>>,
}

/// Which dead letters: exactly one of the fields.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub runs: Option<Vec<RunId>>,
    /// All of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub function: Option<FunctionName>,
    /// All there are; only `true` means something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
}

/// What was redriven or discarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    /// How many.
    pub count: u64,
    /// Their runs; the first 1,000 of them.
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
}
