//! Feeding the backlog of one trigger to its workers.
//!
//! A feeder lives while something of its trigger is ready or has a time. It reads the heads of the
//! queue, asks the trigger's gate which of them may be started, waits for a place, claims as many
//! as there are places, and starts them. It holds no more than one page of heads, whatever the
//! backlog; while it waits the deliveries are held, which is no attempt. While the code is known
//! not to load nothing is claimed at all: the queue stays as it is on disk, and the feeder sleeps
//! until a new version wakes it.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use wakeful_core::{
    delivery::Failure,
    flow::{Plan, Start as Planned},
    id::RunId,
    limits,
    name::TriggerId,
    port::{Delivery, Intervention, Keys, ReadyQuery, StoreError},
    time::Timestamp,
};
use wakeful_workers::{Reserve, ReserveError};

use super::{Inner, attempt::Start, gates::Taken, place::Place};
use crate::live::{Duty, Version};

/// The wait before a failed change of the store, or a worker that did not start, is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The wait before a version that was just replaced, or has too many callers, is tried again.
const SHORT_PAUSE: Duration = Duration::from_millis(20);
/// A feeder looks at its queue at least this often, should a wake-up have been missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Starts that are claimed with one change of the store: more would make others wait for it.
const TOGETHER: usize = 64;
/// Heads that are shown as held while the code does not load; those behind them are queued.
const SHOWN_AS_HELD: usize = 100;

/// How others reach a running feeder.
pub(super) struct Feeder {
    wake: Notify,
    /// Counts the wake-ups, so that a feeder that ends can see that one came meanwhile.
    asked: AtomicU64,
    /// Until when it sleeps, milliseconds; what is ready later need not wake it.
    sleeps_until: AtomicI64,
    /// The earliest time, milliseconds, of what became ready since it last read the queue.
    earliest: AtomicI64,
    /// Why no worker could be started, while it waits because of that.
    no_worker: parking_lot::Mutex<Option<Failure>>,
}

impl Default for Feeder {
    fn default() -> Self {
        Self {
            wake: Notify::new(),
            asked: AtomicU64::new(0),
            sleeps_until: AtomicI64::new(i64::MAX),
            earliest: AtomicI64::new(i64::MAX),
            no_worker: parking_lot::Mutex::default(),
        }
    }
}

impl Inner {
    /// Sees to it that somebody looks at the queue of `trigger`.
    pub(super) fn feed(self: &Arc<Self>, trigger: &TriggerId) {
        self.feed_from(trigger, Timestamp::from_millis(i64::MIN));
    }

    /// The same, for something that is ready at `ready_at`.
    pub(super) fn feed_from(self: &Arc<Self>, trigger: &TriggerId, ready_at: Timestamp) {
        if self.stopping.is_cancelled() {
            return;
        }
        let mut feeders = self.feeders.lock();
        if let Some(feeder) = feeders.get(trigger) {
            feeder.asked.fetch_add(1, Ordering::SeqCst);
            let ready_at = ready_at.as_millis();
            feeder.earliest.fetch_min(ready_at, Ordering::SeqCst);
            let until = feeder.sleeps_until.load(Ordering::SeqCst);
            // A clock that was set forward may have passed the time until which it sleeps.
            if ready_at < until || until <= self.now().as_millis() {
                feeder.wake.notify_one();
            }
            return;
        }
        let feeder = Arc::new(Feeder::default());
        feeders.insert(trigger.clone(), Arc::clone(&feeder));
        let task = feed(Arc::clone(self), trigger.clone(), feeder);
        self.tasks.spawn_on(task, &self.parts.runtime);
    }

    /// Whether older deliveries of this trigger may be waiting.
    pub(super) fn has_feeder(&self, trigger: &TriggerId) -> bool {
        self.feeders.lock().contains_key(trigger)
    }

    /// Why no worker could be started for a trigger that waits for one.
    pub(super) fn no_worker(&self, trigger: &TriggerId) -> Option<Failure> {
        let feeder = self.feeders.lock().get(trigger).cloned()?;
        let failure = feeder.no_worker.lock();
        failure.clone()
    }

    /// Ends a feeder, unless it was asked again since `asked`.
    fn retire_feeder(&self, trigger: &TriggerId, feeder: &Feeder, asked: u64) -> bool {
        let mut feeders = self.feeders.lock();
        let done = feeder.asked.load(Ordering::SeqCst) == asked;
        if done {
            feeders.remove(trigger);
        }
        done
    }
}

/// What a feeder does next.
enum Then {
    /// Looks again.
    Look,
    /// Looks again after this long, whatever happens.
    Pause(Duration),
    /// Looks again at this time, or when it is woken.
    Sleep(Timestamp),
    /// Ends: there is nothing to do, or nobody to do it.
    End,
}

/// The deliveries that the history shows as held for a version.
#[derive(Default)]
struct Shown {
    version: String,
    runs: HashSet<RunId>,
}

/// Nothing here is dropped half done when the server stops: it only stops waiting.
async fn feed(inner: Arc<Inner>, trigger: TriggerId, feeder: Arc<Feeder>) {
    let mut round = Round {
        inner: &inner,
        trigger: &trigger,
        feeder: &feeder,
        shown: Shown::default(),
        behind: None,
        look_again: None,
    };
    while !inner.stopping.is_cancelled() {
        let asked = feeder.asked.load(Ordering::SeqCst);
        match round.step().await {
            Ok(Then::Look) => {}
            Ok(Then::Pause(pause)) => inner.pause(tokio::time::sleep(pause)).await,
            Ok(Then::Sleep(until)) => {
                let sleep = until.since(inner.now()).min(LONGEST_SLEEP);
                feeder
                    .sleeps_until
                    .store(until.as_millis(), Ordering::SeqCst);
                // What came before it said until when it sleeps did not wake it.
                if feeder.asked.load(Ordering::SeqCst) == asked {
                    let woken = tokio::time::timeout(sleep, feeder.wake.notified());
                    inner.pause(woken).await;
                }
                feeder.sleeps_until.store(i64::MAX, Ordering::SeqCst);
            }
            Ok(Then::End) => {
                if inner.retire_feeder(&trigger, &feeder, asked) {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%trigger, %error, "the queue of a trigger cannot be served");
                inner.pause(tokio::time::sleep(PAUSE)).await;
            }
        }
    }
}

/// What a feeder works with.
struct Round<'a> {
    inner: &'a Arc<Inner>,
    trigger: &'a TriggerId,
    feeder: &'a Feeder,
    shown: Shown,
    /// Where to read on, behind heads that are on their way.
    behind: Option<(Timestamp, RunId)>,
    /// When those before that place are to be looked at again.
    look_again: Option<Timestamp>,
}

impl Round<'_> {
    async fn step(&mut self) -> Result<Then, StoreError> {
        let inner = self.inner;
        let live = Arc::clone(&inner.parts.live.load());
        let function = super::gates::function_of(self.trigger);
        // When nothing live owns the trigger its deliveries stay queued, and a later version that
        // brings it back asks again. What is too old is found by the search for that.
        let Some((version, duty)) = function.and_then(|name| live.duty(&name, self.trigger)) else {
            return Ok(Then::End);
        };
        self.feeder.earliest.store(i64::MAX, Ordering::SeqCst);
        let page = inner.page(self.trigger, &duty.flow);
        // Of the pages before this one, if it is not the first.
        let earlier = (self.look_again.take()).filter(|_| self.behind.is_some());
        let is_first = self.behind.is_none();
        let query = ReadyQuery {
            scope: inner.parts.scope.clone(),
            trigger: self.trigger.clone(),
            now: Timestamp::from_millis(i64::MAX),
            after: self.behind.take(),
            limit: page,
        };
        let mut heads = inner.parts.store.ready(query).await?;
        let now = inner.now();
        let ready = heads.partition_point(|head| head.ready_at <= now);
        let next = heads.get(ready).map(|head| head.ready_at);
        heads.truncate(ready);
        let plan = inner.plan(self.trigger, &duty.flow, &heads);
        if self.tidy(&plan, &heads, &duty).await? {
            return Ok(Then::Look);
        }
        if !plan.starts.is_empty() {
            return self.serve(plan.starts, heads, &version, &duty).await;
        }
        let look_again = [earlier, plan.look_again].into_iter().flatten().min();
        if heads.len() == page && !plan.stopped {
            // What can be started may stand behind what is on its way.
            self.behind = heads.last().map(|head| (head.ready_at, head.id));
            self.look_again = look_again;
            return Ok(Then::Look);
        }
        let wait = [look_again, next].into_iter().flatten().min();
        Ok(match wait {
            Some(time) => Then::Sleep(time),
            None if heads.is_empty() && is_first => Then::End,
            None => Then::Sleep(now.plus(LONGEST_SLEEP)),
        })
    }

    /// Puts aside what cannot be started now; says whether there was anything.
    async fn tidy(&self, plan: &Plan, heads: &[Delivery], duty: &Duty) -> Result<bool, StoreError> {
        let expired: HashSet<RunId> = plan.expired.iter().copied().collect();
        let old = heads.iter().filter(|head| expired.contains(&head.id));
        let buried = match self.inner.expire(&old.cloned().collect::<Vec<_>>()).await {
            Ok(()) => !expired.is_empty(),
            // Its death is news for somebody, and has to wait until there is room for that; what
            // stands behind it has not.
            Err(StoreError::DiskFull) => false,
            Err(error) => return Err(error),
        };
        let parked = plan
            .parked
            .iter()
            .map(|(run, why, key)| Intervention::Park {
                run: *run,
                why: *why,
                key: key.clone(),
            });
        let deferred = plan
            .deferred
            .iter()
            .map(|(run, until)| Intervention::Defer {
                run: *run,
                until: *until,
            });
        let aside: Vec<Intervention> = parked.chain(deferred).collect();
        let mut tidied = buried || !aside.is_empty();
        if !aside.is_empty() {
            self.inner.intervene(aside).await?;
            let turns = self.inner.put_aside(self.trigger, &duty.flow, plan);
            self.inner.follow(self.trigger, turns).await;
        }
        for unpark in plan.unpark.iter().cloned() {
            let key = unpark.key.clone();
            let found = self.inner.unpark(self.trigger, unpark).await;
            tidied |= found > 0;
            if let (0, Some(key)) = (found, key) {
                self.inner.none_parked(self.trigger, &duty.flow, &key);
            }
        }
        Ok(tidied)
    }

    /// Starts these as places become free.
    async fn serve(
        &mut self,
        starts: Vec<Planned>,
        heads: Vec<Delivery>,
        version: &Arc<Version>,
        duty: &Duty,
    ) -> Result<Then, StoreError> {
        let inner = self.inner;
        if inner.unwritten.is_full(self.trigger) {
            // The store refuses to write down how others ended.
            return Ok(Then::Pause(PAUSE));
        }
        let batch = duty.flow.batch.map_or(1, |batch| batch.size as usize);
        if starts.iter().any(|start| start.runs.len() > batch) {
            // A reload is under way: its rules are live, and its gate has yet to hear of them.
            return Ok(Then::Pause(SHORT_PAUSE));
        }
        let known: HashMap<RunId, &Delivery> = heads.iter().map(|head| (head.id, head)).collect();
        let mut starts = starts.into_iter().peekable();
        while let Some(next) = starts.peek() {
            let how = match next.alone {
                true => Reserve::Alone,
                false => Reserve::Shared,
            };
            let place = inner.place_for(version, duty, how);
            let Some(place) = inner.stopping.run_until_cancelled(place).await else {
                return Ok(Then::End);
            };
            let mut place = match place {
                Ok(place) => Some(place),
                Err(refusal) => return Ok(self.refused(refusal, &heads, version).await),
            };
            *self.feeder.no_worker.lock() = None;
            let mut ready = Vec::new();
            while let Some(found) = place.take() {
                let Some(start) = starts.next() else { break };
                let runs: Vec<(RunId, &Keys)> = (start.runs.iter())
                    .filter_map(|run| Some((*run, &known.get(run)?.keys)))
                    .collect();
                let Some(taken) = inner.take(self.trigger, &duty.flow, &runs) else {
                    // Its rules say otherwise by now.
                    self.start_all(ready, version, duty).await?;
                    return Ok(Then::Look);
                };
                let alone = start.alone;
                ready.push((start.runs, found, taken));
                let more = !alone && ready.len() < TOGETHER;
                if more && starts.peek().is_some_and(|next| !next.alone) {
                    place = inner.place_now(version, duty);
                }
            }
            self.start_all(ready, version, duty).await?;
            let next = starts.peek();
            if inner.replaced(version)
                || inner.unwritten.is_full(self.trigger)
                || next.is_some_and(|it| self.overtaken(it, &known, duty))
            {
                break;
            }
        }
        Ok(Then::Look)
    }

    /// Whether something with a head start came that is before the next one that was planned: a
    /// plan may be long, and its starts wait for places.
    fn overtaken(&self, next: &Planned, known: &HashMap<RunId, &Delivery>, duty: &Duty) -> bool {
        let earliest = Timestamp::from_millis(self.feeder.earliest.load(Ordering::SeqCst));
        let planned = next.runs.iter().filter_map(|run| known.get(run));
        let planned = planned.map(|delivery| delivery.ready_at).min();
        duty.flow.priority.is_some() && planned.is_some_and(|planned| earliest < planned)
    }

    /// Why there was no place.
    async fn refused(
        &mut self,
        refusal: ReserveError,
        heads: &[Delivery],
        version: &Version,
    ) -> Then {
        match refusal {
            ReserveError::Load(failure) => self.hold(heads, version, &failure).await,
            ReserveError::NotStarted(failure) => {
                tracing::warn!(function = %version.function.name, message = failure.message,
                    "no worker could be started; what is owed waits");
                *self.feeder.no_worker.lock() = Some(failure);
                Then::Pause(PAUSE)
            }
            // A new version took over, or too many callers wait: look again.
            ReserveError::Retired | ReserveError::Overloaded => Then::Pause(SHORT_PAUSE),
        }
    }

    /// Claims them together, and starts what was claimed.
    async fn start_all(
        &self,
        ready: Vec<(Vec<RunId>, Place, Taken)>,
        version: &Arc<Version>,
        duty: &Duty,
    ) -> Result<(), StoreError> {
        if ready.is_empty() {
            return Ok(());
        }
        let inner = self.inner;
        let runs = ready.iter().flat_map(|(runs, ..)| runs.iter().copied());
        let claimed = inner.parts.store.claim(runs.collect(), inner.now()).await?;
        let mut claimed: HashMap<RunId, Delivery> = claimed
            .into_iter()
            .map(|delivery| (delivery.id, delivery))
            .collect();
        let mut outcome = Ok(());
        for (runs, place, mut taken) in ready {
            let found = runs.iter().filter_map(|run| claimed.remove(run)).collect();
            let (deliveries, error) = inner.with_events(found).await;
            outcome = outcome.and(error);
            if !deliveries.is_empty() {
                if deliveries.len() < runs.len() {
                    let claimed = deliveries.iter().map(|(delivery, _)| delivery.id);
                    taken.only(&claimed.collect(), inner.now());
                }
                inner.start(Start {
                    deliveries,
                    place,
                    version: Arc::clone(version),
                    duty: duty.clone(),
                    taken,
                });
            }
        }
        outcome
    }

    /// The code cannot be loaded: shows the first heads as held, once, and waits for a new version
    /// or until one of the heads grows too old.
    async fn hold(&mut self, heads: &[Delivery], version: &Version, failure: &Failure) -> Then {
        let inner = self.inner;
        if self.shown.version != version.id {
            self.shown = Shown {
                version: version.id.clone(),
                runs: HashSet::new(),
            };
        }
        let first = &heads[..heads.len().min(SHOWN_AS_HELD)];
        let new = first
            .iter()
            .filter(|head| !self.shown.runs.contains(&head.id));
        for head in new {
            let about = inner.about(head).await;
            inner.parts.recorder.held(head, about, failure);
        }
        self.shown.runs = first.iter().map(|head| head.id).collect();
        let earliest = heads.iter().map(|head| head.expires_at).min();
        earliest.map_or(Then::Look, Then::Sleep)
    }
}

/// Claimed deliveries with their events.
type WithEvents = Vec<(Delivery, Arc<wakeful_core::event::Event>)>;

impl Inner {
    /// Whether another version took over from this one.
    fn replaced(&self, version: &Version) -> bool {
        let live = self.parts.live.load();
        live.version(&version.function.name)
            .is_none_or(|now| now.id != version.id)
    }

    /// Reads the events of claimed deliveries, as many as one attempt may carry. What cannot be
    /// read is buried; what has no room, or could not be read now, is queued again.
    async fn with_events(
        self: &Arc<Self>,
        claimed: Vec<Delivery>,
    ) -> (WithEvents, Result<(), StoreError>) {
        let (mut found, mut back) = (Vec::with_capacity(claimed.len()), Vec::new());
        let (mut bytes, mut outcome) = (0, Ok(()));
        for delivery in claimed {
            if outcome.is_err() || (bytes > limits::MAX_BATCH_BYTES && !found.is_empty()) {
                back.push(delivery);
                continue;
            }
            match self.parts.store.event(delivery.event).await {
                Ok(Some(event)) => {
                    bytes += event.data.len();
                    if bytes > limits::MAX_BATCH_BYTES && !found.is_empty() {
                        back.push(delivery);
                    } else {
                        found.push((delivery, Arc::new(event)));
                    }
                }
                Ok(None) | Err(StoreError::Damaged(_)) => self.bury(delivery).await,
                Err(error) => {
                    back.push(delivery);
                    outcome = Err(error);
                }
            }
        }
        self.give_back(back).await;
        (found, outcome)
    }
}
