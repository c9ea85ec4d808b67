//! The calls of the `wakeful` module back to the server: the port that the server implements.

use std::{future::Future, pin::Pin};

use bytes::Bytes;
use wakeful_core::{
    id::RunId,
    name::{FunctionName, Scope},
};

use crate::Body;

/// What user code asks of the server. Implemented by the composition root, which checks
/// `access`; a worker's word for who it is comes from us, never from the worker.
pub trait Host: Send + Sync + 'static {
    /// Does what is asked. Dropping the future (the worker ended) may leave it done or undone.
    fn call(&self, call: HostCall) -> HostFuture;

    /// An attempt is over, whatever its outcome: what it still holds (open transactions) is
    /// released. Called once for each attempt that was started; must not block.
    fn ended(&self, scope: &Scope, function: &FunctionName, run: RunId, attempt: u32);
}

/// The answer to a call, later.
pub type HostFuture = Pin<Box<dyn Future<Output = Result<HostReply, HostError>> + Send>>;

/// One call of the `wakeful` module.
#[derive(Debug)]
pub struct HostCall {
    /// Project and environment of the caller.
    pub scope: Scope,
    /// The function that calls.
    pub function: FunctionName,
    /// Its version.
    pub version: String,
    /// The run and attempt that calls; none outside of any attempt (module scope).
    pub run: Option<(RunId, u32)>,
    /// Whether that attempt still runs: code may outlive its attempt and call on.
    pub running: bool,
    /// The operation, such as `db.query` (docs/worker-protocol.md).
    pub op: String,
    /// Its parameters, JSON.
    pub params: Bytes,
    /// Its body; empty for most operations.
    pub body: Body,
}

/// The answer to a call.
#[derive(Debug)]
pub struct HostReply {
    /// JSON.
    pub head: Bytes,
    /// The bytes that follow, if the operation has any.
    pub body: Body,
}

/// Why a call was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct HostError {
    /// What kind of error.
    pub code: HostErrorCode,
    /// For the author of the function.
    pub message: String,
}

/// Kinds of errors that user code can tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HostErrorCode {
    /// What it names does not exist.
    NotFound,
    /// `access` does not allow it.
    Denied,
    /// The parameters make no sense.
    Invalid,
    /// It clashes with something else; trying again may help.
    Conflict,
    /// More than a limit allows.
    TooLarge,
    /// Not now; trying again helps.
    Unavailable,
    /// It failed.
    Failed,
}
