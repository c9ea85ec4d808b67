//! Answers that are kept for requests with an idempotency key.

use bytes::Bytes;

use crate::{
    flow::OnUnknown,
    id::RunId,
    name::{Scope, TriggerId},
    time::Timestamp,
};

/// The identity of a synchronous request that carries an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AnswerKey {
    /// The scope of the endpoint.
    pub scope: Scope,
    /// The endpoint.
    pub trigger: TriggerId,
    /// What the caller sent as `Idempotency-Key`, after who the caller is.
    pub key: String,
}

/// Asks whether a request was answered already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BeginAnswer {
    /// Which request.
    pub key: AnswerKey,
    /// A hash of what was asked: the same key with another one is a mistake of the caller.
    pub fingerprint: [u8; 32],
    /// The run that would answer it.
    pub run: RunId,
    /// Now.
    pub now: Timestamp,
    /// Until when the answer is kept.
    pub until: Timestamp,
    /// Whether a request whose outcome is unknown is begun again.
    pub again: OnUnknown,
}

/// What stands under an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nothing: this request is to be answered.
    Fresh,
    /// A request with this key is being answered by this run of this epoch.
    Running(RunId),
    /// It was answered, by this run.
    Answered(RunId, Answer),
    /// The server died while this run answered it, and it is not to be run again.
    Unknown(RunId),
    /// The key belongs to another request.
    Mismatch(RunId),
}

/// An answer that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// Header fields, in order.
    pub headers: Vec<(String, Bytes)>,
    /// The body.
    pub body: Bytes,
}
