//! What functions publish: Messages of docs/worker-protocol.md, as arrivals.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use wakeful_core::{
    event::{Extension, Extensions, Lineage, Origin},
    limits,
    name::TopicName,
    port::{Arrival, Kind, Wishes},
    time::Timestamp,
};
use wakeful_workers::HostError;

use super::{invalid, wishes::Timing};
use crate::cloudevents::{declares_json, is_json, media_type, rules};

/// The longest `id` and `source`, bytes: together they are the key of an index.
const MAX_IDENTITY: usize = 1024;

/// All that one call publishes.
#[derive(Deserialize)]
pub(super) struct Messages {
    events: Vec<Message>,
}

/// One event, as its function describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    topic: String,
    length: Option<usize>,
    content_type: Option<String>,
    id: Option<String>,
    source: Option<String>,
    subject: Option<String>,
    time: Option<String>,
    #[serde(default)]
    extensions: BTreeMap<String, Extension>,
    #[serde(flatten)]
    timing: Timing,
}

impl Messages {
    /// The events with their data, which stand one after the other in `body`.
    pub(super) fn into_arrivals(
        self,
        mut body: Bytes,
        cause: Lineage,
        now: Timestamp,
    ) -> Result<Vec<Arrival>, HostError> {
        if self.events.len() > limits::MAX_EVENT_BATCH {
            let most = limits::MAX_EVENT_BATCH;
            return Err(invalid(format!("one call publishes at most {most} events")));
        }
        let mut arrivals = Vec::with_capacity(self.events.len());
        for message in self.events {
            let length = message.length.unwrap_or(0);
            if length > body.len() {
                return Err(invalid("the lengths of the events exceed the body"));
            }
            let data = body.split_to(length);
            arrivals.push(message.into_arrival(data, cause, now)?);
        }
        match body.is_empty() {
            true => Ok(arrivals),
            false => Err(invalid("the lengths of the events fall short of the body")),
        }
    }
}

impl Message {
    /// Whether its texts follow the rules of CloudEvents.
    fn check(&self, topic: &TopicName) -> Result<(), HostError> {
        for (name, value) in [("id", &self.id), ("source", &self.source)] {
            if value
                .as_ref()
                .is_some_and(|value| value.is_empty() || value.len() > MAX_IDENTITY)
            {
                return Err(wrong(
                    topic,
                    name,
                    &format!("1 to {MAX_IDENTITY} bytes long"),
                ));
            }
        }
        let checks = [
            (
                "id",
                &self.id,
                rules::text as fn(&str) -> Result<(), rules::Rule>,
            ),
            ("source", &self.source, rules::uri_reference),
            ("subject", &self.subject, rules::text),
            ("contentType", &self.content_type, media_type),
        ];
        for (name, value, rule) in checks {
            if let Some(Err(rule)) = value.as_deref().map(rule) {
                return Err(wrong(topic, name, rule));
            }
        }
        Ok(())
    }

    fn into_arrival(
        self,
        data: Bytes,
        cause: Lineage,
        now: Timestamp,
    ) -> Result<Arrival, HostError> {
        let topic: TopicName = self
            .topic
            .parse()
            .map_err(|error| invalid(format!("{error}")))?;
        self.check(&topic)?;
        let wrong = |what: &str, rule: &str| wrong(&topic, what, rule);
        let time = match self.time.as_deref().map(rules::time) {
            None => now,
            Some(Ok(time)) => time,
            Some(Err(rule)) => return Err(wrong("time", rule)),
        };
        let extensions = checked(self.extensions).map_err(|(name, rule)| wrong(&name, &rule))?;
        let content_type = content_type(self.content_type, &data)
            .map_err(|error| invalid(format!("an event for `{topic}`: {error}")))?;
        let kind = Kind::Given(topic.to_string());
        Ok(Arrival {
            kind,
            subject: self.subject,
            content_type,
            dedup_id: self.id,
            source: self.source,
            extensions,
            lineage: cause,
            wishes: Wishes {
                not_before: self.timing.not_before(now)?,
                ordering_key: self.timing.key()?,
                dedup: self.timing.dedup()?,
                ..Wishes::default()
            },
            ..Arrival::new(Origin::Topic(topic), "", time, data)
        })
    }
}

fn wrong(topic: &TopicName, what: &str, rule: &str) -> HostError {
    invalid(format!("an event for `{topic}`: `{what}` must be {rule}"))
}

/// The type of data, which is JSON text if it is of a JSON type.
pub(super) fn content_type(given: Option<String>, data: &Bytes) -> Result<String, String> {
    let content_type = given.unwrap_or_else(|| "application/json".to_owned());
    if declares_json(&content_type)
        && !data.is_empty()
        && let Err(why) = is_json(data)
    {
        return Err(format!(
            "its data are no JSON, as `{content_type}` says: {why}"
        ));
    }
    Ok(content_type)
}

fn checked(extensions: BTreeMap<String, Extension>) -> Result<Extensions, (String, String)> {
    let mut bytes = 0;
    for (name, value) in &extensions {
        let refuse = |rule: &str| Err((name.chars().take(64).collect(), rule.to_owned()));
        if CORE.contains(&name.as_str()) {
            return refuse("given by itself, not as an extension");
        }
        if !rules::is_name(name) || name.len() > limits::MAX_EXTENSION_NAME {
            return refuse(rules::NAME);
        }
        bytes += name.len();
        if let Extension::Text(text) = value {
            bytes += text.len();
            let rule = match name.as_str() {
                "dataschema" => rules::uri,
                _ => rules::text,
            };
            if let Err(rule) = rule(text) {
                return refuse(rule);
            }
        }
    }
    match bytes > limits::MAX_HEADERS {
        true => Err((
            "extensions".to_owned(),
            format!("at most {} bytes together", limits::MAX_HEADERS),
        )),
        false => Ok(extensions),
    }
}

/// Attributes that are no extensions.
const CORE: &[&str] = &[
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use wakeful_workers::HostErrorCode;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn read(events: Value, body: &'static str) -> Result<Vec<Arrival>, HostError> {
        let messages: Messages = serde_json::from_value(json!({ "events": events })).unwrap();
        let cause = Lineage {
            depth: 3,
            ..Lineage::default()
        };
        messages.into_arrivals(Bytes::from(body), cause, NOW)
    }

    #[test]
    fn a_message_says_all_that_an_event_has() {
        let arrivals = read(
            json!([
                { "topic": "orders.paid", "length": 7 },
                {
                    "topic": "orders.late", "length": 2, "contentType": "text/plain", "id": "7",
                    "source": "/shop", "subject": "s", "time": "2026-11-20T12:00:00Z",
                    "extensions": { "tenant": "a", "nr": 7, "vip": true, "dataschema": "urn:a:b" },
                    "delayMs": 1500, "key": "k", "dedup": "d",
                },
                { "topic": "empty", "at": 5 },
            ]),
            "{\"a\":1}hi",
        )
        .unwrap();
        let plain = &arrivals[0];
        assert_eq!(plain.origin, "topic:orders.paid".parse().unwrap());
        assert_eq!(plain.kind, Kind::Given("orders.paid".into()));
        assert_eq!(
            (plain.time, &plain.content_type[..]),
            (NOW, "application/json")
        );
        assert_eq!(plain.data, "{\"a\":1}");
        assert_eq!(
            (plain.lineage.depth, &plain.wishes),
            (3, &Wishes::default())
        );
        let whole = &arrivals[1];
        assert_eq!(whole.data, "hi");
        assert_eq!(whole.content_type, "text/plain");
        assert_eq!(whole.dedup_id.as_deref(), Some("7"));
        assert_eq!(whole.source.as_deref(), Some("/shop"));
        assert_eq!(whole.subject.as_deref(), Some("s"));
        assert_eq!(whole.time.to_string(), "2026-11-20T12:00:00.000Z");
        assert_eq!(whole.extensions["nr"], Extension::Integer(7));
        assert_eq!(whole.extensions.len(), 4);
        let wishes = Wishes {
            not_before: Some(NOW.plus(std::time::Duration::from_millis(1500))),
            ordering_key: Some("k".into()),
            dedup: Some("d".into()),
            ..Wishes::default()
        };
        assert_eq!(whole.wishes, wishes);
        assert_eq!(
            arrivals[2].wishes.not_before,
            Some(Timestamp::from_millis(5))
        );
        assert!(arrivals[2].data.is_empty());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let check = |event: Value, body, expected: &str| {
            let error = read(json!([event]), body).unwrap_err();
            assert_eq!(error.code, HostErrorCode::Invalid);
            assert!(error.message.contains(expected), "{expected}: {error}");
        };
        check(json!({ "topic": "a b" }), "", "not a valid topic");
        check(json!({ "topic": "a", "length": 2 }), "1", "exceed");
        check(json!({ "topic": "a", "length": 1 }), "12", "fall short");
        check(json!({ "topic": "a", "length": 1 }), "{", "no JSON");
        check(
            json!({ "topic": "a", "contentType": "text" }),
            "",
            "`contentType`",
        );
        check(json!({ "topic": "a", "id": "" }), "", "`id`");
        check(json!({ "topic": "a", "id": "x".repeat(1025) }), "", "`id`");
        check(json!({ "topic": "a", "source": "a b" }), "", "`source`");
        check(json!({ "topic": "a", "time": "yesterday" }), "", "`time`");
        check(
            json!({ "topic": "a", "extensions": { "A": "x" } }),
            "",
            "`A`",
        );
        check(
            json!({ "topic": "a", "extensions": { "type": "x" } }),
            "",
            "`type`",
        );
        check(
            json!({ "topic": "a", "extensions": { "a": "\n" } }),
            "",
            "`a`",
        );
        check(
            json!({ "topic": "a", "delayMs": 1, "at": 1 }),
            "",
            "not both",
        );
        check(
            json!({ "topic": "a", "delayMs": 2_592_000_001_u64 }),
            "",
            "30 days",
        );
        check(
            json!({ "topic": "a", "at": 1_802_592_000_001_i64 }),
            "",
            "30 days",
        );
        check(json!({ "topic": "a", "key": "" }), "", "`key`");
        check(
            json!({ "topic": "a", "dedup": "x".repeat(257) }),
            "",
            "`dedup`",
        );
        let many = vec![json!({ "topic": "a" }); 1001];
        assert!(read(many.into(), "").unwrap_err().message.contains("1000"));
    }
}
