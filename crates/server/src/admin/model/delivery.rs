//! Events and deliveries.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wakeful_core::{
    delivery::{DeadReason, State},
    event::Lineage,
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    port::{Delivery, Held, Keys},
};

use super::{FailureInfo, RunInfo, Time, text};

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
    /// What the rules of its trigger found in its event.
    #[serde(default, skip_serializing_if = "KeysInfo::is_empty")]
    pub keys: KeysInfo,
    /// Why it waits although its time may have come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<HeldInfo>,
    /// Why it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead: Option<DeadInfo>,
    /// How its last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

/// The keys that the rules of a trigger found in an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeysInfo {
    /// `ordering_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ordering: Option<String>,
    /// `concurrency_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<String>,
    /// `rate`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// `breaker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
}

impl KeysInfo {
    /// Whether no rule found a key.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Keys> for KeysInfo {
    fn from(keys: Keys) -> Self {
        Self {
            ordering: keys.ordering,
            concurrency: keys.concurrency,
            rate: keys.rate,
            breaker: keys.breaker,
        }
    }
}

/// Why a delivery is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum HeldInfo {
    /// The code of this version cannot be loaded.
    Version {
        /// The version.
        version: String,
    },
    /// An earlier delivery with its ordering key has not ended.
    Order,
    /// As many with its concurrency key as may run do.
    Concurrency,
    /// Its key is paused by hand.
    Pause,
    /// The breaker of its key is open.
    Breaker,
}

impl From<Held> for HeldInfo {
    fn from(held: Held) -> Self {
        match held {
            Held::Version(version) => Self::Version { version },
            Held::Order => Self::Order,
            Held::Concurrency => Self::Concurrency,
            Held::Paused => Self::Pause,
            Held::Breaker => Self::Breaker,
        }
    }
}

/// Why a delivery is dead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadInfo {
    /// Why.
    #[schema(schema_with = text::dead_reason)]
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
            keys: delivery.keys.into(),
            held: delivery.held.map(HeldInfo::from),
            dead: delivery.dead.map(|(reason, since)| DeadInfo {
                reason,
                since: since.into(),
            }),
            failure: delivery.failure.map(FailureInfo::from),
        }
    }
}

/// What caused an event.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LineageInfo {
    /// The run that published it, or whose outcome it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// The event that this run was owed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub parent: Option<EventId>,
    /// How many events came before it in its chain.
    pub depth: u16,
    /// The event that it repeats, when somebody replayed or edited that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub replay_of: Option<EventId>,
}

impl LineageInfo {
    /// Whether it came from outside and repeats nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Lineage> for LineageInfo {
    fn from(lineage: Lineage) -> Self {
        Self {
            run: lineage.run,
            parent: lineage.parent,
            depth: lineage.depth,
            replay_of: lineage.replay_of,
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
    /// What caused it.
    #[serde(default, skip_serializing_if = "LineageInfo::is_empty")]
    pub lineage: LineageInfo,
    /// The event as a CloudEvent.
    #[schema(value_type = Object)]
    pub event: Box<RawValue>,
    /// The deliveries that are not over, dead ones included.
    pub deliveries: Vec<DeliveryInfo>,
    /// Its runs, newest first: of what is not over, and of what the history still has.
    #[serde(default)]
    pub runs: Vec<RunInfo>,
}
