//! The envelope around what a source, a person or a function hands in.

use wakeful_core::{
    event::{Event, Origin},
    port::{Arrival, Kind},
};

use super::Inner;
use crate::live::source_uri;

impl Inner {
    /// Makes an event of it: with an id of ours, in our scope.
    pub(super) fn event(&self, arrival: Arrival) -> Event {
        let key = self.parts.ids.event(self.now());
        let (family, name) = family_of(&arrival.origin);
        let source = arrival
            .source
            .unwrap_or_else(|| source_uri(&self.parts.scope, family, name));
        let kind = match arrival.kind {
            Kind::Verb(verb) => format!("wakeful.{family}.{verb}"),
            Kind::Given(kind) => kind,
        };
        Event {
            key,
            id: (arrival.id.or(arrival.dedup_id)).unwrap_or_else(|| key.to_string()),
            source,
            kind,
            origin: arrival.origin,
            subject: arrival.subject,
            time: arrival.time,
            content_type: arrival.content_type,
            data: arrival.data,
            extensions: arrival.extensions,
            lineage: arrival.lineage,
        }
    }
}

/// The kind of source, and which one of it.
fn family_of(origin: &Origin) -> (&'static str, &str) {
    match origin {
        Origin::Bucket(bucket) => ("bucket", bucket.as_str()),
        Origin::Table(database, _) => ("database", database.as_str()),
        Origin::Schedule(trigger) => ("schedule", trigger.as_str()),
        Origin::Http(trigger) => ("http", trigger.as_str()),
        Origin::Invoke(function) => ("function", function.as_str()),
        Origin::Topic(topic) => ("topic", topic.as_str()),
        Origin::DeadLetter => ("system", "dead"),
        Origin::Outcome(trigger) => ("run", trigger.as_str()),
    }
}
