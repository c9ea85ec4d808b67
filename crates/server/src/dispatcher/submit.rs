//! Taking events in: one submission, one transaction.

use std::{collections::HashMap, sync::Arc};

use wakeful_core::{
    event::{Event, Origin},
    id::EventId,
    name::{TopicName, TriggerId},
    port::{
        Arrival, Committed, NewDelivery, Receipt, Reply, Sink, Submission, SubmitError, Transaction,
    },
    time::Timestamp,
};

use super::{Dispatcher, Inner, attempt::Start, gates::Taken, place::Place};
use crate::live::{Duty, Live, Version};

impl Sink for Dispatcher {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.submit(submission).await })
    }
}

/// Events with what they are owed, before the commit.
#[derive(Default)]
pub(super) struct Prepared {
    events: Vec<Arc<Event>>,
    planned: Vec<Planned>,
}

/// A delivery that is about to be committed, with the place that was reserved for it.
struct Planned {
    delivery: NewDelivery,
    event: Arc<Event>,
    start: Option<Reserved>,
}

struct Reserved {
    place: Place,
    version: Arc<Version>,
    duty: Duty,
    taken: Taken,
}

impl Prepared {
    /// What of it the transaction writes.
    pub(super) fn write_into(&self, transaction: &mut Transaction) {
        let events = self.events.iter().map(|event| Event::clone(event));
        transaction.events.extend(events);
        let deliveries = self.planned.iter().map(|plan| plan.delivery.clone());
        transaction.deliveries.extend(deliveries);
    }

    /// Gives back the places that were reserved: nothing of it is born claimed any more.
    pub(super) fn let_go(&mut self) {
        for plan in &mut self.planned {
            plan.start = None;
            plan.delivery.claimed = false;
        }
    }

    /// Adds what another one has.
    pub(super) fn extend(&mut self, other: Self) {
        self.events.extend(other.events);
        self.planned.extend(other.planned);
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub(super) fn ids(&self) -> Vec<EventId> {
        self.events.iter().map(|event| event.key).collect()
    }
}

impl Inner {
    pub(super) async fn submit(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<Receipt, SubmitError> {
        if self.closed.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let prepared = self.prepare(submission.arrivals)?;
        let mut transaction = Transaction {
            checkpoints: submission.checkpoint.into_iter().collect(),
            objects: submission.objects,
            ..Transaction::default()
        };
        prepared.write_into(&mut transaction);
        let inner = Arc::clone(self);
        // To the end, also when nobody waits for the receipt any more.
        let work = async move {
            let committed = inner.parts.store.commit(transaction).await?;
            Ok(inner.begin(prepared, committed))
        };
        self.to_the_end(work).await
    }

    /// Gives what was handed in its envelope, and finds out what it is owed.
    pub(super) fn prepare(&self, arrivals: Vec<Arrival>) -> Result<Prepared, SubmitError> {
        let live = self.parts.live.load();
        let mut prepared = Prepared::default();
        for mut arrival in arrivals {
            if let Origin::Topic(topic) = &arrival.origin {
                declared(&live, topic)?;
            }
            let wishes = std::mem::take(&mut arrival.wishes);
            let dedup_id = arrival.dedup_id.clone();
            let event = Arc::new(self.event(arrival));
            for delivery in self.owed(&live, &event, dedup_id.as_deref(), &wishes)? {
                let plan = self.with_place(&live, delivery, &event);
                prepared.planned.push(plan);
            }
            prepared.events.push(event);
        }
        Ok(prepared)
    }

    /// Reserves a place when one is free now, nothing older waits for the trigger, its rules let
    /// it start and the server does not stop. What was taken goes back by being dropped.
    fn with_place(&self, live: &Live, mut delivery: NewDelivery, event: &Arc<Event>) -> Planned {
        let waits = self.stopping.is_cancelled()
            || delivery.dead.is_some()
            || delivery.debounce.is_some()
            || delivery.ready_at > self.now()
            || self.has_feeder(&delivery.trigger);
        let start = (!waits)
            .then(|| self.reserve_now(live, &delivery))
            .flatten();
        delivery.claimed = start.is_some();
        Planned {
            delivery,
            event: Arc::clone(event),
            start,
        }
    }

    fn reserve_now(&self, live: &Live, delivery: &NewDelivery) -> Option<Reserved> {
        let (version, duty) = live.duty(&delivery.function, &delivery.trigger)?;
        if duty.flow.batch.is_some() {
            return None;
        }
        let place = self.place_now(&version, &duty)?;
        let starts = [(delivery.id, &delivery.keys)];
        let taken = self.take(&delivery.trigger, &duty.flow, &starts)?;
        Some(Reserved {
            place,
            version,
            duty,
            taken,
        })
    }

    /// After the commit: starts what was born claimed, sees to it that the rest is fed.
    pub(super) fn begin(self: &Arc<Self>, prepared: Prepared, committed: Committed) -> Receipt {
        let now = self.now();
        let mut receipt = Receipt {
            events: prepared.ids(),
            runs: Vec::with_capacity(prepared.planned.len()),
            duplicates: committed.duplicates,
        };
        let mut waiting: HashMap<TriggerId, Timestamp> = HashMap::new();
        for plan in prepared.planned {
            let run = plan.delivery.id;
            let repeats = receipt.duplicates.iter().find(|(new, _)| *new == run);
            if let Some((_, of)) = repeats {
                self.parts
                    .recorder
                    .skipped(&plan.delivery, &plan.event, *of, now);
                continue;
            }
            receipt.runs.push(run);
            if let Some((old, _)) = committed.superseded.iter().find(|(_, by)| *by == run) {
                let recorder = &self.parts.recorder;
                recorder.superseded(*old, &plan.delivery, &plan.event, now);
            }
            if committed.unclaimed.contains(&run) {
                // Whoever is ahead of it sees to it that it is fed.
                let delivery = plan.delivery.queued();
                self.parts.recorder.accepted(&delivery, &plan.event);
                continue;
            }
            let ready_at = plan.delivery.ready_at;
            if let Some(waits) = self.start_or_wait(plan, now) {
                let earliest = waiting.entry(waits).or_insert(ready_at);
                *earliest = ready_at.min(*earliest);
            }
        }
        for (trigger, ready_at) in waiting {
            self.feed_from(&trigger, ready_at);
        }
        for trigger in committed.released {
            self.feed(&trigger);
        }
        receipt
    }

    /// Starts it when it was born claimed; replies its trigger when it waits.
    fn start_or_wait(self: &Arc<Self>, plan: Planned, now: Timestamp) -> Option<TriggerId> {
        let died = plan.delivery.dead;
        let delivery = match plan.start {
            Some(_) => plan.delivery.started(),
            None => plan.delivery.queued(),
        };
        if let Some(reason) = died {
            let recorder = &self.parts.recorder;
            recorder.born_dead(&delivery, &plan.event, reason, now);
            return None;
        }
        self.parts.recorder.accepted(&delivery, &plan.event);
        let Some(reserved) = plan.start else {
            return Some(delivery.trigger);
        };
        self.start(Start {
            deliveries: vec![(delivery, plan.event)],
            place: reserved.place,
            version: reserved.version,
            duty: reserved.duty,
            taken: reserved.taken,
        });
        None
    }
}

/// Events of topics that nobody declared are refused: a typo would lose them.
fn declared(live: &Live, topic: &TopicName) -> Result<(), SubmitError> {
    let mut known = live.project.topics.keys();
    match known.any(|pattern| pattern.matches(topic)) {
        true => Ok(()),
        false => Err(SubmitError::NoSuchTopic(topic.clone())),
    }
}
