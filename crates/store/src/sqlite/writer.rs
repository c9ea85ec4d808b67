//! The one writer: drains what waits into one database transaction, commits, then answers all.
//!
//! A group is applied at full speed first, without a savepoint per transaction. When one of its
//! transactions breaks the contract, or the disk is full, the whole group is rolled back and
//! applied again: each transaction in a savepoint of its own, or without those that bring new
//! work. A failure of the disk itself ends all writing: whether the group survived is not
//! known, and trying again could make a lost commit look like a kept one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI32, AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use rusqlite::{Connection, MAIN_DB, config::DbConfig, hooks::Wal, wal::CheckpointMode};
use tokio::sync::mpsc;
use wakeful_core::{
    limits,
    port::{Begun, Delivery, Epoch, ObjectChange, StoreError, Transaction},
};

use super::{
    answers,
    apply::{Applier, Memory},
    delta::Delta,
    fault::Fault,
    intake::{Job, Work},
    mark::Mark,
    schema,
    space::Space,
    steps::Done,
    sweep::{self, Stepped},
};

/// Figures that handles read without asking the writer.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) greatest: AtomicI64,
    pub(super) commits: AtomicU64,
    pub(super) syncs: AtomicU64,
    pub(super) stale: AtomicU64,
    pub(super) duplicates: AtomicU64,
}

/// The writer's own.
pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) memory: Memory,
    pub(super) epoch: Epoch,
    pub(super) seq: u64,
    pub(super) mark: Mark,
    pub(super) space: Space,
    pub(super) figures: Arc<Figures>,
    log: Log,
    /// Which work of the group is being applied.
    place: Option<usize>,
    /// Why nothing may be written any more.
    poisoned: Option<String>,
}

/// The write-ahead log's growth.
struct Log {
    /// Pages in it after the last commit.
    pages: Arc<AtomicI32>,
    /// Copy it into the database from this many pages on.
    copy_at: i32,
}

/// The answer to one piece of work, kept back until the group is on disk.
enum Answer {
    Done(Done),
    Claimed(Vec<Delivery>),
    Begun(Begun),
    Stepped(Stepped),
    Nothing,
}

/// How a group is applied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// All together, at full speed.
    Together,
    /// Each in a savepoint of its own, so that a refused one leaves the others alone.
    Apart,
}

/// What is tried, in this order, when the disk is full.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relief {
    /// Copy the log into the database, so that it is written from its start again.
    CopyLog,
    /// Let go of the ballast.
    Ballast,
}

type Outcome = Result<Answer, StoreError>;

/// SQLite's page, bytes.
const PAGE: u64 = 4096;
const COPY_PAGES: i32 = (limits::STORE_WAL / PAGE) as i32;
/// While a reader keeps the log from being reused it grows; from this multiple on, insist.
const COPY_WAITING: i32 = 4;
/// How long readers are waited for when there is no room for anything else.
const RELIEF_WAIT: Duration = Duration::from_millis(100);

impl Writer {
    pub(super) fn new(
        mut conn: Connection,
        (epoch, seq): (Epoch, u64),
        mark: Mark,
        space: Space,
        figures: Arc<Figures>,
    ) -> Result<Self, Fault> {
        let pages = Arc::new(AtomicI32::new(0));
        let seen = Arc::clone(&pages);
        conn.wal_hook(Some(move |_: &mut Wal, now| {
            seen.store(now, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            memory: Memory::load(&conn)?,
            conn,
            epoch,
            seq,
            mark,
            space,
            figures,
            log: Log {
                pages,
                copy_at: COPY_PAGES,
            },
            place: None,
            poisoned: None,
        })
    }

    /// Writes until it is closed or nobody is left to ask for anything, and then says that it
    /// ended as it should: without that, what was handed in may or may not have been written.
    pub(super) fn run(mut self, mut jobs: mpsc::UnboundedReceiver<Job>, ended: &AtomicBool) {
        let mut group = Vec::new();
        while let Some(first) = jobs.blocking_recv() {
            let mut closing = take(&mut group, first);
            let mut weight = group.first().map_or(0, |job: &Job| job.work.weight());
            while !closing
                && group.len() < limits::COMMIT_GROUP
                && weight < limits::COMMIT_GROUP_BYTES
                && let Ok(job) = jobs.try_recv()
            {
                weight += job.work.weight();
                closing = take(&mut group, job);
            }
            self.write(std::mem::take(&mut group));
            if closing {
                break;
            }
        }
        ended.store(true, Ordering::Release);
        // Dropping the queue drops the senders in it: what came too late learns of the end.
        drop(jobs);
        self.finish();
    }

    fn finish(mut self) {
        if self.poisoned.is_none()
            && let Err(error) = self.mark.sync()
        {
            tracing::warn!(%error, "the high-water mark could not be forced to disk");
        }
        self.conn.flush_prepared_statement_cache();
        if let Err((_, error)) = self.conn.close() {
            tracing::warn!(%error, "the store's database did not close cleanly");
        }
    }

    fn write(&mut self, group: Vec<Job>) {
        if group.is_empty() {
            return;
        }
        let outcomes = match &self.poisoned {
            Some(why) => vec_of(group.len(), || Err(StoreError::Unknown(why.clone()))),
            None => self.decide(&group),
        };
        for (job, outcome) in group.into_iter().zip(outcomes) {
            answer(job.work, outcome);
        }
        self.copy_log();
    }

    fn decide(&mut self, group: &[Job]) -> Vec<Outcome> {
        let mut admitted = !self.space.is_low();
        let mut mode = Mode::Together;
        // What met damaged pages. Its traces cannot be committed, so that the whole group is
        // undone and applied again without it.
        let mut spoiled = BTreeMap::new();
        let mut reliefs = [Relief::CopyLog, Relief::Ballast].into_iter();
        loop {
            let fault = match self.attempt(group, mode, admitted, &spoiled) {
                Ok(mut outcomes) => {
                    for (place, outcome) in spoiled {
                        outcomes[place] = outcome;
                    }
                    return outcomes;
                }
                Err(fault) => fault,
            };
            self.roll_back();
            match fault {
                Fault::Broken(why) => return self.poison(group.len(), why),
                Fault::Full if admitted => {
                    self.space.found_full();
                    admitted = false;
                }
                Fault::Full => match reliefs.next() {
                    Some(relief) => self.relieve(relief),
                    None => return vec_of(group.len(), || Err(StoreError::DiskFull)),
                },
                fault if fault.is_local() && mode == Mode::Together => mode = Mode::Apart,
                Fault::Corrupt(_) if self.place.is_some_and(|at| !spoiled.contains_key(&at)) => {
                    if let Some(at) = self.place {
                        spoiled.insert(at, self.without(&group[at].work, fault));
                    }
                }
                other => {
                    let error = other.into_read_error();
                    return vec_of(group.len(), || Err(error.clone()));
                }
            }
            if let Some(why) = &self.poisoned {
                return vec_of(group.len(), || Err(StoreError::Unknown(why.clone())));
            }
        }
    }

    /// Makes room for work that must go through although the disk is full.
    fn relieve(&mut self, relief: Relief) {
        if relief == Relief::Ballast {
            let had = self.space.drop_ballast();
            tracing::warn!(had, "the disk is full: the ballast was let go of");
        }
        self.copy(CheckpointMode::RESTART, RELIEF_WAIT);
    }

    /// Applies and commits a group; after a fault nothing of it is in the database, unless the
    /// fault is `Broken`.
    fn attempt(
        &mut self,
        group: &[Job],
        mode: Mode,
        admitted: bool,
        spoiled: &BTreeMap<usize, Outcome>,
    ) -> Result<Vec<Outcome>, Fault> {
        self.place = None;
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let before = self.conn.total_changes();
        let mut total = Delta::default();
        let mut outcomes = Vec::with_capacity(group.len());
        for (place, job) in group.iter().enumerate() {
            if spoiled.contains_key(&place) {
                outcomes.push(Ok(Answer::Nothing));
                continue;
            }
            self.place = Some(place);
            if !admitted && brings_work(&job.work) {
                outcomes.push(Err(StoreError::DiskFull));
                continue;
            }
            outcomes.push(self.apply(job, mode, &mut total)?);
        }
        self.place = None;
        let new_ids = total.greatest > self.figures.greatest.load(Ordering::Relaxed);
        if self.conn.total_changes() == before && !new_ids {
            // Nothing to make durable; DDL of a sweep changes no row but is committed too.
            self.conn
                .prepare_cached("COMMIT")?
                .execute([])
                .map_err(uncertain)?;
        } else {
            total.write(&self.conn, self.seq as i64 + 1)?;
            self.conn
                .prepare_cached("COMMIT")?
                .execute([])
                .map_err(uncertain)?;
            self.seq += 1;
            self.figures.syncs.fetch_add(1, Ordering::Relaxed);
            // The group is on disk: it is acknowledged even if its mark cannot be moved, for a
            // mark that lags is harmless.
            if let Err(error) = self.mark.advance(self.seq) {
                tracing::warn!(%error, "the high-water mark lags");
            }
        }
        self.publish(&total);
        Ok(outcomes)
    }

    /// Applies one piece of work; its own faults are its outcome, others end the attempt.
    fn apply(&mut self, job: &Job, mode: Mode, total: &mut Delta) -> Result<Outcome, Fault> {
        if mode == Mode::Apart {
            self.conn.prepare_cached("SAVEPOINT apart")?.execute([])?;
        }
        let mut applier = Applier::new(&self.conn, &mut self.memory, self.epoch);
        let applied = match &job.work {
            Work::Commit(transaction, _) => applier.commit(transaction).map(Answer::Done),
            Work::GoOn(rest, _) => applier.go_on(rest).map(Answer::Done),
            Work::BeginAnswer(begin, _) => answers::begin(&mut applier, begin).map(Answer::Begun),
            Work::FinishAnswer(key, answer, _) => {
                answers::finish(&mut applier, key, answer.as_ref()).map(|()| Answer::Nothing)
            }
            Work::Claim(runs, now, _) => applier.claim(runs, *now).map(Answer::Claimed),
            Work::Sweep(step, _) => sweep::step(&mut applier, *step).map(Answer::Stepped),
            Work::Close => Ok(Answer::Nothing),
        };
        let delta = applier.delta;
        let outcome = match applied {
            Ok(answer) => {
                total.add(delta);
                Ok(answer)
            }
            Err(Fault::Conflict(key)) => Err(StoreError::Conflict(key)),
            Err(fault @ (Fault::Refused(_) | Fault::Malformed(_))) if mode == Mode::Apart => {
                self.conn.prepare_cached("ROLLBACK TO apart")?.execute([])?;
                self.memory = Memory::load(&self.conn)?;
                Err(fault.into_read_error())
            }
            Err(fault) => return Err(fault),
        };
        if mode == Mode::Apart {
            self.conn.prepare_cached("RELEASE apart")?.execute([])?;
        }
        Ok(outcome)
    }

    /// The outcome of work that met damage and was undone: a sweep goes on behind it.
    fn without(&self, work: &Work, fault: Fault) -> Outcome {
        match work {
            Work::Sweep(step, _) => sweep::past(&self.conn, *step, &fault)
                .map(Answer::Stepped)
                .map_err(Fault::into_read_error),
            _ => Err(fault.into_read_error()),
        }
    }

    fn publish(&self, total: &Delta) {
        let figures = &self.figures;
        figures
            .greatest
            .fetch_max(total.greatest, Ordering::Release);
        figures.commits.fetch_add(total.commits, Ordering::Relaxed);
        figures.stale.fetch_add(total.stale, Ordering::Relaxed);
        figures
            .duplicates
            .fetch_add(total.duplicates, Ordering::Relaxed);
    }

    /// Undoes a failed attempt; SQLite may already have done so.
    fn roll_back(&mut self) {
        if !self.conn.is_autocommit()
            && let Err(error) = self.conn.execute_batch("ROLLBACK")
        {
            self.poisoned
                .get_or_insert(format!("a rollback failed: {error}"));
            return;
        }
        match Memory::load(&self.conn) {
            Ok(memory) => self.memory = memory,
            Err(fault) => {
                self.poisoned
                    .get_or_insert(format!("reading back failed: {fault:?}"));
            }
        }
    }

    fn poison(&mut self, count: usize, why: String) -> Vec<Outcome> {
        tracing::error!(
            %why,
            "the disk failed while writing; no change is accepted until a restart"
        );
        // The log is all that can be trusted now, by its checksums: closing must not copy out of
        // it what the kernel may no longer have as it was written.
        let keep_log = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
        if let Err(error) = self.conn.set_db_config(keep_log, true) {
            tracing::error!(%error, "the log will be copied when the store is closed");
        }
        self.poisoned = Some(why.clone());
        vec_of(count, || Err(StoreError::Unknown(why.clone())))
    }

    /// Copies the log into the database when it has grown, so that it is written from its start
    /// again; sooner when room is scarce.
    fn copy_log(&mut self) {
        let pages = self.log.pages.load(Ordering::Relaxed);
        let due = pages >= self.log.copy_at || (self.space.was_low() && pages >= COPY_PAGES / 8);
        if self.poisoned.is_some() || !due {
            return;
        }
        let mode = if pages >= COPY_PAGES * COPY_WAITING {
            CheckpointMode::RESTART
        } else {
            CheckpointMode::PASSIVE
        };
        self.copy(mode, Duration::ZERO);
    }

    /// Explicitly, because SQLite's own way would hide a failed fsync. All commits stand still
    /// meanwhile, so that readers are waited for at most `wait`.
    fn copy(&mut self, mode: CheckpointMode, wait: Duration) {
        if let Err(error) = self.mark.sync() {
            tracing::warn!(%error, "the high-water mark could not be forced to disk");
        }
        let pages = self.log.pages.load(Ordering::Relaxed);
        let copied = self
            .conn
            .busy_timeout(wait)
            .and_then(|()| self.conn.wal_checkpoint_v2(Some(MAIN_DB), mode));
        if let Err(error) = self.conn.busy_timeout(schema::BUSY) {
            tracing::warn!(%error, "the store does not wait for locks any more");
        }
        match copied.map_err(Fault::from) {
            Ok((in_log, copied)) if in_log == copied => {
                self.log.pages.store(0, Ordering::Relaxed);
                self.log.copy_at = COPY_PAGES;
            }
            // Someone reads, there is no room, or a tool holds a lock: the commits are safe in
            // the log, so again when it has grown by another quarter.
            Ok(_) | Err(Fault::Full | Fault::Other(_) | Fault::Corrupt(_)) => {
                self.log.copy_at = pages + COPY_PAGES / 4;
            }
            Err(fault) => {
                self.poison(0, format!("copying the log into the database: {fault:?}"));
            }
        }
    }
}

/// Adds a job to the group; whether it was the request to close.
fn take(group: &mut Vec<Job>, job: Job) -> bool {
    let closing = matches!(job.work, Work::Close);
    if !closing {
        group.push(job);
    }
    closing
}

fn vec_of<T>(count: usize, make: impl Fn() -> T) -> Vec<T> {
    (0..count).map(|_| make()).collect()
}

/// A fault of COMMIT: other than for want of room, nobody knows what the disk has kept.
fn uncertain(error: rusqlite::Error) -> Fault {
    match Fault::from(error) {
        Fault::Full => Fault::Full,
        Fault::Other(why)
        | Fault::Refused(why)
        | Fault::ReadOnly(why)
        | Fault::Corrupt(why)
        | Fault::Malformed(why)
        | Fault::Broken(why) => Fault::Broken(why),
        Fault::Conflict(key) => Fault::Broken(key),
    }
}

/// Whether work brings something new that needs room, rather than bringing work to its end.
fn brings_work(work: &Work) -> bool {
    let transaction = match work {
        Work::Commit(transaction, _) => transaction,
        Work::BeginAnswer(..) | Work::FinishAnswer(_, Some(_), _) => return true,
        _ => return false,
    };
    let Transaction {
        events,
        deliveries,
        objects,
        ..
    } = transaction;
    let grows = |change: &ObjectChange| {
        !matches!(change, ObjectChange::Delete { .. } | ObjectChange::Abort(_))
    };
    !events.is_empty() || !deliveries.is_empty() || objects.iter().any(grows)
}

/// Sends an outcome to whoever still waits for it.
fn answer(work: Work, outcome: Outcome) {
    match (work, outcome) {
        (Work::Commit(_, reply) | Work::GoOn(_, reply), outcome) => {
            let _ = reply.send(outcome.map(|answer| match answer {
                Answer::Done(done) => done,
                _ => Done::default(),
            }));
        }
        (Work::Claim(.., reply), outcome) => {
            let _ = reply.send(outcome.map(|answer| match answer {
                Answer::Claimed(claimed) => claimed,
                _ => Vec::new(),
            }));
        }
        (Work::BeginAnswer(_, reply), outcome) => {
            let _ = reply.send(outcome.and_then(|answer| match answer {
                Answer::Begun(begun) => Ok(begun),
                _ => Err(StoreError::Failed("nothing was begun".to_owned())),
            }));
        }
        (Work::FinishAnswer(.., reply), outcome) => {
            let _ = reply.send(outcome.map(drop));
        }
        (Work::Sweep(_, reply), outcome) => {
            let _ = reply.send(outcome.map(|answer| match answer {
                Answer::Stepped(stepped) => stepped,
                _ => Stepped {
                    events: 0,
                    next: None,
                },
            }));
        }
        (Work::Close, _) => {}
    }
}
