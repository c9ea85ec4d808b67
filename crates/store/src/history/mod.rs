//! History (being built).
mod types;
pub use types::{HistoryError, HistoryOptions, LogRow, LogsQuery, RunDetail, RunsQuery};
use wakeful_core::{
    id::RunId,
    port::Reply,
    run::{Attempt, LogLine, Run},
};

/// The history of runs and logs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {}

impl History {
    /// Opens the history; blocks.
    pub fn open(_options: HistoryOptions) -> Result<Self, HistoryError> {
        Err(HistoryError::Closed)
    }
    /// Records a run; a later state replaces an earlier one. Never blocks.
    pub fn record_run(&self, _run: Run) {}
    /// Records an attempt. Never blocks.
    pub fn record_attempt(&self, _attempt: Attempt) {}
    /// Records a line. Never blocks.
    pub fn record_log(&self, _line: LogLine) {}
    /// Records that were dropped.
    pub fn dropped(&self) -> u64 {
        0
    }
    /// Runs, newest first.
    pub fn runs(&self, _query: RunsQuery) -> Reply<Vec<Run>, HistoryError> {
        Box::pin(async { Err(HistoryError::Closed) })
    }
    /// One run.
    pub fn run(&self, _id: RunId) -> Reply<Option<RunDetail>, HistoryError> {
        Box::pin(async { Err(HistoryError::Closed) })
    }
    /// Lines, oldest first.
    pub fn logs(&self, _query: LogsQuery) -> Reply<Vec<LogRow>, HistoryError> {
        Box::pin(async { Err(HistoryError::Closed) })
    }
    /// Waits until all that was recorded before can be read.
    pub fn flush(&self) -> Reply<(), HistoryError> {
        Box::pin(async { Err(HistoryError::Closed) })
    }
    /// Writes what waits, and ends; blocks.
    pub fn close(&self) {}
}
