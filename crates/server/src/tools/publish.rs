//! Publishing an event to a topic, by hand.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use wakeful_core::{
    event::Origin,
    limits,
    name::{TopicName, TopicPattern, TriggerId},
    port::{Arrival, Kind, Submission},
    project::On,
    time::Timestamp,
};

use super::{ToolError, Tools};
use crate::{
    admin::model::{Accepted, TopicInfo, TopicList},
    cloudevents::{self, Batch, Mode},
    control::Asked,
};

/// What is to be published.
#[derive(Debug, Default)]
pub struct Publication {
    /// Header fields: the content type, and for CloudEvents in binary mode the attributes.
    pub headers: HeaderMap,
    /// A payload, or a CloudEvent in structured mode.
    pub body: Bytes,
    /// The type of a payload that is no CloudEvent; otherwise the topic.
    pub kind: Option<String>,
    /// Its subject.
    pub subject: Option<String>,
    /// What is asked for it.
    pub wishes: Deferral,
}

/// What people ask for an event that nobody waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Deferral {
    /// How long it is not to be started.
    pub delay: Option<Duration>,
    /// Its ordering key.
    pub key: Option<String>,
    /// A word against repetitions.
    pub dedup: Option<String>,
}

impl Deferral {
    /// The same, from now on; what is out of bounds is refused.
    pub fn asked(self, now: Timestamp) -> Result<Asked, ToolError> {
        let days = limits::MOST_DELAY.as_secs() / 86_400;
        if self.delay.is_some_and(|delay| delay > limits::MOST_DELAY) {
            let text = format!("a delay is at most {days} days");
            return Err(ToolError::Invalid(text));
        }
        for (name, text) in [("key", &self.key), ("dedup", &self.dedup)] {
            let Some(text) = text else { continue };
            if text.is_empty() || text.len() > limits::MAX_KEY {
                return Err(ToolError::Invalid(format!(
                    "`{name}` has 1 to {} bytes",
                    limits::MAX_KEY
                )));
            }
        }
        Ok(Asked {
            not_before: self.delay.map(|delay| now.plus(delay)),
            ordering_key: self.key,
            dedup: self.dedup,
        })
    }
}

impl Tools {
    /// The topics that the manifest declares, and who listens.
    pub fn topics(&self) -> TopicList {
        let project = self.control.project.borrow();
        let listeners = |topic: &TopicPattern| -> Vec<TriggerId> {
            let listens = project.triggers().filter(|trigger| match &trigger.on {
                On::Topic(pattern) => overlap(pattern, topic),
                _ => false,
            });
            listens.map(|trigger| trigger.id.clone()).collect()
        };
        let topics = project.topics.keys().map(|topic| TopicInfo {
            topic: topic.to_string(),
            listeners: listeners(topic),
        });
        TopicList {
            topics: topics.collect(),
        }
    }

    /// Takes an event in for a topic; it is on disk when this replies.
    pub async fn publish(
        &self,
        topic: TopicName,
        publication: Publication,
    ) -> Result<Accepted, ToolError> {
        self.declared(&topic)?;
        let now = self.now();
        let asked = publication.wishes.clone().asked(now)?;
        let mut arrival = match cloudevents::mode(&publication.headers) {
            Mode::Plain => plain(topic, publication, now)?,
            _ => cloud_event(topic, publication, now)?,
        };
        arrival.wishes.not_before = asked.not_before;
        arrival.wishes.ordering_key = asked.ordering_key;
        arrival.wishes.dedup = asked.dedup;
        let submission = Submission {
            arrivals: vec![arrival],
            ..Submission::default()
        };
        let receipt = self.operations.submit(submission).await?;
        Accepted::of(receipt).ok_or(ToolError::Internal("taking the event in"))
    }

    fn declared(&self, topic: &TopicName) -> Result<(), ToolError> {
        let project = self.control.project.borrow();
        if project.topics.keys().any(|pattern| pattern.matches(topic)) {
            return Ok(());
        }
        let known = project.topics.keys().map(ToString::to_string);
        Err(ToolError::unknown("topic", topic, known.collect()))
    }
}

/// Whether some topic is meant by both.
fn overlap(a: &TopicPattern, b: &TopicPattern) -> bool {
    let (mut a, mut b) = (a.as_str().split('.'), b.as_str().split('.'));
    loop {
        match (a.next(), b.next()) {
            (None, None) | (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (None, Some(_)) | (Some(_), None) => return false,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(one), Some(other)) if one == other => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn plain(topic: TopicName, publication: Publication, now: Timestamp) -> Result<Arrival, ToolError> {
    let content_type = publication.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.map(|value| value.to_str()).transpose();
    let content_type = content_type
        .map_err(|_| ToolError::Invalid("the content type must be ASCII".to_owned()))?
        .unwrap_or("application/json")
        .to_owned();
    let kind = publication.kind.unwrap_or_else(|| topic.to_string());
    let mut arrival = Arrival::new(Origin::Topic(topic), "", now, publication.body);
    if arrival.data.is_empty() && content_type == "application/json" {
        arrival.data = Bytes::from_static(b"{}");
    }
    arrival.kind = Kind::Given(kind);
    arrival.subject = publication.subject;
    arrival.content_type = content_type;
    if is_json(&arrival.content_type)
        && let Err(error) = serde_json::from_slice::<serde::de::IgnoredAny>(&arrival.data)
    {
        return Err(ToolError::Invalid(format!(
            "the payload is no JSON: {error}; of another content type, say which"
        )));
    }
    Ok(arrival)
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case("application/json") || essence.ends_with("+json")
}

fn cloud_event(
    topic: TopicName,
    publication: Publication,
    now: Timestamp,
) -> Result<Arrival, ToolError> {
    if publication.kind.is_some() || publication.subject.is_some() {
        let text = "a CloudEvent says its type and subject itself";
        return Err(ToolError::Invalid(text.to_owned()));
    }
    let parsed = cloudevents::parse(&publication.headers, publication.body);
    match parsed.map_err(|refused| ToolError::Invalid(refused.to_string()))? {
        Batch::One(event) => Ok(event.into_arrival(topic, now)),
        Batch::Many(_) => Err(ToolError::Invalid(
            "one event is published at a time".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_that_share_a_topic_overlap() {
        let check = |a: &str, b: &str, expected| {
            let (a, b): (TopicPattern, TopicPattern) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(overlap(&a, &b), expected, "{a} {b}");
            assert_eq!(overlap(&b, &a), expected, "{b} {a}");
        };
        check("orders.paid", "orders.paid", true);
        check("orders.*", "orders.paid", true);
        check("*.paid", "orders.*", true);
        check("orders.>", "orders.a.b", true);
        check("orders.>", "orders", false);
        check("orders.*", "orders.a.b", false);
        check("orders.a", "orders.b", false);
    }

    #[test]
    fn what_is_asked_has_bounds() {
        let now = Timestamp::from_millis(1000);
        let check = |deferral: Deferral, expected: bool| {
            assert_eq!(
                deferral.clone().asked(now).is_ok(),
                expected,
                "{deferral:?}"
            );
        };
        let days = |n: u64| Some(Duration::from_secs(n * 86_400));
        let delayed = |delay| Deferral {
            delay,
            ..Deferral::default()
        };
        check(delayed(days(30)), true);
        check(delayed(days(31)), false);
        for (key, fine) in [("k", true), ("", false), (&"k".repeat(257), false)] {
            let key = Some(key.to_owned());
            check(
                Deferral {
                    key: key.clone(),
                    ..Deferral::default()
                },
                fine,
            );
            check(
                Deferral {
                    dedup: key,
                    ..Deferral::default()
                },
                fine,
            );
        }
    }
}
