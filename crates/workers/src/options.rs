//! What the pools are told: settings of all of them, and of one version of a function.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use wakeful_core::{
    limits,
    name::{FunctionName, HandlerName, Scope},
    port::Clock,
    project::Style,
};

pub use crate::limit::Limit;

/// Settings of all pools.
#[derive(Clone)]
pub struct Options {
    /// The bootstrap's file, as `install_runtime` returned it.
    pub bootstrap: PathBuf,
    /// Processes at once, blank ones included.
    pub max_workers: usize,
    /// Blank workers kept ready for each pair of Node and memory class in use.
    pub blank_workers: usize,
    /// Processes that may be on their way up at once.
    pub max_starting: usize,
    /// How often the memory of a busy worker is looked at; an idle one twenty times less often.
    pub memory_polling: Duration,
    /// A process that has not come up (bootstrap loaded) by then is given up.
    pub start_timeout: Duration,
    /// Code that has not loaded by then is given up.
    pub load_timeout: Duration,
    /// Blank workers of a class that no function uses are ended after this.
    pub blank_linger: Duration,
    /// Where Node (22 and later) keeps compiled code between starts; `None` for nowhere.
    pub compile_cache: Option<PathBuf>,
    /// Stamps log lines.
    pub clock: Arc<dyn Clock>,
}

impl Options {
    /// The defaults, for a machine with as many processors as this one has.
    pub fn new(bootstrap: PathBuf, clock: Arc<dyn Clock>) -> Self {
        let home = bootstrap.parent().and_then(std::path::Path::parent);
        let compile_cache = home.map(|home| home.join("compile-cache"));
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            bootstrap,
            max_workers: cpus * limits::WORKERS_PER_CPU,
            blank_workers: limits::BLANK_WORKERS,
            // One processor is left for what runs: a start keeps one busy for tens of milliseconds.
            max_starting: cpus.saturating_sub(1).max(1),
            memory_polling: limits::MEMORY_POLLING,
            start_timeout: limits::START_TIMEOUT,
            load_timeout: limits::LOAD_TIMEOUT,
            blank_linger: limits::BLANK_LINGER,
            compile_cache,
            clock,
        }
    }
}

/// One immutable version of a function.
#[derive(Debug, Clone)]
pub struct VersionSpec {
    /// Project and environment.
    pub scope: Scope,
    /// The function.
    pub function: FunctionName,
    /// The name of the version: a hash of code and settings.
    pub version: String,
    /// The `node` program.
    pub node: PathBuf,
    /// The file to load.
    pub entry: PathBuf,
    /// The folder that holds the code; the worker's working directory.
    pub root: PathBuf,
    /// That folder as the user knows it; stands for `root` in stacks and messages.
    pub shown_root: PathBuf,
    /// How handlers are called; `None` is found out from the exports.
    pub style: Option<Style>,
    /// The exports that triggers call; `None` is the style's default. Invocations name an index.
    pub handlers: Vec<Option<HandlerName>>,
    /// Environment variables, with secrets in the clear.
    pub env: BTreeMap<String, String>,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// V8 heap of one worker, bytes.
    pub memory: u64,
    /// The most of a request body that a worker collects for code that wants it whole, bytes.
    pub body_limit: u64,
    /// Attempts at once over all versions of the function.
    pub limit: Arc<Limit>,
    /// Attempts that may share one worker; `None` follows from the style.
    pub per_worker: Option<u32>,
    /// A worker that had nothing to do for this long is ended.
    pub scale_down_after: Duration,
    /// Reservations that may wait for a place; the next is refused as overloaded.
    pub max_waiting: usize,
}
