//! Taking events in: one submission, one transaction.

use std::{collections::HashSet, sync::Arc};

use wakeful_core::{
    delivery::State,
    event::{Event, Origin},
    id::{EventId, RunId},
    limits,
    name::{FunctionName, TriggerId},
    port::{
        Arrival, Committed, Dedup, Delivery, NewDelivery, Receipt, Reply, Sink, Submission,
        SubmitError, Transaction,
    },
    retry::RetryPolicy,
};
use wakeful_workers::Slot;

use super::{Dispatcher, Inner, attempt::Start};
use crate::live::{Duty, Live, Version, source_uri};

impl Sink for Dispatcher {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move { inner.submit(submission).await })
    }
}

/// A delivery that is about to be committed, with the place that was reserved for it.
struct Planned {
    delivery: NewDelivery,
    event: Arc<Event>,
    start: Option<Reserved>,
}

struct Reserved {
    slot: Slot,
    version: Arc<Version>,
    duty: Duty,
}

impl Inner {
    pub(super) async fn submit(
        self: &Arc<Self>,
        submission: Submission,
    ) -> Result<Receipt, SubmitError> {
        if self.closed.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let mut planned = Vec::new();
        let mut events = Vec::with_capacity(submission.arrivals.len());
        for arrival in submission.arrivals {
            let dedup = arrival.dedup_id.clone();
            let event = Arc::new(self.event(arrival));
            self.plan(&event, dedup.as_deref(), &mut planned);
            events.push(event);
        }
        let receipt_events = events.iter().map(|event| event.key).collect();
        let transaction = Transaction {
            events: events.iter().map(|event| Event::clone(event)).collect(),
            deliveries: planned.iter().map(|plan| plan.delivery.clone()).collect(),
            checkpoints: submission.checkpoint.into_iter().collect(),
            objects: submission.objects,
            ..Transaction::default()
        };
        self.accept(planned, transaction, receipt_events).await
    }

    /// Commits one delivery that no trigger of the manifest asks for: an invocation by name.
    pub(super) async fn submit_for(
        self: &Arc<Self>,
        event: Event,
        function: FunctionName,
        trigger: TriggerId,
    ) -> Result<Receipt, SubmitError> {
        if self.closed.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let event = Arc::new(event);
        let delivery = self.new_delivery(&event, function, trigger, &RetryPolicy::default(), None);
        let planned = vec![self.with_place(delivery, &event)];
        let transaction = Transaction {
            events: vec![Event::clone(&event)],
            deliveries: planned.iter().map(|plan| plan.delivery.clone()).collect(),
            ..Transaction::default()
        };
        self.accept(planned, transaction, vec![event.key]).await
    }

    /// Commits, then starts: to the end, also when nobody waits for the receipt any more.
    async fn accept(
        self: &Arc<Self>,
        planned: Vec<Planned>,
        transaction: Transaction,
        events: Vec<EventId>,
    ) -> Result<Receipt, SubmitError> {
        let inner = Arc::clone(self);
        let work = async move {
            let committed = inner.parts.store.commit(transaction).await?;
            let runs = inner.begin(planned, &committed);
            Ok(Receipt {
                events,
                runs,
                duplicates: committed.duplicates.len(),
            })
        };
        self.to_the_end(work).await
    }

    /// The envelope around what a source handed in.
    pub(super) fn event(&self, arrival: Arrival) -> Event {
        let key = self.parts.ids.event(self.now());
        let (kind, name) = match &arrival.origin {
            Origin::Bucket(bucket) => ("bucket", bucket.as_str()),
            Origin::Table(database, _) => ("database", database.as_str()),
            Origin::Schedule(trigger) => ("schedule", trigger.as_str()),
            Origin::Http(trigger) => ("http", trigger.as_str()),
            Origin::Invoke(function) => ("function", function.as_str()),
        };
        Event {
            key,
            id: arrival.dedup_id.unwrap_or_else(|| key.to_string()),
            source: source_uri(&self.parts.scope, kind, name),
            kind: format!("wakeful.{kind}.{}", arrival.verb),
            origin: arrival.origin,
            subject: arrival.subject,
            time: arrival.time,
            content_type: arrival.content_type,
            data: arrival.data,
        }
    }

    fn plan(&self, event: &Arc<Event>, dedup: Option<&str>, planned: &mut Vec<Planned>) {
        let live: arc_swap::Guard<Arc<Live>> = self.parts.live.load();
        for trigger in live.triggers.woken_by(event) {
            let dedup = dedup.map(|id| Dedup {
                key: format!("{}\n{id}", event.source),
                window: limits::DEDUP_WINDOW,
            });
            let function = trigger.function.clone();
            let delivery =
                self.new_delivery(event, function, trigger.id.clone(), &trigger.retry, dedup);
            planned.push(self.with_place(delivery, event));
        }
    }

    fn new_delivery(
        &self,
        event: &Event,
        function: FunctionName,
        trigger: TriggerId,
        retry: &RetryPolicy,
        dedup: Option<Dedup>,
    ) -> NewDelivery {
        let now = self.now();
        NewDelivery {
            id: self.parts.ids.run(now),
            scope: self.parts.scope.clone(),
            event: event.key,
            trigger,
            function,
            ordering_key: None,
            ready_at: now,
            expires_at: now.plus(retry.max_age),
            claimed: false,
            dedup,
        }
    }

    /// Reserves a place on a worker when one is free now, nothing older waits for the trigger and
    /// the server does not stop.
    fn with_place(&self, mut delivery: NewDelivery, event: &Arc<Event>) -> Planned {
        let start = (!self.stopping.is_cancelled() && !self.has_feeder(&delivery.trigger))
            .then(|| {
                let live = self.parts.live.load();
                let (version, duty) = live.duty(&delivery.function, &delivery.trigger)?;
                let slot = version.pool.try_reserve()?;
                Some(Reserved {
                    slot,
                    version,
                    duty,
                })
            })
            .flatten();
        delivery.claimed = start.is_some();
        Planned {
            delivery,
            event: Arc::clone(event),
            start,
        }
    }

    /// After the commit: starts what was born claimed, wakes the feeders of the rest.
    fn begin(self: &Arc<Self>, planned: Vec<Planned>, committed: &Committed) -> Vec<RunId> {
        let mut runs = Vec::with_capacity(planned.len());
        let mut waiting: HashSet<TriggerId> = HashSet::new();
        for plan in planned {
            if committed.duplicates.contains(&plan.delivery.id) {
                continue;
            }
            runs.push(plan.delivery.id);
            let delivery = stored(plan.delivery);
            self.parts.recorder.accepted(&delivery, &plan.event);
            match plan.start {
                Some(Reserved {
                    slot,
                    version,
                    duty,
                }) => {
                    let ready_at = delivery.ready_at;
                    let event = plan.event;
                    self.start(Start {
                        delivery,
                        event,
                        slot,
                        version,
                        duty,
                        ready_at,
                    });
                }
                None => {
                    waiting.insert(delivery.trigger);
                }
            }
        }
        for trigger in waiting {
            self.feed(&trigger);
        }
        runs
    }
}

/// A new delivery as the store has it after the commit.
fn stored(new: NewDelivery) -> Delivery {
    let started = u32::from(new.claimed);
    Delivery {
        partition: new.partition(),
        state: if new.claimed {
            State::Running
        } else {
            State::Queued
        },
        id: new.id,
        scope: new.scope,
        event: new.event,
        trigger: new.trigger,
        function: new.function,
        ordering_key: new.ordering_key,
        starts: started,
        attempts: started,
        ready_at: new.ready_at,
        expires_at: new.expires_at,
        alone: false,
        held_for: None,
        dead: None,
        failure: None,
    }
}
