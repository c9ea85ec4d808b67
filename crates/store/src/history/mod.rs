//! The history of runs and logs: what people look at.
//!
//! It lives in `history.db`, apart from the store, with relaxed sync and a retention by age and
//! by size. Recording never blocks and never fails: what the writer cannot keep up with is
//! dropped and counted. A history that cannot be used is set aside and a new one begun. Nothing
//! that is needed to act stands only here.

mod queries;
mod queue;
mod reader;
mod rows;
mod schema;
mod types;
mod writer;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    thread::JoinHandle,
};

use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wakeful_core::{
    id::RunId,
    port::Reply,
    run::{Attempt, LogLine, Run},
};

use queue::{Queue, Record};
use reader::Question;
pub use types::{HistoryError, HistoryOptions, LogRow, LogsQuery, RunDetail, RunsQuery};
use writer::Writer;

/// Questions that may wait; the next one waits to be asked.
const QUESTIONS: usize = 64;

/// The history of runs and logs. Clones are handles to the same history; it is closed by
/// [`History::close`], or when the last handle goes.
#[derive(Clone)]
pub struct History {
    inner: Arc<Inner>,
}

struct Inner {
    queue: Arc<Queue>,
    questions: mpsc::UnboundedSender<Option<Question>>,
    /// Bounds the questions that wait.
    room: Semaphore,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl History {
    /// Opens or makes the history of a folder; one that cannot be used is set aside. Blocks.
    pub fn open(options: HistoryOptions) -> Result<Self, HistoryError> {
        let queue = Arc::new(Queue::default());
        let generation = Arc::new(AtomicU64::new(0));
        let file = options.folder.join(schema::FILE);
        let writer = Writer::open(&options, Arc::clone(&queue), Arc::clone(&generation))?;
        let (questions, asked) = mpsc::unbounded_channel();
        let history = Self {
            inner: Arc::new(Inner {
                queue,
                questions,
                room: Semaphore::new(QUESTIONS),
                threads: Mutex::default(),
            }),
        };
        let name = file.display().to_string();
        let start = |thread: &str, work: Box<dyn FnOnce() + Send>| {
            let started = std::thread::Builder::new()
                .name(thread.to_owned())
                .spawn(work);
            started.map_err(|error| HistoryError::Open {
                file: name.clone(),
                cause: format!("a thread: {error}"),
            })
        };
        let mut threads = history.inner.threads.lock();
        threads.push(start("history-write", Box::new(move || writer.run()))?);
        let read = move || reader::run(file, generation, asked);
        threads.push(start("history-read", Box::new(read))?);
        drop(threads);
        Ok(history)
    }

    /// Records a run; a later record of the same run replaces an earlier one. Never blocks.
    pub fn record_run(&self, run: Run) {
        self.inner.queue.push(Record::Run(Box::new(run)));
    }

    /// Records an attempt; a later record of the same number replaces it. Never blocks.
    pub fn record_attempt(&self, attempt: Attempt) {
        self.inner.queue.push(Record::Attempt(Box::new(attempt)));
    }

    /// Records a line. Never blocks.
    pub fn record_log(&self, line: LogLine) {
        self.inner.queue.push(Record::Line(Box::new(line)));
    }

    /// Records that were dropped since the history was opened: the writer did not keep up, or
    /// could not write.
    pub fn dropped(&self) -> u64 {
        self.inner.queue.dropped()
    }

    /// Runs, newest first.
    ///
    /// A filter by `queued`, `running` or `succeeded`, or by function and state together, looks
    /// at the newest `limits::HISTORY_SCAN` runs only.
    pub fn runs(&self, query: RunsQuery) -> Reply<Vec<Run>, HistoryError> {
        self.ask(move |conn| queries::runs(conn, &query))
    }

    /// One run with its attempts and lines; `None` when it is unknown or no longer kept.
    pub fn run(&self, id: RunId) -> Reply<Option<RunDetail>, HistoryError> {
        self.ask(move |conn| queries::run(conn, id))
    }

    /// Lines, oldest first.
    ///
    /// The filters by level, text and time look at `limits::HISTORY_SCAN` lines only: the
    /// newest ones, or the next ones after `after_seq`.
    pub fn logs(&self, query: LogsQuery) -> Reply<Vec<LogRow>, HistoryError> {
        self.ask(move |conn| queries::logs(conn, &query))
    }

    /// Waits until all that was recorded before can be read.
    pub fn flush(&self) -> Reply<(), HistoryError> {
        let answer = self.inner.queue.flush();
        Box::pin(async move {
            let written = answer.ok_or(HistoryError::Closed)?.await;
            written.map_err(|_| HistoryError::Closed)
        })
    }

    /// Writes what waits and ends the threads. Blocks. What is recorded later is dropped.
    pub fn close(&self) {
        self.inner.close();
    }

    fn ask<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Reply<T, HistoryError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let _room = inner
                .room
                .acquire()
                .await
                .map_err(|_| HistoryError::Closed)?;
            let (reply, answer) = oneshot::channel();
            let question: Question = Box::new(move |conn| {
                let result = conn.and_then(|conn| {
                    query(conn).map_err(|error| HistoryError::Read(error.to_string()))
                });
                let _ = reply.send(result);
            });
            inner
                .questions
                .send(Some(question))
                .map_err(|_| HistoryError::Closed)?;
            answer.await.map_err(|_| HistoryError::Closed)?
        })
    }
}

impl Inner {
    fn close(&self) {
        self.queue.close();
        // An error says that the thread has ended already.
        let _ = self.questions.send(None);
        for thread in self.threads.lock().drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the history panicked");
            }
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("History").finish_non_exhaustive()
    }
}
