//! Points in time as people type them.

use std::{str::FromStr, time::Duration};

use wakeful_core::{manifest::parse_duration, time::Timestamp};

use crate::admin::model::Time;

/// `10m`, or an RFC 3339 time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// This long ago.
    Ago(Duration),
    /// Then.
    At(Timestamp),
}

impl Since {
    /// The point in time it means now.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.minus(duration),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(Time(at)) = text.parse() {
            return Ok(Self::At(at));
        }
        parse_duration(text)
            .map(Self::Ago)
            .map_err(|error| format!("{error}; or write a time such as 2026-11-20T12:00:00Z"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_times() {
        let now = Timestamp::from_millis(10_000_000);
        for (text, expected) in [
            ("10m", Ok(9_400_000)),
            ("1h30m", Ok(4_600_000)),
            ("1970-01-01T00:00:05Z", Ok(5_000)),
            ("1970-01-01T01:00:05+01:00", Ok(5_000)),
            ("yesterday", Err(())),
            ("10", Err(())),
        ] {
            let parsed = text.parse::<Since>();
            let at = parsed.map(|since| since.at(now).as_millis()).map_err(drop);
            assert_eq!(at, expected, "{text}");
        }
    }
}
