//! The time in which a gate remembers: it never goes back.

use std::time::Duration;

use crate::time::Timestamp;

/// Nanoseconds on a gate's own time line, which begins when the server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Moment(i64);

impl Moment {
    /// Before everything.
    pub(super) const PAST: Self = Self(i64::MIN);

    pub(super) fn plus(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(nanos(wait)))
    }

    pub(super) fn minus(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(wait)))
    }
}

fn nanos(wait: Duration) -> i64 {
    i64::try_from(wait.as_nanos()).unwrap_or(i64::MAX)
}

/// Turns the time of day into moments. When the machine's clock is set back, the moments stand
/// still for an instant and then go on: a wait is never longer than it was meant to be. When it is
/// set forward, waits that end by that have ended.
#[derive(Debug, Clone)]
pub(super) struct Pulse {
    began: Timestamp,
    /// What is added to the time of day, milliseconds: how far it was set back in all.
    set_back: i64,
    /// The latest milliseconds since `began` that were seen.
    latest: i64,
}

impl Pulse {
    pub(super) const fn new(began: Timestamp) -> Self {
        Self {
            began,
            set_back: 0,
            latest: 0,
        }
    }

    /// The moment that is now.
    pub(super) fn beat(&mut self, now: Timestamp) -> Moment {
        let passed = now.as_millis().saturating_sub(self.began.as_millis());
        let passed = passed.saturating_add(self.set_back);
        if passed < self.latest {
            self.set_back = self.set_back.saturating_add(self.latest - passed);
        } else {
            self.latest = passed;
        }
        self.latest()
    }

    /// The latest moment that was seen.
    pub(super) fn latest(&self) -> Moment {
        Moment(self.latest.saturating_mul(1_000_000))
    }

    /// When a moment will be, or was, by the clock as it is set now; rounded up.
    pub(super) fn time_of(&self, moment: Moment) -> Timestamp {
        let ms = moment.0.saturating_add(999_999).div_euclid(1_000_000);
        let since = ms.saturating_sub(self.set_back);
        Timestamp::from_millis(self.began.as_millis().saturating_add(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_stands_still_and_goes_on() {
        let at = |ms: i64| Timestamp::from_millis(1_000_000 + ms);
        let mut pulse = Pulse::new(at(0));
        let first = pulse.beat(at(500));
        assert_eq!(pulse.beat(at(-86_400_000)), first);
        let later = pulse.beat(at(-86_400_000 + 20));
        assert_eq!(later, first.plus(Duration::from_millis(20)));
        assert_eq!(pulse.time_of(later), at(-86_400_000 + 20));
        assert!(pulse.beat(at(600)) > later.plus(Duration::from_secs(86_000)));
    }
}
