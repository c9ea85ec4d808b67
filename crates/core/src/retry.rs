//! When a failed delivery is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{delivery::FailureKind, limits};

/// How failing deliveries of one trigger are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How often user code is started, the first time included; at least 1.
    pub max_attempts: u32,
    /// The upper bound of the first wait.
    pub backoff_first: Duration,
    /// The upper bound of every wait.
    pub backoff_most: Duration,
    /// How the waits are spread.
    pub jitter: Jitter,
    /// A delivery older than this, counted from when its event was accepted, is not started.
    pub max_age: Duration,
    /// What is different for some kinds of failure; at most one rule for each.
    pub kinds: Vec<KindRule>,
}

/// How waits are spread, so that deliveries that failed together do not come back together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Jitter {
    /// Evenly between zero and the bound.
    #[default]
    Full,
    /// Evenly between half the bound and the bound.
    Equal,
    /// Exactly the bound.
    None,
}

/// What is different for one kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindRule {
    /// The kind; one that is charged.
    pub kind: FailureKind,
    /// The delivery is dead once it was started so often, if its last failure was of this kind.
    pub max_attempts: Option<u32>,
    /// The bounds of the first wait and of every wait after such a failure.
    pub backoff: Option<(Duration, Duration)>,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: limits::MAX_ATTEMPTS,
            backoff_first: limits::BACKOFF_FIRST,
            backoff_most: limits::BACKOFF_MOST,
            jitter: Jitter::Full,
            max_age: limits::MAX_AGE,
            kinds: Vec::new(),
        }
    }
}

impl RetryPolicy {
    /// What is different for this kind of failure.
    fn rule(&self, kind: FailureKind) -> Option<&KindRule> {
        self.kinds.iter().find(|rule| rule.kind == kind)
    }

    /// A delivery whose last failure was of this kind is dead after so many charged attempts.
    pub fn limit(&self, kind: FailureKind) -> u32 {
        let own = self.rule(kind).and_then(|rule| rule.max_attempts);
        own.unwrap_or(self.max_attempts)
    }

    /// The upper bound of the wait after attempt `attempt` (1 for the first) that failed in this
    /// way: it doubles with each.
    pub fn ceiling(&self, kind: FailureKind, attempt: u32) -> Duration {
        let own = self.rule(kind).and_then(|rule| rule.backoff);
        let (first, most) = own.unwrap_or((self.backoff_first, self.backoff_most));
        let factor = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        first.saturating_mul(factor).min(most)
    }

    /// The wait after attempt `attempt` that failed in this way. `random` in 0..1 spreads it as
    /// `jitter` says, so that deliveries that failed together do not come back together.
    pub fn wait(&self, kind: FailureKind, attempt: u32, random: f64) -> Duration {
        let ceiling = self.ceiling(kind, attempt);
        let random = random.clamp(0.0, 1.0);
        match self.jitter {
            Jitter::Full => ceiling.mul_f64(random),
            Jitter::Equal => (ceiling / 2) + (ceiling / 2).mul_f64(random),
            Jitter::None => ceiling,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: FailureKind = FailureKind::UserError;

    #[test]
    fn the_ceiling_doubles_up_to_the_most() {
        let policy = RetryPolicy::default();
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 40]
            .map(|n| policy.ceiling(USER, n).as_secs())
            .into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn jitter_spans_its_range() {
        for (jitter, at) in [
            (Jitter::Full, [0, 2, 4]),
            (Jitter::Equal, [2, 3, 4]),
            (Jitter::None, [4, 4, 4]),
        ] {
            let policy = RetryPolicy {
                jitter,
                ..RetryPolicy::default()
            };
            let waits = [0.0, 0.5, 1.0].map(|random| policy.wait(USER, 3, random));
            assert_eq!(waits, at.map(Duration::from_secs), "{jitter:?}");
        }
    }

    #[test]
    fn a_kind_may_have_bounds_of_its_own() {
        let seconds = Duration::from_secs;
        let policy = RetryPolicy {
            kinds: vec![
                KindRule {
                    kind: FailureKind::Timeout,
                    max_attempts: Some(2),
                    backoff: None,
                },
                KindRule {
                    kind: FailureKind::OutOfMemory,
                    max_attempts: None,
                    backoff: Some((seconds(60), seconds(90))),
                },
            ],
            ..RetryPolicy::default()
        };
        let found = [USER, FailureKind::Timeout, FailureKind::OutOfMemory]
            .map(|kind| (policy.limit(kind), policy.ceiling(kind, 2)));
        let expected = [(5, seconds(2)), (2, seconds(2)), (5, seconds(90))];
        assert_eq!(found, expected);
    }
}
