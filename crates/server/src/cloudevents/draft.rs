//! An event that is being read: its attributes as they came, and every mistake in them.

use std::{collections::BTreeMap, fmt};

use bytes::Bytes;
use wakeful_core::{
    event::{Extension, Extensions, Origin},
    limits,
    name::TopicName,
    port::{Arrival, Kind},
    time::Timestamp,
};

use super::rules;

/// The longest `id` and `source`, bytes each: together they are the key of an index.
const MAX_IDENTITY: usize = 1024;

/// An event as its sender described it.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// Unique within `source`.
    pub id: String,
    /// A URI reference.
    pub source: String,
    /// CloudEvents `type`.
    pub kind: String,
    /// What within the source.
    pub subject: Option<String>,
    /// When it happened.
    pub time: Option<Timestamp>,
    /// CloudEvents `datacontenttype`.
    pub content_type: Option<String>,
    /// Extension attributes, and `dataschema`.
    pub extensions: Extensions,
    /// The payload; `None` when there is none.
    pub data: Option<Bytes>,
}

impl CloudEvent {
    /// As a source hands it in: published under `topic`, and recognised by `source` and `id` when
    /// its sender repeats it. Without a time of its own it happened `now`; data without a type is
    /// a sequence of bytes.
    pub fn into_arrival(self, topic: TopicName, now: Timestamp) -> Arrival {
        let data = self.data.unwrap_or_default();
        let assumed = match data.is_empty() {
            true => "application/json",
            false => "application/octet-stream",
        };
        let content_type = self.content_type.unwrap_or_else(|| assumed.to_owned());
        Arrival {
            kind: Kind::Given(self.kind),
            subject: self.subject,
            content_type,
            dedup_id: Some(self.id),
            source: Some(self.source),
            extensions: self.extensions,
            ..Arrival::new(Origin::Topic(topic), "", self.time.unwrap_or(now), data)
        }
    }
}

/// What is wrong with an event.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mistake {
    /// Its place in a batch, from 0; `None` for an event that came alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<usize>,
    /// The attribute, or `data`.
    pub attribute: String,
    /// The rule that it breaks.
    pub rule: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.event {
            write!(f, "event {place}: ")?;
        }
        write!(f, "`{}` {}", self.attribute, self.rule)
    }
}

/// The attributes of an event, as they came.
#[derive(Default)]
pub(super) struct Draft {
    attributes: BTreeMap<String, Extension>,
    mistakes: Vec<Mistake>,
    bytes: usize,
}

impl Draft {
    /// Notes an attribute.
    pub(super) fn put(&mut self, name: &str, value: Extension) {
        if !rules::is_name(name) {
            return self.wrong(name, format!("must be {}", rules::NAME));
        }
        self.bytes += name.len() + length(&value);
        if self.attributes.insert(name.to_owned(), value).is_some() {
            self.wrong(name, "must stand there only once");
        }
    }

    /// Notes a mistake.
    pub(super) fn wrong(&mut self, attribute: &str, rule: impl Into<String>) {
        // What comes from outside is shown, but not at any length.
        let attribute = attribute.chars().take(64).collect();
        self.mistakes.push(Mistake {
            event: None,
            attribute,
            rule: rule.into(),
        });
    }

    /// The text of an attribute, when it stands there.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        match self.attributes.get(name) {
            Some(Extension::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// The event, or everything that is wrong with it.
    pub(super) fn finish(mut self, data: Option<Bytes>) -> Result<CloudEvent, Vec<Mistake>> {
        match self.take_text("specversion") {
            Some(version) if version == "1.0" => {}
            Some(version) => {
                // The rules of another version are not these.
                let version: String = version.chars().take(20).collect();
                self.mistakes.clear();
                self.wrong("specversion", format!("must be `1.0`, not `{version}`"));
                return Err(self.mistakes);
            }
            None => self.missing("specversion"),
        }
        if self.bytes > limits::MAX_HEADERS {
            let most = limits::MAX_HEADERS;
            self.wrong(
                "*",
                format!("attributes must have at most {most} bytes together"),
            );
        }
        let id = self.required("id", rules::text);
        let source = self.required("source", rules::uri_reference);
        let kind = self.required("type", rules::text);
        let subject = self.optional("subject", rules::text);
        let content_type = self.optional("datacontenttype", rules::media_type);
        let schema = self.optional("dataschema", rules::uri);
        let time = self.optional("time", |text| rules::time(text).map(|_| ()));
        let mut extensions = self.extensions();
        extensions.extend(schema.map(|schema| ("dataschema".to_owned(), Extension::Text(schema))));
        match (id, source, kind) {
            (Some(id), Some(source), Some(kind)) if self.mistakes.is_empty() => Ok(CloudEvent {
                id,
                source,
                kind,
                subject,
                time: time.and_then(|text| rules::time(&text).ok()),
                content_type,
                extensions,
                data,
            }),
            _ => Err(self.mistakes),
        }
    }

    fn missing(&mut self, name: &str) {
        let told = self
            .mistakes
            .iter()
            .any(|mistake| mistake.attribute == name);
        if !told {
            self.wrong(name, "is required");
        }
    }

    fn required(
        &mut self,
        name: &str,
        rule: fn(&str) -> Result<(), rules::Rule>,
    ) -> Option<String> {
        let value = self.optional(name, rule);
        match &value {
            None => self.missing(name),
            Some(text) if name != "type" && text.len() > MAX_IDENTITY => {
                self.wrong(name, format!("must have at most {MAX_IDENTITY} bytes"));
            }
            Some(_) => {}
        }
        value
    }

    fn optional(
        &mut self,
        name: &str,
        rule: fn(&str) -> Result<(), rules::Rule>,
    ) -> Option<String> {
        let text = self.take_text(name)?;
        if text.is_empty() {
            self.wrong(name, "must not be empty");
        } else if let Err(rule) = rule(&text) {
            self.wrong(name, format!("must be {rule}"));
        }
        Some(text)
    }

    /// Attributes of the core are all written as text.
    fn take_text(&mut self, name: &str) -> Option<String> {
        match self.attributes.remove(name)? {
            Extension::Text(text) => Some(text),
            Extension::Boolean(_) | Extension::Integer(_) => {
                self.wrong(name, "must be a string");
                None
            }
        }
    }

    fn extensions(&mut self) -> Extensions {
        let extensions = std::mem::take(&mut self.attributes);
        for (name, value) in &extensions {
            if let Extension::Text(text) = value
                && let Err(rule) = rules::text(text)
            {
                self.wrong(name, format!("must be {rule}"));
            }
        }
        extensions
    }
}

fn length(value: &Extension) -> usize {
    match value {
        Extension::Boolean(_) => 5,
        Extension::Integer(_) => 11,
        Extension::Text(text) => text.len(),
    }
}
