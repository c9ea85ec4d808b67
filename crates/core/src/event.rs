//! Events: something that happened, as a CloudEvents 1.0 envelope.

use std::{fmt, str::FromStr};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    id::{EventId, RunId},
    name::{BucketName, DatabaseName, FunctionName, TableName, TopicName, TriggerId},
    time::Timestamp,
};

/// Something that happened. Immutable once it is submitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Our own id: grows with time, unique on this server.
    pub key: EventId,
    /// What it happened to, as triggers name it.
    pub origin: Origin,
    /// CloudEvents `id`: unique within `source`. Our own sources use the text of `key`.
    pub id: String,
    /// CloudEvents `source`: a URI reference.
    pub source: String,
    /// CloudEvents `type`, such as `wakeful.bucket.created`.
    pub kind: String,
    /// CloudEvents `subject`: what within the source, such as an object's key.
    pub subject: Option<String>,
    /// CloudEvents `time`: when it happened.
    pub time: Timestamp,
    /// CloudEvents `datacontenttype`.
    pub content_type: String,
    /// The payload: for `application/json` a valid JSON text.
    pub data: Bytes,
    /// What CloudEvents call extension attributes, and `dataschema`, by name.
    pub extensions: Extensions,
    /// Where it comes from, when a run or another event caused it.
    pub lineage: Lineage,
}

/// Attributes beyond those of CloudEvents' core: names of lower-case letters and digits.
pub type Extensions = std::collections::BTreeMap<String, Extension>;

/// The value of an attribute, as JSON has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Extension {
    /// A boolean.
    Boolean(bool),
    /// A whole number of 32 bits, as CloudEvents define it.
    Integer(i32),
    /// Anything else: text, URIs, times, base64.
    Text(String),
}

/// What caused an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lineage {
    /// The run that published it, or whose outcome it tells of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
    /// The event that this run was owed for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<EventId>,
    /// How many events came before it in its chain; 0 for one that came from outside.
    #[serde(default)]
    pub depth: u16,
    /// The event that it repeats, when somebody replayed or edited that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay_of: Option<EventId>,
}

impl Event {
    /// The last word of the type: `created`, `insert`, `tick`; what a trigger's `events` lists.
    pub fn verb(&self) -> &str {
        self.kind.rsplit('.').next().unwrap_or(&self.kind)
    }

    /// The whole event as CloudEvents JSON (structured mode): `data` is embedded as it stands
    /// when it is JSON, otherwise as `data_base64`.
    pub fn to_json(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Envelope<'a> {
            specversion: &'static str,
            id: &'a str,
            source: &'a str,
            #[serde(rename = "type")]
            kind: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            subject: Option<&'a str>,
            time: String,
            datacontenttype: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a serde_json::value::RawValue>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data_base64: Option<String>,
            #[serde(flatten)]
            extensions: &'a Extensions,
        }
        let raw = self
            .is_json()
            .then(|| serde_json::from_slice(&self.data).ok())
            .flatten();
        let envelope = Envelope {
            specversion: "1.0",
            id: &self.id,
            source: &self.source,
            kind: &self.kind,
            subject: self.subject.as_deref(),
            time: self.time.to_string(),
            datacontenttype: &self.content_type,
            data_base64: (raw.is_none() && !self.data.is_empty())
                .then(|| BASE64_STANDARD.encode(&self.data)),
            data: raw,
            extensions: &self.extensions,
        };
        serde_json::to_vec(&envelope).expect("an envelope of strings and valid JSON serialises")
    }

    /// Whether the payload claims to be JSON: `*/json` or `*/*+json`, as CloudEvents have it.
    pub fn is_json(&self) -> bool {
        let essence = self.content_type.split(';').next().unwrap_or_default();
        let subtype = essence.trim().split_once('/').map_or("", |(_, sub)| sub);
        let suffix = subtype.rsplit('+').next().unwrap_or_default();
        suffix.eq_ignore_ascii_case("json")
    }
}

/// What an event happened to. A trigger listens to one origin; the store keeps its text form.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Origin {
    /// An object of a bucket.
    Bucket(BucketName),
    /// A row of a table.
    Table(DatabaseName, TableName),
    /// The tick of one schedule trigger.
    Schedule(TriggerId),
    /// A request to one http trigger that is answered before it ran.
    Http(TriggerId),
    /// Someone invoked the function by name.
    Invoke(FunctionName),
    /// Someone published it.
    Topic(TopicName),
    /// It tells of a delivery that died.
    DeadLetter,
    /// It tells of the outcome of a delivery to this trigger, for its destination.
    Outcome(TriggerId),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bucket(bucket) => write!(f, "bucket:{bucket}"),
            Self::Table(database, table) => write!(f, "table:{database}:{table}"),
            Self::Schedule(trigger) => write!(f, "schedule:{trigger}"),
            Self::Http(trigger) => write!(f, "http:{trigger}"),
            Self::Invoke(function) => write!(f, "invoke:{function}"),
            Self::Topic(topic) => write!(f, "topic:{topic}"),
            Self::DeadLetter => f.write_str("system:dead"),
            Self::Outcome(trigger) => write!(f, "outcome:{trigger}"),
        }
    }
}

/// A text that names no origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no origin of events")]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let wrong = || InvalidOrigin(text.chars().take(300).collect());
        let (kind, rest) = text.split_once(':').ok_or_else(wrong)?;
        match kind {
            "bucket" => rest.parse().map(Self::Bucket).map_err(|_| wrong()),
            "table" => {
                let (database, table) = rest.split_once(':').ok_or_else(wrong)?;
                match (database.parse(), table.parse()) {
                    (Ok(database), Ok(table)) => Ok(Self::Table(database, table)),
                    _ => Err(wrong()),
                }
            }
            "schedule" => Ok(Self::Schedule(TriggerId::from_stored(rest))),
            "http" => Ok(Self::Http(TriggerId::from_stored(rest))),
            "invoke" => rest.parse().map(Self::Invoke).map_err(|_| wrong()),
            "topic" => rest.parse().map(Self::Topic).map_err(|_| wrong()),
            "system" if rest == "dead" => Ok(Self::DeadLetter),
            "outcome" => Ok(Self::Outcome(TriggerId::from_stored(rest))),
            _ => Err(wrong()),
        }
    }
}

/// What happens to an object: the words of a bucket trigger's `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectVerb {
    /// A key that did not exist was written.
    Created,
    /// A key that existed was overwritten.
    Changed,
    /// A key that existed was deleted.
    Removed,
}

/// What happens to a row: the words of a database trigger's `events`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RowVerb {
    /// A row was added.
    Insert,
    /// A row was changed.
    Update,
    /// A row was removed.
    Delete,
}

macro_rules! verb_text {
    ($kind:ident: $($variant:ident = $text:literal),+) => {
        impl $kind {
            /// All of them, in the order in which they are documented.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word that manifests and event types use.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
verb_text!(ObjectVerb: Created = "created", Changed = "changed", Removed = "removed");
verb_text!(RowVerb: Insert = "insert", Update = "update", Delete = "delete");

#[cfg(test)]
mod tests {
    use super::*;

    fn event(content_type: &str, data: &'static [u8]) -> serde_json::Value {
        let event = Event {
            key: EventId::from_raw(7),
            origin: "bucket:photos".parse().unwrap(),
            id: "1".into(),
            source: "/p/dev/bucket/photos".into(),
            kind: "wakeful.bucket.created".into(),
            subject: Some("a b.jpg".into()),
            time: Timestamp::from_millis(0),
            content_type: content_type.into(),
            data: Bytes::from_static(data),
            extensions: Extensions::new(),
            lineage: Lineage::default(),
        };
        assert_eq!(event.verb(), "created");
        serde_json::from_slice(&event.to_json()).unwrap()
    }

    #[test]
    fn json_is_embedded_and_anything_else_is_base64() {
        assert_eq!(event("application/json", b"{\"a\": 1}")["data"]["a"], 1);
        assert_eq!(
            event("application/x+json; charset=utf-8", b"[]")["data"],
            serde_json::json!([])
        );
        assert_eq!(event("Text/JSON", b"7")["data"], 7);
        assert_eq!(event("image/png", b"\x89PNG")["data_base64"], "iVBORw==");
        assert_eq!(
            event("application/json", b"not json")["data_base64"],
            "bm90IGpzb24="
        );
    }

    #[test]
    fn origins_survive_their_text() {
        for text in [
            "bucket:photos",
            "table:shop:my:table",
            "schedule:f/a:b",
            "http:f/x",
            "invoke:f",
            "topic:orders.paid",
            "system:dead",
            "outcome:f/x",
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), text);
        }
        for wrong in ["", "bucket", "bucket:X", "table:shop", "moon:x"] {
            assert!(wrong.parse::<Origin>().is_err(), "{wrong}");
        }
    }
}
