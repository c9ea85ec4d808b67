//! Reading a pattern: from JSON to a tree of conditions, or to all that is wrong with it at once.

use serde_json::{Map, Value};

use super::{
    condition::{Absence, Condition, Test, Words},
    event::{ATTRIBUTES, is_extension},
    mistake::{Mistake, Part, Path, Step, shown},
    number::Number,
    operator,
};
use crate::{limits, suggest};

/// A pattern as it was written.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: Group,
    pub(super) conditions: Vec<Condition>,
    /// Where each condition stands, and what it says.
    pub(super) written: Vec<(Path, Box<str>)>,
}

/// An object of a pattern: all of it must hold.
#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) fields: Vec<(Box<str>, Node)>,
    /// Of each of these, one must hold.
    pub(super) choices: Vec<Vec<Group>>,
}

/// What is asked of the value under a key.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Condition(ConditionId),
    Group(Group),
}

/// The place of a condition in the list of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConditionId(pub(super) usize);

/// Reads a pattern.
pub(super) fn parse(value: &Value) -> Result<Tree, Vec<Mistake>> {
    let mut reader = Reader {
        path: Path::default(),
        mistakes: Vec::new(),
        conditions: Vec::new(),
        written: Vec::new(),
        values: 0,
        depth: 0,
    };
    let root = reader.root(value);
    reader.check_amounts();
    if reader.mistakes.is_empty() {
        return Ok(Tree {
            root,
            conditions: reader.conditions,
            written: reader.written,
        });
    }
    Err(reader.mistakes)
}

/// Walks through a pattern and knows where it is.
pub(super) struct Reader {
    path: Path,
    mistakes: Vec<Mistake>,
    conditions: Vec<Condition>,
    written: Vec<(Path, Box<str>)>,
    /// Values wanted, in all conditions together.
    values: usize,
    /// Objects around the present place.
    depth: usize,
}

impl Reader {
    pub(super) fn refuse(
        &mut self,
        part: Part,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        if self.mistakes.len() < limits::MAX_PROBLEMS {
            self.mistakes.push(Mistake {
                path: self.path.clone(),
                part,
                message: message.into(),
                help: help.into(),
            });
        }
    }

    /// Reads what stands one step further.
    pub(super) fn at<T>(&mut self, step: Step, read: impl FnOnce(&mut Self) -> T) -> T {
        self.path.0.push(step);
        let result = read(self);
        self.path.0.pop();
        result
    }

    /// The place in backquotes.
    pub(super) fn here(&self) -> String {
        format!("`{}`", self.path)
    }

    fn root(&mut self, value: &Value) -> Group {
        let Value::Object(fields) = value else {
            self.refuse(
                Part::Value,
                format!("the pattern is {}", describe(value)),
                "expected an object, such as {\"data\": {\"status\": [\"paid\"]}}",
            );
            return Group::default();
        };
        if fields.is_empty() {
            self.refuse(
                Part::Value,
                "the pattern is empty: it would want every event",
                "leave it out to want every event",
            );
        }
        self.attributes(fields)
    }

    /// A group at the root, where only attributes of events can be named.
    fn attributes(&mut self, fields: &Map<String, Value>) -> Group {
        for name in fields.keys() {
            if name != OR && !ATTRIBUTES.contains(&name.as_str()) && !is_extension(name) {
                self.at(Step::Key(name.clone()), |reader| {
                    reader.refuse(
                        Part::Key,
                        format!("no event has the attribute {}", shown(name)),
                        meant(name),
                    );
                });
            }
        }
        self.group(fields, Level::Root)
    }

    fn group(&mut self, fields: &Map<String, Value>, level: Level) -> Group {
        let mut group = Group::default();
        if self.depth == limits::MAX_FILTER_DEPTH {
            self.refuse(
                Part::Key,
                format!(
                    "the pattern is nested more than {} deep",
                    limits::MAX_FILTER_DEPTH
                ),
                "leave a part of it to the function",
            );
            return group;
        }
        self.depth += 1;
        for (key, value) in fields {
            self.at(Step::Key(key.clone()), |reader| {
                if key == OR {
                    group.choices.extend(reader.choice(value, level));
                } else if let Some(node) = reader.node(key, value) {
                    group.fields.push((key.as_str().into(), node));
                }
            });
        }
        self.depth -= 1;
        group
    }

    fn node(&mut self, key: &str, value: &Value) -> Option<Node> {
        if operator::stands_alone(key, value) {
            self.refuse(
                Part::Key,
                format!("the operator `{key}` stands outside of an array"),
                format!("put it into one: [{{ {key} = … }}]"),
            );
            return None;
        }
        match value {
            Value::Array(values) => self.condition(values).map(Node::Condition),
            Value::Object(fields) if fields.is_empty() => {
                let here = self.here();
                self.refuse(
                    Part::Key,
                    format!("{here} asks for nothing"),
                    "leave it out, or write [{ exists = true }] to ask that it is there",
                );
                None
            }
            Value::Object(fields) => Some(Node::Group(self.group(fields, Level::Inside))),
            value => {
                let message = format!("{} is {}", self.here(), describe(value));
                self.refuse(
                    Part::Value,
                    message,
                    format!("wanted values stand in an array: [{}]", shorten(value)),
                );
                None
            }
        }
    }

    /// `$or`: one of several groups.
    fn choice(&mut self, value: &Value, level: Level) -> Option<Vec<Group>> {
        const EXPECTED: &str = "expected an array of two or more objects, of which one must hold";
        let Value::Array(items) = value else {
            self.refuse(
                Part::Value,
                format!("{} is {}", self.here(), describe(value)),
                EXPECTED,
            );
            return None;
        };
        if items.len() < 2 {
            let message = format!("{} has fewer than two alternatives", self.here());
            self.refuse(Part::Value, message, EXPECTED);
        }
        let mut groups = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let group = self.at(Step::Index(index), |reader| reader.alternative(item, level));
            groups.extend(group);
        }
        Some(groups)
    }

    fn alternative(&mut self, item: &Value, level: Level) -> Option<Group> {
        match item {
            Value::Object(fields) if !fields.is_empty() => Some(match level {
                Level::Root => self.attributes(fields),
                Level::Inside => self.group(fields, level),
            }),
            Value::Object(_) => {
                self.refuse(
                    Part::Value,
                    "an alternative is empty: it would always hold",
                    "leave the whole `$or` out, or say what must hold",
                );
                None
            }
            item => {
                self.refuse(
                    Part::Value,
                    format!("an alternative is {}", describe(item)),
                    "expected an object, such as {\"status\": [\"paid\"]}",
                );
                None
            }
        }
    }

    fn condition(&mut self, values: &[Value]) -> Option<ConditionId> {
        if values.is_empty() {
            let message = format!("{} is an empty array: nothing meets it", self.here());
            self.refuse(
                Part::Value,
                message,
                "list what is wanted; for a place where nothing is write [{ exists = false }]",
            );
            return None;
        }
        let mut wanted = Wanted::default();
        for (index, value) in values.iter().enumerate() {
            self.at(Step::Index(index), |reader| {
                reader.wanted(value, &mut wanted);
            });
        }
        let id = ConditionId(self.conditions.len());
        let written = serde_json::to_string(values).unwrap_or_default();
        self.written.push((self.path.clone(), written.into()));
        self.conditions.push(wanted.into());
        Some(id)
    }

    /// One wanted value, or an operator.
    fn wanted(&mut self, value: &Value, wanted: &mut Wanted) {
        self.values += 1;
        match value {
            Value::Object(fields) => operator::read(self, fields, wanted),
            value => self.exact(value, wanted),
        }
    }

    /// A wanted value as it stands.
    pub(super) fn exact(&mut self, value: &Value, wanted: &mut Wanted) {
        match value {
            Value::Null => wanted.words.null = true,
            Value::Bool(true) => wanted.words.yes = true,
            Value::Bool(false) => wanted.words.no = true,
            Value::String(text) => wanted.texts.push(text.as_str().into()),
            Value::Number(number) => wanted.numbers.extend(Number::of(number)),
            Value::Array(_) | Value::Object(_) => self.refuse(
                Part::Value,
                format!("a wanted value is {}", describe(value)),
                "expected a text, a number, true, false or null; elements of an event's array \
                 are looked at one by one",
            ),
        }
    }

    /// Counts one more wanted value.
    pub(super) fn count(&mut self) {
        self.values += 1;
    }

    fn check_amounts(&mut self) {
        for (count, most, what) in [
            (
                self.conditions.len(),
                limits::MAX_FILTER_CONDITIONS,
                "conditions",
            ),
            (self.values, limits::MAX_FILTER_VALUES, "wanted values"),
        ] {
            if count > most {
                self.refuse(
                    Part::Value,
                    format!("the pattern has {count} {what}"),
                    format!("at most {most} are allowed; leave a part of them to the function"),
                );
            }
        }
    }
}

pub(super) const OR: &str = "$or";

/// Where a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    /// Its keys are attributes of an event.
    Root,
    Inside,
}

/// A condition while it is read.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) texts: Vec<Box<str>>,
    pub(super) numbers: Vec<Number>,
    pub(super) words: Words,
    pub(super) tests: Vec<Test>,
    pub(super) absence: Absence,
}

impl From<Wanted> for Condition {
    fn from(mut wanted: Wanted) -> Self {
        wanted.texts.sort_unstable();
        wanted.texts.dedup();
        Self {
            texts: wanted.texts.into(),
            numbers: wanted.numbers.into(),
            words: wanted.words,
            tests: wanted.tests.into(),
            absence: wanted.absence,
        }
    }
}

/// What somebody may have meant by a name that is no attribute.
fn meant(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let other = match lower.as_str() {
        "detail" => "EventBridge's `detail` is `data` here",
        "detail-type" | "detailtype" | "kind" => "the kind of an event is its `type`",
        "resources" | "resource" => "what an event happened to is its `subject`",
        "body" | "payload" => "what an event carries is its `data`",
        "version" | "specversion" | "account" | "region" => "it means nothing here: leave it out",
        "after" | "before" | "key" | "operation" | "size" | "bucket" | "table" => {
            return format!("it is a part of the data: write data.{lower}");
        }
        _ => return suggest::did_you_mean(name, ATTRIBUTES),
    };
    other.to_owned()
}

/// A value as messages name it.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::String(text) => format!("the string {}", shown(text)),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// A value without parts as it is written, cut when it is long.
fn shorten(value: &Value) -> String {
    match value {
        Value::String(text) => shown(text),
        value => value.to_string(),
    }
}
