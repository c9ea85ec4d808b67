use bytes::Bytes;

use super::{Checkpoint, ObjectChange, Reply, StoreError};
use crate::{
    event::{Extensions, Lineage, Origin},
    id::{EventId, RunId},
    name::{FunctionName, TopicName, TriggerId},
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
    /// Its type.
    pub kind: Kind,
    /// CloudEvents `subject`.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Timestamp,
    /// CloudEvents `datacontenttype`.
    pub content_type: String,
    /// The payload.
    pub data: Bytes,
    /// The sender's own id for it, when repetitions of it must be recognised; also its CloudEvents
    /// `id`, unless `id` says otherwise.
    pub dedup_id: Option<String>,
    /// CloudEvents `id` of an event whose repetitions are welcome; `None`: we draw one.
    pub id: Option<String>,
    /// CloudEvents `source`; `None`: made of scope and origin.
    pub source: Option<String>,
    /// CloudEvents extension attributes.
    pub extensions: Extensions,
    /// What caused it.
    pub lineage: Lineage,
    /// What its sender asks for beyond what triggers say.
    pub wishes: Wishes,
}

impl Arrival {
    /// What our own sources hand in: an event with JSON data and nothing special about it.
    pub fn new(origin: Origin, verb: &'static str, time: Timestamp, data: Bytes) -> Self {
        Self {
            origin,
            kind: Kind::Verb(verb),
            subject: None,
            time,
            content_type: "application/json".to_owned(),
            data,
            dedup_id: None,
            id: None,
            source: None,
            extensions: Extensions::new(),
            lineage: Lineage::default(),
            wishes: Wishes::default(),
        }
    }
}

/// The CloudEvents `type` of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `wakeful.SOURCE.` and this word: `created`, `insert`, `tick`.
    Verb(&'static str),
    /// As its sender says; for what is published it is the topic.
    Given(String),
}

/// What the sender of an event asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Nothing is started for it before this.
    pub not_before: Option<Timestamp>,
    /// Takes the place of what the triggers' `ordering_key` would find in it.
    pub ordering_key: Option<String>,
    /// A later event with this word, for the same triggers, is left out as a repetition; the event
    /// has an id of its own all the same.
    pub dedup: Option<String>,
    /// Who gets it.
    pub target: Target,
}

/// Who gets an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// Whoever's trigger wants it.
    #[default]
    Triggers,
    /// Of those only the triggers of this function.
    Function(FunctionName),
    /// This trigger of this function, whether it would want it or not: invocations, redriven
    /// payloads, requests to an asynchronous endpoint, destinations.
    Trigger(FunctionName, TriggerId),
}

/// What became of a submission.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Receipt {
    /// The id of each event, in the order of `arrivals`; a repetition has the new event's id.
    pub events: Vec<EventId>,
    /// The deliveries that were created.
    pub runs: Vec<RunId>,
    /// Deliveries that were left out because they repeat earlier ones, each with that one.
    pub duplicates: Vec<(RunId, RunId)>,
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
    /// The event names a topic that the manifest does not declare.
    #[error("there is no topic `{0}`: declare it in wakeful.toml, [topic.\"{0}\"]")]
    NoSuchTopic(TopicName),
    /// The server is stopping and takes no new work.
    #[error("the server is stopping")]
    Stopping,
}
