//! What waits for the history's writer: bounded, and never waited for by whoever records.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;
use wakeful_core::{
    limits,
    run::{Attempt, LogLine, Run},
};

/// One thing to write down.
#[derive(Debug)]
pub(super) enum Record {
    Run(Box<Run>),
    Attempt(Box<Attempt>),
    Line(Box<LogLine>),
}

impl Record {
    /// About how many bytes it takes.
    fn weight(&self) -> u64 {
        let texts = match self {
            Self::Run(run) => run.about.len() + run.failure.as_ref().map_or(0, failure_weight),
            Self::Attempt(attempt) => {
                attempt.result.as_ref().map_or(0, String::len)
                    + attempt.failure.as_ref().map_or(0, failure_weight)
            }
            Self::Line(line) => line.text.len() + line.fields.as_ref().map_or(0, String::len),
        };
        (256 + texts) as u64
    }
}

fn failure_weight(failure: &wakeful_core::delivery::Failure) -> usize {
    failure.message.len() + failure.stack.as_ref().map_or(0, String::len)
}

/// Taken out at once.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) records: Vec<Record>,
    /// Whoever waits until everything recorded before was written.
    pub(super) flushes: Vec<oneshot::Sender<()>>,
    /// Nothing more will come.
    pub(super) closed: bool,
}

#[derive(Debug, Default)]
struct Waiting {
    records: VecDeque<Record>,
    bytes: u64,
    /// How many records were pushed, and how many of them were taken out.
    pushed: u64,
    taken: u64,
    /// To be answered when so many were taken and written.
    flushes: VecDeque<(u64, oneshot::Sender<()>)>,
    closed: bool,
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    dropped: AtomicU64,
}

/// How long records gather before they are written, so that a few do not cost a write each.
const GATHER: Duration = Duration::from_millis(20);

impl Queue {
    /// Takes a record, or drops and counts it when the queue is full.
    pub(super) fn push(&self, record: Record) {
        let weight = record.weight();
        let mut waiting = self.waiting.lock();
        let full = waiting.records.len() >= limits::HISTORY_QUEUE
            || waiting.bytes + weight > limits::HISTORY_QUEUE_BYTES;
        if full || waiting.closed {
            drop(waiting);
            self.drop_records(1);
            return;
        }
        waiting.bytes += weight;
        waiting.pushed += 1;
        let was_empty = waiting.records.is_empty();
        waiting.records.push_back(record);
        drop(waiting);
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Replies when everything that was pushed before is written; `None` when closed.
    pub(super) fn flush(&self) -> Option<oneshot::Receiver<()>> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = self.waiting.lock();
        if waiting.closed {
            return None;
        }
        let upto = waiting.pushed;
        waiting.flushes.push_back((upto, reply));
        drop(waiting);
        self.filled.notify_one();
        Some(answer)
    }

    pub(super) fn close(&self) {
        self.waiting.lock().closed = true;
        self.filled.notify_one();
    }

    /// Counts records that were not written.
    pub(super) fn drop_records(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits for the next batch, at most `idle`; then it may be empty.
    pub(super) fn next(&self, idle: Duration) -> Batch {
        let mut waiting = self.waiting.lock();
        if waiting.records.is_empty() && waiting.flushes.is_empty() && !waiting.closed {
            self.filled.wait_for(&mut waiting, idle);
        }
        let few = waiting.records.len() < limits::HISTORY_BATCH;
        if few && !waiting.records.is_empty() && waiting.flushes.is_empty() && !waiting.closed {
            self.filled.wait_for(&mut waiting, GATHER);
        }
        let count = waiting.records.len().min(limits::HISTORY_BATCH);
        let records: Vec<Record> = waiting.records.drain(..count).collect();
        let taken: u64 = records.iter().map(Record::weight).sum();
        waiting.bytes = waiting.bytes.saturating_sub(taken);
        waiting.taken += count as u64;
        let mut flushes = Vec::new();
        while waiting
            .flushes
            .front()
            .is_some_and(|(upto, _)| *upto <= waiting.taken)
        {
            flushes.extend(waiting.flushes.pop_front().map(|(_, reply)| reply));
        }
        Batch {
            records,
            flushes,
            closed: waiting.closed && waiting.records.is_empty(),
        }
    }
}
