//! So many in a time: `10/s`, `500/m`, `100/10m`.

use std::{fmt, str::FromStr, time::Duration};

use wakeful_core::{limits, manifest::parse_duration, time::Timestamp};

use super::ToolError;

/// How fast things are to be started, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    count: u32,
    per: Duration,
}

/// A text that is no pace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no rate: write so many in a time, such as `10/s`, `500/m` or `100/10m`")]
pub struct InvalidPace(String);

impl FromStr for Pace {
    type Err = InvalidPace;

    fn from_str(text: &str) -> Result<Self, InvalidPace> {
        let wrong = || InvalidPace(text.chars().take(80).collect());
        let (count, per) = text.split_once('/').ok_or_else(wrong)?;
        let count: u32 = count.trim().parse().map_err(|_| wrong())?;
        let per = per.trim();
        let per = match per.starts_with(|c: char| c.is_ascii_digit()) {
            true => parse_duration(per),
            false => parse_duration(&format!("1{per}")),
        };
        let per = per.map_err(|_| wrong())?;
        if count == 0 || per.is_zero() {
            return Err(wrong());
        }
        Ok(Self { count, per })
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}ms", self.count, self.per.as_millis())
    }
}

impl Pace {
    /// When the `nth` one (0 for the first) is started.
    pub fn at(self, begin: Timestamp, nth: u64) -> Timestamp {
        let wait = u128::from(nth) * self.per.as_millis() / u128::from(self.count);
        begin.plus(Duration::from_millis(
            u64::try_from(wait).unwrap_or(u64::MAX),
        ))
    }

    /// Refuses a pace at which `count` of them would take too long.
    pub(super) fn fits(self, count: u64) -> Result<(), ToolError> {
        let begin = Timestamp::from_millis(0);
        let last = self.at(begin, count.saturating_sub(1)).since(begin);
        if last > limits::MOST_DELAY {
            let days = limits::MOST_DELAY.as_secs() / 86_400;
            return Err(ToolError::Invalid(format!(
                "at this rate {count} of them take longer than {days} days: raise the rate, or \
                 narrow them down"
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_read_and_spread() {
        for (text, nth, expected) in [
            ("10/s", 0, Some(0)),
            ("10/s", 25, Some(2_500)),
            ("500/m", 500, Some(60_000)),
            ("100/10m", 1, Some(6_000)),
            ("3 / 1s", 1, Some(333)),
            ("0/s", 0, None),
            ("10/0s", 0, None),
            ("10", 0, None),
            ("ten/s", 0, None),
            ("10/fortnight", 0, None),
            ("-1/s", 0, None),
        ] {
            let pace = text.parse::<Pace>().ok();
            let at = pace.map(|pace| pace.at(Timestamp::from_millis(0), nth).as_millis());
            assert_eq!(at, expected, "{text}");
        }
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let pace: Pace = "1/1d".parse().unwrap();
        assert!(pace.fits(31).is_ok());
        let refused = pace.fits(32).unwrap_err().to_string();
        assert!(refused.contains("longer than 30 days"), "{refused}");
        // No overflow, however many.
        assert!(pace.fits(u64::MAX).is_err());
        assert!(pace.fits(0).is_ok());
    }
}
