use std::{collections::BTreeMap, sync::Arc};

use wakeful_core::name::DatabaseName;

use super::{Options, Owner, Query, QueryError, QueryResult, Target, TxId};

/// The databases that functions may query. Cheap to clone; all clones are the same.
///
/// Each database has one writer, whose turns are given in the order of asking, and a few readers
/// beside it. A query runs on a thread of its own, and is interrupted when the future that asked
/// for it is dropped.
#[derive(Clone)]
pub struct Databases {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    targets: parking_lot::RwLock<BTreeMap<DatabaseName, Target>>,
}

impl Databases {
    /// Without any database.
    pub fn new(options: Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                options,
                targets: Default::default(),
            }),
        }
    }

    /// These are the databases from now on. What runs on one that is gone ends undisturbed.
    pub fn set(&self, targets: BTreeMap<DatabaseName, Target>) {
        *self.inner.targets.write() = targets;
    }

    /// Runs one query.
    pub async fn query(&self, query: Query<'_>) -> Result<QueryResult, QueryError> {
        let _ = &self.inner.options;
        Err(QueryError::no_database(query.database))
    }

    /// Opens a transaction that may write; waits until no other one is open.
    pub async fn begin(&self, database: &DatabaseName, owner: Owner) -> Result<TxId, QueryError> {
        let _ = owner;
        Err(QueryError::no_database(database))
    }

    /// Commits a transaction that `owner` opened.
    pub async fn commit(&self, tx: TxId, owner: Owner) -> Result<(), QueryError> {
        let _ = (tx, owner);
        Err(QueryError::no_transaction())
    }

    /// Rolls back a transaction that `owner` opened.
    pub async fn rollback(&self, tx: TxId, owner: Owner) -> Result<(), QueryError> {
        let _ = (tx, owner);
        Err(QueryError::no_transaction())
    }

    /// An attempt ended: rolls back what it left open.
    pub async fn release(&self, owner: Owner) {
        let _ = owner;
    }
}
