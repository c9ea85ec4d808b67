//! Identities we give ourselves: 63-bit numbers that grow with time.
//!
//! Growing ids keep every index append-only; random ones cost the store five times its
//! throughput once it is large. The layout, from the high bit: 42 bits of milliseconds since
//! 2020-01-01 (until the year 2159), 21 bits of counter. In text an id is a prefix naming what it
//! identifies and 13 characters of lower-case Crockford base 32, which sort as the numbers do.

use std::{fmt, str::FromStr};

use monotonic::Monotonic;

use crate::time::Timestamp;

const EPOCH_MS: i64 = 1_577_836_800_000;
const COUNTER_BITS: u32 = 21;
const TEXT_LEN: usize = 13;
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Draws ids. There is one per server: two of them could draw the same number.
#[derive(Debug)]
pub struct IdSource {
    last: Monotonic,
}

impl IdSource {
    /// A source whose ids are all greater than `floor`, the greatest id already given out
    /// (0 for none). Ids keep growing when the clock is set back.
    pub fn after(floor: i64) -> Self {
        Self {
            last: Monotonic::new(floor),
        }
    }

    /// The next number, at or after the first one that belongs to `now`.
    pub fn draw(&self, now: Timestamp) -> i64 {
        self.last.next_at_least(first_at(now))
    }

    /// A new event id.
    pub fn event(&self, now: Timestamp) -> EventId {
        EventId(self.draw(now))
    }

    /// A new run id.
    pub fn run(&self, now: Timestamp) -> RunId {
        RunId(self.draw(now))
    }
}

/// The least number that belongs to `at`; times outside the layout take its ends.
fn first_at(at: Timestamp) -> i64 {
    let ms = at.as_millis().saturating_sub(EPOCH_MS);
    ms.clamp(0, i64::MAX >> COUNTER_BITS) << COUNTER_BITS
}

/// When the id was drawn, to the millisecond (later than the clock if the clock was set back).
fn drawn_at(raw: i64) -> Timestamp {
    Timestamp::from_millis((raw >> COUNTER_BITS) + EPOCH_MS)
}

/// A text that is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what} id: expected `{prefix}` and {TEXT_LEN} characters of 0-9 and a-z")]
pub struct InvalidId {
    text: String,
    what: &'static str,
    prefix: &'static str,
}

fn encode(raw: i64, out: &mut [u8; TEXT_LEN]) {
    for (place, slot) in out.iter_mut().enumerate() {
        let shift = 5 * (TEXT_LEN - 1 - place);
        *slot = ALPHABET[(raw >> shift) as usize & 31];
    }
}

fn decode(text: &str) -> Option<i64> {
    if text.len() != TEXT_LEN {
        return None;
    }
    let mut raw: u64 = 0;
    for byte in text.bytes() {
        let digit = ALPHABET
            .iter()
            .position(|c| *c == byte.to_ascii_lowercase())?;
        raw = raw.checked_mul(32)? + digit as u64;
    }
    i64::try_from(raw).ok()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(i64);

        impl $name {
            /// From the number that the store keeps.
            pub const fn from_raw(raw: i64) -> Self {
                Self(raw)
            }

            /// The number that the store keeps.
            pub const fn raw(self) -> i64 {
                self.0
            }

            /// The least id that can be drawn at `at`: all smaller ones were drawn before.
            pub fn first_at(at: Timestamp) -> Self {
                Self(first_at(at))
            }

            /// When this id was drawn, to the millisecond.
            pub fn drawn_at(self) -> Timestamp {
                drawn_at(self.0)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut text = [0; TEXT_LEN];
                encode(self.0, &mut text);
                f.write_str($prefix)?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                text.strip_prefix($prefix).and_then(decode).map(Self).ok_or_else(|| InvalidId {
                    text: text.chars().take(80).collect(),
                    what: $what,
                    prefix: $prefix,
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

id!(
    /// An event, as we know it. (Its CloudEvents `id` is the sender's word for it.)
    EventId, "evt_", "an event"
);
id!(
    /// A run: a delivery, or a synchronous call. A delivery is known by the id of its run.
    RunId, "run_", "a run"
);

mod monotonic {
    //! A counter that only grows, without a lock.
    use std::sync::atomic::{AtomicI64, Ordering};

    #[derive(Debug)]
    pub(super) struct Monotonic(AtomicI64);

    impl Monotonic {
        pub(super) const fn new(floor: i64) -> Self {
            Self(AtomicI64::new(floor))
        }

        /// A number greater than all before it, and at least `least`.
        pub(super) fn next_at_least(&self, least: i64) -> i64 {
            let mut last = self.0.load(Ordering::Relaxed);
            loop {
                let next = least.max(last + 1);
                match self
                    .0
                    .compare_exchange_weak(last, next, Ordering::Relaxed, Ordering::Relaxed)
                {
                    Ok(_) => return next,
                    Err(seen) => last = seen,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_and_number_agree(raw in 0..i64::MAX, other in 0..i64::MAX) {
            let id = RunId::from_raw(raw);
            prop_assert_eq!(id.to_string().parse::<RunId>().unwrap(), id);
            let text_order = id.to_string().cmp(&RunId::from_raw(other).to_string());
            prop_assert_eq!(text_order, raw.cmp(&other));
        }
    }

    #[test]
    fn ids_grow_even_when_the_clock_does_not() {
        let ids = IdSource::after(0);
        let noon = Timestamp::from_millis(1_800_000_000_000);
        let first = ids.run(noon);
        let second = ids.run(noon);
        let earlier = ids.run(Timestamp::from_millis(1_700_000_000_000));
        assert!(first < second && second < earlier);
        assert_eq!(first.drawn_at(), noon);
    }

    #[test]
    fn a_wrong_text_says_what_was_expected() {
        for wrong in [
            "run_",
            "run_0",
            "evt_0000000000000",
            "run_000000000000u",
            "run_zzzzzzzzzzzzz",
        ] {
            let message = wrong.parse::<RunId>().unwrap_err().to_string();
            assert!(
                message.contains(wrong) && message.contains("run_"),
                "{message}"
            );
        }
    }
}
