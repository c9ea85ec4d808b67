//! One attempt of a delivery, from a reserved place to its settlement.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use wakeful_core::{
    delivery::{Failure, FailureKind, Next, after_failure},
    event::Event,
    limits,
    port::{Delivery, End},
    time::Timestamp,
};
use wakeful_workers::{Call, Invocation, Slot, What};

use super::Inner;
use crate::{
    live::{Duty, Version},
    recorder::Ended,
};

/// Everything an attempt needs.
pub(super) struct Start {
    /// The delivery, claimed.
    pub delivery: Delivery,
    /// Its event.
    pub event: Arc<Event>,
    /// The place reserved for it.
    pub slot: Slot,
    /// The version that runs it.
    pub version: Arc<Version>,
    /// What to call, and the rule for failures.
    pub duty: Duty,
    /// Since when it could have been started.
    pub ready_at: Timestamp,
}

impl Inner {
    /// Starts user code; the task ends with the settlement.
    pub(super) fn start(self: &Arc<Self>, start: Start) {
        let task = run(Arc::clone(self), start);
        self.tasks.spawn_on(task, &self.parts.runtime);
    }
}

async fn run(inner: Arc<Inner>, start: Start) {
    let Start {
        delivery,
        event,
        slot,
        version,
        duty,
        ready_at,
    } = start;
    let started_at = inner.now();
    let clock = Instant::now();
    inner.parts.recorder.started(&delivery, &event);
    let mut call = slot.start(Invocation {
        run: delivery.id,
        attempt: delivery.starts,
        handler: duty.handler,
        timeout: None,
        what: What::Event {
            json: Bytes::from(event.to_json()),
        },
    });
    let outcome = result(&mut call).await;
    let took = clock.elapsed();
    let now = inner.now();
    let (end, next) = verdict(&outcome, &delivery, &duty, &version, now);
    if !inner.settle(&delivery, end).await {
        return;
    }
    let waited = started_at.since(ready_at);
    let worker = call.worker();
    let ended = Ended {
        version: &version.id,
        worker,
        started_at,
        waited,
        took,
        outcome,
        next,
        now,
    };
    inner.parts.recorder.ended(&delivery, &event, ended);
    let queued_again = match next {
        Some(Next::Retry { .. }) => true,
        Some(Next::HoldForVersion) => {
            let function = &delivery.function;
            inner.release_if_replaced(function, &version.id).await
        }
        Some(Next::Dead(_)) | None => false,
    };
    if queued_again {
        inner.feed(&delivery.trigger);
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

/// What the outcome means, by the rules of `core::delivery`.
fn verdict(
    outcome: &Result<Bytes, Failure>,
    delivery: &Delivery,
    duty: &Duty,
    version: &Version,
    now: Timestamp,
) -> (End, Option<Next>) {
    let failure = match outcome {
        Ok(_) => return (End::Succeeded, None),
        Err(failure) => failure,
    };
    let random = rand::random::<f64>();
    let next = after_failure(
        failure.kind,
        delivery.attempts,
        &duty.retry,
        now,
        delivery.expires_at,
        random,
    );
    let failure = failure.clone();
    let end = match next {
        Next::Retry { at, charged, alone } => End::Retry {
            at,
            charged,
            alone,
            failure: Some(failure),
        },
        Next::HoldForVersion => End::HeldForVersion {
            version: version.id.clone(),
            failure,
        },
        Next::Dead(reason) => End::Dead {
            reason,
            at: now,
            failure: Some(failure),
        },
    };
    (end, Some(next))
}
