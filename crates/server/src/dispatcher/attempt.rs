//! One attempt, from a reserved place to its settlement.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    event::Event,
    id::RunId,
    limits,
    port::Delivery,
    time::Timestamp,
};
use wakeful_workers::{Call, Invocation, Slot, What, WorkerRef};

use super::{Inner, batch, gates::Taken, place::Place, request, settle::Attempted};
use crate::{
    attempts::{AttemptKey, Underway},
    destinations,
    live::{Duty, Task, Version},
};

/// Everything an attempt needs.
pub(super) struct Start {
    /// The deliveries it serves, claimed, with their events: one, or those of a batch.
    pub deliveries: Vec<(Delivery, Arc<Event>)>,
    /// The place reserved for it.
    pub place: Place,
    /// The version that runs it.
    pub version: Arc<Version>,
    /// What is to be done, and the rules for it.
    pub duty: Duty,
    /// What was taken from the rules for it.
    pub taken: Taken,
}

/// How an attempt as a whole ended.
struct Answered {
    outcome: Result<Bytes, Failure>,
    worker: WorkerRef,
}

impl Inner {
    /// Starts user code; the task ends with the settlement.
    pub(super) fn start(self: &Arc<Self>, start: Start) {
        let task = run(Arc::clone(self), start);
        self.tasks.spawn_on(task, &self.parts.runtime);
    }

    /// Says what the attempt is for, before its code can call back.
    fn announce(&self, deliveries: &[(Delivery, Arc<Event>)]) -> Underway {
        let served = deliveries
            .iter()
            .map(|(delivery, event)| (delivery, &**event));
        self.parts.attempts.serving(key_of(deliveries), served)
    }
}

async fn run(inner: Arc<Inner>, start: Start) {
    let Start {
        deliveries,
        place,
        version,
        duty,
        mut taken,
    } = start;
    let started_at = inner.now();
    let clock = Instant::now();
    for (delivery, event) in &deliveries {
        inner.parts.recorder.started(delivery, event);
    }
    taken.started();
    let underway = inner.announce(&deliveries);
    let answered = match (place, &duty.task) {
        (Place::Worker(slot), Task::Request { handler }) => {
            answer_request(&inner, slot, *handler, &deliveries).await
        }
        (Place::Worker(slot), task) => {
            let handler = task.handler().unwrap_or_default();
            call_with_events(slot, handler, &deliveries, &duty).await
        }
        (Place::Sender(_permit), task) => send(task, &deliveries, &version).await,
    };
    let took = clock.elapsed();
    let outcomes = outcomes(answered.outcome, &deliveries, &duty);
    let attempted = Attempted {
        deliveries,
        outcomes,
        worker: answered.worker,
        version,
        duty,
        started_at,
        took,
        underway,
    };
    inner.conclude(attempted, &taken).await;
}

/// The outcome of each delivery that the attempt served.
fn outcomes(
    outcome: Result<Bytes, Failure>,
    deliveries: &[(Delivery, Arc<Event>)],
    duty: &Duty,
) -> Vec<Result<Bytes, Failure>> {
    match (outcome, duty.flow.batch) {
        (Ok(result), Some(_)) => batch::outcomes(&result, deliveries),
        (outcome, _) => vec![outcome; deliveries.len()],
    }
}

async fn call_with_events(
    slot: Slot,
    handler: u16,
    deliveries: &[(Delivery, Arc<Event>)],
    duty: &Duty,
) -> Answered {
    let what = match (duty.flow.batch, deliveries) {
        (None, [(_, event)]) => What::Event {
            json: Bytes::from(event.to_json()),
        },
        _ => What::Batch(deliveries.iter().map(batch::batched).collect()),
    };
    let worker = slot.info();
    let Some(mut call) = start_call(slot, handler, deliveries, what) else {
        return nothing_to_do(worker);
    };
    let worker = call.worker();
    let outcome = result(&mut call).await;
    Answered { outcome, worker }
}

/// What names the attempt: of a batch its first delivery.
fn key_of(deliveries: &[(Delivery, Arc<Event>)]) -> AttemptKey {
    let first = deliveries.first();
    first.map_or((RunId::from_raw(0), 0), |(first, _)| {
        (first.id, first.starts)
    })
}

fn start_call(
    slot: Slot,
    handler: u16,
    deliveries: &[(Delivery, Arc<Event>)],
    what: What,
) -> Option<Call> {
    deliveries.first()?;
    let (run, attempt) = key_of(deliveries);
    Some(slot.start(Invocation {
        run,
        attempt,
        handler,
        timeout: None,
        what,
    }))
}

fn nothing_to_do(worker: WorkerRef) -> Answered {
    let failure = Failure::ours(FailureKind::NotStarted, "an attempt without a delivery");
    Answered {
        outcome: Err(failure),
        worker,
    }
}

/// Answers a request that was accepted before; nobody waits for the answer, but its status says
/// how it went.
async fn answer_request(
    inner: &Inner,
    slot: Slot,
    handler: u16,
    deliveries: &[(Delivery, Arc<Event>)],
) -> Answered {
    let worker = slot.info();
    let request = match deliveries {
        [(_, event)] => request::stored(event),
        _ => return nothing_to_do(worker),
    };
    let request = match request {
        Ok(request) => request,
        Err(failure) => {
            return Answered {
                outcome: Err(failure),
                worker,
            };
        }
    };
    let Some(mut call) = start_call(slot, handler, deliveries, What::Http(request)) else {
        return nothing_to_do(worker);
    };
    let worker = call.worker();
    let outcome = match call.response().await {
        Ok(response) => request::outcome(response, inner.now()).await,
        Err(failure) => Err(failure),
    };
    Answered { outcome, worker }
}

/// Sends the event to an address.
async fn send(task: &Task, deliveries: &[(Delivery, Arc<Event>)], version: &Version) -> Answered {
    let worker = WorkerRef {
        pid: 0,
        cold: false,
    };
    let (Task::Send { url, structured }, [(_, event)]) = (task, deliveries) else {
        return nothing_to_do(worker);
    };
    let sent = destinations::send(url, *structured, event, version.function.timeout).await;
    Answered {
        outcome: sent.map(|()| Bytes::new()),
        worker,
    }
}

/// What user code returned for an event, as JSON.
pub(super) async fn result(call: &mut Call) -> Result<Bytes, Failure> {
    let result = call
        .response()
        .await?
        .body
        .collect(limits::MAX_RESULT)
        .await?;
    result.ok_or_else(|| {
        let most = limits::MAX_RESULT;
        Failure::ours(
            FailureKind::UserError,
            format!("the result is larger than {most} bytes: return less, or store it in a bucket"),
        )
    })
}

/// Since when a delivery could have been started: its head start is no waiting.
pub(super) fn ready_since(delivery: &Delivery) -> Timestamp {
    delivery.ready_at.max(delivery.id.drawn_at())
}
