//! Feeding the backlog of one trigger to its workers.
//!
//! A feeder lives while its trigger is owed something. It reads the heads of the queue, waits for
//! a place, claims as many heads as there are places, and starts them. It holds no more than one
//! page of heads, whatever the backlog; while it waits for a place the deliveries are held, which
//! is no attempt. While the code is known not to load nothing is claimed at all: the queue stays
//! as it is on disk, and the feeder sleeps until a new version wakes it.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use wakeful_core::{
    delivery::Failure,
    id::RunId,
    limits,
    name::TriggerId,
    port::{Delivery, ReadyQuery, StoreError},
    time::Timestamp,
};
use wakeful_workers::{Reserve, ReserveError, Slot};

use super::{Inner, attempt::Start};
use crate::live::{Duty, Version};

/// The wait before a failed change of the store, or a worker that did not start, is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// The wait before a version that was just replaced, or has too many callers, is tried again.
const SHORT_PAUSE: Duration = Duration::from_millis(20);
/// A feeder looks at its queue at least this often, should a wake-up have been missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// Heads that are shown as held while the code does not load; those behind them are queued.
const SHOWN_AS_HELD: usize = 100;

/// How others reach a running feeder.
#[derive(Default)]
pub(super) struct Feeder {
    wake: Notify,
    /// Counts the wake-ups, so that a feeder that ends can see that one came meanwhile.
    asked: AtomicU64,
}

impl Inner {
    /// Sees to it that somebody looks at the queue of `trigger`.
    pub(super) fn feed(self: &Arc<Self>, trigger: &TriggerId) {
        if self.stopping.is_cancelled() {
            return;
        }
        let mut feeders = self.feeders.lock();
        if let Some(feeder) = feeders.get(trigger) {
            feeder.asked.fetch_add(1, Ordering::Relaxed);
            feeder.wake.notify_one();
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

    /// Ends a feeder, unless it was asked again since `asked`.
    fn retire_feeder(&self, trigger: &TriggerId, feeder: &Feeder, asked: u64) -> bool {
        let mut feeders = self.feeders.lock();
        let done = feeder.asked.load(Ordering::Relaxed) == asked;
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
    let mut shown = Shown::default();
    while !inner.stopping.is_cancelled() {
        let asked = feeder.asked.load(Ordering::Relaxed);
        match step(&inner, &trigger, &mut shown).await {
            Ok(Then::Look) => {}
            Ok(Then::Pause(pause)) => inner.pause(tokio::time::sleep(pause)).await,
            Ok(Then::Sleep(until)) => {
                let sleep = until.since(inner.now()).min(LONGEST_SLEEP);
                let woken = tokio::time::timeout(sleep, feeder.wake.notified());
                inner.pause(woken).await;
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

async fn step(
    inner: &Arc<Inner>,
    trigger: &TriggerId,
    shown: &mut Shown,
) -> Result<Then, StoreError> {
    let query = ReadyQuery {
        scope: inner.parts.scope.clone(),
        trigger: trigger.clone(),
        now: Timestamp::from_millis(i64::MAX),
        after: None,
        limit: limits::QUEUE_HEADS,
    };
    let heads = inner.parts.store.ready(query).await?;
    let now = inner.now();
    match heads.first() {
        None => Ok(Then::End),
        Some(first) if first.ready_at > now => Ok(Then::Sleep(first.ready_at)),
        Some(_) => {
            let ready = heads.into_iter().take_while(|head| head.ready_at <= now);
            serve(inner, ready.collect(), shown).await
        }
    }
}

/// Starts these deliveries as places become free. When nothing live owns their trigger they stay
/// queued, and a later version that brings the trigger back asks again.
async fn serve(
    inner: &Arc<Inner>,
    heads: Vec<Delivery>,
    shown: &mut Shown,
) -> Result<Then, StoreError> {
    let now = inner.now();
    let (old, mut heads): (Vec<_>, Vec<_>) =
        heads.into_iter().partition(|head| head.expires_at <= now);
    inner.expire(&old).await?;
    heads.reverse();
    while let Some(head) = heads.last() {
        let Some((version, duty)) = inner.parts.live.load().duty(&head.function, &head.trigger)
        else {
            return Ok(Then::End);
        };
        let how = if head.alone {
            Reserve::Alone
        } else {
            Reserve::Shared
        };
        let reserved = version.pool.reserve(how);
        let Some(reserved) = inner.stopping.run_until_cancelled(reserved).await else {
            return Ok(Then::End);
        };
        match reserved {
            Ok(slot) => {
                let slots = more_slots(&version, slot, &heads);
                let batch = heads.split_off(heads.len() - slots.len());
                start_batch(inner, batch, slots, &version, &duty).await?;
            }
            Err(ReserveError::Load(failure)) => {
                heads.reverse();
                return Ok(hold(inner, &heads, &version, &failure, shown).await);
            }
            Err(ReserveError::NotStarted(failure)) => {
                tracing::warn!(function = %version.function.name, message = failure.message,
                    "no worker could be started; what is owed waits");
                return Ok(Then::Pause(PAUSE));
            }
            // A new version took over, or too many callers wait: look again.
            Err(ReserveError::Retired | ReserveError::Overloaded) => {
                return Ok(Then::Pause(SHORT_PAUSE));
            }
        }
    }
    Ok(Then::Look)
}

/// The slot, and as many more as are free now and the heads (last one first) can use.
fn more_slots(version: &Version, slot: Slot, heads: &[Delivery]) -> Vec<Slot> {
    let mut slots = vec![slot];
    if heads.last().is_some_and(|head| head.alone) {
        return slots;
    }
    let shareable = heads.iter().rev().take_while(|head| !head.alone).count();
    while slots.len() < shareable {
        let Some(slot) = version.pool.try_reserve() else {
            break;
        };
        slots.push(slot);
    }
    slots
}

async fn start_batch(
    inner: &Arc<Inner>,
    batch: Vec<Delivery>,
    slots: Vec<Slot>,
    version: &Arc<Version>,
    duty: &Duty,
) -> Result<(), StoreError> {
    let runs: Vec<RunId> = batch.iter().rev().map(|delivery| delivery.id).collect();
    let claimed = inner.parts.store.claim(runs, inner.now()).await?;
    let mut outcome = Ok(());
    for (delivery, slot) in claimed.into_iter().zip(slots) {
        let ready_at = delivery.ready_at;
        match inner.parts.store.event(delivery.event).await {
            Ok(Some(event)) => inner.start(Start {
                delivery,
                event: Arc::new(event),
                slot,
                version: Arc::clone(version),
                duty: duty.clone(),
                ready_at,
            }),
            Ok(None) | Err(StoreError::Damaged(_)) => inner.bury(delivery).await,
            Err(error) => {
                inner.give_back(delivery).await;
                outcome = Err(error);
            }
        }
    }
    outcome
}

/// The code cannot be loaded: shows the first heads as held, once, and waits for a new version
/// or until one of the heads grows too old.
async fn hold(
    inner: &Inner,
    heads: &[Delivery],
    version: &Version,
    failure: &Failure,
    shown: &mut Shown,
) -> Then {
    if shown.version != version.id {
        *shown = Shown {
            version: version.id.clone(),
            runs: HashSet::new(),
        };
    }
    let first = &heads[..heads.len().min(SHOWN_AS_HELD)];
    for head in first.iter().filter(|head| !shown.runs.contains(&head.id)) {
        let about = inner.about(head).await;
        inner.parts.recorder.held(head, about, failure);
    }
    shown.runs = first.iter().map(|head| head.id).collect();
    let earliest = heads.iter().map(|head| head.expires_at).min();
    earliest.map_or(Then::Look, Then::Sleep)
}
