//! What others may watch: lines that user code wrote, and the lives of workers.

use std::time::Duration;

use wakeful_core::{
    name::{FunctionName, Scope},
    run::LogLine,
    time::Timestamp,
};

use crate::Failure;

/// Told what happens in workers. Called from the data path: must return at once.
pub trait Observer: Send + Sync + 'static {
    /// User code wrote a line.
    fn log(&self, scope: &Scope, line: LogLine);

    /// Something happened to a worker.
    fn worker(&self, event: WorkerEvent);
}

/// What happened to a worker process.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkerEvent {
    /// The process runs and has its bootstrap loaded.
    Started {
        /// The operating system's id.
        pid: u32,
        /// Since it was asked for.
        took: Duration,
    },
    /// It has loaded a function's code and takes attempts.
    Loaded {
        /// The operating system's id.
        pid: u32,
        /// Project and environment.
        scope: Scope,
        /// The function.
        function: FunctionName,
        /// Its version.
        version: String,
        /// Since the code was sent to it.
        took: Duration,
    },
    /// The code could not be loaded; its version serves nothing.
    LoadFailed {
        /// The operating system's id.
        pid: u32,
        /// Project and environment.
        scope: Scope,
        /// The function.
        function: FunctionName,
        /// Its version.
        version: String,
        /// Why.
        failure: Failure,
    },
    /// No process could be started, or it did not come up.
    NotStarted {
        /// Why.
        failure: Failure,
    },
    /// The process is gone.
    Ended {
        /// The operating system's id.
        pid: u32,
        /// The function it served; none for a blank worker.
        function: Option<FunctionName>,
        /// How it ended.
        how: Ended,
    },
}

/// How a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// It was not needed any more, or its version was retired, or the server stops.
    Retired,
    /// It exited by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it that did not come from us.
    Signalled {
        /// The signal's number.
        signal: i32,
    },
    /// Out of memory: V8's own limit, or ours on the whole process.
    OutOfMemory,
    /// Its event loop was blocked past a timeout; we ended it.
    BlockedLoop,
    /// Nothing but attempts long past their timeout was left on it; we ended it.
    Stuck,
    /// It broke the protocol; we ended it.
    Protocol,
}

/// Where a worker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// The process comes up.
    Starting,
    /// Up, without user code.
    Blank,
    /// Loads the function's code.
    Loading,
    /// Takes attempts.
    Serving,
    /// Finishes what runs, then ends.
    Leaving,
}

/// A worker as people look at it.
#[derive(Debug, Clone)]
pub struct WorkerInfo {
    /// The operating system's id.
    pub pid: u32,
    /// Project and environment; none for a blank worker.
    pub scope: Option<Scope>,
    /// The function; none for a blank worker.
    pub function: Option<FunctionName>,
    /// Its version; none for a blank worker.
    pub version: Option<String>,
    /// Where it stands.
    pub state: WorkerState,
    /// Attempts on it now.
    pub in_flight: usize,
    /// Resident memory, bytes; 0 when it cannot be read.
    pub rss: u64,
    /// When the process was started.
    pub started_at: Timestamp,
}
