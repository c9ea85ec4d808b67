//! An event as a pattern sees it: its attributes, and its data, parsed when first asked for.

use std::cell::OnceCell;

use serde_json::Value;

use crate::event::Event;

/// What of an event a pattern can name: CloudEvents' attributes, and the payload.
pub const ATTRIBUTES: [&str; 7] = [
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "data",
];

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
            _ => Seen::Nothing,
        }
    }
}

/// What is found at some place of an event.
#[derive(Debug, Clone, Copy)]
pub(super) enum Seen<'a> {
    /// The event as a whole.
    Event(&'a EventView<'a>),
    Nothing,
    Text(&'a str),
    Json(&'a Value),
}

impl<'a> Seen<'a> {
    /// What stands under a key; nothing in what is no object.
    pub(super) fn get(self, key: &str) -> Seen<'a> {
        match self {
            Seen::Event(event) => event.get(key),
            Seen::Json(Value::Object(fields)) => fields.get(key).map_or(Seen::Nothing, Seen::Json),
            Seen::Nothing | Seen::Text(_) | Seen::Json(_) => Seen::Nothing,
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
