//! The task that follows one database: waits, looks, submits, removes.

use std::{collections::VecDeque, path::PathBuf, sync::Arc, time::Duration};

use tokio::{sync::Notify, sync::watch as channel, task, time};
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    limits,
    name::{DatabaseName, Scope},
    port::{Checkpoint, CheckpointKey, Sink, Store, Submission, SubmitError},
};

use super::{
    super::names::Names,
    narrator::Narrator,
    outbox::{self, Attached, Found, Outbox, Position},
    trouble::trouble,
    watch::FileWatch,
};
use crate::capture::{Capture, Report, Trouble, Watched};

/// After a notice of a write, the file is looked at again after these: the notice comes before
/// the change is visible, and another one may not follow.
const ECHOES: [Duration; 4] = [
    Duration::from_millis(1),
    Duration::from_millis(4),
    Duration::from_millis(20),
    Duration::from_millis(100),
];
/// The waits after trouble: twice as long each time, from the first to the last.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Consumed rows that may stay in the outbox while there is more to read.
const UNTRIMMED: i64 = 4 * limits::CAPTURE_BATCH_ROWS as i64;

/// Follows a database until `shutdown`.
pub(crate) async fn follow(capture: Capture, path: PathBuf, shutdown: CancellationToken) {
    let options = capture.options;
    let mut follower = Follower {
        names: Names::of(&options.scope, &options.database),
        key: CheckpointKey {
            scope: options.scope,
            source: format!("database:{}", options.database),
        },
        narrator: Narrator::new(options.database.clone(), capture.observer),
        database: options.database,
        path,
        store: capture.store,
        sink: capture.sink,
        tables: options.tables,
        poll: options.poll,
        nudge: capture.nudge,
        written: Arc::new(Notify::new()),
        watch: None,
        seen: false,
        dormant: false,
        open: None,
        look_into_tables: true,
        echoes: VecDeque::new(),
    };
    let mut backoff = BACKOFF.0;
    while !shutdown.is_cancelled() {
        match follower.turn().await {
            Ok(next) => {
                follower.narrator.recovered();
                backoff = BACKOFF.0;
                if next == Next::Wait && !follower.wait(&shutdown).await {
                    break;
                }
            }
            Err(Stop::Stopping) => break,
            Err(Stop::Trouble(trouble)) => {
                follower.open = None;
                follower.narrator.trouble(trouble);
                tokio::select! {
                    () = shutdown.cancelled() => break,
                    () = time::sleep(backoff) => {}
                }
                backoff = (backoff * 2).min(BACKOFF.1);
            }
        }
    }
    follower.close().await;
}

/// Takes our triggers out of a database; see `capture::withdraw`.
pub(crate) async fn withdraw(
    path: PathBuf,
    scope: &Scope,
    database: &DatabaseName,
) -> Result<(), Trouble> {
    let names = Names::of(scope, database);
    let database = database.clone();
    let shown = path.display().to_string();
    let work = move || {
        if !path.exists() {
            return Ok(());
        }
        let there = outbox::is_there(&path, &names).map_err(|error| trouble(&path, &error))?;
        if !there {
            return Ok(());
        }
        let opened = Outbox::open(&path, names, database);
        opened
            .and_then(|mut outbox| outbox.withdraw())
            .map_err(|error| trouble(&path, &error))
    };
    let done = task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| {
        Err(Trouble::Failed {
            path: shown,
            cause: error.to_string(),
        })
    })
}

/// What to do after a turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    /// There is more: go on at once.
    Go,
    /// Wait for something to happen.
    Wait,
}

/// Why a turn failed.
enum Stop {
    /// The server stops.
    Stopping,
    /// To be tried again.
    Trouble(Trouble),
}

struct Follower {
    names: Names,
    key: CheckpointKey,
    narrator: Narrator,
    database: DatabaseName,
    path: PathBuf,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    tables: channel::Receiver<Watched>,
    poll: Duration,
    nudge: Arc<Notify>,
    written: Arc<Notify>,
    watch: Option<FileWatch>,
    /// Whether the file was there once: then it is not created again, since someone may be about
    /// to put another one in its place.
    seen: bool,
    /// Whether nobody listens, so that the database is left alone.
    dormant: bool,
    open: Option<(Outbox, Position)>,
    look_into_tables: bool,
    echoes: VecDeque<Duration>,
}

impl Follower {
    async fn turn(&mut self) -> Result<Next, Stop> {
        let (mut outbox, position) = match self.open.take() {
            Some(open) => open,
            None if self.is_dormant().await? => return Ok(Next::Wait),
            None => self.attach().await?,
        };
        if self.tables.has_changed().unwrap_or(false) {
            self.look_into_tables = true;
        }
        let watched = self.tables.borrow_and_update().clone();
        let look_into_tables = self.look_into_tables;
        let at = position.clone();
        let (mut outbox, look) = self
            .blocking(move || {
                let look = outbox.look(&watched, look_into_tables, &at);
                (outbox, look)
            })
            .await?;
        let look = look.map_err(|error| self.trouble(&error))?;
        if let Some(standings) = look.standings {
            self.look_into_tables = false;
            self.narrator.standings(standings);
        }
        match look.found {
            Found::Nothing => {
                self.open = Some((outbox, position));
                Ok(Next::Wait)
            }
            // Opened anew at the next turn, which tells whether it is another one.
            Found::Replaced => {
                self.look_into_tables = true;
                Ok(Next::Go)
            }
            Found::Changes {
                arrivals,
                lost,
                position,
                more,
            } => {
                let submission = Submission {
                    arrivals,
                    checkpoint: Some(self.checkpoint(&position)),
                    objects: Vec::new(),
                };
                self.submit(submission).await?;
                if lost > 0 {
                    self.narrator.tell(Report::Lost { changes: lost });
                }
                if outbox.untrimmed(position.last) > UNTRIMMED {
                    outbox = self.trim(outbox, position.last).await?.0;
                }
                self.open = Some((outbox, position));
                Ok(if more { Next::Go } else { Next::Wait })
            }
        }
    }

    /// Waits until there may be something to do; false when the server stops.
    async fn wait(&mut self, shutdown: &CancellationToken) -> bool {
        let echo = self.echoes.pop_front();
        tokio::select! {
            biased;
            () = shutdown.cancelled() => return false,
            () = self.nudge.notified() => {
                if let Some((outbox, _)) = &mut self.open {
                    outbox.look_again();
                }
            }
            () = self.written.notified() => self.echoes = ECHOES.into(),
            changed = self.tables.changed(), if self.tables.has_changed().is_ok() => {
                self.look_into_tables |= changed.is_ok();
            }
            () = time::sleep(echo.unwrap_or(self.poll)) => {
                if echo.is_none() {
                    self.tidy().await;
                }
            }
        }
        true
    }

    /// Whether nobody listens, and nothing of an earlier capture has to be taken away: then the
    /// database is not touched.
    async fn is_dormant(&mut self) -> Result<bool, Stop> {
        if !self.tables.borrow().is_empty() {
            self.dormant = false;
            return Ok(false);
        }
        if self.dormant {
            return Ok(true);
        }
        self.create().await?;
        let (path, names) = (self.path.clone(), self.names.clone());
        let there = self
            .blocking(move || outbox::is_there(&path, &names))
            .await?;
        self.dormant = !there.map_err(|error| self.trouble(&error))?;
        Ok(self.dormant)
    }

    /// Creates the database, if it was never there.
    async fn create(&mut self) -> Result<(), Stop> {
        if self.seen {
            return Ok(());
        }
        let path = self.path.clone();
        let created = self.blocking(move || outbox::create(&path)).await?;
        let shown = self.path.display().to_string();
        match created {
            Ok(true) => self.narrator.tell(Report::Created { path: shown }),
            Ok(false) => {}
            Err(cause) => {
                return Err(Stop::Trouble(Trouble::CannotOpen { path: shown, cause }));
            }
        }
        Ok(())
    }

    /// Opens the database and finds out where to go on.
    async fn attach(&mut self) -> Result<(Outbox, Position), Stop> {
        self.create().await?;
        let checkpoint = self.remembered().await?;
        let (path, names, database) =
            (self.path.clone(), self.names.clone(), self.database.clone());
        let opened = self
            .blocking(move || {
                let outbox = Outbox::open(&path, names, database)?;
                let (position, how) = outbox.attach(checkpoint)?;
                Ok((outbox, position, how))
            })
            .await?;
        let (outbox, position, how) = opened.map_err(|error| self.trouble(&error))?;
        self.seen = true;
        self.look_into_tables = true;
        self.watch = FileWatch::start(&self.path, Arc::clone(&self.written))
            .inspect_err(|error| {
                tracing::warn!(database = %self.database, %error,
                    "the database's folder cannot be watched; it is looked at every {:?}", self.poll);
            })
            .ok();
        if how == Attached::Replaced {
            // Remembered at once, so that it is not another one again at the next start.
            let submission = Submission {
                checkpoint: Some(self.checkpoint(&position)),
                ..Submission::default()
            };
            self.submit(submission).await?;
            self.narrator.tell(Report::Replaced);
        }
        self.narrator.started();
        Ok((outbox, position))
    }

    async fn remembered(&mut self) -> Result<Option<Position>, Stop> {
        let value = self.store.checkpoint(self.key.clone()).await;
        let value = value.map_err(|error| {
            Stop::Trouble(Trouble::NotAccepted {
                cause: error.to_string(),
            })
        })?;
        // A checkpoint that cannot be read fits no outbox, which is reported and survived.
        Ok(value.map(|bytes| {
            serde_json::from_slice(&bytes).unwrap_or(Position {
                outbox: String::new(),
                last: 0,
                at: 0,
            })
        }))
    }

    fn checkpoint(&self, position: &Position) -> Checkpoint {
        Checkpoint {
            key: self.key.clone(),
            value: serde_json::to_vec(position).unwrap_or_default().into(),
        }
    }

    async fn submit(&mut self, submission: Submission) -> Result<(), Stop> {
        match self.sink.submit(submission).await {
            Ok(_) => Ok(()),
            Err(SubmitError::Stopping) => Err(Stop::Stopping),
            Err(error) => Err(Stop::Trouble(Trouble::NotAccepted {
                cause: error.to_string(),
            })),
        }
    }

    /// Removes consumed rows while nothing else is to be done.
    async fn tidy(&mut self) {
        while let Some((outbox, position)) = self.open.take() {
            if outbox.untrimmed(position.last) == 0 {
                self.open = Some((outbox, position));
                return;
            }
            match self.trim(outbox, position.last).await {
                Ok((outbox, left)) => {
                    self.open = Some((outbox, position));
                    if !left {
                        return;
                    }
                }
                // The next turn opens the database anew, and meets what is wrong there.
                Err(_) => return,
            }
        }
    }

    /// Removes one batch of consumed rows. A database that is busy keeps them for now.
    async fn trim(&mut self, mut outbox: Outbox, last: i64) -> Result<(Outbox, bool), Stop> {
        let (outbox, trimmed) = self
            .blocking(move || {
                let trimmed = outbox.trim(last);
                (outbox, trimmed)
            })
            .await?;
        match trimmed {
            Ok(left) => Ok((outbox, left)),
            Err(error) => match self.trouble(&error) {
                Stop::Trouble(Trouble::Locked { .. }) => Ok((outbox, false)),
                other => Err(other),
            },
        }
    }

    fn trouble(&self, error: &rusqlite::Error) -> Stop {
        Stop::Trouble(trouble(&self.path, error))
    }

    /// Runs `work` where it may block.
    async fn blocking<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Stop> {
        task::spawn_blocking(work).await.map_err(|error| {
            Stop::Trouble(Trouble::Failed {
                path: self.path.display().to_string(),
                cause: error.to_string(),
            })
        })
    }

    async fn close(mut self) {
        if let Some(open) = self.open.take() {
            // Closing may checkpoint the write-ahead log.
            let _ = self.blocking(move || drop(open)).await;
        }
    }
}
