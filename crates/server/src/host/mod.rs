//! The calls of the `wakeful` module back to the server (docs/worker-protocol.md).
//!
//! Who calls is what the server knows of the worker, never what the worker says. What a function
//! may touch stands in `access`; in `dev`, what does not stand there works and is reported.
//! What a call makes happen carries its cause: the run that calls, and the event it runs for.

mod bucket;
mod database;
mod grants;
mod invoke;
mod message;
mod once;
mod publish;
mod wishes;

#[cfg(test)]
mod tests;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::Handle;
use wakeful_core::{
    event::Lineage,
    id::RunId,
    name::{FunctionName, Scope},
    port::{Clock, Store},
    time::Timestamp,
};
use wakeful_databases::{Databases, Owner};
use wakeful_objects::Buckets;
use wakeful_workers::{Body, Host, HostCall, HostError, HostErrorCode, HostFuture, HostReply};

use crate::{attempts::Attempts, dispatcher::Dispatcher, live::LiveCell, recorder::Recorder};
pub use grants::{Grants, advice};
use once::Cursors;

/// What calls are answered with.
pub struct Parts {
    /// The scope of all functions.
    pub scope: Scope,
    /// The versions that are live.
    pub live: LiveCell,
    /// The buckets.
    pub buckets: Buckets,
    /// The databases.
    pub databases: Databases,
    /// What functions may touch.
    pub grants: Grants,
    /// Takes in what functions publish and whom they invoke.
    pub dispatcher: Dispatcher,
    /// The attempts that call.
    pub attempts: Attempts,
    /// What is owed still.
    pub store: Arc<dyn Store>,
    /// Knows what no failure may tell.
    pub recorder: Recorder,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Where blocking and longer work lives: not on the data path.
    pub runtime: Handle,
}

/// Answers the calls of user code. Cheap to clone.
#[derive(Clone)]
pub struct HostCalls {
    parts: Arc<Parts>,
    /// The attempts that have begun transactions.
    open: Arc<Mutex<HashSet<Owner>>>,
    /// How far memories of gatherings were looked through.
    cursors: Arc<Cursors>,
}

impl HostCalls {
    /// Calls into these parts.
    pub fn new(parts: Parts) -> Self {
        Self {
            parts: Arc::new(parts),
            open: Arc::default(),
            cursors: Arc::default(),
        }
    }

    async fn answer(self, call: HostCall) -> Result<HostReply, HostError> {
        match call.op.as_str() {
            "db.query" | "db.begin" | "db.commit" | "db.rollback" => self.database(call).await,
            "bucket.get" | "bucket.head" | "bucket.put" | "bucket.remove" | "bucket.list" => {
                self.bucket(call).await
            }
            "publish" => self.publish(call).await,
            "invoke" => self.invoke(call).await,
            "once.begin" | "once.publish" | "once.invoke" | "once.put" | "once.remove"
            | "once.commit" | "once.abort" => self.once(call).await,
            other => Err(invalid(format!("there is no operation `{other}`"))),
        }
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// What causes what this call makes happen.
    fn cause(&self, call: &HostCall) -> Lineage {
        let attempts = &self.parts.attempts;
        call.run
            .map_or_else(Lineage::default, |key| attempts.cause(key))
    }
}

impl Host for HostCalls {
    fn call(&self, call: HostCall) -> HostFuture {
        let this = self.clone();
        let task = self.parts.runtime.spawn(this.answer(call));
        let abort = AbortOnDrop(task.abort_handle());
        Box::pin(async move {
            let answer = task.await;
            drop(abort);
            answer.unwrap_or_else(|error| {
                Err(error_of(
                    HostErrorCode::Failed,
                    format!("the call was given up: {error}"),
                ))
            })
        })
    }

    fn ended(&self, _scope: &Scope, _function: &FunctionName, run: RunId, attempt: u32) {
        self.parts.attempts.ended((run, attempt));
        let owner = owner((run, attempt));
        if self.open.lock().remove(&owner) {
            let databases = self.parts.databases.clone();
            self.parts
                .runtime
                .spawn(async move { databases.release(owner).await });
        }
    }
}

/// A call whose worker is gone is not worth finishing.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The number under which an attempt holds transactions.
fn owner((run, attempt): (RunId, u32)) -> Owner {
    Owner(u128::from(run.raw().cast_unsigned()) << 32 | u128::from(attempt))
}

fn error_of(code: HostErrorCode, message: impl Into<String>) -> HostError {
    HostError {
        code,
        message: message.into(),
    }
}

fn invalid(message: impl Into<String>) -> HostError {
    error_of(HostErrorCode::Invalid, message)
}

fn denied(message: impl Into<String>) -> HostError {
    error_of(HostErrorCode::Denied, message)
}

fn params<T: DeserializeOwned>(call: &HostCall) -> Result<T, HostError> {
    serde_json::from_slice(&call.params)
        .map_err(|error| invalid(format!("{}: wrong parameters: {error}", call.op)))
}

fn reply(head: &impl Serialize) -> Result<HostReply, HostError> {
    reply_with(head, Body::empty())
}

fn reply_with(head: &impl Serialize, body: Body) -> Result<HostReply, HostError> {
    let head = serde_json::to_vec(head)
        .map_err(|error| error_of(HostErrorCode::Failed, error.to_string()))?;
    Ok(HostReply {
        head: Bytes::from(head),
        body,
    })
}

/// The answer of what has nothing to say.
#[derive(Serialize)]
struct Nothing {}
