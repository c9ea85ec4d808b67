//! The operators of patterns: `{ prefix = "a" }` in the place of a wanted value.

use serde_json::{Map, Value};

use super::{
    address::Block,
    condition::{Absence, Test},
    mistake::{Part, Step, shown},
    number::{Bound, End, Number, Range},
    parse::{Reader, Wanted, describe},
    text::{Folded, TextTest, Wildcard},
};
use crate::suggest;

/// The operators, as they are documented.
pub const OPERATORS: [&str; 9] = [
    "prefix",
    "suffix",
    "equals-ignore-case",
    "wildcard",
    "anything-but",
    "numeric",
    "cidr",
    "exists",
    "null",
];

/// Those that ask something of a text.
const OF_TEXTS: [&str; 4] = ["prefix", "suffix", "equals-ignore-case", "wildcard"];
const IGNORE_CASE: &str = "equals-ignore-case";

/// Whether a key with this value is an operator that somebody wrote in the place of a field. (A
/// field may be named as an operator is, and then its value asks for values.)
pub(super) fn stands_alone(key: &str, value: &Value) -> bool {
    if !OPERATORS.contains(&key) {
        return false;
    }
    let first = match value {
        Value::Array(items) => items.first().and_then(Value::as_str),
        Value::Object(_) => None,
        _ => return true,
    };
    match key {
        "numeric" => first.is_some_and(|first| Comparison::of(first).is_some()),
        // No data has such fields.
        "anything-but" | IGNORE_CASE => true,
        "prefix" | "suffix" => value.get(IGNORE_CASE).is_some(),
        _ => false,
    }
}

/// Reads an operator into what is wanted.
pub(super) fn read(reader: &mut Reader, fields: &Map<String, Value>, wanted: &mut Wanted) {
    let mut fields = fields.iter();
    let (Some((name, value)), None) = (fields.next(), fields.next()) else {
        reader.refuse(
            Part::Value,
            "an operator is an object with one key",
            "write { … } for each operator; both ends of a range go into one `numeric`",
        );
        return;
    };
    reader.at(Step::Key(name.clone()), |reader| match name.as_str() {
        "anything-but" => anything_but(reader, value, wanted),
        "numeric" => wanted.tests.extend(numeric(reader, value).map(Test::Range)),
        "cidr" => wanted.tests.extend(cidr(reader, value).map(Test::Block)),
        "exists" => match flag(reader, value) {
            Some(true) => wanted.tests.push(Test::Exists),
            Some(false) => wanted.absence = Absence::Wanted,
            None => {}
        },
        "null" => match flag(reader, value) {
            Some(true) => wanted.words.null = true,
            Some(false) => wanted.tests.push(Test::NotNull),
            None => {}
        },
        name if OF_TEXTS.contains(&name) => {
            let test = text_test(
                reader,
                name,
                value,
                "any of several stands in the array around",
            );
            wanted.tests.extend(test.map(Test::Text));
        }
        _ => unknown(reader, name),
    });
}

fn unknown(reader: &mut Reader, name: &str) {
    let help = match name.to_ascii_lowercase().as_str() {
        "equals" | "eq" | "in" | "any-of" => "write the value itself".to_owned(),
        "not" | "ne" | "not-equals" | "not-in" => "did you mean `anything-but`?".to_owned(),
        "starts-with" | "startswith" | "begins-with" => "did you mean `prefix`?".to_owned(),
        "ends-with" | "endswith" => "did you mean `suffix`?".to_owned(),
        "gt" | "gte" | "lt" | "lte" | ">" | ">=" | "<" | "<=" | "=" | "between" | "range" => {
            "write { numeric = [\">\", 0, \"<=\", 100] }".to_owned()
        }
        "contains" | "glob" | "like" => "write { wildcard = \"*part*\" }".to_owned(),
        "regex" | "matches" => "there is none; `wildcard` takes `*` for any characters".to_owned(),
        "ip" | "ip-address" => "did you mean `cidr`?".to_owned(),
        "$or" => "a `$or` stands beside the fields, not in an array of values".to_owned(),
        _ => suggest::did_you_mean(name, OPERATORS),
    };
    reader.refuse(
        Part::Key,
        format!("there is no operator {}", shown(name)),
        help,
    );
}

fn flag(reader: &mut Reader, value: &Value) -> Option<bool> {
    let Value::Bool(flag) = value else {
        wrong(reader, value, "true or false");
        return None;
    };
    Some(*flag)
}

fn wrong(reader: &mut Reader, value: &Value, expected: &str) {
    let message = format!("{} is {}", reader.here(), describe(value));
    reader.refuse(Part::Value, message, format!("expected {expected}"));
}

/// `prefix`, `suffix`, `equals-ignore-case` and `wildcard` with one text.
fn text_test(reader: &mut Reader, name: &str, value: &Value, several: &str) -> Option<TextTest> {
    match (name, value) {
        (_, Value::String(text)) => exact_case(reader, name, text),
        ("prefix" | "suffix", Value::Object(fields)) => {
            match (fields.get(IGNORE_CASE), fields.len()) {
                (Some(Value::String(text)), 1) => Some(any_case(name, text)),
                _ => {
                    let expected = "a text, or { equals-ignore-case = \"…\" }";
                    wrong(reader, value, expected);
                    None
                }
            }
        }
        (_, Value::Array(_)) => {
            wrong(reader, value, &format!("one text; {several}"));
            None
        }
        ("prefix" | "suffix", _) => {
            wrong(reader, value, "a text, or { equals-ignore-case = \"…\" }");
            None
        }
        _ => {
            wrong(reader, value, "a text");
            None
        }
    }
}

fn exact_case(reader: &mut Reader, name: &str, text: &str) -> Option<TextTest> {
    match name {
        "prefix" => Some(TextTest::Prefix(text.into())),
        "suffix" => Some(TextTest::Suffix(text.into())),
        "wildcard" => match Wildcard::parse(text) {
            Ok(wildcard) => Some(TextTest::Wildcard(wildcard)),
            Err(reason) => {
                reader.refuse(
                    Part::Value,
                    format!("{} is no wildcard: {reason}", shown(text)),
                    r"`*` stands for any characters, `\*` for a `*` itself, `\\` for a `\`",
                );
                None
            }
        },
        _ => Some(TextTest::Same(Folded::of(text))),
    }
}

fn any_case(name: &str, text: &str) -> TextTest {
    let folded = Folded::of(text);
    match name {
        "prefix" => TextTest::FoldedPrefix(folded),
        _ => TextTest::FoldedSuffix(folded),
    }
}

/// `anything-but`: a value, an array of values, or an operator of texts with a text or an array.
fn anything_but(reader: &mut Reader, value: &Value, wanted: &mut Wanted) {
    let mut excluded = Wanted::default();
    match value {
        Value::Array(values) => {
            each(reader, values, |reader, value| {
                reader.exact(value, &mut excluded)
            });
        }
        Value::Object(fields) => {
            let mut entries = fields.iter();
            match (entries.next(), entries.next()) {
                (Some((name, value)), None) if OF_TEXTS.contains(&name.as_str()) => {
                    reader.at(Step::Key(name.clone()), |reader| {
                        exclude(reader, name, value, &mut excluded);
                    });
                }
                _ => wrong(
                    reader,
                    value,
                    &format!(
                        "a value, an array of values, or one of {}",
                        suggest::one_of(OF_TEXTS)
                    ),
                ),
            }
        }
        value => reader.exact(value, &mut excluded),
    }
    wanted
        .tests
        .push(Test::AnythingBut(Box::new(excluded.into())));
}

/// Texts that `anything-but` excludes by an operator.
fn exclude(reader: &mut Reader, name: &str, value: &Value, excluded: &mut Wanted) {
    let mut add = |reader: &mut Reader, name: &str, value: &Value| {
        if value.as_str() == Some("") && name != IGNORE_CASE && name != "wildcard" {
            reader.refuse(
                Part::Value,
                format!("an empty {name} excludes every text"),
                "write a text, or leave it out",
            );
        }
        let test = text_test(reader, name, value, "there is an array already");
        excluded.tests.extend(test.map(Test::Text));
    };
    match value {
        Value::Array(values) => each(reader, values, |reader, value| add(reader, name, value)),
        // { prefix = { equals-ignore-case = ["a", "b"] } }
        Value::Object(fields) if fields.len() == 1 => match fields.get(IGNORE_CASE) {
            Some(Value::Array(values)) if name == "prefix" || name == "suffix" => {
                reader.at(Step::Key(IGNORE_CASE.to_owned()), |reader| {
                    each(reader, values, |reader, value| match value {
                        Value::String(text) => {
                            excluded.tests.push(Test::Text(any_case(name, text)));
                        }
                        value => wrong(reader, value, "a text"),
                    });
                });
            }
            _ => add(reader, name, value),
        },
        value => add(reader, name, value),
    }
}

/// Reads the values of an array that must have some.
fn each(reader: &mut Reader, values: &[Value], mut read: impl FnMut(&mut Reader, &Value)) {
    if values.is_empty() {
        let message = format!("{} is empty", reader.here());
        reader.refuse(Part::Value, message, "expected at least one value");
    }
    for (index, value) in values.iter().enumerate() {
        reader.count();
        reader.at(Step::Index(index), |reader| read(reader, value));
    }
}

/// How two numbers are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    Less(End),
    More(End),
}

impl Comparison {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "=" => Self::Equal,
            "<" => Self::Less(End::Outside),
            "<=" => Self::Less(End::Within),
            ">" => Self::More(End::Outside),
            ">=" => Self::More(End::Within),
            _ => return None,
        })
    }
}

const NUMERIC: &str =
    "one or two comparisons with numbers: [\">\", 0, \"<=\", 100]; there are =, <, <=, > and >=";

/// `numeric`: one comparison, or one for each end of a range.
fn numeric(reader: &mut Reader, value: &Value) -> Option<Range> {
    let Some(items) = value.as_array().filter(|it| it.len() == 2 || it.len() == 4) else {
        wrong(reader, value, NUMERIC);
        return None;
    };
    let mut range = Range::default();
    let mut sound = true;
    for (index, pair) in items.chunks_exact(2).enumerate() {
        sound &= comparison(reader, index * 2, &pair[0], &pair[1], &mut range).is_some();
    }
    let equal = items.len() == 4 && items.iter().step_by(2).any(|item| item == "=");
    let one_sided = items.len() == 4 && (range.least.is_none() || range.most.is_none());
    if sound && (equal || one_sided) {
        let message = format!("{} compares twice in one direction", reader.here());
        reader.refuse(
            Part::Value,
            message,
            "two comparisons are the two ends of a range: one with > or >=, one with < or <=",
        );
        return None;
    }
    if sound && range.is_empty() {
        let message = format!("{} is a range in which no number is", reader.here());
        reader.refuse(Part::Value, message, "the lower end comes with > or >=");
        return None;
    }
    sound.then_some(range)
}

fn comparison(
    reader: &mut Reader,
    index: usize,
    operator: &Value,
    number: &Value,
    range: &mut Range,
) -> Option<()> {
    let found = operator.as_str().and_then(Comparison::of);
    if found.is_none() {
        reader.at(Step::Index(index), |reader| {
            let message = format!("{} is no comparison", describe(operator));
            reader.refuse(Part::Value, message, format!("expected {NUMERIC}"));
        });
    }
    let at = match number {
        Value::Number(number) => Number::of(number),
        _ => None,
    };
    if at.is_none() {
        reader.at(Step::Index(index + 1), |reader| {
            wrong(reader, number, "a number");
        });
    }
    let (found, at) = (found?, at?);
    let bound = |end| Some(Bound { at, end });
    match found {
        Comparison::Equal => {
            range.least = bound(End::Within);
            range.most = bound(End::Within);
        }
        Comparison::Less(end) => range.most = bound(end),
        Comparison::More(end) => range.least = bound(end),
    }
    Some(())
}

fn cidr(reader: &mut Reader, value: &Value) -> Option<Block> {
    const EXPECTED: &str = "a block of addresses, such as \"10.0.0.0/24\" or \"2001:db8::/32\"";
    let Value::String(text) = value else {
        wrong(reader, value, EXPECTED);
        return None;
    };
    Block::parse(text)
        .map_err(|reason| {
            let message = format!("{} is no block of addresses: {reason}", shown(text));
            reader.refuse(Part::Value, message, format!("expected {EXPECTED}"));
        })
        .ok()
}
