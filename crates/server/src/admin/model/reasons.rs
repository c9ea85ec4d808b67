//! Why: what became of an event, and what a queue waits for.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_core::{
    filter::{Explanation, Why},
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    port::Census,
    run::RunState,
};

use super::{
    AttemptInfo, DeadInfo, FailureInfo, FunctionStateWord, KeysInfo, LineageInfo, PauseInfo,
    PayloadInfo, Time, text,
};

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct EventStory {
    /// Its id.
    #[schema(value_type = String)]
    pub id: EventId,
    /// When it was accepted.
    pub accepted_at: Time,
    /// What came in; none when the store no longer keeps it or cannot read it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received: Option<Received>,
    /// Its payload is damaged on disk: it cannot run any more.
    #[serde(default)]
    pub damaged: bool,
    /// Each trigger that listens to its origin, judged by the manifest as it is now.
    pub judged: Vec<Judged>,
    /// Its deliveries, in the order in which they were made.
    pub fates: Vec<Fate>,
    /// Events that runs for it caused, or that repeat it.
    pub children: Vec<Child>,
    /// Whether more of them exist than are shown.
    #[serde(default)]
    pub cut: bool,
}

/// An event as it came in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Received {
    /// What it happened to, such as `bucket:photos`.
    pub origin: String,
    /// CloudEvents `id`.
    pub id: String,
    /// CloudEvents `source`.
    pub source: String,
    /// CloudEvents `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// CloudEvents `subject`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// CloudEvents `time`.
    pub time: Time,
    /// A few words on what it is about.
    pub about: String,
    /// Its payload.
    pub payload: PayloadInfo,
    /// What caused it.
    #[serde(default, skip_serializing_if = "LineageInfo::is_empty")]
    pub lineage: LineageInfo,
}

/// What a trigger says of an event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Judged {
    /// The trigger.
    #[schema(value_type = String)]
    pub trigger: TriggerId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Whether it wants the event.
    pub wants: bool,
    /// Why, in words.
    pub why: String,
    /// Each condition of its filter and what it found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ConditionInfo>,
}

/// A condition of a filter and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConditionInfo {
    /// Where it stands in the pattern: `data.after.total`.
    pub path: String,
    /// What was wanted, as the pattern writes it.
    pub wanted: String,
    /// What the event has there, as JSON; none when nothing is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Whether it is met.
    pub holds: bool,
}

impl From<Why> for ConditionInfo {
    fn from(why: Why) -> Self {
        Self {
            path: why.path,
            wanted: why.wanted,
            found: why.found,
            holds: why.holds,
        }
    }
}

/// The conditions of an explanation.
pub fn conditions(explanation: Explanation) -> Vec<ConditionInfo> {
    let conditions = explanation.conditions.into_iter();
    conditions.map(ConditionInfo::from).collect()
}

/// What became of one delivery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Fate {
    /// Its run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// The trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trigger: Option<TriggerId>,
    /// Where it stands.
    #[schema(schema_with = text::run_state)]
    pub state: RunState,
    /// When it ended for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// What the rules of its trigger found in the event.
    #[serde(default, skip_serializing_if = "KeysInfo::is_empty")]
    pub keys: KeysInfo,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits: Vec<Wait>,
    /// The run that it repeats, or that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub other: Option<RunId>,
    /// What was said when it was discarded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<String>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<DeadInfo>,
    /// Its attempts, as far as the history has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptInfo>,
    /// How the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

/// An event that another one led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(no_recursion)]
pub struct Child {
    /// The event.
    #[schema(value_type = String)]
    pub event: EventId,
    /// What it happened to; none when it cannot be read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// A few words on what it is about.
    pub about: String,
    /// The run that caused it; none for a replay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// Whether it repeats the event above it.
    #[serde(default)]
    pub repeats: bool,
    /// Its runs.
    pub runs: Vec<RunBrief>,
    /// What it led to itself.
    pub children: Vec<Child>,
}

/// A run in a few words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunBrief {
    /// Its id.
    #[schema(value_type = String)]
    pub run: RunId,
    /// Its function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Where it stands.
    #[schema(schema_with = text::run_state)]
    pub state: RunState,
    /// When it was accepted.
    pub accepted_at: Time,
}

/// What something waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Wait {
    /// Which kind of thing.
    #[serde(rename = "for")]
    pub kind: WaitKind,
    /// In words.
    pub text: String,
    /// The key whose rule it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Until when, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// How many deliveries wait for it, where that is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Runs that stand in the way; the first few.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub runs: Vec<RunId>,
}

impl Wait {
    /// A wait with nothing but words.
    pub fn new(kind: WaitKind, text: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            key: None,
            since: None,
            until: None,
            count: None,
            runs: Vec::new(),
        }
    }
}

/// What a delivery can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitKind {
    /// Code that can be loaded.
    Version,
    /// Its function or trigger, which the project no longer has.
    Gone,
    /// A worker process: none could be started.
    Worker,
    /// The end of a pause.
    Pause,
    /// A breaker that closes.
    Breaker,
    /// An earlier delivery with its ordering key that is dead and blocks it.
    Blocked,
    /// An earlier delivery with its ordering key.
    Order,
    /// A place of its concurrency key.
    Concurrency,
    /// A place of its function.
    Place,
    /// Its rate.
    Rate,
    /// The time of its next attempt, or the time before which it was not to be started.
    Time,
}

/// Why a function's queues move or not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct QueueReport {
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// Whether it can run.
    pub state: FunctionStateWord,
    /// Why its newest code is not live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
    /// Its worker processes.
    pub workers: usize,
    /// Attempts that run now.
    pub in_flight: usize,
    /// Attempts that may run at once.
    pub concurrency: u32,
    /// Pauses of the function, its triggers and keys.
    pub pauses: Vec<PauseInfo>,
    /// Runs that have been under way for longest; the first few.
    pub running: Vec<RunBrief>,
    /// Each trigger with a queue.
    pub triggers: Vec<TriggerQueue>,
    /// What to make of it.
    pub advice: Advice,
}

/// The queue of one trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TriggerQueue {
    /// The trigger.
    #[schema(value_type = String)]
    pub trigger: TriggerId,
    /// What it listens to, in words.
    pub wakes: String,
    /// How many of its deliveries stand where.
    pub census: CensusInfo,
    /// What they wait for.
    pub waits: Vec<Wait>,
}

/// How many deliveries of a trigger stand where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CensusInfo {
    /// Queued, whose time has come or will come.
    pub queued: u64,
    /// The earliest time among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earliest: Option<Time>,
    /// Whose attempt runs.
    pub running: u64,
    /// Held for a new version of the code.
    pub for_version: u64,
    /// Held for their order.
    pub for_order: u64,
    /// Held for a place of their concurrency key.
    pub for_concurrency: u64,
    /// Held by a pause of their key.
    pub paused: u64,
    /// Held by the breaker of their key.
    pub by_breaker: u64,
    /// Dead letters.
    pub dead: u64,
    /// Dead letters that block their ordering key, the first few.
    #[schema(value_type = Vec<String>)]
    pub blocking: Vec<RunId>,
}

impl CensusInfo {
    /// All that is neither running nor dead.
    pub fn waiting(&self) -> u64 {
        let held = self.for_version + self.for_order + self.for_concurrency;
        self.queued + held + self.paused + self.by_breaker
    }
}

impl From<Census> for CensusInfo {
    fn from(census: Census) -> Self {
        Self {
            queued: census.queued,
            earliest: census.earliest.map(Time),
            running: census.running,
            for_version: census.for_version,
            for_order: census.for_order,
            for_concurrency: census.for_concurrency,
            paused: census.paused,
            by_breaker: census.by_breaker,
            dead: census.dead,
            blocking: census.blocking,
        }
    }
}

/// What to make of it: one sentence, and the command that helps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Advice {
    /// Whether someone has to act.
    pub trouble: Trouble,
    /// The sentence.
    pub text: String,
    /// The command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// Whether someone has to act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Trouble {
    /// Nothing is wrong.
    None,
    /// It waits, and goes on by itself.
    Passing,
    /// It goes on only when someone acts.
    Standing,
}
