use bytes::Bytes;

use super::{Checkpoint, ObjectChange, Reply, StoreError};
use crate::{
    event::Origin,
    id::{EventId, RunId},
    name::FunctionName,
    time::Timestamp,
};

/// Where sources hand in what happened.
///
/// A submission is one transaction: its events, the deliveries they are owed, its checkpoint and
/// its object changes are on disk together, or not at all. When the reply is `Ok`, they are on
/// disk; only then may the source acknowledge to whoever told it. When it is an error, nothing
/// of it was written, with one exception that `SubmitError::Store` documents.
/// Submitting is not idempotent by itself: a source that cannot know whether an earlier
/// submission succeeded reads its checkpoint back.
pub trait Sink: Send + Sync + 'static {
    /// Hands in what happened.
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError>;
}

/// What happened, together with what must be remembered with it.
#[derive(Debug, Default)]
pub struct Submission {
    /// The events, in the order in which they happened.
    pub arrivals: Vec<Arrival>,
    /// How far the source has read, to be remembered with the events.
    pub checkpoint: Option<Checkpoint>,
    /// Changes to the object index that these events tell of.
    pub objects: Vec<ObjectChange>,
}

/// One event as a source hands it in; the sink gives it an id and the scope of its `source`.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// What it happened to.
    pub origin: Origin,
    /// The last word of its type: `created`, `insert`, `tick`.
    pub verb: &'static str,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// CloudEvents `datacontenttype`.
    pub content_type: String,
    /// The payload.
    pub data: Bytes,
    /// The sender's own id for it, when repetitions of it must be recognised.
    pub dedup_id: Option<String>,
}

/// What became of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The id of each event, in the order of `arrivals`; a repetition has the new event's id.
    pub events: Vec<EventId>,
    /// The deliveries that were created.
    pub runs: Vec<RunId>,
    /// How many deliveries were left out because they repeat earlier ones.
    pub duplicates: usize,
}

/// Why a submission was refused.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The store refused or failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The event names a function that does not exist.
    #[error("there is no function `{0}`")]
    NoSuchFunction(FunctionName),
    /// The server is stopping and takes no new work.
    #[error("the server is stopping")]
    Stopping,
}
