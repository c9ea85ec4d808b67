//! Runs, attempts, log lines.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    id::{EventId, RunId},
    name::{FunctionName, TriggerId},
    run::{Attempt, LogLevel, LogStream, Run, RunKind, RunState},
};
use wakeful_store::LogRow;

use super::{DeliveryInfo, LineageInfo, Time, text};

/// Why an attempt, or code as a whole, failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FailureInfo {
    /// Why.
    #[schema(schema_with = text::failure_kind)]
    pub kind: FailureKind,
    /// The error's class, such as `TypeError`.
    pub name: String,
    /// What it says.
    pub message: String,
    /// The stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// Whether user code may have taken effect before it failed.
    pub may_have_taken_effect: bool,
    /// What the handler said about trying again: `never`, or after so many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub advice: Option<RetryAdvice>,
}

impl From<Failure> for FailureInfo {
    fn from(failure: Failure) -> Self {
        Self {
            kind: failure.kind,
            name: failure.name,
            message: failure.message,
            stack: failure.stack,
            may_have_taken_effect: failure.kind.may_have_taken_effect(),
            advice: failure.advice,
        }
    }
}

/// A run: a delivery, or a synchronous call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunInfo {
    /// Its id.
    #[schema(value_type = String, example = "run_0e5s7v0000001")]
    pub id: RunId,
    /// How it came about.
    #[schema(schema_with = text::run_kind)]
    pub kind: RunKind,
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// What woke it; none for an `invoke`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub trigger: Option<TriggerId>,
    /// The event it was owed for; none for a synchronous call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub event: Option<EventId>,
    /// A few words on what it is about: `GET /photos`.
    pub about: String,
    /// Where it stands.
    #[schema(schema_with = text::run_state)]
    pub state: RunState,
    /// When its event was accepted or its request came.
    pub accepted_at: Time,
    /// When it ended for good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Time>,
    /// Attempts that were charged.
    pub attempts: u32,
    /// Status of the HTTP response, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How the last attempt failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
}

impl From<Run> for RunInfo {
    fn from(run: Run) -> Self {
        Self {
            id: run.id,
            kind: run.kind,
            function: run.function,
            trigger: run.trigger,
            event: run.event,
            about: run.about,
            state: run.state,
            accepted_at: run.accepted_at.into(),
            ended_at: run.ended_at.map(Time),
            attempts: run.attempts,
            status: run.status,
            failure: run.failure.map(FailureInfo::from),
        }
    }
}

/// Runs, newest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunList {
    /// One page of them.
    pub runs: Vec<RunInfo>,
    /// The `before` of the next page; none when this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub next: Option<RunId>,
}

/// One start of user code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AttemptInfo {
    /// 1 for the first start, charged or not.
    pub number: u32,
    /// The version of the code.
    pub version: String,
    /// Process id of the worker; 0 when none was reached.
    pub worker: u32,
    /// Whether the worker had to load the code for it.
    pub cold: bool,
    /// When user code was started.
    pub started_at: Time,
    /// Microseconds between acceptance (or readiness, for a retry) and the start.
    pub waited_us: u64,
    /// Microseconds of the attempt itself.
    pub took_us: u64,
    /// What it returned, cut to 64 KiB; none when it failed or returned nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// How it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<FailureInfo>,
    /// Whether the failure counted as an attempt.
    pub charged: bool,
    /// The batch that it served, when it served several deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchInfo>,
}

/// A batch of deliveries that one attempt served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BatchInfo {
    /// The run of its first delivery, to which its log lines belong.
    #[schema(value_type = String)]
    pub first: RunId,
    /// How many deliveries it served.
    pub size: u32,
}

impl From<Attempt> for AttemptInfo {
    fn from(attempt: Attempt) -> Self {
        Self {
            number: attempt.number,
            version: attempt.version,
            worker: attempt.worker,
            cold: attempt.cold,
            started_at: attempt.started_at.into(),
            waited_us: attempt.waited_us,
            took_us: attempt.took_us,
            result: attempt.result,
            failure: attempt.failure.map(FailureInfo::from),
            charged: attempt.charged,
            batch: attempt.batch.map(|batch| BatchInfo {
                first: batch.first,
                size: batch.size,
            }),
        }
    }
}

/// One line that user code wrote.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogEntry {
    /// Its number; grows in the order in which lines were recorded.
    pub seq: i64,
    /// When.
    pub at: Time,
    /// The function.
    #[schema(value_type = String)]
    pub function: FunctionName,
    /// The run it belongs to; none for what belongs to a worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub run: Option<RunId>,
    /// The attempt of that run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// Process id of the worker.
    pub worker: u32,
    /// How much it matters.
    #[schema(schema_with = text::log_level)]
    pub level: LogLevel,
    /// Where it came from.
    #[schema(schema_with = text::log_stream)]
    pub stream: LogStream,
    /// The text, without the line end.
    pub text: String,
    /// Structured fields; none when there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<serde_json::Map<String, serde_json::Value>>,
}

impl From<LogRow> for LogEntry {
    fn from(row: LogRow) -> Self {
        let line = row.line;
        Self {
            seq: row.seq,
            at: line.at.into(),
            function: line.function,
            run: line.run,
            attempt: line.attempt,
            worker: line.worker,
            level: line.level,
            stream: line.stream,
            text: line.text,
            fields: line
                .fields
                .and_then(|text| serde_json::from_str(&text).ok()),
        }
    }
}

/// Log lines, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LogList {
    /// The lines.
    pub lines: Vec<LogEntry>,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct RunDetails {
    /// The run.
    pub run: RunInfo,
    /// Its attempts, first to last.
    pub attempts: Vec<AttemptInfo>,
    /// Its lines, oldest first.
    pub logs: Vec<LogEntry>,
    /// The event it was owed for as a CloudEvent, while the store keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub event: Option<Box<RawValue>>,
    /// What caused that event.
    #[serde(default, skip_serializing_if = "LineageInfo::is_empty")]
    pub lineage: LineageInfo,
    /// Its delivery, while it is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryInfo>,
}
