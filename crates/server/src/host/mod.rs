//! The calls of the `wakeful` module back to the server (docs/worker-protocol.md).
//!
//! Who calls is what the server knows of the worker, never what the worker says. What a function
//! may touch stands in `access`; in `dev`, what does not stand there works and is reported.

mod bucket;
mod database;
mod grants;

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Serialize, de::DeserializeOwned};
use tokio::runtime::Handle;
use wakeful_core::{
    id::RunId,
    name::{FunctionName, Scope},
};
use wakeful_databases::{Databases, Owner};
use wakeful_objects::Buckets;
use wakeful_workers::{Body, Host, HostCall, HostError, HostErrorCode, HostFuture, HostReply};

pub use grants::{Grants, advice};

/// Answers the calls of user code. Cheap to clone.
#[derive(Clone)]
pub struct HostCalls {
    buckets: Buckets,
    databases: Databases,
    grants: Grants,
    /// The attempts that have begun transactions.
    open: Arc<Mutex<HashSet<Owner>>>,
    /// Where blocking and longer work lives: not on the data path.
    runtime: Handle,
}

impl HostCalls {
    /// Calls into these resources, within what `grants` allows.
    pub fn new(buckets: Buckets, databases: Databases, grants: Grants, runtime: Handle) -> Self {
        Self {
            buckets,
            databases,
            grants,
            open: Arc::default(),
            runtime,
        }
    }

    async fn answer(self, call: HostCall) -> Result<HostReply, HostError> {
        match call.op.as_str() {
            "db.query" | "db.begin" | "db.commit" | "db.rollback" => self.database(call).await,
            "bucket.get" | "bucket.head" | "bucket.put" | "bucket.remove" | "bucket.list" => {
                self.bucket(call).await
            }
            other => Err(invalid(format!("there is no operation `{other}`"))),
        }
    }
}

impl Host for HostCalls {
    fn call(&self, call: HostCall) -> HostFuture {
        let this = self.clone();
        let task = self.runtime.spawn(this.answer(call));
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
        let owner = owner((run, attempt));
        if self.open.lock().remove(&owner) {
            let databases = self.databases.clone();
            self.runtime
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_attempts_share_an_owner() {
        let runs = [1, 2, 3, i64::MAX].map(RunId::from_raw);
        let attempts = (1..200).chain([u32::MAX]);
        let owners: HashSet<Owner> = attempts
            .flat_map(|attempt| runs.map(|run| owner((run, attempt))))
            .collect();
        assert_eq!(owners.len(), 200 * runs.len());
        assert!(!owners.contains(&Owner(0)), "that is nobody's");
    }
}
