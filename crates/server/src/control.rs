//! What the admin API can see and do: the handles of one running server.

use std::{path::PathBuf, sync::Arc};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::{broadcast, watch};
use wakeful_core::{
    delivery::Failure,
    flow::Hold,
    id::{IdSource, RunId},
    name::{FunctionName, HandlerName, Scope, TriggerId},
    port::{Arrival, Clock, Pause, Receipt, Store, StoreError, Submission, SubmitError},
    project::{Project, Style},
    run::{LogLine, Run},
    time::Timestamp,
};
use wakeful_objects::Buckets;
use wakeful_store::{
    History,
    backup::{BackupError, Summary, WithHistory},
};
use wakeful_workers::Workers;

pub use crate::sampling::Sampling;
use crate::{addresses::Addresses, vault::Vault};

/// The handles of one running server. Cheap to clone.
#[derive(Clone)]
pub struct Control {
    /// The scope that this server serves.
    pub scope: Scope,
    /// The project as it is live now; changes with each reload.
    pub project: watch::Receiver<Arc<Project>>,
    /// Events and deliveries.
    pub store: Arc<dyn Store>,
    /// Runs and logs.
    pub history: History,
    /// The buckets.
    pub buckets: Buckets,
    /// Secrets and keys.
    pub vault: Arc<Vault>,
    /// The worker processes.
    pub workers: Workers,
    /// Each log line the moment it comes; slow readers lose lines and are told how many.
    pub logs: broadcast::Sender<LogLine>,
    /// Each change of a run the moment it happens; likewise.
    pub runs: broadcast::Sender<Run>,
    /// Which requests are only counted, and how many.
    pub sampling: Arc<Sampling>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where ids come from.
    pub ids: Arc<IdSource>,
}

/// What `invoke` hands to a function.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// The function.
    pub function: FunctionName,
    /// The export to call; `None` for the style's default.
    pub handler: Option<HandlerName>,
    /// A JSON text: a whole CloudEvent (it has `specversion`), which the function gets as if it
    /// came from its source; or else any value, which becomes the data of an event of the type
    /// `wakeful.function.invoke`.
    pub payload: Bytes,
}

/// What is asked for an event that is not waited for, beyond what it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Nothing is started for it before this.
    pub not_before: Option<Timestamp>,
    /// Takes the place of what an `ordering_key` would find in it.
    pub ordering_key: Option<String>,
    /// The sender's own id for it: a second one with this id is left out.
    pub dedup: Option<String>,
}

/// A dead letter that is queued again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redrive {
    /// Which.
    pub run: RunId,
    /// Not started before this; its new age is counted from then.
    pub at: Timestamp,
}

/// How a synchronous invocation ended.
#[derive(Debug, Clone)]
pub struct Invoked {
    /// Its run.
    pub run: RunId,
    /// The result as JSON (empty for undefined), or how it failed.
    pub result: Result<Bytes, Failure>,
}

/// Why an invocation was refused before user code could start.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// No such function.
    #[error("there is no function `{0}`")]
    NoSuchFunction(FunctionName),
    /// The function has no such export among its triggers, or several and none was named.
    #[error("say which handler of `{function}` to call, with `--handler NAME`: {known}")]
    NoSuchHandler {
        /// The function.
        function: FunctionName,
        /// The exports that its triggers call.
        known: String,
    },
    /// The function answers HTTP requests only.
    #[error("`{0}` is only woken by HTTP requests: send it one, with curl for example")]
    OnlyHttp(FunctionName),
    /// The payload is no JSON.
    #[error("the payload is no valid JSON: {0}")]
    Payload(String),
    /// Too much is waiting for this function.
    #[error("function `{0}` has too many calls waiting: try again later")]
    Overloaded(FunctionName),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops.
    #[error("the server is stopping")]
    Stopping,
}

/// What the admin API asks of the running server beyond reading: the composition root answers.
pub trait Operations: Send + Sync + 'static {
    /// Calls a function and waits for its answer.
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invoked, InvokeError>>;

    /// Stores an event for a function; it is on disk when this replies.
    fn invoke_async(
        &self,
        invocation: Invocation,
        asked: Asked,
    ) -> BoxFuture<'static, Result<Receipt, InvokeError>>;

    /// Takes events in, as sources do.
    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Receipt, SubmitError>>;

    /// Queues dead letters again with fresh attempts. Replies those that were dead.
    fn redrive(&self, runs: Vec<Redrive>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>>;

    /// Drops dead letters for good, with a word why. Replies those that were dead.
    fn discard(
        &self,
        runs: Vec<RunId>,
        why: String,
    ) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>>;

    /// Takes an event in, in the place of a dead letter that is dropped with the word that this
    /// event replaces it. `None`: it is no dead letter (any more), and nothing was done.
    fn replace(
        &self,
        dead: RunId,
        arrival: Arrival,
    ) -> BoxFuture<'static, Result<Option<Receipt>, SubmitError>>;

    /// Starts nothing more of a function, trigger or key; durable.
    fn pause(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Ends a pause, which is given exactly as the store has it.
    fn resume(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>>;

    /// What the rules of a trigger hold back: pauses, breakers, rates.
    fn holds(&self, trigger: &TriggerId) -> Vec<Hold>;

    /// Why no worker could be started for a trigger that waits for one.
    fn no_worker(&self, trigger: &TriggerId) -> Option<Failure>;

    /// Copies the data folder while the server runs.
    fn backup(
        &self,
        to: PathBuf,
        history: WithHistory,
    ) -> BoxFuture<'static, Result<Summary, BackupError>>;

    /// The functions of the project as they stand now, by name.
    fn functions(&self) -> BoxFuture<'static, Vec<FunctionStatus>>;

    /// Where the listeners are.
    fn addresses(&self) -> Addresses;
}

/// A function as it stands now.
#[derive(Debug, Clone, PartialEq)]
pub struct FunctionStatus {
    /// Its name.
    pub name: FunctionName,
    /// How its handlers are called; none while it is not known.
    pub style: Option<Style>,
    /// The version that is live; none when there never was one.
    pub version: Option<String>,
    /// Whether the code as it is on disk is live.
    pub state: FunctionState,
    /// Its worker processes.
    pub workers: usize,
    /// Attempts that run now.
    pub in_flight: usize,
    /// Deliveries and calls that wait.
    pub queued: u64,
    /// What wakes it, in words for people.
    pub wakes: Vec<String>,
    /// Its HTTP endpoints: `GET http://127.0.0.1:8080/photos`.
    pub endpoints: Vec<String>,
}

/// Whether a function can run.
#[derive(Debug, Clone, PartialEq)]
pub enum FunctionState {
    /// Its code is loaded, or will be with the first event.
    Live,
    /// Its newest code or its dependencies are being prepared.
    Loading,
    /// Its newest code cannot be loaded; the version before it serves on.
    Outdated(Failure),
    /// Its code cannot be loaded, and nothing serves.
    Broken(Failure),
}
