//! Sizes: `256MiB`, `1.5GiB`, `512MB`.

use std::ops::RangeInclusive;

use super::{document::quoted, reader::Item};

const UNITS: [(&str, u64); 6] = [
    ("KB", 1000),
    ("MB", 1000 * 1000),
    ("GB", 1000 * 1000 * 1000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
];

/// Why a text is no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSize {
    /// A number without a unit.
    #[error("it has no unit: write `MiB`, `GiB`, `MB` or `GB` behind the number")]
    NoUnit,
    /// A unit that is not known; holds what may have been meant.
    #[error("the units are `KiB`, `MiB`, `GiB` (1024) and `KB`, `MB`, `GB` (1000){}", meant(.0))]
    UnknownUnit(Option<&'static str>),
    /// Anything else.
    #[error("write a number and its unit, such as `256MiB` or `1.5GiB`")]
    Shape,
}

fn meant(unit: &Option<&'static str>) -> String {
    unit.map_or_else(String::new, |unit| format!("; did you mean `{unit}`?"))
}

/// Reads a size in bytes as manifests write it; a fraction of a byte is cut off.
///
/// # Errors
/// When the text is none; the error says how to write it.
pub fn parse_size(text: &str) -> Result<u64, InvalidSize> {
    let digits = text
        .bytes()
        .take_while(|b| b.is_ascii_digit() || *b == b'.')
        .count();
    let (number, unit) = text.split_at(digits);
    let (whole, behind) = number.split_once('.').unwrap_or((number, "0"));
    let whole: u64 = whole.parse().map_err(|_| InvalidSize::Shape)?;
    let fraction = thousandths(behind).ok_or(InvalidSize::Shape)?;
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(InvalidSize::NoUnit);
    }
    let known = UNITS.iter().find(|(name, _)| *name == unit);
    let (_, factor) = known.ok_or_else(|| InvalidSize::UnknownUnit(guess(unit)))?;
    whole
        .checked_mul(*factor)
        .and_then(|bytes| bytes.checked_add(factor * fraction / 1000))
        .ok_or(InvalidSize::Shape)
}

/// `5` → 500, `25` → 250: the thousandths that a fraction of at most three digits says.
fn thousandths(fraction: &str) -> Option<u64> {
    let digits = u32::try_from(fraction.len()).ok()?;
    let scale = 10u64.pow(3u32.checked_sub(digits)?);
    fraction.parse::<u64>().ok().map(|value| value * scale)
}

fn guess(unit: &str) -> Option<&'static str> {
    match unit.to_ascii_lowercase().as_str() {
        "m" | "mb" | "mib" => Some("MiB"),
        "g" | "gb" | "gib" => Some("GiB"),
        "k" | "kb" | "kib" => Some("KiB"),
        _ => None,
    }
}

/// A size as it would be written, in the largest binary unit that leaves no rest.
pub(super) fn show(bytes: u64) -> String {
    for (unit, factor) in UNITS.iter().rev().take(3) {
        if bytes >= *factor && bytes.is_multiple_of(*factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes} bytes")
}

/// Reads a size within bounds, in bytes.
pub(super) fn read(item: Item<'_>, bounds: RangeInclusive<u64>) -> Option<u64> {
    if let Some(number) = item.as_integer_text() {
        item.refuse(
            format!("{} is a number without a unit", item.title()),
            format!("write \"{number}MiB\" for mebibytes"),
        );
        return None;
    }
    let text = item.text("a size such as \"256MiB\"")?;
    match parse_size(text) {
        Err(reason) => {
            let text = quoted(text);
            item.refuse(
                format!("{} is {text}, which is no size", item.title()),
                reason.to_string(),
            );
            None
        }
        Ok(bytes) if !bounds.contains(&bytes) => {
            let (least, most) = (show(*bounds.start()), show(*bounds.end()));
            item.refuse(
                format!("{} is out of bounds", item.title()),
                format!("expected a size from {least} to {most}"),
            );
            None
        }
        Ok(bytes) => Some(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        let check = |text, bytes| assert_eq!(parse_size(text), Ok(bytes), "{text}");
        check("256MiB", 256 << 20);
        check("1GiB", 1 << 30);
        check("512MB", 512_000_000);
        check("1.5GiB", 3 << 29);
        check("0.25KB", 250);
        check("64 KiB", 64 << 10);
    }

    #[test]
    fn what_is_no_size_says_why() {
        let check = |text, reason| assert_eq!(parse_size(text), Err(reason), "{text}");
        check("256", InvalidSize::NoUnit);
        check("256M", InvalidSize::UnknownUnit(Some("MiB")));
        check("256mb", InvalidSize::UnknownUnit(Some("MiB")));
        check("1 TB", InvalidSize::UnknownUnit(None));
        check("9 parsecs", InvalidSize::UnknownUnit(None));
        check("", InvalidSize::Shape);
        check("lots", InvalidSize::Shape);
        check("-1MiB", InvalidSize::Shape);
        check("1.2345MiB", InvalidSize::Shape);
        check("99999999999999999999GiB", InvalidSize::Shape);
        check("18446744073709551615GiB", InvalidSize::Shape);
    }

    #[test]
    fn sizes_are_shown_in_the_largest_unit_without_a_rest() {
        assert_eq!(show(64 << 20), "64MiB");
        assert_eq!(show(64 << 30), "64GiB");
        assert_eq!(show(1001), "1001 bytes");
    }
}
