//! Durations: `500ms`, `30s`, `5m`, `6h`, `1d`, and sums such as `1h30m`.

use std::{ops::RangeInclusive, time::Duration};

use super::reader::Item;

const UNITS: [(&str, u64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60 * 1000),
    ("h", 3600 * 1000),
    ("d", 24 * 3600 * 1000),
];

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// A number without a unit.
    #[error("it has no unit: write `ms`, `s`, `m`, `h` or `d` behind the number")]
    NoUnit,
    /// A unit that is not known.
    #[error("the units are `ms`, `s`, `m`, `h` and `d`")]
    UnknownUnit,
    /// A fraction.
    #[error("write whole numbers: `1500ms` for one and a half seconds, `1h30m` for `1.5h`")]
    Fraction,
    /// Units that are repeated or grow from left to right.
    #[error("write each unit once and the largest first, as in `1h30m`")]
    Order,
    /// Anything else.
    #[error("write a number and its unit, such as `30s`, `5m` or `1h30m`")]
    Shape,
    /// More milliseconds than can be counted.
    #[error("it is too long to be counted")]
    TooLong,
}

/// Reads a duration as manifests and command lines write it.
///
/// # Errors
/// When the text is none; the error says how to write it.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidDuration> {
    let mut rest = text;
    let mut millis = 0u64;
    let mut smallest = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if digits == 0 {
            return Err(InvalidDuration::Shape);
        }
        let (number, tail) = rest.split_at(digits);
        let letters = tail.bytes().take_while(|b| !b.is_ascii_digit()).count();
        let (unit, tail) = tail.split_at(letters);
        let factor = factor(unit)?;
        if factor >= smallest {
            return Err(InvalidDuration::Order);
        }
        smallest = factor;
        let number: u64 = number.parse().map_err(|_| InvalidDuration::TooLong)?;
        millis = (number.checked_mul(factor))
            .and_then(|part| millis.checked_add(part))
            .ok_or(InvalidDuration::TooLong)?;
        rest = tail;
    }
    if smallest == u64::MAX {
        return Err(InvalidDuration::Shape);
    }
    Ok(Duration::from_millis(millis))
}

fn factor(unit: &str) -> Result<u64, InvalidDuration> {
    if unit.is_empty() {
        return Err(InvalidDuration::NoUnit);
    }
    if unit.starts_with(['.', ',']) {
        return Err(InvalidDuration::Fraction);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    known
        .map(|(_, factor)| *factor)
        .ok_or(InvalidDuration::UnknownUnit)
}

/// A duration as it would be written: `1h30m`, `0s`.
pub(super) fn show(duration: Duration) -> String {
    let mut millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, factor) in UNITS.iter().rev() {
        if millis / factor > 0 {
            text.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if text.is_empty() {
        "0s".to_owned()
    } else {
        text
    }
}

/// Reads a duration within bounds.
pub(super) fn read(item: Item<'_>, bounds: RangeInclusive<Duration>) -> Option<Duration> {
    if let Some(number) = item.as_integer_text() {
        item.refuse(
            format!("{} is a number without a unit", item.title()),
            format!("write \"{number}s\" for seconds or \"{number}ms\" for milliseconds"),
        );
        return None;
    }
    let text = item.text("a duration such as \"30s\"")?;
    match parse_duration(text) {
        Err(reason) => {
            let text = super::document::quoted(text);
            item.refuse(
                format!("{} is {text}, which is no duration", item.title()),
                reason.to_string(),
            );
            None
        }
        Ok(duration) if !bounds.contains(&duration) => {
            let (least, most) = (show(*bounds.start()), show(*bounds.end()));
            item.refuse(
                format!("{} is out of bounds", item.title()),
                format!("expected a duration from {least} to {most}"),
            );
            None
        }
        Ok(duration) => Some(duration),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_shown() {
        let check = |text, millis| {
            assert_eq!(
                parse_duration(text),
                Ok(Duration::from_millis(millis)),
                "{text}"
            );
            assert_eq!(show(Duration::from_millis(millis)), text);
        };
        check("500ms", 500);
        check("30s", 30_000);
        check("5m", 300_000);
        check("6h", 21_600_000);
        check("1d", 86_400_000);
        check("1h30m", 5_400_000);
        check("1d2h3m4s5ms", 93_784_005);
        assert_eq!(parse_duration("0s"), Ok(Duration::ZERO));
        assert_eq!(show(Duration::ZERO), "0s");
    }

    #[test]
    fn what_is_no_duration_says_why() {
        let check = |text, reason| assert_eq!(parse_duration(text), Err(reason), "{text}");
        check("30", InvalidDuration::NoUnit);
        check("1h30", InvalidDuration::NoUnit);
        check("30 s", InvalidDuration::UnknownUnit);
        check("30sec", InvalidDuration::UnknownUnit);
        check("30S", InvalidDuration::UnknownUnit);
        check("1.5h", InvalidDuration::Fraction);
        check("30m1h", InvalidDuration::Order);
        check("1s1s", InvalidDuration::Order);
        check("", InvalidDuration::Shape);
        check("soon", InvalidDuration::Shape);
        check("-5s", InvalidDuration::Shape);
        check("99999999999999999999s", InvalidDuration::TooLong);
        check("9999999999999999999d", InvalidDuration::TooLong);
    }
}
