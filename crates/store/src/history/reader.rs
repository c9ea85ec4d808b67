//! The thread that answers questions about the history.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::Connection;
use tokio::sync::mpsc;

use super::{HistoryError, schema};

/// A question, with the way back for its answer.
pub(super) type Question = Box<dyn FnOnce(Result<&Connection, HistoryError>) + Send>;

/// Answers until it is told to end by `None`, or nobody is left to ask.
pub(super) fn run(
    file: PathBuf,
    generation: Arc<AtomicU64>,
    mut questions: mpsc::UnboundedReceiver<Option<Question>>,
) {
    let mut open: Option<(u64, Connection)> = None;
    while let Some(Some(question)) = questions.blocking_recv() {
        let now = generation.load(Ordering::Acquire);
        if open.as_ref().is_none_or(|(opened, _)| *opened != now) {
            open = match schema::open_reader(&file) {
                Ok(conn) => Some((now, conn)),
                Err(error) => {
                    question(Err(HistoryError::Read(error.to_string())));
                    continue;
                }
            };
        }
        match &open {
            Some((_, conn)) => question(Ok(conn)),
            None => question(Err(HistoryError::Closed)),
        }
    }
}
