use std::{sync::Arc, time::Duration};

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    limits,
    name::{DatabaseName, Scope},
    port::{Sink, Store},
};

use super::{Observer, Trouble, Watched};
use crate::{DatabaseUrl, sqlite};

/// What is captured.
#[derive(Debug, Clone)]
pub struct CaptureOptions {
    /// The scope of the project that declares the database.
    pub scope: Scope,
    /// The database's name there.
    pub database: DatabaseName,
    /// Where it is.
    pub url: DatabaseUrl,
    /// The tables that triggers listen to; a new value takes effect at once.
    pub tables: watch::Receiver<Watched>,
    /// How often to look when nothing told of a change.
    pub poll: Duration,
}

impl CaptureOptions {
    /// With the default poll.
    pub fn new(
        scope: Scope,
        database: DatabaseName,
        url: DatabaseUrl,
        tables: watch::Receiver<Watched>,
    ) -> Self {
        Self {
            scope,
            database,
            url,
            tables,
            poll: limits::CAPTURE_POLL,
        }
    }
}

/// The capture of one database: a source of events, one for each row that changes.
///
/// Each event has the origin `Table(database, table)`, the verb `insert`, `update` or `delete`,
/// and `<table>/<key>` as its subject. Its data is JSON: `{database, table, operation,
/// key: {column: value}, before: {…}|null, after: {…}|null}`. Values are encoded as the worker
/// protocol says (`{"$int": "…"}`, `{"$bytes": base64}`); besides, `{"$omitted": length}` stands
/// for a value too long to be carried, and `{"$real": "Infinity"}` for what JSON cannot say.
///
/// A change is submitted together with the checkpoint that says so: nothing is missed and
/// nothing is submitted twice, whenever the server stops.
pub struct Capture {
    pub(crate) options: CaptureOptions,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) nudge: Arc<Notify>,
}

impl Capture {
    /// A capture that begins when it is run. The store is asked for the checkpoint only.
    pub fn new(
        options: CaptureOptions,
        store: Arc<dyn Store>,
        sink: Arc<dyn Sink>,
        observer: Arc<dyn Observer>,
    ) -> (Self, CaptureHandle) {
        let nudge = Arc::new(Notify::new());
        let handle = CaptureHandle {
            nudge: Arc::clone(&nudge),
            scope: options.scope.clone(),
            database: options.database.clone(),
            tables: options.tables.clone(),
        };
        let capture = Self {
            options,
            store,
            sink,
            observer,
            nudge,
        };
        (capture, handle)
    }

    /// Captures until `shutdown`. Trouble with the database is reported and tried again; it
    /// never ends the capture. Triggers stay in the database, so that changes made while
    /// nobody runs are there at the next start.
    pub async fn run(self, shutdown: CancellationToken) {
        match self.options.url.clone() {
            DatabaseUrl::Sqlite(path) => sqlite::follow(self, path, shutdown).await,
        }
    }
}

/// Takes the triggers of a capture out of a database that is captured no more; whoever followed it
/// must have ended. What was recorded stays, for the case that it is captured again.
///
/// # Errors
/// What is wrong with the database. One that is not there, or was never captured, is left alone.
pub async fn withdraw(
    scope: &Scope,
    database: &DatabaseName,
    url: &DatabaseUrl,
) -> Result<(), Trouble> {
    match url {
        DatabaseUrl::Sqlite(path) => sqlite::withdraw(path.clone(), scope, database).await,
    }
}

/// Tells a capture that its database was written.
#[derive(Debug, Clone)]
pub struct CaptureHandle {
    nudge: Arc<Notify>,
    pub(crate) scope: Scope,
    pub(crate) database: DatabaseName,
    pub(crate) tables: watch::Receiver<Watched>,
}

impl CaptureHandle {
    /// The database was just written: look now.
    pub fn nudge(&self) {
        self.nudge.notify_one();
    }
}
