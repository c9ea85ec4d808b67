//! What functions ask for an event beyond what it says: when, and with which keys.

use std::time::Duration;

use serde::Deserialize;
use wakeful_core::{limits, time::Timestamp};
use wakeful_workers::HostError;

use super::invalid;

/// The longest word against repetitions, bytes: it is the key of an index.
const MAX_WORD: usize = 256;

/// As it stands among the parameters of a call.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Timing {
    delay_ms: Option<u64>,
    at: Option<i64>,
    key: Option<String>,
    dedup: Option<String>,
}

impl Timing {
    /// When it may run at the earliest.
    pub(super) fn not_before(&self, now: Timestamp) -> Result<Option<Timestamp>, HostError> {
        let at = match (self.delay_ms, self.at) {
            (Some(_), Some(_)) => return Err(invalid("give `delayMs` or `at`, not both")),
            (Some(delay), None) => {
                // Longer ones are refused anyway.
                let delay = Duration::from_millis(delay).min(limits::MOST_DELAY * 2);
                Some(now.plus(delay))
            }
            (None, Some(at)) => Some(Timestamp::from_millis(at)),
            (None, None) => None,
        };
        match at {
            Some(at) if at > now.plus(limits::MOST_DELAY) => {
                let days = limits::MOST_DELAY.as_secs() / 86_400;
                Err(invalid(format!("an event waits {days} days at most")))
            }
            other => Ok(other),
        }
    }

    /// What takes the place of an ordering key.
    pub(super) fn key(&self) -> Result<Option<String>, HostError> {
        word(&self.key, "key", limits::MAX_KEY)
    }

    /// The word against repetitions.
    pub(super) fn dedup(&self) -> Result<Option<String>, HostError> {
        word(&self.dedup, "dedup", MAX_WORD)
    }

    /// What is asked for, if anything is.
    pub(super) fn first(&self) -> Option<&'static str> {
        let given = [
            ("delayMs", self.delay_ms.is_some()),
            ("at", self.at.is_some()),
            ("key", self.key.is_some()),
            ("dedup", self.dedup.is_some()),
        ];
        given
            .into_iter()
            .find(|(_, given)| *given)
            .map(|(name, _)| name)
    }
}

fn word(given: &Option<String>, name: &str, most: usize) -> Result<Option<String>, HostError> {
    match given {
        Some(text) if !(1..=most).contains(&text.len()) => Err(invalid(format!(
            "`{name}` must be text of 1 to {most} bytes"
        ))),
        other => Ok(other.clone()),
    }
}
