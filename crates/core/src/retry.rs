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
    /// The upper bound of the wait after attempt `attempt` (1 for the first): it doubles.
    pub fn ceiling(&self, attempt: u32) -> Duration {
        let factor = 1u32
            .checked_shl(attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.backoff_first
            .saturating_mul(factor)
            .min(self.backoff_most)
    }

    /// The wait after attempt `attempt`, with full jitter: evenly drawn between zero and the
    /// ceiling, so that deliveries that failed together do not come back together.
    /// `random` is in 0..1.
    pub fn wait(&self, attempt: u32, random: f64) -> Duration {
        self.ceiling(attempt).mul_f64(random.clamp(0.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ceiling_doubles_up_to_the_most() {
        let policy = RetryPolicy::default();
        let seconds: Vec<u64> = [1, 2, 3, 9, 10, 40]
            .map(|n| policy.ceiling(n).as_secs())
            .into();
        assert_eq!(seconds, [1, 2, 4, 256, 300, 300]);
    }

    #[test]
    fn jitter_spans_the_whole_range() {
        let policy = RetryPolicy::default();
        assert_eq!(policy.wait(3, 0.0), Duration::ZERO);
        assert_eq!(policy.wait(3, 0.5), Duration::from_secs(2));
        assert_eq!(policy.wait(3, 1.0), Duration::from_secs(4));
    }
}
