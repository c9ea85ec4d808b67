//! Effects as text, for the row in the user's database. The form has a version; rows of an older
//! one are read.

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use wakeful_core::{
    event::{Extensions, Lineage, Origin},
    name::{BucketName, FunctionName, TriggerId},
    port::{Arrival, Kind, SubmitError, Target, Wishes},
    project::Level,
    time::Timestamp,
};
use wakeful_workers::{HostError, HostErrorCode};

use super::{HostCalls, error_of, refused};
use crate::{attempts::Effect, host::bucket};

/// The version that is written.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Document {
    v: u32,
    effects: Vec<Stored>,
}

/// One effect. Objects' bytes are never among them.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stored {
    Event(Box<StoredEvent>),
    Remove { bucket: BucketName, key: String },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StoredEvent {
    origin: String,
    /// None for an invocation of our own making.
    #[serde(rename = "type")]
    kind: Option<String>,
    subject: Option<String>,
    time: Timestamp,
    content_type: String,
    data: String,
    dedup_id: Option<String>,
    id: Option<String>,
    source: Option<String>,
    #[serde(default)]
    extensions: Extensions,
    not_before: Option<Timestamp>,
    key: Option<String>,
    dedup: Option<String>,
    target: Option<(FunctionName, TriggerId)>,
}

/// The verb of an invocation's type.
const INVOKE: &str = "invoke";

/// Effects as text.
pub(super) fn write(effects: &[Effect]) -> String {
    let stored = effects.iter().filter_map(|effect| match effect {
        Effect::Event(arrival) => Some(Stored::Event(Box::new(StoredEvent::of(arrival)))),
        Effect::Object(staged) if staged.described().is_none() => {
            let (bucket, key) = staged.place();
            Some(Stored::Remove {
                bucket: bucket.clone(),
                key: key.to_owned(),
            })
        }
        // Refused when it was asked for.
        Effect::Object(_) => None,
    });
    let document = Document {
        v: VERSION,
        effects: stored.collect(),
    };
    serde_json::to_string(&document).expect("texts and numbers serialise")
}

/// What a text says.
pub(super) fn read(text: &str) -> Result<Vec<Stored>, HostError> {
    let unreadable = |why: String| {
        let message = format!("the table _wakeful_once holds effects that cannot be read: {why}");
        error_of(HostErrorCode::Failed, message)
    };
    let document: Document =
        serde_json::from_str(text).map_err(|error| unreadable(error.to_string()))?;
    match document.v {
        VERSION => Ok(document.effects),
        other => Err(unreadable(format!(
            "they have the form {other}, this version of Wakeful knows up to {VERSION}"
        ))),
    }
}

impl StoredEvent {
    fn of(arrival: &Arrival) -> Self {
        let wishes = arrival.wishes.clone();
        Self {
            origin: arrival.origin.to_string(),
            kind: match &arrival.kind {
                Kind::Given(kind) => Some(kind.clone()),
                Kind::Verb(_) => None,
            },
            subject: arrival.subject.clone(),
            time: arrival.time,
            content_type: arrival.content_type.clone(),
            data: BASE64_STANDARD.encode(&arrival.data),
            dedup_id: arrival.dedup_id.clone(),
            id: arrival.id.clone(),
            source: arrival.source.clone(),
            extensions: arrival.extensions.clone(),
            not_before: wishes.not_before,
            key: wishes.ordering_key,
            dedup: wishes.dedup,
            target: match wishes.target {
                Target::Trigger(function, trigger) => Some((function, trigger)),
                Target::Triggers | Target::Function(_) => None,
            },
        }
    }

    fn into_arrival(self, cause: Lineage) -> Result<Arrival, String> {
        let origin: Origin = self.origin.parse().map_err(|error| format!("{error}"))?;
        let data = BASE64_STANDARD
            .decode(self.data)
            .map_err(|error| error.to_string())?;
        Ok(Arrival {
            origin,
            kind: self.kind.map_or(Kind::Verb(INVOKE), Kind::Given),
            subject: self.subject,
            time: self.time,
            content_type: self.content_type,
            data: Bytes::from(data),
            dedup_id: self.dedup_id,
            id: self.id,
            source: self.source,
            extensions: self.extensions,
            lineage: cause,
            wishes: Wishes {
                not_before: self.not_before,
                ordering_key: self.key,
                dedup: self.dedup,
                target: self.target.map_or(Target::Triggers, |(function, trigger)| {
                    Target::Trigger(function, trigger)
                }),
            },
        })
    }
}

impl HostCalls {
    /// Effects that an earlier attempt asked for, checked against what is live and allowed now.
    pub(super) fn again(
        &self,
        function: &FunctionName,
        effects: Vec<Stored>,
        cause: Lineage,
    ) -> Result<Vec<Effect>, HostError> {
        effects
            .into_iter()
            .map(|effect| self.one_again(function, effect, cause))
            .collect()
    }

    fn one_again(
        &self,
        function: &FunctionName,
        effect: Stored,
        cause: Lineage,
    ) -> Result<Effect, HostError> {
        match effect {
            Stored::Remove { bucket: name, key } => {
                self.may(function, &name, Level::Write)?;
                let buckets = self.parts.buckets.caused_by(cause);
                let staged = buckets.stage_removal(&name, &key);
                staged.map(Effect::Object).map_err(bucket::host_error)
            }
            Stored::Event(event) => {
                let arrival = event.into_arrival(cause).map_err(|why| {
                    let message = format!("an effect in the table _wakeful_once is damaged: {why}");
                    error_of(HostErrorCode::Failed, message)
                })?;
                self.may_happen(function, &arrival)?;
                Ok(Effect::Event(Box::new(arrival)))
            }
        }
    }

    fn may_happen(&self, function: &FunctionName, arrival: &Arrival) -> Result<(), HostError> {
        if let Origin::Topic(topic) = &arrival.origin {
            return self.may_publish(function, topic);
        }
        let Target::Trigger(callee, trigger) = &arrival.wishes.target else {
            return Ok(());
        };
        if self.parts.live.load().duty(callee, trigger).is_none() {
            return Err(refused(SubmitError::NoSuchFunction(callee.clone())));
        }
        let allowed = self.parts.grants.invoke(function, callee);
        allowed.map_err(super::super::denied)
    }
}

#[cfg(test)]
mod tests {
    use wakeful_core::event::Extension;

    use super::*;

    fn arrival() -> Arrival {
        Arrival {
            kind: Kind::Given("orders.paid".into()),
            subject: Some("s".into()),
            content_type: "text/plain".into(),
            dedup_id: Some("7".into()),
            id: Some("8".into()),
            source: Some("/shop".into()),
            extensions: [("nr".to_owned(), Extension::Integer(7))].into(),
            wishes: Wishes {
                not_before: Some(Timestamp::from_millis(9)),
                ordering_key: Some("k".into()),
                dedup: Some("d".into()),
                target: Target::Trigger("f".parse().unwrap(), TriggerId::from_stored("f/$invoke")),
            },
            ..Arrival::new(
                "topic:orders.paid".parse().unwrap(),
                "",
                Timestamp::from_millis(5),
                Bytes::from_static(b"\xff\0"),
            )
        }
    }

    /// Rows that are in databases out there look like this.
    const WRITTEN: &str = r#"{"v":1,"effects":[{"event":{"origin":"topic:orders.paid","type":"orders.paid","subject":"s","time":5,"contentType":"text/plain","data":"/wA=","dedupId":"7","id":"8","source":"/shop","extensions":{"nr":7},"notBefore":9,"key":"k","dedup":"d","target":["f","f/$invoke"]}}]}"#;

    fn events(text: &str) -> Vec<Arrival> {
        let read = read(text).unwrap().into_iter().map(|effect| match effect {
            Stored::Event(event) => event.into_arrival(Lineage::default()).unwrap(),
            Stored::Remove { .. } => panic!("no event"),
        });
        read.collect()
    }

    #[test]
    fn effects_are_read_as_they_were_written() {
        let text = write(&[Effect::Event(Box::new(arrival()))]);
        assert_eq!(text, WRITTEN);
        let read = events(&text).remove(0);
        assert_eq!(format!("{read:?}"), format!("{:?}", arrival()));
        let invoked = Arrival::new(
            "invoke:f".parse().unwrap(),
            INVOKE,
            Timestamp::from_millis(5),
            Bytes::from_static(b"{}"),
        );
        let read = events(&write(&[Effect::Event(Box::new(invoked.clone()))])).remove(0);
        assert_eq!(format!("{read:?}"), format!("{invoked:?}"));
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused() {
        let error = read(r#"{"v":2,"effects":[]}"#).map(drop).unwrap_err();
        assert!(error.message.contains("form 2"), "{error}");
        assert!(read("nonsense").is_err());
    }
}
