//! Functions and invocations.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wakeful_core::{
    id::RunId,
    name::{FunctionName, TriggerId},
    project::Style,
};

use super::{FailureInfo, PauseInfo, text};
use crate::control::{FunctionState, FunctionStatus};

/// A function as it stands now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionInfo {
    /// Its name.
    #[schema(value_type = String)]
    pub name: FunctionName,
    /// How its handlers are called; none while it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = text::style)]
    pub style: Option<Style>,
    /// The version that is live; none when there never was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Whether it can run.
    pub state: FunctionStateWord,
    /// Why its newest code is not live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
    /// Its worker processes.
    pub workers: usize,
    /// Attempts that run now.
    pub in_flight: usize,
    /// Deliveries and calls that wait for their time or a worker.
    pub queued: u64,
    /// Deliveries that are held: for a version, their order, a place of their key, a pause of it,
    /// its breaker.
    #[serde(default)]
    pub held: u64,
    /// Dead letters.
    #[serde(default)]
    pub dead: u64,
    /// Pauses of it, its triggers and keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pauses: Vec<PauseInfo>,
    /// What wakes it, in words for people.
    pub wakes: Vec<String>,
    /// The identities of its triggers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub triggers: Vec<TriggerId>,
    /// Its HTTP endpoints: `GET http://127.0.0.1:8080/photos`.
    pub endpoints: Vec<String>,
}

/// Whether a function can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum FunctionStateWord {
    /// Its code is loaded, or will be with the first event.
    Live,
    /// Its newest code or its dependencies are being prepared.
    Loading,
    /// Its newest code cannot be loaded; the version before it serves on.
    Outdated,
    /// Its code cannot be loaded, and nothing serves.
    Broken,
}

impl FunctionStateWord {
    /// The word used in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Loading => "loading",
            Self::Outdated => "outdated",
            Self::Broken => "broken",
        }
    }
}

impl From<FunctionStatus> for FunctionInfo {
    fn from(status: FunctionStatus) -> Self {
        let (state, failure) = match status.state {
            FunctionState::Live => (FunctionStateWord::Live, None),
            FunctionState::Loading => (FunctionStateWord::Loading, None),
            FunctionState::Outdated(failure) => (FunctionStateWord::Outdated, Some(failure.into())),
            FunctionState::Broken(failure) => (FunctionStateWord::Broken, Some(failure.into())),
        };
        Self {
            name: status.name,
            style: status.style,
            version: status.version,
            state,
            failure,
            workers: status.workers,
            in_flight: status.in_flight,
            queued: status.queued,
            held: 0,
            dead: 0,
            pauses: Vec::new(),
            wakes: status.wakes,
            triggers: Vec::new(),
            endpoints: status.endpoints,
        }
    }
}

/// The functions of the project, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionList {
    /// All of them.
    pub functions: Vec<FunctionInfo>,
}

/// How an invocation that was waited for ended.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InvokeReply {
    /// Its run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// What the function returned; none when it returned nothing or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
    /// How it failed; none when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}
