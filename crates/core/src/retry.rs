//! When a failed delivery is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::limits;

/// How failing deliveries of one trigger are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryPolicy {
    /// How often user code is started, the first time included; at least 1.
    pub max_attempts: u32,
    /// The upper bound of the first wait.
    pub backoff_first: Duration,
    /// The upper bound of every wait.
    pub backoff_most: Duration,
    /// A delivery older than this, counted from when its event was accepted, is not started.
    pub max_age: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            max_attempts: limits::MAX_ATTEMPTS,
            backoff_first: limits::BACKOFF_FIRST,
            backoff_most: limits::BACKOFF_MOST,
            max_age: limits::MAX_AGE,
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
