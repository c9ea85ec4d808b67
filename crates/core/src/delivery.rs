//! The life of a delivery: what an outcome of an attempt means for it, and who pays.
//!
//! The rules are pure. The dispatcher feeds them outcomes and writes down what they say.

use serde::{Deserialize, Serialize};

use crate::{retry::RetryPolicy, time::Timestamp};

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
/// `attempts` are those charged so far with the failed one included; `expires_at` is when the
/// delivery grows too old; `random` in 0..1 spreads the retries.
pub fn after_failure(
    kind: FailureKind,
    attempts: u32,
    policy: &RetryPolicy,
    now: Timestamp,
    expires_at: Timestamp,
    random: f64,
) -> Next {
    if now >= expires_at {
        return Next::Dead(DeadReason::TooOld);
    }
    match kind.charge() {
        Charge::Charged if attempts >= policy.max_attempts => {
            Next::Dead(DeadReason::AttemptsExhausted)
        }
        Charge::Charged => Next::Retry {
            at: now.plus(policy.wait(attempts, random)),
            charged: true,
            alone: false,
        },
        Charge::Free => Next::Retry {
            at: now,
            charged: false,
            alone: false,
        },
        Charge::FreeAlone => Next::Retry {
            at: now,
            charged: false,
            alone: true,
        },
        Charge::HeldForVersion => Next::HoldForVersion,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const KINDS: [FailureKind; 11] = [
        FailureKind::UserError,
        FailureKind::Timeout,
        FailureKind::MissingResponse,
        FailureKind::BlockedLoop,
        FailureKind::OutOfMemory,
        FailureKind::Crash,
        FailureKind::Suspect,
        FailureKind::Bystander,
        FailureKind::Load,
        FailureKind::NotStarted,
        FailureKind::Interrupted,
    ];

    proptest! {
        #[test]
        fn a_failure_is_retried_within_bounds_or_dead(
            kind in proptest::sample::select(KINDS.to_vec()),
            attempts in 1u32..20,
            max_attempts in 1u32..10,
            now in 0i64..10_000_000,
            random in 0.0f64..1.0,
        ) {
            let policy = RetryPolicy { max_attempts, ..RetryPolicy::default() };
            let now = Timestamp::from_millis(now);
            let expires = Timestamp::from_millis(5_000_000);
            match after_failure(kind, attempts, &policy, now, expires, random) {
                Next::Dead(DeadReason::TooOld) => prop_assert!(now >= expires),
                Next::Dead(DeadReason::AttemptsExhausted) => {
                    prop_assert!(attempts >= max_attempts && kind.charge() == Charge::Charged);
                }
                Next::Dead(other) => prop_assert!(false, "{other:?} without a cause"),
                Next::Retry { at, charged, alone } => {
                    prop_assert!(at >= now && at.since(now) <= policy.backoff_most);
                    prop_assert_eq!(charged, kind.charge() == Charge::Charged);
                    prop_assert!(!charged || attempts < max_attempts);
                    prop_assert_eq!(alone, kind == FailureKind::Suspect);
                }
                Next::HoldForVersion => prop_assert_eq!(kind, FailureKind::Load),
            }
        }
    }

    /// The table of docs/guarantees.md, row by row.
    #[test]
    fn who_pays_is_what_the_guarantees_say() {
        use Charge::{Charged, Free, FreeAlone, HeldForVersion};
        let table = [
            (FailureKind::UserError, Charged, true),
            (FailureKind::Timeout, Charged, true),
            (FailureKind::MissingResponse, Charged, true),
            (FailureKind::BlockedLoop, Charged, true),
            (FailureKind::OutOfMemory, Charged, true),
            (FailureKind::Crash, Charged, true),
            (FailureKind::Suspect, FreeAlone, true),
            (FailureKind::Bystander, Free, true),
            (FailureKind::Load, HeldForVersion, false),
            (FailureKind::NotStarted, Free, false),
            (FailureKind::Interrupted, Free, true),
        ];
        assert_eq!(table.map(|(kind, ..)| kind), KINDS);
        for (kind, charge, effect) in table {
            assert_eq!(kind.charge(), charge, "{kind:?}");
            assert_eq!(kind.may_have_taken_effect(), effect, "{kind:?}");
        }
    }

    #[test]
    fn stored_numbers_stay() {
        for (number, state) in [(0, State::Queued), (1, State::Running), (2, State::Dead)] {
            assert_eq!(
                (state as u8, State::from_stored(number)),
                (number, Some(state))
            );
        }
        for number in 0..6 {
            assert_eq!(DeadReason::from_stored(number).unwrap() as u8, number);
        }
    }
}
