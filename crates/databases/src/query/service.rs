use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Mutex as FairMutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore},
    task, time,
    time::Instant,
};
use tokio_util::task::TaskTracker;
use wakeful_core::name::DatabaseName;

use super::{
    Options, Owner, Query, QueryError, QueryResult, Recall, Recalled, Remember, Target, TxId,
    running::{Running, Stopper},
};
use crate::{
    DatabaseUrl,
    sqlite::{Pool, Session, WriterSession},
};

/// How often a transaction is looked at that may have ended, or should.
const WATCH: Duration = Duration::from_secs(1);

/// The databases that functions may query. Cheap to clone; all clones are the same.
///
/// Each database has one writer, whose turns are given in the order of asking, and a few readers
/// beside it. A query runs on a thread of its own; it is stopped, and undone, when the future
/// that asked for it is dropped or its owner is released.
#[derive(Clone)]
pub struct Databases {
    inner: Arc<Inner>,
}

struct Inner {
    options: Options,
    databases: Mutex<BTreeMap<DatabaseName, Arc<Database>>>,
    threads: Arc<Semaphore>,
    running: Running,
    transactions: Mutex<HashMap<TxId, Arc<Transaction>>>,
    next_tx: AtomicU64,
    /// Owns the tasks that end forgotten transactions.
    watchers: TaskTracker,
}

/// One database: its connections, and whose turn it is to write.
struct Database {
    url: DatabaseUrl,
    pool: Arc<Pool>,
    readers: Arc<Semaphore>,
    writer: Arc<FairMutex<WriterSession>>,
}

/// A transaction that is open.
struct Transaction {
    database: DatabaseName,
    owner: Owner,
    begun: Instant,
    used: Mutex<Instant>,
    /// The turn to write, for as long as the transaction is open.
    turn: Arc<FairMutex<Option<Turn>>>,
}

/// The turn to write. What is still open when it ends is rolled back.
struct Turn(OwnedMutexGuard<WriterSession>);

impl Drop for Turn {
    fn drop(&mut self) {
        self.0.rollback();
    }
}

impl Databases {
    /// Without any database.
    pub fn new(options: Options) -> Self {
        Self {
            inner: Arc::new(Inner {
                databases: Mutex::default(),
                threads: Arc::new(Semaphore::new(options.threads)),
                running: Running::default(),
                transactions: Mutex::default(),
                next_tx: AtomicU64::new(1),
                watchers: TaskTracker::new(),
                options,
            }),
        }
    }

    /// These are the databases from now on. What runs on one that is gone ends undisturbed.
    pub fn set(&self, targets: BTreeMap<DatabaseName, Target>) {
        let mut databases = self.inner.databases.lock();
        let mut before = std::mem::take(&mut *databases);
        for (name, target) in targets {
            let known = before.remove(&name).filter(|known| known.url == target.url);
            let database = known
                .unwrap_or_else(|| Arc::new(Database::new(target.url, self.inner.options.readers)));
            database.pool.set_capture(target.capture);
            databases.insert(name, database);
        }
    }

    /// Runs one query. Outside of a transaction it is one by itself.
    ///
    /// # Errors
    /// `not_found` for an unknown database or transaction, `denied`, `invalid`, `conflict`,
    /// `too_large`, `unavailable` and `failed` as `ErrorCode` says. After an error, nothing of
    /// this query took effect.
    pub async fn query(&self, query: Query<'_>) -> Result<QueryResult, QueryError> {
        let inner = &self.inner;
        let database = inner.database(query.database)?;
        let stopper = inner.running.start(query.owner);
        let (tx, owner, name) = (query.tx, query.owner, query.database);
        if let Some(tx) = tx {
            let transaction = inner.transaction(tx, owner, Some(name))?;
            let session = Session::new(query, &inner.options, stopper.stop())?;
            return inner.query_within(&transaction, session, tx).await;
        }
        let session = Session::new(query, &inner.options, stopper.stop())?;
        match inner.read(&database, session).await {
            Asked::Answered(result) => result,
            Asked::Writes(session) => inner.write(&database, session, &stopper).await,
        }
    }

    /// Opens a transaction that may write; waits until no other one is open. It is rolled back
    /// when it is left alone for too long, or when its owner is released.
    ///
    /// # Errors
    /// `not_found` for an unknown database, `unavailable` when the wait was too long.
    pub async fn begin(&self, database: &DatabaseName, owner: Owner) -> Result<TxId, QueryError> {
        let inner = &self.inner;
        let stopper = inner.running.start(owner);
        let at = inner.database(database)?;
        let mut turn = inner.turn(&at).await?;
        let (stop, patience) = (stopper.stop(), inner.options.patience);
        let permit = inner.thread().await?;
        let begun = blocking(permit, move || turn.0.begin(&stop, patience).map(|()| turn));
        let turn = begun.await??;
        let tx = TxId(inner.next_tx.fetch_add(1, Ordering::Relaxed));
        let now = Instant::now();
        let transaction = Arc::new(Transaction {
            database: database.clone(),
            owner,
            begun: now,
            used: Mutex::new(now),
            turn: Arc::new(FairMutex::new(Some(turn))),
        });
        inner
            .transactions
            .lock()
            .insert(tx, Arc::clone(&transaction));
        let watched = watch(Arc::clone(inner), tx, Arc::clone(&transaction));
        inner.watchers.spawn(watched);
        // Only now: a release from here on finds it, one before has stopped us.
        if stopper.is_stopped() {
            inner.undo(tx, &transaction).await;
            return Err(QueryError::no_transaction());
        }
        Ok(tx)
    }

    /// Commits a transaction that `owner` opened.
    ///
    /// # Errors
    /// `not_found` when it is over, `conflict` when a deferred constraint is violated; then it is
    /// rolled back.
    pub async fn commit(&self, tx: TxId, owner: Owner) -> Result<(), QueryError> {
        let stopper = self.inner.running.start(owner);
        self.inner.commit(tx, owner, &stopper).await
    }

    /// Looks whether an earlier transaction with a key left a memory of itself.
    ///
    /// # Errors
    /// `not_found` when the transaction is over.
    pub async fn recall(
        &self,
        tx: TxId,
        owner: Owner,
        recall: Recall,
    ) -> Result<Recalled, QueryError> {
        let recall = move |turn: &mut Turn| turn.0.recall(&recall);
        self.inner.within(tx, owner, recall).await
    }

    /// Leaves a memory of a transaction in its database; it is there when that is committed.
    ///
    /// # Errors
    /// `not_found` when the transaction is over, `conflict` when there is one with the key. Then
    /// the transaction should be rolled back.
    pub async fn remember(
        &self,
        tx: TxId,
        owner: Owner,
        remember: Remember,
    ) -> Result<(), QueryError> {
        let remember = move |turn: &mut Turn| turn.0.remember(&remember);
        self.inner.within(tx, owner, remember).await
    }

    /// Rolls back a transaction that `owner` opened.
    ///
    /// # Errors
    /// `not_found` when it is over.
    pub async fn rollback(&self, tx: TxId, owner: Owner) -> Result<(), QueryError> {
        let transaction = self.inner.transaction(tx, owner, None)?;
        match self.inner.undo(tx, &transaction).await {
            Undone::Now => Ok(()),
            Undone::Before => Err(QueryError::no_transaction()),
        }
    }

    /// An attempt ended: stops its queries and rolls back what it left open.
    pub async fn release(&self, owner: Owner) {
        let inner = &self.inner;
        inner.running.stop_all(owner);
        let left: Vec<_> = {
            let transactions = inner.transactions.lock();
            let left = transactions.iter().filter(|(_, at)| at.owner == owner);
            left.map(|(tx, at)| (*tx, Arc::clone(at))).collect()
        };
        for (tx, transaction) in left {
            // It may have ended by itself meanwhile.
            inner.undo(tx, &transaction).await;
        }
    }

    /// Transactions that are open now.
    pub fn open_transactions(&self) -> usize {
        self.inner.transactions.lock().len()
    }
}

impl Database {
    fn new(url: DatabaseUrl, readers: usize) -> Self {
        let DatabaseUrl::Sqlite(path) = &url;
        let pool = Arc::new(Pool::new(path.clone()));
        Self {
            readers: Arc::new(Semaphore::new(readers)),
            writer: Arc::new(FairMutex::new(WriterSession::new(Arc::clone(&pool)))),
            pool,
            url,
        }
    }
}

/// How asking a reader ended.
enum Asked {
    Answered(Result<QueryResult, QueryError>),
    Writes(Session),
}

/// Whether there was still something to roll back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Undone {
    /// It was open until now.
    Now,
    /// It was over already.
    Before,
}

impl Inner {
    fn database(&self, name: &DatabaseName) -> Result<Arc<Database>, QueryError> {
        let databases = self.databases.lock();
        databases
            .get(name)
            .cloned()
            .ok_or_else(|| QueryError::no_database(name))
    }

    fn transaction(
        &self,
        tx: TxId,
        owner: Owner,
        database: Option<&DatabaseName>,
    ) -> Result<Arc<Transaction>, QueryError> {
        let transactions = self.transactions.lock();
        let found = transactions.get(&tx).filter(|at| {
            at.owner == owner && database.is_none_or(|database| at.database == *database)
        });
        found.cloned().ok_or_else(QueryError::no_transaction)
    }

    async fn thread(&self) -> Result<OwnedSemaphorePermit, QueryError> {
        self.permit(&self.threads).await
    }

    /// A permit, unless the wait for it is too long.
    async fn permit(&self, of: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, QueryError> {
        match time::timeout(self.options.patience, Arc::clone(of).acquire_owned()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) => Err(QueryError::crashed()),
            Err(_) => Err(QueryError::out_of_patience()),
        }
    }

    /// The turn to write, in the order of asking.
    async fn turn(&self, at: &Database) -> Result<Turn, QueryError> {
        let turn = Arc::clone(&at.writer).lock_owned();
        match time::timeout(self.options.patience, turn).await {
            Ok(writer) => Ok(Turn(writer)),
            Err(_) => Err(QueryError::out_of_patience()),
        }
    }

    /// Asks a reader, if that looks worth while.
    async fn read(&self, database: &Database, session: Session) -> Asked {
        if !session.may_only_read() {
            return Asked::Writes(session);
        }
        let asked = async {
            let turn = self.permit(&database.readers).await?;
            let permit = self.thread().await?;
            let pool = Arc::clone(&database.pool);
            blocking(permit, move || {
                let result = pool.read(&session);
                drop(turn);
                (session, result)
            })
            .await
        };
        match asked.await {
            Ok((session, Ok(None))) => Asked::Writes(session),
            Ok((_, Ok(Some(result)))) => Asked::Answered(Ok(result)),
            Ok((_, Err(error))) | Err(error) => Asked::Answered(Err(error)),
        }
    }

    /// Runs a query as a transaction of its own.
    async fn write(
        &self,
        database: &Database,
        session: Session,
        stopper: &Stopper<'_>,
    ) -> Result<QueryResult, QueryError> {
        let mut turn = self.turn(database).await?;
        let permit = self.thread().await?;
        let (stop, patience) = (stopper.stop(), self.options.patience);
        let written = blocking(permit, move || {
            turn.0.begin(&stop, patience)?;
            let result = turn.0.query(&session)?;
            turn.0.commit(&stop, patience)?;
            Ok(result)
        });
        written.await?
    }

    async fn query_within(
        &self,
        transaction: &Transaction,
        session: Session,
        tx: TxId,
    ) -> Result<QueryResult, QueryError> {
        let mut slot = Arc::clone(&transaction.turn).lock_owned().await;
        let permit = self.thread().await?;
        let ran = blocking(permit, move || {
            let Some(turn) = slot.as_mut() else {
                return (Err(QueryError::no_transaction()), false);
            };
            let result = turn.0.query(&session);
            let open = turn.0.is_open();
            if !open {
                *slot = None;
            }
            (result, open)
        });
        let (result, open) = ran.await?;
        *transaction.used.lock() = Instant::now();
        if !open {
            self.transactions.lock().remove(&tx);
        }
        match result {
            Err(mut error) if !open => {
                error.message.push_str(" (the transaction was rolled back)");
                Err(error)
            }
            other => other,
        }
    }

    /// Does something of ours within an open transaction.
    async fn within<T: Send + 'static>(
        &self,
        tx: TxId,
        owner: Owner,
        work: impl FnOnce(&mut Turn) -> Result<T, QueryError> + Send + 'static,
    ) -> Result<T, QueryError> {
        let transaction = self.transaction(tx, owner, None)?;
        let mut slot = Arc::clone(&transaction.turn).lock_owned().await;
        let permit = self.thread().await?;
        let done = blocking(permit, move || match slot.as_mut() {
            Some(turn) => work(turn),
            None => Err(QueryError::no_transaction()),
        });
        let done = done.await?;
        *transaction.used.lock() = Instant::now();
        done
    }

    async fn commit(
        &self,
        tx: TxId,
        owner: Owner,
        stopper: &Stopper<'_>,
    ) -> Result<(), QueryError> {
        let transaction = self.transaction(tx, owner, None)?;
        let mut slot = Arc::clone(&transaction.turn).lock_owned().await;
        let permit = self.thread().await?;
        let (stop, patience) = (stopper.stop(), self.options.patience);
        let ended = blocking(permit, move || match slot.take() {
            Some(mut turn) => turn.0.commit(&stop, patience),
            None => Err(QueryError::no_transaction()),
        });
        let ended = ended.await?;
        self.transactions.lock().remove(&tx);
        ended
    }

    /// Rolls a transaction back, after the query that it may be running. It needs no thread of
    /// those that are counted: all of them may wait for the very lock that this frees.
    async fn undo(&self, tx: TxId, transaction: &Transaction) -> Undone {
        let mut slot = Arc::clone(&transaction.turn).lock_owned().await;
        let undone = match slot.take() {
            Some(turn) => {
                // The end of the turn rolls back, also when the thread is refused to us.
                let _ = task::spawn_blocking(move || drop(turn)).await;
                Undone::Now
            }
            None => Undone::Before,
        };
        self.transactions.lock().remove(&tx);
        undone
    }
}

/// Rolls a transaction back when it was left alone, or open, for too long.
async fn watch(inner: Arc<Inner>, tx: TxId, transaction: Arc<Transaction>) {
    let limit = transaction.begun + inner.options.total;
    loop {
        let idle = *transaction.used.lock() + inner.options.idle;
        let deadline = idle.min(limit);
        if deadline <= Instant::now() {
            if limit <= Instant::now() || transaction.turn.try_lock().is_ok() {
                break;
            }
            // A query is running, so it is not idle.
            *transaction.used.lock() = Instant::now();
            continue;
        }
        // Looked at often enough that a transaction that ended is not kept here for long.
        time::sleep((deadline - Instant::now()).min(WATCH)).await;
        if !inner.transactions.lock().contains_key(&tx) {
            return;
        }
    }
    loop {
        if limit <= Instant::now() {
            inner.running.stop_all(transaction.owner);
        }
        // A query that began meanwhile is stopped in the next round.
        match time::timeout(WATCH, inner.undo(tx, &transaction)).await {
            Ok(Undone::Now) => {
                tracing::warn!(database = %transaction.database,
                    "a transaction was open for too long and was rolled back");
                return;
            }
            Ok(Undone::Before) => return,
            Err(_) => {}
        }
    }
}

/// Runs `work` on a thread where it may block. When the caller goes away, it goes on until it is
/// stopped, and cleans up behind itself.
async fn blocking<T: Send + 'static>(
    permit: OwnedSemaphorePermit,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, QueryError> {
    let ran = task::spawn_blocking(move || {
        let done = work();
        drop(permit);
        done
    });
    ran.await.map_err(|_| QueryError::crashed())
}
