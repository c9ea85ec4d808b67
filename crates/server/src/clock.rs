//! The machine's clock: the one place of this crate that reads it.

use std::time::{SystemTime, UNIX_EPOCH};

use wakeful_core::{port::Clock, time::Timestamp};

/// The time of day as the machine has it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

#[expect(
    clippy::disallowed_methods,
    reason = "this is the Clock port over the machine's clock"
)]
impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
