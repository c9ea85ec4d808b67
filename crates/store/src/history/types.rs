//! What is asked of the history, and what it answers.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use wakeful_core::{
    id::RunId,
    limits,
    name::FunctionName,
    port::Clock,
    run::{Attempt, LogLevel, LogLine, Run, RunState},
    time::Timestamp,
};

/// How a history is kept.
#[derive(Clone)]
pub struct HistoryOptions {
    /// The folder of `history.db`; created if it is missing.
    pub folder: PathBuf,
    /// The time of day, for the retention.
    pub clock: Arc<dyn Clock>,
    /// Runs accepted longer ago than this, and lines that old, are dropped.
    pub retention: Duration,
    /// While fewer bytes than this are free, records are dropped and counted.
    pub reserve: u64,
    /// The oldest runs and lines are dropped while the file holds more than this, bytes.
    pub max_bytes: u64,
}

impl HistoryOptions {
    /// The default retention, in `folder`.
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> Self {
        Self {
            folder: folder.into(),
            clock,
            retention: limits::HISTORY_RETENTION,
            reserve: limits::DISK_RESERVE,
            max_bytes: limits::HISTORY_BYTES,
        }
    }
}

/// Which runs to read, newest first.
#[derive(Debug, Clone, Default)]
pub struct RunsQuery {
    /// Only those of this function.
    pub function: Option<FunctionName>,
    /// Only those that stand there.
    pub state: Option<RunState>,
    /// Only those whose id was drawn at or after this.
    pub since: Option<Timestamp>,
    /// Only those before this one: the last of the page before.
    pub before: Option<RunId>,
    /// At most this many.
    pub limit: usize,
}

/// A run with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDetail {
    /// The run.
    pub run: Run,
    /// Its attempts, first to last.
    pub attempts: Vec<Attempt>,
    /// Its lines, oldest first; the newest [`wakeful_core::limits::HISTORY_RUN_LOGS`] of them.
    pub logs: Vec<LogRow>,
}

/// Which lines to read, oldest first.
#[derive(Debug, Clone, Default)]
pub struct LogsQuery {
    /// Only those of this function.
    pub function: Option<FunctionName>,
    /// Only those of this run.
    pub run: Option<RunId>,
    /// Only those that matter at least this much.
    pub level: Option<LogLevel>,
    /// Only those that contain this text, as it is spelled.
    pub contains: Option<String>,
    /// Only those written at or after this.
    pub since: Option<Timestamp>,
    /// The first lines after this number, for following; `None` for the newest lines.
    pub after_seq: Option<i64>,
    /// At most this many.
    pub limit: usize,
}

/// A line with its number; numbers grow in the order in which lines were recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogRow {
    /// Its number.
    pub seq: i64,
    /// The line.
    #[serde(flatten)]
    pub line: LogLine,
}

/// Why the history could not be opened or read. No work is lost with it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HistoryError {
    /// The file cannot be opened or created, even after a damaged one was set aside.
    #[error("the history {file} cannot be opened: {cause}")]
    Open {
        /// The file.
        file: String,
        /// Why.
        cause: String,
    },
    /// A query failed; it may be tried again.
    #[error("the history could not be read: {0}")]
    Read(String),
    /// The history was closed.
    #[error("the history is closed")]
    Closed,
}
