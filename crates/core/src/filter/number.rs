//! Numbers, compared by what they are worth: 300, 300.0 and 3e2 are the same, and integers beyond
//! 2^53 keep all their digits.

use std::cmp::Ordering;

/// A number of a pattern or an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Number {
    /// Any integer that JSON's reader keeps whole (of 64 bits, with or without sign).
    Integer(i128),
    /// Everything else; finite.
    Real(f64),
}

impl Number {
    pub(super) fn of(number: &serde_json::Number) -> Option<Self> {
        if let Some(value) = number.as_i64() {
            return Some(Self::Integer(value.into()));
        }
        if let Some(value) = number.as_u64() {
            return Some(Self::Integer(value.into()));
        }
        number
            .as_f64()
            .filter(|value| value.is_finite())
            .map(Self::Real)
    }

    /// The order of the two by value.
    pub(super) fn compare(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.cmp(&b),
            // Both are finite; `total_cmp` alone would tell 0.0 from -0.0.
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(&b).unwrap_or_else(|| a.total_cmp(&b)),
            (Self::Integer(a), Self::Real(b)) => integer_to_real(a, b),
            (Self::Real(a), Self::Integer(b)) => integer_to_real(b, a).reverse(),
        }
    }
}

/// Compares without rounding the integer: its neighbours beyond 2^53 are no floating-point numbers.
fn integer_to_real(integer: i128, real: f64) -> Ordering {
    // Integers here have at most 64 bits, so that a larger number is beyond all of them.
    const BEYOND: f64 = 1e30;
    if real >= BEYOND {
        return Ordering::Less;
    }
    if real <= -BEYOND {
        return Ordering::Greater;
    }
    let whole = real.trunc();
    // In these bounds a whole floating-point number is exactly an integer of 128 bits.
    let fraction = real - whole;
    integer
        .cmp(&(whole as i128))
        .then_with(|| 0.0_f64.partial_cmp(&fraction).unwrap_or(Ordering::Equal))
}

/// A range of numbers: what `numeric` asks for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Range {
    pub(super) least: Option<Bound>,
    pub(super) most: Option<Bound>,
}

/// One end of a range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    pub(super) at: Number,
    pub(super) end: End,
}

/// Whether the end itself belongs to a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Within,
    Outside,
}

impl Range {
    pub(super) fn holds(&self, number: Number) -> bool {
        let above = self.least.is_none_or(|bound| match bound.end {
            End::Within => number.compare(bound.at).is_ge(),
            End::Outside => number.compare(bound.at).is_gt(),
        });
        above
            && self.most.is_none_or(|bound| match bound.end {
                End::Within => number.compare(bound.at).is_le(),
                End::Outside => number.compare(bound.at).is_lt(),
            })
    }

    /// Whether no number is in it.
    pub(super) fn is_empty(&self) -> bool {
        let (Some(least), Some(most)) = (self.least, self.most) else {
            return false;
        };
        match least.at.compare(most.at) {
            Ordering::Less => false,
            Ordering::Equal => least.end == End::Outside || most.end == End::Outside,
            Ordering::Greater => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_value() {
        let number = |text: &str| Number::of(&serde_json::from_str(text).unwrap()).unwrap();
        let check = |a: &str, b: &str, expected: Ordering| {
            assert_eq!(number(a).compare(number(b)), expected, "{a} {b}");
            assert_eq!(number(b).compare(number(a)), expected.reverse(), "{b} {a}");
        };
        check("300", "300.0", Ordering::Equal);
        check("300", "3.0e2", Ordering::Equal);
        check("-0.0", "0", Ordering::Equal);
        check("-0.0", "0.0", Ordering::Equal);
        check("1", "1.5", Ordering::Less);
        check("-1", "-1.5", Ordering::Greater);
        check("2", "1.5", Ordering::Greater);
        check("9007199254740993", "9007199254740992", Ordering::Greater);
        check("9007199254740993", "9007199254740992.0", Ordering::Greater);
        check(
            "18446744073709551615",
            "1.8446744073709552e19",
            Ordering::Less,
        );
        check(
            "-9223372036854775808",
            "-9223372036854775808.0",
            Ordering::Equal,
        );
        check("5", "1e300", Ordering::Less);
        check("5", "-1e300", Ordering::Greater);
    }
}
