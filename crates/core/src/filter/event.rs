//! An event as a pattern sees it: its attributes, and its data, parsed when first asked for.

use std::cell::OnceCell;

use serde_json::Value;

use crate::{
    event::{Event, Extension},
    limits,
};

/// What of an event a pattern can always name: CloudEvents' attributes, and the payload. Beside
/// them it can name extension attributes.
pub const ATTRIBUTES: [&str; 7] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
];

/// Words that could be names of extension attributes, but stand for something else wherever
/// somebody writes them: those of other systems, and parts of our own data.
const NO_EXTENSIONS: [&str; 18] = [
    "account",
    "after",
    "before",
    "body",
    "bucket",
    "detail",
    "detailtype",
    "key",
    "kind",
    "operation",
    "payload",
    "region",
    "resource",
    "resources",
    "size",
    "specversion",
    "table",
    "version",
];

/// Whether a name is taken for that of an extension attribute: CloudEvents allow lower-case
/// letters and digits. One letter beside the name of an attribute is taken for a mistake.
pub(crate) fn is_extension(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let near =
        |attribute: &&str| attribute.len() > 2 && strsim::damerau_levenshtein(attribute, name) <= 1;
    (1..=limits::MAX_EXTENSION_NAME).contains(&name.len())
        && name.bytes().all(fits)
        && !NO_EXTENSIONS.contains(&name)
        && !ATTRIBUTES.iter().any(near)
}

/// An event as patterns see it. It parses the data once, and only if some pattern looks into it;
/// make one for all patterns that an event is put to.
#[derive(Debug)]
pub struct EventView<'a> {
    origin: Origin<'a>,
    time: OnceCell<String>,
    data: OnceCell<Option<Value>>,
}

#[derive(Debug)]
enum Origin<'a> {
    Event(&'a Event),
    Json(Value),
}

impl<'a> EventView<'a> {
    /// Of an event. Data that is not JSON, or is nested more than 127 deep, is not there for
    /// patterns.
    pub fn of(event: &'a Event) -> Self {
        Self::new(Origin::Event(event))
    }

    /// Of an event as CloudEvents' JSON.
    pub fn of_json(event: Value) -> Self {
        Self::new(Origin::Json(event))
    }

    fn new(origin: Origin<'a>) -> Self {
        Self {
            origin,
            time: OnceCell::new(),
            data: OnceCell::new(),
        }
    }

    fn get(&self, name: &str) -> Seen<'_> {
        let event = match &self.origin {
            Origin::Event(event) => event,
            Origin::Json(value) => return Seen::Json(value).get(name),
        };
        match name {
            "id" => Seen::Text(&event.id),
            "source" => Seen::Text(&event.source),
            "type" => Seen::Text(&event.kind),
            "subject" => event.subject.as_deref().map_or(Seen::Nothing, Seen::Text),
            "time" => Seen::Text(self.time.get_or_init(|| event.time.to_string())),
            "datacontenttype" => Seen::Text(&event.content_type),
            "data" => {
                let parse = || {
                    event
                        .is_json()
                        .then(|| serde_json::from_slice(&event.data).ok())
                };
                let data = self.data.get_or_init(|| parse().flatten());
                data.as_ref().map_or(Seen::Nothing, Seen::Json)
            }
            name => match event.extensions.get(name) {
                Some(Extension::Text(text)) => Seen::Text(text),
                Some(Extension::Integer(number)) => Seen::Integer(*number),
                Some(Extension::Boolean(value)) => Seen::Boolean(*value),
                None => Seen::Nothing,
            },
        }
    }
}

/// What is found at some place of an event.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Seen<'a> {
    /// The event as a whole.
    Event(&'a EventView<'a>),
    Nothing,
    Text(&'a str),
    Boolean(bool),
    Integer(i32),
    Json(&'a Value),
}

impl<'a> Seen<'a> {
    /// What stands under a key; nothing in what is no object.
    pub(crate) fn get(self, key: &str) -> Seen<'a> {
        match self {
            Seen::Event(event) => event.get(key),
            Seen::Json(Value::Object(fields)) => fields.get(key).map_or(Seen::Nothing, Seen::Json),
            Seen::Nothing | Seen::Text(_) | Seen::Boolean(_) | Seen::Integer(_) | Seen::Json(_) => {
                Seen::Nothing
            }
        }
    }

    /// The text that it is.
    pub(crate) fn as_text(self) -> Option<&'a str> {
        match self {
            Seen::Text(text) => Some(text),
            Seen::Json(value) => value.as_str(),
            Seen::Event(_) | Seen::Nothing | Seen::Boolean(_) | Seen::Integer(_) => None,
        }
    }

    /// An element of an array, from 0; nothing in what is no array or has fewer.
    pub(crate) fn element(self, index: usize) -> Seen<'a> {
        match self {
            Seen::Json(Value::Array(items)) => items.get(index).map_or(Seen::Nothing, Seen::Json),
            _ => Seen::Nothing,
        }
    }

    /// The elements of an array that has some.
    pub(super) fn elements(self) -> Option<impl Iterator<Item = Seen<'a>>> {
        match self {
            Seen::Json(Value::Array(items)) if !items.is_empty() => {
                Some(items.iter().map(Seen::Json))
            }
            _ => None,
        }
    }
}
