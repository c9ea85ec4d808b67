//! Publishing, replaying, pausing.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_core::{
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    port::{Pause, Receipt},
};

use super::Time;

/// An event that was taken in: it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Accepted {
    /// The event.
    #[schema(value_type = String)]
    pub event: EventId,
    /// Its deliveries; none when no trigger wants it.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
    /// Deliveries that were left out because they repeat earlier ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub duplicates: Vec<Repetition>,
}

impl Accepted {
    /// What a receipt says of its first event; `None` for a receipt of nothing.
    pub fn of(receipt: Receipt) -> Option<Self> {
        let duplicate = |(run, of)| Repetition { run, of };
        Some(Self {
            event: *receipt.events.first()?,
            runs: receipt.runs,
            duplicates: receipt.duplicates.into_iter().map(duplicate).collect(),
        })
    }
}

/// A delivery that was left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Repetition {
    /// The one that was left out.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The one that it repeats.
    #[schema(value_type = String)]
    pub of: RunId,
}

/// The topics that the manifest declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicList {
    /// Each as it is declared: `orders.paid`, `orders.*`.
    pub topics: Vec<TopicInfo>,
}

/// A topic that the manifest declares, and who listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TopicInfo {
    /// As it is declared.
    pub topic: String,
    /// The triggers that listen to it, or to a part of it.
    #[schema(value_type = Vec<String>)]
    pub listeners: Vec<TriggerId>,
}

/// What to replay: events that were accepted in a time, and of those what the other fields leave.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOrder {
    /// Those accepted at this time or later.
    pub since: Time,
    /// Those accepted before this time; otherwise until now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Those of this origin (`bucket:photos`, `topic:orders.*`) or CloudEvents source; a `*` at
    /// the end stands for anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Those of this type; a `*` at the end stands for anything.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Those that this event pattern wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub filter: Option<serde_json::Value>,
    /// Only for the triggers of this function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub function: Option<FunctionName>,
    /// Only for this trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trigger: Option<TriggerId>,
    /// Also events that are replays themselves, or edited.
    #[serde(default)]
    pub again: bool,
    /// At most this many events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// So many to be started in a time, such as `50/s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// Only say what would run.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was replayed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayReport {
    /// Nothing was done: it was only asked what would be.
    pub dry_run: bool,
    /// Events of that time that were looked at.
    pub looked_at: u64,
    /// Events that were replayed.
    pub replayed: u64,
    /// For which triggers, the most first.
    pub triggers: Vec<ReplayedFor>,
    /// What was not replayed, by reason.
    pub left_out: LeftOut,
    /// Events whose payload cannot be read back; the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub damaged: Vec<EventId>,
    /// The new events with those that they repeat; the first 100 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<ReplayedEvent>,
    /// When the last one may start, if they were spread by a rate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Time>,
    /// Why it ended before all was replayed. What was replayed until then stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// How many events were replayed for one trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayedFor {
    /// The trigger.
    #[schema(value_type = String)]
    pub trigger: TriggerId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// How many.
    pub count: u64,
}

/// An event that was replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ReplayedEvent {
    /// The old one.
    #[schema(value_type = String)]
    pub of: EventId,
    /// The new one; none in a dry run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub event: Option<EventId>,
}

/// How many events of the time were not replayed, and why.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeftOut {
    /// `source`, `type` or `filter` do not want them.
    pub other: u64,
    /// No trigger wants them now, or not the one that was named.
    pub unwanted: u64,
    /// They are replays themselves.
    pub replays: u64,
    /// Functions published them. When nothing narrows a replay down, what caused them is replayed
    /// and brings them forth again.
    pub caused: u64,
    /// All triggers that want them left them out as repetitions when they came.
    pub repetitions: u64,
    /// They cannot be read back.
    pub damaged: u64,
}

/// What is paused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseTarget {
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Only this trigger of it: its identity, or its name alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Only deliveries with this key (of order, concurrency, rate or breaker).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseInfo {
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Only this trigger of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trigger: Option<TriggerId>,
    /// Only deliveries with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Since when.
    pub since: Time,
    /// Why; empty when nothing was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
}

impl From<Pause> for PauseInfo {
    fn from(pause: Pause) -> Self {
        Self {
            function: pause.function,
            trigger: pause.trigger,
            key: pause.key,
            since: pause.at.into(),
            why: pause.why,
        }
    }
}

/// All pauses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PauseList {
    /// Oldest first.
    pub pauses: Vec<PauseInfo>,
}
