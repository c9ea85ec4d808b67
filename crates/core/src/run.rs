//! What people look at: the record of a delivery or a synchronous call, with its attempts and
//! logs. Kept in the history, which may be lost without losing work.

use serde::{Deserialize, Serialize};

use crate::{
    delivery::Failure,
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    time::Timestamp,
};

/// How a run came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunKind {
    /// A delivery from the store.
    Delivery,
    /// A synchronous HTTP request.
    Http,
    /// A synchronous `invoke`.
    Invoke,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Waits to be started for the first time.
    Queued,
    /// User code runs.
    Running,
    /// It failed and waits to be tried again.
    Retrying,
    /// It is held: for a new version of its code, for its order, for a pause, and so on.
    Held,
    /// It ended well.
    Succeeded,
    /// A synchronous call that failed; nobody tries it again.
    Failed,
    /// A dead letter.
    Dead,
    /// A dead letter that someone dropped.
    Discarded,
    /// It repeats an earlier one, and was left out.
    Skipped,
    /// A later event with its debounce key runs in its place.
    Superseded,
}

impl RunState {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Queued,
        Self::Running,
        Self::Retrying,
        Self::Held,
        Self::Succeeded,
        Self::Failed,
        Self::Dead,
        Self::Discarded,
        Self::Skipped,
        Self::Superseded,
    ];

    /// The word used in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Held => "held",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Discarded => "discarded",
            Self::Skipped => "skipped",
            Self::Superseded => "superseded",
        }
    }
}

/// A run, without its attempts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id; for a delivery also the delivery's.
    pub id: RunId,
    /// How it came about.
    pub kind: RunKind,
    /// The function.
    pub function: FunctionName,
    /// What woke it; none for an `invoke`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerId>,
    /// The event it was owed for; none for a synchronous call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// A few words on what it is about: `GET /photos`, `photos/cat.jpg created`.
    pub about: String,
    /// Where it stands.
    pub state: RunState,
    /// When its event was accepted or its request came.
    pub accepted_at: Timestamp,
    /// When it ended for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Attempts that were charged.
    pub attempts: u32,
    /// Status of the HTTP response, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the last attempt failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

/// One start of user code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attempt {
    /// The run it belongs to.
    pub run: RunId,
    /// 1 for the first start of this run, charged or not.
    pub number: u32,
    /// The version of the code.
    pub version: String,
    /// The operating system's id of the worker process; 0 when none was reached.
    pub worker: u32,
    /// Whether the worker had to load the code for it.
    pub cold: bool,
    /// When user code was started.
    pub started_at: Timestamp,
    /// Microseconds between acceptance (or readiness, for a retry) and the start.
    pub waited_us: u64,
    /// Microseconds of the attempt itself.
    pub took_us: u64,
    /// What it returned, cut to a stated length; none when it failed or returned nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// Whether the failure counted as an attempt.
    pub charged: bool,
    /// The batch that was served, when it served several deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPlace>,
}

/// Where an attempt stands that served several deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchPlace {
    /// The run of its first delivery, to which its log lines belong.
    pub first: RunId,
    /// The number of the attempt in that run.
    pub number: u32,
    /// How many deliveries it served.
    pub size: u32,
}

/// How much a line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum LogLevel {
    /// `console.debug`, `console.trace`.
    Debug = 0,
    /// `console.log`, `console.info`.
    Info = 1,
    /// `console.warn`.
    Warn = 2,
    /// `console.error`.
    Error = 3,
}

impl LogLevel {
    /// From the number that frames and the history carry.
    pub const fn from_stored(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Debug),
            1 => Some(Self::Info),
            2 => Some(Self::Warn),
            3 => Some(Self::Error),
            _ => None,
        }
    }

    /// The word used in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogStream {
    /// `console.*` or `wakeful/log`: belongs to its attempt.
    Console,
    /// Raw bytes on standard output: belongs to the worker.
    Stdout,
    /// Raw bytes on standard error: belongs to the worker.
    Stderr,
}

/// One line that user code wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Timestamp,
    /// The function.
    pub function: FunctionName,
    /// The run it belongs to; none for what belongs to a worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The attempt of that run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The operating system's id of the worker process.
    pub worker: u32,
    /// How much it matters.
    pub level: LogLevel,
    /// Where it came from.
    pub stream: LogStream,
    /// The text, without the line end.
    pub text: String,
    /// Structured fields, as a JSON object; none when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<String>,
}
