//! Dead letters.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wakeful_core::{
    delivery::DeadReason,
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    port::Delivery,
};

use super::{AttemptInfo, DeliveryInfo, FailureInfo, LineageInfo, LogEntry, Time, text};

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
    /// Why it died.
    #[schema(schema_with = text::dead_reason)]
    pub reason: DeadReason,
    /// When it became one.
    pub died_at: Time,
    /// Attempts that were charged.
    pub attempts: u32,
    /// The ordering key that it blocks: nothing else with this key runs before someone acts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocks: Option<String>,
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
            blocks: delivery.keys.ordering.filter(|_| delivery.blocks),
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

/// Dead letters, counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadSummary {
    /// All that were counted.
    pub total: u64,
    /// Whether these are all there are; otherwise the newest ones of very many.
    pub complete: bool,
    /// By function and reason, the largest first.
    pub groups: Vec<DeadGroup>,
}

/// Dead letters of one function that died for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeadGroup {
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Why they died.
    #[schema(schema_with = text::dead_reason)]
    pub reason: DeadReason,
    /// How many.
    pub count: u64,
    /// When the first of them died.
    pub oldest: Time,
    /// When the last of them died.
    pub newest: Time,
    /// How the last one failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

/// A dead letter with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadDetail {
    /// The dead letter.
    pub dead: DeadLetter,
    /// The delivery that it is.
    pub delivery: DeliveryInfo,
    /// A few words on what it is about.
    pub about: String,
    /// Its event as a CloudEvent; none when it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Box<RawValue>>,
    /// What caused its event.
    #[serde(default, skip_serializing_if = "LineageInfo::is_empty")]
    pub lineage: LineageInfo,
    /// Its payload; none when it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadInfo>,
    /// Its attempts, first to last, as far as the history has them.
    pub attempts: Vec<AttemptInfo>,
    /// Its lines, oldest first, as far as the history has them.
    pub logs: Vec<LogEntry>,
    /// Whether the history still knows its run.
    pub in_history: bool,
}

/// The payload of an event; `GET /v1/events/{id}/data` gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PayloadInfo {
    /// Bytes.
    pub size: u64,
    /// Its content type.
    pub content_type: String,
}

/// Which dead letters: `runs`, or `"all": true`, or any of the other fields, which narrow down
/// together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Selection {
    /// These runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<String>>)]
    pub runs: Option<Vec<RunId>>,
    /// All there are; only `true` means something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<bool>,
    /// Those of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub function: Option<FunctionName>,
    /// Those of this trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trigger: Option<TriggerId>,
    /// Those that died for this reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = text::dead_reason)]
    pub reason: Option<DeadReason>,
    /// Those that died at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Those that died before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// What was redriven or discarded, or would be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Affected {
    /// How many.
    pub count: u64,
    /// Their runs; the first 1,000 of them.
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
    /// Nothing was done: it was only asked what would be.
    #[serde(default)]
    pub dry_run: bool,
    /// When the last one may start, if they were spread by a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
}

/// A dead letter whose payload was edited.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Replaced {
    /// The new event, which repeats the old one with the new payload.
    #[schema(value_type = String)]
    pub event: EventId,
    /// Its run.
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
    /// The dead letter that was dropped.
    #[schema(value_type = String)]
    pub replaces: RunId,
}
