//! What a pattern asks of one place in an event: that one of the values found there is one of
//! those wanted.

use serde_json::Value;

use super::{
    address::Block,
    event::Seen,
    number::{Number, Range},
    text::TextTest,
};

/// What one array of a pattern wants: any of these.
#[derive(Debug, Clone, Default)]
pub(super) struct Condition {
    /// Sorted, so that a long list costs little.
    pub(super) texts: Box<[Box<str>]>,
    pub(super) numbers: Box<[Number]>,
    pub(super) words: Words,
    pub(super) tests: Box<[Test]>,
    pub(super) absence: Absence,
}

/// Which of JSON's words are wanted.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Words {
    pub(super) null: bool,
    pub(super) yes: bool,
    pub(super) no: bool,
}

/// Whether a condition is also met where nothing is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Absence {
    #[default]
    Refused,
    Wanted,
}

/// A question to one value.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// There is a value.
    Exists,
    /// There is a value, and it is not null.
    NotNull,
    Text(TextTest),
    Range(Range),
    Block(Block),
    /// There is a value, and none of these conditions is met by it.
    AnythingBut(Box<Condition>),
}

/// How far something holds in an event, worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    No,
    /// It holds, but only because something is not there.
    ByAbsence,
    /// It holds, and something that is there made it so.
    ByPresence,
}

impl Condition {
    /// Whether this holds for what was found. An array stands for each of its elements; an object
    /// is no value, and neither is an empty array.
    pub(super) fn meets(&self, seen: Seen<'_>) -> Verdict {
        let mut found = false;
        let accepted = any_value(seen, &mut |value| {
            found = true;
            self.accepts(value)
        });
        match (accepted, found, self.absence) {
            (true, ..) => Verdict::ByPresence,
            (false, false, Absence::Wanted) => Verdict::ByAbsence,
            _ => Verdict::No,
        }
    }

    fn accepts(&self, value: Scalar<'_>) -> bool {
        let named = match value {
            Scalar::Null => self.words.null,
            Scalar::Boolean(true) => self.words.yes,
            Scalar::Boolean(false) => self.words.no,
            Scalar::Number(number) => {
                (self.numbers.iter()).any(|wanted| number.compare(*wanted).is_eq())
            }
            Scalar::Text(text) => self.texts.binary_search_by(|it| (**it).cmp(text)).is_ok(),
        };
        named || self.tests.iter().any(|test| test.accepts(value))
    }
}

impl Test {
    fn accepts(&self, value: Scalar<'_>) -> bool {
        match (self, value) {
            (Self::Exists, _) => true,
            (Self::NotNull, value) => !matches!(value, Scalar::Null),
            (Self::AnythingBut(excluded), value) => !excluded.accepts(value),
            (Self::Text(test), Scalar::Text(text)) => test.holds(text),
            (Self::Block(block), Scalar::Text(text)) => block.holds(text),
            (Self::Range(range), Scalar::Number(number)) => range.holds(number),
            (Self::Text(_) | Self::Block(_) | Self::Range(_), _) => false,
        }
    }
}

/// A value that has no parts.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Number(Number),
    Text(&'a str),
}

/// Whether `accept` takes one of the values that are found, looking into arrays.
fn any_value<'a>(seen: Seen<'a>, accept: &mut impl FnMut(Scalar<'a>) -> bool) -> bool {
    let value = match seen {
        Seen::Text(text) => return accept(Scalar::Text(text)),
        Seen::Boolean(value) => return accept(Scalar::Boolean(value)),
        Seen::Integer(number) => {
            let number = Number::of(&number.into());
            return number.is_some_and(|number| accept(Scalar::Number(number)));
        }
        Seen::Event(_) | Seen::Nothing => return false,
        Seen::Json(value) => value,
    };
    match value {
        Value::Null => accept(Scalar::Null),
        Value::Bool(value) => accept(Scalar::Boolean(*value)),
        Value::Number(number) => {
            Number::of(number).is_some_and(|number| accept(Scalar::Number(number)))
        }
        Value::String(text) => accept(Scalar::Text(text)),
        Value::Array(items) => {
            let mut items = items.iter();
            items.any(|item| any_value(Seen::Json(item), accept))
        }
        Value::Object(_) => false,
    }
}
