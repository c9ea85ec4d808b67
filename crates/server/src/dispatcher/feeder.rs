//! Feeding the backlog of one trigger to its workers.
//!
//! A feeder lives while its trigger is owed something. It reads the heads of the queue, waits for
//! a place, claims as many heads as there are places, and starts them. It holds no more than one
//! page of heads, whatever the backlog; while it waits for a place the deliveries are held, which
//! is no attempt.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::Notify;
use wakeful_core::{
    delivery::{DeadReason, Failure},
    id::RunId,
    limits,
    name::TriggerId,
    port::{Claim, Delivery, End, Intervention, ReadyQuery, Settlement, StoreError, Transaction},
    time::Timestamp,
};
use wakeful_workers::{Reserve, ReserveError, Slot};

use super::{Inner, attempt::Start};
use crate::live::{Duty, Version};

/// The wait before a failed read of the store, or a worker that did not start, is tried again.
const PAUSE: Duration = Duration::from_secs(1);
/// A feeder looks at its queue at least this often, should a wake-up have been missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

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
        if self.is_closed() {
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
        let stopping = self.stopping.clone();
        self.tasks.spawn_on(
            async move {
                tokio::select! {
                    () = stopping.cancelled() => {}
                    () = task => {}
                }
            },
            &self.parts.runtime,
        );
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

/// What a look at the queue found.
enum Look {
    /// These are ready.
    Ready(Vec<Delivery>),
    /// Nothing is ready before this.
    Later(Timestamp),
    /// Nothing is queued.
    Empty,
}

async fn feed(inner: Arc<Inner>, trigger: TriggerId, feeder: Arc<Feeder>) {
    loop {
        let asked = feeder.asked.load(Ordering::Relaxed);
        match look(&inner, &trigger).await {
            Ok(Look::Ready(heads)) => {
                if !serve(&inner, heads).await && inner.retire_feeder(&trigger, &feeder, asked) {
                    return;
                }
            }
            Ok(Look::Later(at)) => {
                let wait = at.since(inner.now()).min(LONGEST_SLEEP);
                let _ = tokio::time::timeout(wait, feeder.wake.notified()).await;
            }
            Ok(Look::Empty) => {
                if inner.retire_feeder(&trigger, &feeder, asked) {
                    return;
                }
            }
            Err(error) => {
                tracing::error!(%trigger, %error, "the queue of a trigger cannot be read");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn look(inner: &Inner, trigger: &TriggerId) -> Result<Look, StoreError> {
    let query = ReadyQuery {
        scope: inner.parts.scope.clone(),
        trigger: trigger.clone(),
        now: Timestamp::from_millis(i64::MAX),
        after: None,
        limit: limits::QUEUE_HEADS,
    };
    let heads = inner.parts.store.ready(query).await?;
    let now = inner.now();
    let Some(first) = heads.first() else {
        return Ok(Look::Empty);
    };
    if first.ready_at > now {
        return Ok(Look::Later(first.ready_at));
    }
    Ok(Look::Ready(
        heads
            .into_iter()
            .take_while(|head| head.ready_at <= now)
            .collect(),
    ))
}

/// Starts these deliveries as places become free. False when nothing live owns their trigger:
/// they stay queued, and a later version that brings the trigger back asks again.
async fn serve(inner: &Arc<Inner>, mut heads: Vec<Delivery>) -> bool {
    expire(inner, &mut heads).await;
    heads.reverse();
    while let Some(head) = heads.last() {
        let Some((version, duty)) = inner.parts.live.load().duty(&head.function, &head.trigger)
        else {
            return false;
        };
        let how = if head.alone {
            Reserve::Alone
        } else {
            Reserve::Shared
        };
        match version.pool.reserve(how).await {
            Ok(slot) => {
                let slots = more_slots(&version, slot, &heads);
                let batch = heads.split_off(heads.len() - slots.len());
                if let Err(error) = start_batch(inner, batch, slots, &version, &duty).await {
                    tracing::error!(%error, "deliveries could not be claimed");
                    tokio::time::sleep(PAUSE).await;
                    return true;
                }
            }
            Err(ReserveError::Load(failure)) => {
                hold(inner, heads, &version, failure).await;
                return true;
            }
            Err(ReserveError::NotStarted(failure)) => {
                tracing::warn!(function = %version.function.name, message = failure.message,
                    "no worker could be started; what is owed waits");
                tokio::time::sleep(PAUSE).await;
                return true;
            }
            // A new version took over, or too many callers wait: look again.
            Err(ReserveError::Retired | ReserveError::Overloaded) => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                return true;
            }
        }
    }
    true
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

/// What has grown too old becomes a dead letter without being started.
async fn expire(inner: &Arc<Inner>, heads: &mut Vec<Delivery>) {
    let now = inner.now();
    let (old, fresh) = std::mem::take(heads)
        .into_iter()
        .partition(|head| head.expires_at <= now);
    *heads = fresh;
    let old: Vec<Delivery> = old;
    if old.is_empty() {
        return;
    }
    let expire = |delivery: &Delivery| Intervention::Expire {
        run: delivery.id,
        at: now,
    };
    match inner.intervene(old.iter().map(expire).collect()).await {
        Ok(done) => {
            for delivery in old.iter().filter(|delivery| done.contains(&delivery.id)) {
                let about = inner.about(delivery).await;
                inner
                    .parts
                    .recorder
                    .dead(delivery, about, DeadReason::TooOld, now);
            }
        }
        Err(error) => tracing::error!(%error, "old deliveries could not be set aside"),
    }
}

/// The code cannot be loaded: the heads wait for a new version, uncharged.
async fn hold(inner: &Arc<Inner>, heads: Vec<Delivery>, version: &Version, failure: Failure) {
    let runs = heads.iter().map(|delivery| delivery.id).collect();
    let claimed = match inner.parts.store.claim(runs, inner.now()).await {
        Ok(claimed) => claimed,
        Err(error) => {
            tracing::error!(%error, "deliveries could not be held");
            tokio::time::sleep(PAUSE).await;
            return;
        }
    };
    let settle = |delivery: &Delivery| Settlement {
        claim: inner.claim_of(delivery),
        end: End::HeldForVersion {
            version: version.id.clone(),
            failure: failure.clone(),
        },
    };
    let settlements = claimed.iter().map(settle).collect();
    let transaction = Transaction {
        settlements,
        ..Transaction::default()
    };
    if let Err(error) = inner.parts.store.commit(transaction).await {
        tracing::error!(%error, "deliveries could not be held");
        tokio::time::sleep(PAUSE).await;
        return;
    }
    for delivery in &claimed {
        inner
            .parts
            .recorder
            .held(delivery, inner.about(delivery).await, &failure);
    }
}

impl Inner {
    pub(super) fn claim_of(&self, delivery: &Delivery) -> Claim {
        Claim {
            run: delivery.id,
            epoch: self.parts.store.epoch(),
            start: delivery.starts,
        }
    }
}
