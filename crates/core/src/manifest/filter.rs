//! `filter` of a trigger: an event pattern, written in TOML.

use serde_json::{Map, Number, Value, json};

use super::{
    Source,
    document::{self, Key, Kind, Node, Span},
    problem::{Problem, Problems, Report},
    reader::Item,
};
use crate::filter::{ATTRIBUTES, Mistake, Part, Path, Pattern, Step, is_extension};

/// Reads a filter; its mistakes are reported where they stand.
pub(super) fn read(item: Item<'_>) -> Option<Pattern> {
    if !item.is_table() {
        item.wrong_kind("a table, such as { data.after.status = [\"paid\"] }");
        return None;
    }
    let mut sound = true;
    let value = value(item.node, item.report, &mut sound);
    match Pattern::parse(&value) {
        Ok(pattern) => sound.then_some(pattern),
        Err(mistakes) => {
            for mistake in mistakes {
                item.report.problem(problem(mistake, item));
            }
            None
        }
    }
}

/// Refuses extension attributes in the filter of a source whose events have none. `better` says
/// what may have been meant by one.
pub(super) fn refuse_extensions(item: Item<'_>, better: impl Fn(&str) -> String) {
    let Kind::Table(root) = &item.node.kind else {
        return;
    };
    let mut groups = vec![root];
    while let Some(group) = groups.pop() {
        for (key, node) in &group.0 {
            if is_extension(&key.name) {
                let message = format!("events of this source have no attribute `{}`", key.name);
                let help = format!(
                    "did you mean {}? Extension attributes come with events that are published",
                    better(&key.name)
                );
                item.report
                    .problem(Problem::at(&key.span, message).help(help));
            }
            if let ("$or", Kind::Array(items)) = (key.name.as_str(), &node.kind) {
                groups.extend(items.iter().filter_map(Node::as_table));
            }
        }
    }
}

/// Reads a text that is one filter: JSON when it begins with a brace, otherwise TOML as below
/// `[function.NAME.on.filter]`.
///
/// # Errors
/// All mistakes, for TOML each with its place in the text, for JSON with its path.
pub fn parse_filter(source: &Source) -> Result<Pattern, Problems> {
    let fail = |problems| Problems::new(source.clone(), problems);
    if source.text.trim_start().starts_with('{') {
        return parse_json(&source.text).map_err(fail);
    }
    let table = document::parse(&source.text).map_err(|problem| fail(vec![problem]))?;
    let key = Key {
        name: "filter".to_owned(),
        span: 0..0,
    };
    let node = Node {
        span: 0..source.text.len(),
        kind: Kind::Table(table),
    };
    let report = Report::default();
    let pattern = read(Item::of(&key, &node, &report));
    let (problems, _) = report.into_parts();
    pattern.ok_or_else(|| fail(problems))
}

fn parse_json(text: &str) -> Result<Pattern, Vec<Problem>> {
    let value: Value = serde_json::from_str(text).map_err(|error| {
        let line = text
            .split_inclusive('\n')
            .take(error.line().saturating_sub(1));
        let at = line.map(str::len).sum::<usize>() + error.column().saturating_sub(1);
        let at = text.floor_char_boundary(at.min(text.len()));
        vec![
            Problem::at(&(at..at), format!("this is no JSON: {error}"))
                .help("nothing else was checked"),
        ]
    })?;
    Pattern::parse(&value).map_err(|mistakes| {
        let problems = mistakes.into_iter().map(|mistake| {
            let place = mistake.path.to_string();
            let message = match mistake.message.contains(&place) {
                true => mistake.message,
                false => format!("{place}: {}", mistake.message),
            };
            Problem::of_the_whole(message).help(mistake.help)
        });
        problems.collect()
    })
}

/// A value as JSON. What JSON cannot hold is reported, and null put in its place, so that the
/// rest is read as well.
fn value(node: &Node, report: &Report, sound: &mut bool) -> Value {
    match &node.kind {
        Kind::Text(text) => text.as_str().into(),
        Kind::Boolean(value) => (*value).into(),
        Kind::Integer(text, value) => match value {
            Some(value) => (*value).into(),
            None => {
                let message = format!("the integer {text} has more than 64 bits");
                refuse(
                    node,
                    report,
                    sound,
                    message,
                    "write it as a text, or as 1e20",
                )
            }
        },
        Kind::Float(text) => match number(text) {
            Some(number) => Value::Number(number),
            None => {
                let message = format!("no event holds the number {text}");
                refuse(node, report, sound, message, "expected a finite number")
            }
        },
        Kind::Datetime(text) => {
            let message = format!("no event holds the date {text} as such: dates are texts");
            let help = format!("put it in quotes: \"{text}\"");
            refuse(node, report, sound, message, &help)
        }
        Kind::Array(items) => {
            let items = items.iter().map(|item| value(item, report, sound));
            items.collect::<Vec<_>>().into()
        }
        Kind::Table(table) => {
            let entries = table.0.iter();
            let entries = entries.map(|(key, node)| (key.name.clone(), value(node, report, sound)));
            Value::Object(entries.collect::<Map<_, _>>())
        }
    }
}

fn number(text: &str) -> Option<Number> {
    let plain: String = text.chars().filter(|c| *c != '_').collect();
    plain.parse().ok().and_then(Number::from_f64)
}

fn refuse(node: &Node, report: &Report, sound: &mut bool, message: String, help: &str) -> Value {
    *sound = false;
    report.problem(Problem::at(&node.span, message).help(help));
    Value::Null
}

fn problem(mistake: Mistake, item: Item<'_>) -> Problem {
    let at = place(&mistake.path, mistake.part, item);
    Problem::at(at, mistake.message).help(mistake.help)
}

/// Where in the text a mistake is.
fn place<'a>(path: &Path, part: Part, item: Item<'a>) -> &'a Span {
    let mut at = (item.key_span(), item.node);
    for step in path.steps() {
        let found: Option<(Option<&Key>, &Node)> = match (step, &at.1.kind) {
            (Step::Key(name), Kind::Table(table)) => {
                table.get(name).map(|(key, node)| (Some(key), node))
            }
            (Step::Index(index), Kind::Array(items)) => items.get(*index).map(|node| (None, node)),
            _ => None,
        };
        let Some((key, node)) = found else { break };
        at = (key.map_or(&node.span, |key| &key.span), node);
    }
    match (part, &at.1.kind) {
        // A table may be spread over many lines; its key says where it is.
        (Part::Key, _) | (Part::Value, Kind::Table(_)) => at.0,
        (Part::Value, _) => &at.1.span,
    }
}

/// What the JSON Schema says of filters.
pub(super) fn definitions() -> [(String, Value); 4] {
    let name = |id: &str| json!({ "$ref": format!("#/$defs/{id}") });
    let either = json!({ "anyOf": [name("condition"), name("pattern")] });
    let choice = |id: &str| json!({ "type": "array", "items": name(id), "minItems": 2 });
    let mut attributes: Map<String, Value> = ATTRIBUTES
        .into_iter()
        .map(|attribute| (attribute.to_owned(), name("condition")))
        .collect();
    attributes.insert("data".to_owned(), either.clone());
    attributes.insert("$or".to_owned(), choice("filter"));
    [
        (
            "filter",
            json!({
                "type": "object",
                "description": "An event pattern: everything in it must hold for an event.",
                "properties": attributes,
                "patternProperties": { "^[a-z0-9]+$": name("condition") },
                "additionalProperties": false,
                "minProperties": 1,
            }),
        ),
        (
            "pattern",
            json!({
                "type": "object",
                "properties": { "$or": choice("pattern") },
                "additionalProperties": either,
                "minProperties": 1,
            }),
        ),
        (
            "condition",
            json!({
                "type": "array",
                "description": "What is wanted: any of these values, or of what these operators describe.",
                "items": { "anyOf": [
                    { "type": "string" }, { "type": "number" }, { "type": "boolean" }, name("operator"),
                ] },
                "minItems": 1,
            }),
        ),
        ("operator", operator()),
    ]
    .map(|(id, schema)| (id.to_owned(), schema))
}

fn operator() -> Value {
    let text = json!({ "type": "string" });
    let texts = json!({ "anyOf": [text, { "type": "array", "items": text, "minItems": 1 }] });
    let only = |key: &str, value: &Value| {
        json!({
            "type": "object",
            "properties": { key: value },
            "additionalProperties": false,
            "minProperties": 1,
        })
    };
    let end = json!({ "anyOf": [text, only("equals-ignore-case", &text)] });
    let ends = json!({ "anyOf": [
        text,
        { "type": "array", "items": end, "minItems": 1 },
        only("equals-ignore-case", &texts),
    ] });
    let value = json!({ "anyOf": [text, { "type": "number" }, { "type": "boolean" }] });
    let excluded = json!({
        "type": "object",
        "properties": {
            "prefix": ends, "suffix": ends, "equals-ignore-case": texts, "wildcard": texts,
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    });
    json!({
        "type": "object",
        "properties": {
            "prefix": end,
            "suffix": end,
            "equals-ignore-case": text,
            "wildcard": text,
            "anything-but": { "anyOf": [
                value, { "type": "array", "items": value, "minItems": 1 }, excluded,
            ] },
            "numeric": {
                "type": "array",
                "items": { "anyOf": [{ "enum": ["=", "<", "<=", ">", ">="] }, { "type": "number" }] },
                "minItems": 2,
                "maxItems": 4,
            },
            "cidr": { "type": "string", "examples": ["10.0.0.0/24", "2001:db8::/32"] },
            "exists": { "type": "boolean" },
            "null": { "type": "boolean" },
        },
        "additionalProperties": false,
        "minProperties": 1,
        "maxProperties": 1,
    })
}
