//! The life of a delivery: what an outcome of an attempt means for it, and who pays.
//!
//! The rules are pure. The dispatcher feeds them outcomes and writes down what they say.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    flow::OnUnknown,
    limits,
    port::{Delivery, End},
    retry::RetryPolicy,
    time::Timestamp,
};

/// Where a delivery stands. Succeeded, discarded and expired deliveries leave the store (their
/// run stays in the history); the numbers are stored and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum State {
    /// Waits for its time, for a worker, or for a limit.
    Queued = 0,
    /// Claimed by the running server.
    Running = 1,
    /// Its attempts or its age ran out, or it cannot work as it is. Kept until someone acts.
    Dead = 2,
}

impl State {
    /// From the number that the store keeps.
    pub const fn from_stored(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Queued),
            1 => Some(Self::Running),
            2 => Some(Self::Dead),
            _ => None,
        }
    }
}

/// Why an attempt did not succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// User code threw or rejected.
    UserError,
    /// It took longer than the function's timeout.
    Timeout,
    /// Its process had nothing left to do, but no answer was given.
    MissingResponse,
    /// It held the event loop; the worker was ended.
    BlockedLoop,
    /// Its process ran out of memory.
    OutOfMemory,
    /// It called `process.exit`, or its process crashed.
    Crash,
    /// Its process ended and it is not known whether it was the cause.
    Suspect,
    /// Its process ended through the fault of another attempt on the same worker.
    Bystander,
    /// The code could not be loaded: import error, missing export, missing dependency.
    Load,
    /// No worker could be started.
    NotStarted,
    /// The server stopped, or a new version took over, before it ended.
    Interrupted,
}

/// Whether a failure counts as an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Charge {
    /// It counts, and is retried by the trigger's rule.
    Charged,
    /// It does not count; the delivery goes back to its queue.
    Free,
    /// It does not count, and the delivery runs again with nobody beside it.
    FreeAlone,
    /// It does not count; the delivery waits for a new version of the code.
    HeldForVersion,
}

impl FailureKind {
    /// Who pays: the table of the guarantees (docs/guarantees.md).
    pub const fn charge(self) -> Charge {
        match self {
            Self::UserError
            | Self::Timeout
            | Self::MissingResponse
            | Self::BlockedLoop
            | Self::OutOfMemory
            | Self::Crash => Charge::Charged,
            Self::Suspect => Charge::FreeAlone,
            Self::Bystander | Self::NotStarted | Self::Interrupted => Charge::Free,
            Self::Load => Charge::HeldForVersion,
        }
    }

    /// Whether user code may have taken effect before the failure.
    pub const fn may_have_taken_effect(self) -> bool {
        !matches!(self, Self::Load | Self::NotStarted)
    }

    /// Whether nobody can tell how far user code came. After a timeout that is not so: the handler
    /// was told, by its abort signal, and answered or ignored that; its trigger's retries apply.
    pub const fn leaves_outcome_unknown(self) -> bool {
        matches!(
            self,
            Self::BlockedLoop
                | Self::OutOfMemory
                | Self::Crash
                | Self::Suspect
                | Self::Bystander
                | Self::Interrupted
        )
    }

    /// The word used in run records, errors and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserError => "user_error",
            Self::Timeout => "timeout",
            Self::MissingResponse => "missing_response",
            Self::BlockedLoop => "blocked_loop",
            Self::OutOfMemory => "out_of_memory",
            Self::Crash => "crash",
            Self::Suspect => "suspect",
            Self::Bystander => "bystander",
            Self::Load => "load",
            Self::NotStarted => "not_started",
            Self::Interrupted => "interrupted",
        }
    }
}

/// A failure as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Why.
    pub kind: FailureKind,
    /// The error's class, such as `TypeError`.
    pub name: String,
    /// What it says.
    pub message: String,
    /// The stack, with paths as the user knows them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// What the handler said about trying again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<RetryAdvice>,
}

/// What a handler may say about trying again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAdvice {
    /// It is of no use.
    Never,
    /// Not before so many milliseconds have passed.
    AfterMs(u64),
}

impl Failure {
    /// A failure that we, not user code, describe.
    pub fn ours(kind: FailureKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            name: kind.as_str().to_owned(),
            message: message.into(),
            stack: None,
            advice: None,
        }
    }
}

/// Why a delivery is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum DeadReason {
    /// Its last allowed attempt failed.
    AttemptsExhausted = 0,
    /// It grew older than the trigger allows.
    TooOld = 1,
    /// Its payload could not be read back: its checksum does not fit.
    Damaged = 2,
    /// Its handler said that trying again is of no use.
    NotRetriable = 3,
    /// Its worker or the server died in mid-attempt, and its trigger leaves that to a person.
    OutcomeUnknown = 4,
    /// Its event is the last of a chain that is too long: functions wake each other in a loop.
    Loop = 5,
}

impl DeadReason {
    /// From the number that the store keeps.
    pub const fn from_stored(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::AttemptsExhausted),
            1 => Some(Self::TooOld),
            2 => Some(Self::Damaged),
            3 => Some(Self::NotRetriable),
            4 => Some(Self::OutcomeUnknown),
            5 => Some(Self::Loop),
            _ => None,
        }
    }
}

/// What becomes of a delivery whose attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Try again from `at` on.
    Retry {
        /// The earliest time.
        at: Timestamp,
        /// Whether the failed attempt counts.
        charged: bool,
        /// Whether nothing else may run on the worker meanwhile.
        alone: bool,
    },
    /// Wait for a new version of the code; the attempt does not count.
    HoldForVersion,
    /// It is a dead letter.
    Dead(DeadReason),
}

/// What becomes of a delivery after a failed attempt.
///
/// `delivery` is as it was claimed: its `attempts` include the failed one. `random` in 0..1 spreads
/// the retries. In this order:
///
/// 1. When nobody knows how far the attempt came (`FailureKind::leaves_outcome_unknown`) and its
///    trigger says `on_unknown = "hold"`, it is for a person to decide, whatever else holds.
/// 2. What its handler said about trying again.
/// 3. Its age, then its attempts, by the rules for this kind of failure.
pub fn after_failure(
    failure: &Failure,
    delivery: &Delivery,
    policy: &RetryPolicy,
    now: Timestamp,
    random: f64,
) -> Next {
    let kind = failure.kind;
    let charge = kind.charge();
    if kind.leaves_outcome_unknown() && delivery.on_unknown == OnUnknown::Hold {
        return Next::Dead(DeadReason::OutcomeUnknown);
    }
    let charged = charge == Charge::Charged;
    if charged && failure.advice == Some(RetryAdvice::Never) {
        return Next::Dead(DeadReason::NotRetriable);
    }
    if now >= delivery.expires_at {
        return Next::Dead(DeadReason::TooOld);
    }
    match charge {
        Charge::Charged if delivery.attempts >= policy.limit(kind) => {
            Next::Dead(DeadReason::AttemptsExhausted)
        }
        Charge::Charged => Next::Retry {
            at: retry_at(failure, delivery, policy, now, random),
            charged: true,
            alone: false,
        },
        Charge::Free => Next::Retry {
            at: now,
            charged: false,
            alone: delivery.alone,
        },
        Charge::FreeAlone => Next::Retry {
            at: now,
            charged: false,
            alone: true,
        },
        Charge::HeldForVersion => Next::HoldForVersion,
    }
}

/// The time that its handler named, at most `limits::MOST_BACKOFF` away and not after its end of
/// life, in place of the policy's wait.
fn retry_at(
    failure: &Failure,
    delivery: &Delivery,
    policy: &RetryPolicy,
    now: Timestamp,
    random: f64,
) -> Timestamp {
    match failure.advice {
        Some(RetryAdvice::AfterMs(ms)) => {
            let wait = Duration::from_millis(ms).min(limits::MOST_BACKOFF);
            now.plus(wait).min(delivery.expires_at)
        }
        Some(RetryAdvice::Never) | None => {
            now.plus(policy.wait(failure.kind, delivery.attempts, random))
        }
    }
}

/// How the claim of a delivery ends, by the outcome of its attempt on `version`; with what it
/// means for the delivery when it failed.
///
/// # Panics
///
/// When the delivery is not claimed, or the rules would charge what was held, start more often
/// than allowed, or forget it: going on would lose data or repeat effects.
pub fn settlement(
    outcome: Result<(), Failure>,
    delivery: &Delivery,
    policy: &RetryPolicy,
    version: &str,
    now: Timestamp,
    random: f64,
) -> (End, Option<Next>) {
    let run = delivery.id;
    assert!(
        delivery.state == State::Running,
        "{run} is settled, but it is not claimed"
    );
    assert!(
        1 <= delivery.attempts && delivery.attempts <= delivery.starts,
        "{run} is settled with {} attempts of {} starts",
        delivery.attempts,
        delivery.starts
    );
    let failure = match outcome {
        Ok(()) => return (End::Succeeded, None),
        Err(failure) => failure,
    };
    let next = after_failure(&failure, delivery, policy, now, random);
    check(next, &failure, delivery, policy, now);
    let end = match next {
        Next::Retry { at, charged, alone } => End::Retry {
            at,
            charged,
            alone,
            failure: Some(failure),
        },
        Next::HoldForVersion => End::HeldForVersion {
            version: version.to_owned(),
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

/// What must hold of every answer of the rules.
fn check(next: Next, failure: &Failure, delivery: &Delivery, policy: &RetryPolicy, now: Timestamp) {
    let (run, kind) = (delivery.id, failure.kind);
    let charge = kind.charge();
    match next {
        Next::Retry { at, charged, alone } => {
            assert!(
                charged == (charge == Charge::Charged),
                "{run} would be charged wrongly after {kind:?}"
            );
            assert!(
                !charged || delivery.attempts < policy.limit(kind),
                "{run} would be started more often than allowed"
            );
            assert!(at >= now, "{run} would be retried in the past");
            assert!(
                alone || charge != Charge::FreeAlone,
                "{run} is suspected and would have neighbours"
            );
        }
        Next::HoldForVersion => assert!(
            charge == Charge::HeldForVersion,
            "{run} would be held for a version after {kind:?}"
        ),
        Next::Dead(DeadReason::AttemptsExhausted) => assert!(
            charge == Charge::Charged,
            "{run} would die of an attempt that does not count"
        ),
        Next::Dead(_) => {}
    }
}

#[cfg(test)]
#[path = "delivery_tests.rs"]
mod tests;
