//! A TOML text as a tree in which everything keeps its place, in the order of the text.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::problem::Problem;

/// Bytes of the text.
pub(super) type Span = Range<usize>;

/// A key where it stands.
#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) span: Span,
}

/// A value where it stands.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) span: Span,
    pub(super) kind: Kind,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Text(String),
    /// As it was written, and its value if that fits.
    Integer(String, Option<i64>),
    Float(String),
    Boolean(bool),
    Datetime(String),
    Array(Vec<Node>),
    Table(Table),
}

/// Keys and values in the order of the text.
#[derive(Debug, Clone, Default)]
pub(super) struct Table(pub(super) Vec<(Key, Node)>);

impl Table {
    pub(super) fn get(&self, name: &str) -> Option<(&Key, &Node)> {
        let found = self.0.iter().find(|(key, _)| key.name == name);
        found.map(|(key, node)| (key, node))
    }
}

impl Node {
    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.kind {
            Kind::Table(table) => Some(table),
            _ => None,
        }
    }

    /// The value as messages name it: `the integer 30`.
    pub(super) fn describe(&self) -> String {
        match &self.kind {
            Kind::Text(text) => format!("the string {}", quoted(text)),
            Kind::Integer(text, _) => format!("the integer {text}"),
            Kind::Float(text) => format!("the number {text}"),
            Kind::Boolean(value) => format!("{value}"),
            Kind::Datetime(text) => format!("the date {text}"),
            Kind::Array(_) => "an array".to_owned(),
            Kind::Table(_) => "a table".to_owned(),
        }
    }
}

/// A text in quotes, cut when it is long, with nothing that would break a line or a terminal.
pub(super) fn quoted(text: &str) -> String {
    const MOST: usize = 60;
    let cut = text.chars().count() > MOST;
    let shown: String = text.chars().take(MOST).collect();
    format!("{:?}{}", shown, if cut { "…" } else { "" })
}

/// Parses a text; the error is its first syntax error.
pub(super) fn parse(text: &str) -> Result<Table, Problem> {
    let (root, errors) = DeTable::parse_recoverable(text);
    let root = table(root.get_ref());
    match errors.first() {
        None => Ok(root),
        Some(error) => Err(syntax_problem(text, error, &root)),
    }
}

/// What `error` says; `recovered` is what could be made of the text in spite of it.
fn syntax_problem(text: &str, error: &toml::de::Error, recovered: &Table) -> Problem {
    let Some(span) = error.span() else {
        return Problem::of_the_whole(format!("this is no TOML: {}", error.message()))
            .help("tables and arrays may stand 80 deep in each other; nothing else was checked");
    };
    let repeated = text
        .get(span.clone())
        .filter(|_| error.message() == "duplicate key");
    let Some(key) = repeated else {
        return Problem::at(&span, format!("this is no TOML: {}", error.message()))
            .help("see https://toml.io for the syntax; nothing else was checked");
    };
    let problem = Problem::at(&span, format!("`{key}` stands here a second time"))
        .help("leave one of the two out, or join them; nothing else was checked");
    let mut earlier = Vec::new();
    earlier_keys(recovered, text, &span, &mut earlier);
    match earlier.as_slice() {
        [first] => problem.also(first, "the first time"),
        // Several tables have such a key, and the error does not say in which this one stands.
        _ => problem,
    }
}

/// The places before `span` where the same key stands.
fn earlier_keys(table: &Table, text: &str, span: &Span, found: &mut Vec<Span>) {
    for (key, node) in &table.0 {
        if key.span.start < span.start && text.get(key.span.clone()) == text.get(span.clone()) {
            found.push(key.span.clone());
        }
        if let Kind::Table(inner) = &node.kind {
            earlier_keys(inner, text, span, found);
        }
    }
}

fn table(parsed: &DeTable<'_>) -> Table {
    let mut entries: Vec<(Key, Node)> = (parsed.iter())
        .map(|(key, value)| {
            let key = Key {
                name: key.get_ref().to_string(),
                span: key.span(),
            };
            (key, node(value.get_ref(), value.span()))
        })
        .collect();
    // The parser sorts by name; people think in the order in which they wrote.
    entries.sort_by_key(|(key, _)| key.span.start);
    Table(entries)
}

fn node(parsed: &DeValue<'_>, span: Span) -> Node {
    let kind = match parsed {
        DeValue::String(text) => Kind::Text(text.to_string()),
        DeValue::Integer(integer) => Kind::Integer(
            integer.to_string(),
            i64::from_str_radix(integer.as_str(), integer.radix()).ok(),
        ),
        DeValue::Float(float) => Kind::Float(float.to_string()),
        DeValue::Boolean(value) => Kind::Boolean(*value),
        DeValue::Datetime(value) => Kind::Datetime(value.to_string()),
        DeValue::Array(array) => Kind::Array(
            array
                .iter()
                .map(|item| node(item.get_ref(), item.span()))
                .collect(),
        ),
        DeValue::Table(inner) => Kind::Table(table(inner)),
    };
    Node { span, kind }
}
