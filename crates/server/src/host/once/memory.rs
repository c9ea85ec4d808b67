//! Gatherings whose transaction is in the user's database: what that one remembers, and when it
//! may forget.

use std::collections::HashMap;

use parking_lot::Mutex;
use wakeful_core::{
    id::RunId,
    limits,
    name::{DatabaseName, Scope},
};
use wakeful_databases::{ErrorCode, Memory, QueryError, Recall, Remember, TxId};
use wakeful_workers::{HostError, HostErrorCode};

use super::{HostCalls, Place, Transaction, error_of};
use crate::host::database;

/// Up to which key the memories in each database were looked through.
#[derive(Default)]
pub struct Cursors {
    after: Mutex<HashMap<DatabaseName, String>>,
}

impl Cursors {
    fn of(&self, database: &DatabaseName) -> String {
        self.after.lock().get(database).cloned().unwrap_or_default()
    }

    /// These keys were looked at; fewer than asked for means that they were the last.
    fn advance(&self, database: &DatabaseName, keys: &[String]) {
        let full = keys.len() >= usize::try_from(limits::ONCE_CLEARING).unwrap_or(usize::MAX);
        let after = keys.last().filter(|_| full).cloned().unwrap_or_default();
        self.after.lock().insert(database.clone(), after);
    }
}

/// What is known about a gathering before it begins.
pub(super) struct Recalled {
    /// Its key.
    pub key: String,
    /// What an earlier attempt has committed.
    pub memory: Option<Memory>,
    /// Keys of deliveries that are not owed any more.
    pub forget: Vec<String>,
}

impl HostCalls {
    pub(super) async fn recall(
        &self,
        place: &Place,
        database: &DatabaseName,
        tx: TxId,
        run: RunId,
        name: &str,
    ) -> Result<Recalled, HostError> {
        let prefix = prefix(&self.parts.scope);
        let key = format!("{prefix}{run}/{name}");
        let recall = Recall {
            key: key.clone(),
            prefix: prefix.clone(),
            after: self.cursors.of(database),
            limit: limits::ONCE_CLEARING,
        };
        let recalled = self.parts.databases.recall(tx, place.owner, recall).await;
        let recalled = recalled.map_err(database::host_error)?;
        if recalled.memory.is_none() {
            self.cursors.advance(database, &recalled.others);
        }
        let mut forget = Vec::new();
        for other in recalled.others {
            if recalled.memory.is_none() && other != key && self.is_done(&prefix, &other).await {
                forget.push(other);
            }
        }
        Ok(Recalled {
            key,
            memory: recalled.memory,
            forget,
        })
    }

    /// Whether the delivery of a memory is certainly not owed any more. (A dead letter is: it may
    /// be redriven.)
    async fn is_done(&self, prefix: &str, key: &str) -> bool {
        let run = key
            .strip_prefix(prefix)
            .and_then(|rest| rest.split('/').next());
        let Some(run) = run.and_then(|run| run.parse::<RunId>().ok()) else {
            return false;
        };
        self.now().since(run.drawn_at()) >= limits::ONCE_MEMORY
            && matches!(self.parts.store.delivery(run).await, Ok(None))
    }

    /// Commits the transaction of a gathering, with the memory of it. When that fails, it is
    /// rolled back.
    pub(super) async fn commit_in(
        &self,
        place: &Place,
        transaction: Transaction,
        effects: String,
        result: Option<String>,
    ) -> Result<(), HostError> {
        let databases = &self.parts.databases;
        let Transaction { tx, key, forget } = transaction;
        if let Some(key) = key {
            let remember = Remember {
                key,
                at: self.now().as_millis(),
                memory: Memory { effects, result },
                forget,
            };
            if let Err(error) = databases.remember(tx, place.owner, remember).await {
                self.roll_back(place, tx).await;
                return Err(not_committed(error));
            }
        }
        databases
            .commit(tx, place.owner)
            .await
            .map_err(not_committed)
    }
}

/// What the keys of all memories of one scope begin with: several may share a database.
fn prefix(scope: &Scope) -> String {
    format!("{}/{}/", scope.project, scope.environment)
}

fn not_committed(error: QueryError) -> HostError {
    match error.code {
        ErrorCode::NotFound => error_of(
            HostErrorCode::Unavailable,
            "the transaction of this once() was open for too long and was rolled back: nothing of \
             it happened",
        ),
        _ => database::host_error(error),
    }
}
