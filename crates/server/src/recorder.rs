//! Writing down what happens to runs: into the history, and to whoever watches.
//!
//! Nothing here can fail or wait: the history drops and counts what it cannot take, and slow
//! watchers lose what they did not read.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::sync::broadcast;
use wakeful_core::{
    delivery::{Charge, DeadReason, Failure, FailureKind, Next},
    event::{Event, Origin},
    id::RunId,
    limits,
    name::{FunctionName, Scope},
    port::{Delivery, NewDelivery},
    run::{Attempt, BatchPlace, LogLine, Run, RunKind, RunState},
    time::Timestamp,
};
use wakeful_store::History;
use wakeful_workers::{Observer, WorkerEvent, WorkerRef};

use crate::{gateway::HttpEnded, sampling::Sampling, vault::Vault};

/// Writes down runs and logs. Cheap to clone.
#[derive(Clone)]
pub struct Recorder {
    history: History,
    runs: broadcast::Sender<Run>,
    logs: broadcast::Sender<LogLine>,
    vault: Arc<Vault>,
    sampling: Arc<Sampling>,
}

/// Records that a slow watcher may fall behind before it loses some.
const WATCH_BUFFER: usize = 4096;

/// How an attempt ended.
pub struct Ended<'a> {
    /// The version that ran it.
    pub version: &'a str,
    /// The worker that ran it.
    pub worker: WorkerRef,
    /// When user code was started.
    pub started_at: Timestamp,
    /// How long it waited before.
    pub waited: Duration,
    /// How long it took.
    pub took: Duration,
    /// The result, or how it failed.
    pub outcome: Result<Bytes, Failure>,
    /// What becomes of the delivery after a failure.
    pub next: Option<Next>,
    /// When it ended.
    pub now: Timestamp,
    /// The batch that it served, if it served several deliveries.
    pub batch: Option<BatchPlace>,
}

impl Recorder {
    /// Writes into `history`; `vault` knows what must not stand in a log.
    pub fn new(history: History, vault: Arc<Vault>) -> Self {
        let (runs, _) = broadcast::channel(WATCH_BUFFER);
        let (logs, _) = broadcast::channel(WATCH_BUFFER);
        Self {
            history,
            runs,
            logs,
            vault,
            sampling: Arc::default(),
        }
    }

    /// Which successful requests are recorded when there are very many.
    pub fn sampling(&self) -> &Arc<Sampling> {
        &self.sampling
    }

    /// Where changes of runs can be watched.
    pub fn runs(&self) -> &broadcast::Sender<Run> {
        &self.runs
    }

    /// Where log lines can be watched.
    pub fn logs(&self) -> &broadcast::Sender<LogLine> {
        &self.logs
    }

    /// A delivery is on disk and waits.
    pub fn accepted(&self, delivery: &Delivery, event: &Event) {
        if delivery.starts == 0 {
            self.put(of_delivery(delivery, about(event), RunState::Queued));
        }
    }

    /// User code is started for a delivery.
    pub fn started(&self, delivery: &Delivery, event: &Event) {
        self.put(of_delivery(delivery, about(event), RunState::Running));
    }

    /// An attempt of a delivery ended and is settled.
    pub fn ended(&self, delivery: &Delivery, event: &Event, ended: Ended<'_>) {
        let state = match ended.next {
            None => RunState::Succeeded,
            Some(Next::Retry { .. }) => RunState::Retrying,
            Some(Next::HoldForVersion) => RunState::Held,
            Some(Next::Dead(_)) => RunState::Dead,
        };
        let refunded = matches!(
            ended.next,
            Some(Next::Retry { charged: false, .. } | Next::HoldForVersion)
        );
        let mut run = of_delivery(delivery, about(event), state);
        run.attempts = delivery.attempts - u32::from(refunded);
        run.ended_at = matches!(state, RunState::Succeeded | RunState::Dead).then_some(ended.now);
        run.failure = ended.outcome.as_ref().err().cloned();
        self.history
            .record_attempt(attempt(delivery.id, delivery.starts, &ended));
        self.put(run);
    }

    /// A delivery waits for a new version of the code.
    pub fn held(&self, delivery: &Delivery, about: String, failure: &Failure) {
        let mut run = of_delivery(delivery, about, RunState::Held);
        run.failure = Some(failure.clone());
        self.put(run);
    }

    /// A delivery became a dead letter without an attempt.
    pub fn dead(&self, delivery: &Delivery, about: String, reason: DeadReason, now: Timestamp) {
        let mut run = of_delivery(delivery, about, RunState::Dead);
        run.ended_at = Some(now);
        run.failure = delivery
            .failure
            .clone()
            .or_else(|| Some(dead_failure(reason)));
        self.put(run);
    }

    /// A delivery was left out because it repeats another one.
    pub fn skipped(&self, new: &NewDelivery, event: &Event, of: RunId, now: Timestamp) {
        let run = of_new(new, new.id, about(event), RunState::Skipped, now);
        let message = format!("it repeats {of}");
        self.put(Run {
            failure: Some(Failure::ours(FailureKind::NotStarted, message)),
            ..run
        });
    }

    /// A delivery left the store because a later one runs in its place.
    pub fn superseded(&self, old: RunId, by: &NewDelivery, event: &Event, now: Timestamp) {
        let run = of_new(by, old, about(event), RunState::Superseded, now);
        let message = format!("{} runs in its place", by.id);
        self.put(Run {
            event: None,
            failure: Some(Failure::ours(FailureKind::NotStarted, message)),
            ..run
        });
    }

    /// A delivery was a dead letter from the start.
    pub fn born_dead(
        &self,
        delivery: &Delivery,
        event: &Event,
        reason: DeadReason,
        now: Timestamp,
    ) {
        self.dead(delivery, about(event), reason, now);
    }

    /// A dead letter is queued again.
    pub fn requeued(&self, delivery: &Delivery, about: String) {
        self.put(of_delivery(delivery, about, RunState::Queued));
    }

    /// A dead letter was dropped.
    pub fn discarded(&self, delivery: &Delivery, about: String, now: Timestamp) {
        let mut run = of_delivery(delivery, about, RunState::Discarded);
        run.ended_at = Some(now);
        self.put(run);
    }

    /// A synchronous invocation ended.
    pub fn invoked(&self, id: RunId, function: &FunctionName, asked: Timestamp, ended: Ended<'_>) {
        self.put_attempt(attempt(id, 1, &ended));
        let failure = ended.outcome.err();
        self.put(of_invoke(id, function, asked, ended.now, 1, failure));
    }

    /// A synchronous invocation found no worker.
    pub fn refused(&self, id: RunId, function: &FunctionName, asked: Timestamp, failure: Failure) {
        self.put(of_invoke(id, function, asked, asked, 0, Some(failure)));
    }

    /// A request was answered.
    pub fn http(&self, ended: HttpEnded) {
        let failed = ended.failure.is_some() || ended.status >= 500;
        if let Some(worker) = ended.worker {
            self.put_attempt(Attempt {
                run: ended.run,
                number: 1,
                version: ended.version,
                worker: worker.pid,
                cold: worker.cold,
                started_at: ended.accepted_at.plus(ended.waited),
                waited_us: micros(ended.waited),
                took_us: micros(ended.took),
                result: None,
                charged: ended.failure.as_ref().is_some_and(is_charged),
                failure: ended.failure.clone(),
                batch: None,
            });
        }
        self.put(Run {
            id: ended.run,
            kind: RunKind::Http,
            function: ended.function,
            trigger: Some(ended.trigger),
            event: None,
            about: ended.about,
            state: if failed {
                RunState::Failed
            } else {
                RunState::Succeeded
            },
            accepted_at: ended.accepted_at,
            ended_at: Some(ended.accepted_at.plus(ended.waited + ended.took)),
            attempts: u32::from(ended.worker.is_some()),
            status: Some(ended.status),
            failure: ended.failure,
        });
    }

    /// A failure as it may be shown: messages and stacks of user code may quote a secret.
    pub fn redacted(&self, mut failure: Failure) -> Failure {
        if let Cow::Owned(redacted) = self.vault.redact(&failure.message) {
            failure.message = redacted;
        }
        if let Some(stack) = &failure.stack
            && let Cow::Owned(redacted) = self.vault.redact(stack)
        {
            failure.stack = Some(redacted);
        }
        failure
    }

    fn put_attempt(&self, mut attempt: Attempt) {
        attempt.failure = attempt.failure.map(|failure| self.redacted(failure));
        if let Some(result) = &attempt.result
            && let Cow::Owned(redacted) = self.vault.redact(result)
        {
            attempt.result = Some(redacted);
        }
        self.history.record_attempt(attempt);
    }

    fn put(&self, mut run: Run) {
        run.failure = run.failure.map(|failure| self.redacted(failure));
        if self.runs.receiver_count() > 0 {
            let _ = self.runs.send(run.clone());
        }
        self.history.record_run(run);
    }
}

impl Observer for Recorder {
    fn log(&self, _scope: &Scope, mut line: LogLine) {
        if let Cow::Owned(redacted) = self.vault.redact(&line.text) {
            line.text = redacted;
        }
        if let Some(fields) = &line.fields
            && let Cow::Owned(redacted) = self.vault.redact(fields)
        {
            line.fields = Some(redacted);
        }
        if self.logs.receiver_count() > 0 {
            let _ = self.logs.send(line.clone());
        }
        self.history.record_log(line);
    }

    fn worker(&self, event: WorkerEvent) {
        tracing::debug!(?event, "worker");
    }
}

fn of_delivery(delivery: &Delivery, about: String, state: RunState) -> Run {
    Run {
        id: delivery.id,
        kind: RunKind::Delivery,
        function: delivery.function.clone(),
        trigger: Some(delivery.trigger.clone()),
        event: Some(delivery.event),
        about,
        state,
        accepted_at: delivery.id.drawn_at(),
        ended_at: None,
        attempts: delivery.attempts,
        status: None,
        failure: delivery.failure.clone(),
    }
}

/// The record of a delivery that ended without having been started.
fn of_new(new: &NewDelivery, id: RunId, about: String, state: RunState, now: Timestamp) -> Run {
    Run {
        id,
        kind: RunKind::Delivery,
        function: new.function.clone(),
        trigger: Some(new.trigger.clone()),
        event: Some(new.event),
        about,
        state,
        accepted_at: id.drawn_at(),
        ended_at: Some(now),
        attempts: 0,
        status: None,
        failure: None,
    }
}

fn of_invoke(
    id: RunId,
    function: &FunctionName,
    asked: Timestamp,
    now: Timestamp,
    attempts: u32,
    failure: Option<Failure>,
) -> Run {
    Run {
        id,
        kind: RunKind::Invoke,
        function: function.clone(),
        trigger: None,
        event: None,
        about: format!("invoke {function}"),
        state: if failure.is_some() {
            RunState::Failed
        } else {
            RunState::Succeeded
        },
        accepted_at: asked,
        ended_at: Some(now),
        attempts,
        status: None,
        failure,
    }
}

fn attempt(run: RunId, number: u32, ended: &Ended<'_>) -> Attempt {
    let failure = ended.outcome.as_ref().err().cloned();
    Attempt {
        run,
        number,
        version: ended.version.to_owned(),
        worker: ended.worker.pid,
        cold: ended.worker.cold,
        started_at: ended.started_at,
        waited_us: micros(ended.waited),
        took_us: micros(ended.took),
        result: ended.outcome.as_ref().ok().and_then(recorded_result),
        charged: failure.as_ref().is_some_and(is_charged),
        failure,
        batch: ended.batch,
    }
}

fn is_charged(failure: &Failure) -> bool {
    failure.kind.charge() == Charge::Charged
}

/// The result as text, cut where the record ends; none when there is nothing.
fn recorded_result(result: &Bytes) -> Option<String> {
    if result.is_empty() {
        return None;
    }
    if result.len() <= limits::MAX_RECORDED_RESULT {
        return Some(String::from_utf8_lossy(result).into_owned());
    }
    let kept = String::from_utf8_lossy(&result[..limits::MAX_RECORDED_RESULT]);
    Some(format!("{kept}… ({} bytes in all)", result.len()))
}

/// What is said of a dead letter whose last failure is not known.
pub fn dead_failure(reason: DeadReason) -> Failure {
    let message = match reason {
        DeadReason::TooOld => "it grew older than its trigger's max_age before it could be started",
        DeadReason::AttemptsExhausted => "its last allowed attempt failed",
        DeadReason::Damaged => "its payload cannot be read back from the store",
        DeadReason::NotRetriable => "its handler said that trying again is of no use",
        DeadReason::OutcomeUnknown => {
            "the server ended in mid-attempt: nobody knows whether it took effect"
        }
        DeadReason::Loop => {
            "its event is the last of a chain that is too long: functions wake each other in a loop"
        }
    };
    let kind = match reason {
        DeadReason::OutcomeUnknown => FailureKind::Interrupted,
        _ => FailureKind::NotStarted,
    };
    Failure::ours(kind, message)
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// A few words on what an event is about: `photos/cat.jpg created`.
pub fn about(event: &Event) -> String {
    let subject = event.subject.as_deref().unwrap_or_default();
    match &event.origin {
        Origin::Bucket(bucket) => format!("{bucket}/{subject} {}", event.verb()),
        Origin::Table(database, _) => format!("{database}.{subject} {}", event.verb()),
        Origin::Schedule(_) => "tick".to_owned(),
        Origin::Http(_) => subject.to_owned(),
        Origin::Invoke(function) => format!("invoke {function}"),
        Origin::Topic(topic) if subject.is_empty() => topic.to_string(),
        Origin::Topic(topic) => format!("{topic} {subject}"),
        Origin::DeadLetter => format!("dead letter {subject}"),
        Origin::Outcome(_) => format!("{} of {subject}", event.verb()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_in_mid_attempt_is_not_said_to_be_not_started() {
        let cut_short = dead_failure(DeadReason::OutcomeUnknown);
        assert_eq!(cut_short.kind, FailureKind::Interrupted);
        assert!(cut_short.kind.may_have_taken_effect());
        let waited = dead_failure(DeadReason::TooOld);
        assert_eq!(waited.kind, FailureKind::NotStarted);
    }
}
