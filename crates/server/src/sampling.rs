//! Which successful requests are recorded when there are very many.
//!
//! A record costs more than the request it tells of. Every failure and every slow request is
//! recorded; of the quick successes those of the first thousand in each second, which is more
//! than people look at. The rest is counted, and the count is shown.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use wakeful_core::{limits, time::Timestamp};

/// Decides, and counts what is left out.
#[derive(Debug, Default)]
pub struct Sampling {
    /// The present second (high 32 bits) and how many it has had (low 32 bits).
    window: AtomicU64,
    unrecorded: AtomicU64,
}

impl Sampling {
    /// Whether a request that came at `accepted_at` and succeeded within `took` is recorded.
    pub(crate) fn keeps(&self, accepted_at: Timestamp, took: Duration) -> bool {
        if took >= limits::SLOW_REQUEST {
            return true;
        }
        let second = (accepted_at.as_millis() / 1000) as u64 & 0xffff_ffff;
        let window = self.window.load(Ordering::Relaxed);
        // Two threads that race here may keep one more or less: it is a bound on cost, not a count.
        let had = if window >> 32 == second {
            window & 0xffff_ffff
        } else {
            0
        };
        if had >= limits::RECORDED_PER_SECOND {
            self.unrecorded.fetch_add(1, Ordering::Relaxed);
            return false;
        }
        self.window
            .store(second << 32 | (had + 1), Ordering::Relaxed);
        true
    }

    /// Successful requests that were not recorded since the start.
    pub fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_each_second_and_all_slow_ones() {
        let sampling = Sampling::default();
        let quick = Duration::from_millis(1);
        let kept = |at| sampling.keeps(Timestamp::from_millis(at), quick);
        let first = (0..2000).filter(|_| kept(5_000)).count() as u64;
        assert_eq!(first, limits::RECORDED_PER_SECOND);
        assert_eq!(sampling.unrecorded(), 2000 - limits::RECORDED_PER_SECOND);
        assert!(sampling.keeps(Timestamp::from_millis(5_999), limits::SLOW_REQUEST));
        assert!(!kept(5_999) && kept(6_000));
    }
}
