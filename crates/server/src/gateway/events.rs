//! Events over HTTP: CloudEvents at the events endpoint, any body at one of its topics.
//!
//! A request is accepted whole or not at all, and only once all of it is on disk.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header, request::Parts,
};
use hyper::body::Incoming;
use serde_json::json;
use wakeful_core::{
    event::{Extension, Origin},
    limits,
    name::TopicName,
    port::{Arrival, Kind, Submission, Wishes},
    project::{Auth, Project},
    time::Timestamp,
};

use super::{
    Refusal, ResponseBody,
    auth::caller,
    body::linger,
    error::{UnknownTopics, json_response},
    request::percent_decoded,
    shared::Shared,
    wishes::Asked,
};
use crate::cloudevents::{self, CloudEvent, Mistake, Mode, Refused};

/// The extension of CloudEvents that says which events belong together.
const PARTITION_KEY: &str = "partitionkey";
/// Requests of the WebHook specification (CloudEvents, "HTTP 1.1 Web Hooks", section 4).
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// Answers one request to the events endpoint, or to one of its topics.
pub(super) async fn answer(
    shared: &Shared,
    project: &Project,
    (auth, topic): (Auth, Option<String>),
    parts: Parts,
    body: Incoming,
) -> Response<ResponseBody> {
    if parts.method == Method::OPTIONS {
        linger(&parts.headers, body);
        return handshake(&parts.headers);
    }
    match accept(shared, project, (auth, topic), &parts.headers, body).await {
        Ok(response) => response,
        Err(refusal) => refusal.response(None, shared.detail),
    }
}

/// Who registers a web hook asks first whether it may send. Any origin may: who is let in is a
/// matter of keys.
fn handshake(headers: &HeaderMap) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::Full(None));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let fields = response.headers_mut();
    fields.insert(header::ALLOW, HeaderValue::from_static("POST, OPTIONS"));
    if let Some(origin) = headers.get(REQUEST_ORIGIN) {
        *fields = HeaderMap::from_iter([
            (header::ALLOW, HeaderValue::from_static("POST, OPTIONS")),
            (ALLOWED_ORIGIN, origin.clone()),
            (ALLOWED_RATE, HeaderValue::from_static("*")),
        ]);
        *response.status_mut() = StatusCode::OK;
    }
    response
}

async fn accept(
    shared: &Shared,
    project: &Project,
    (auth, topic): (Auth, Option<String>),
    headers: &HeaderMap,
    body: Incoming,
) -> Result<Response<ResponseBody>, Refusal> {
    let before = caller(auth, headers, &shared.vault)
        .and_then(|caller| Ok((caller, Asked::of(headers)?)))
        .and_then(|found| {
            plain_topic(project, topic.as_deref(), headers).map(|topic| (found, topic))
        });
    let ((caller, asked), topic) = match before {
        Ok(found) => found,
        Err(refusal) => {
            linger(headers, body);
            return Err(refusal);
        }
    };
    let most = match topic {
        Some(_) => limits::MAX_BODY,
        None => limits::MAX_EVENTS_BODY,
    };
    let too_large = Refusal::TooLargeToKeep;
    let held = shared.memory.read(headers, body, most, too_large).await?;
    let now = shared.clock.now();
    let wishes = asked.into_wishes(&caller, now);
    let arrivals = match topic {
        Some(topic) => vec![plain(topic, headers, held.bytes.clone(), wishes, now)?],
        None => described(project, headers, held.bytes.clone(), &wishes, now)?,
    };
    submit(shared, arrivals).await
}

/// The topic that the path names, when it does; only what is no CloudEvent may be sent there.
fn plain_topic(
    project: &Project,
    topic: Option<&str>,
    headers: &HeaderMap,
) -> Result<Option<TopicName>, Refusal> {
    let Some(topic) = topic else {
        return match cloudevents::mode(headers) {
            Mode::Plain => Err(Refusal::Events(Refused::Plain)),
            _ => Ok(None),
        };
    };
    let topic = percent_decoded(topic).ok_or(Refusal::BadPath)?;
    if cloudevents::mode(headers) != Mode::Plain {
        return Err(Refusal::Events(Refused::Media(
            "this address takes any content but CloudEvents, which name their own topic: \
             send them to the events endpoint itself"
                .into(),
        )));
    }
    declared(project, &topic)
        .map(Some)
        .ok_or_else(|| unknown_topics(project, vec![(None, topic)]))
}

/// The topic, if the project has it.
fn declared(project: &Project, topic: &str) -> Option<TopicName> {
    let topic: TopicName = topic.parse().ok()?;
    let known = project.topics.keys().any(|pattern| pattern.matches(&topic));
    known.then_some(topic)
}

fn unknown_topics(project: &Project, asked: Vec<(Option<usize>, String)>) -> Refusal {
    let declared = project.topics.keys().map(ToString::to_string).collect();
    Refusal::NoSuchTopics(UnknownTopics { asked, declared })
}

fn plain(
    topic: TopicName,
    headers: &HeaderMap,
    data: Bytes,
    wishes: Wishes,
    now: Timestamp,
) -> Result<Arrival, Refusal> {
    let assumed = match data.is_empty() {
        true => "application/json",
        false => "application/octet-stream",
    };
    let content_type = headers.get(header::CONTENT_TYPE);
    let content_type = content_type.map_or(Ok(assumed), |value| value.to_str());
    let content_type = content_type.unwrap_or_default().to_owned();
    let wrong = |attribute: &str, rule: String| {
        let attribute = attribute.to_owned();
        Refusal::Events(Refused::Mistakes(vec![Mistake {
            event: None,
            attribute,
            rule,
        }]))
    };
    if let Err(rule) = cloudevents::media_type(&content_type) {
        return Err(wrong("content-type", format!("must be {rule}")));
    }
    if cloudevents::declares_json(&content_type)
        && !data.is_empty()
        && let Err(why) = cloudevents::is_json(&data)
    {
        return Err(wrong(
            "data",
            format!("must be JSON, as `content-type` says: {why}"),
        ));
    }
    let kind = Kind::Given(topic.as_str().to_owned());
    Ok(Arrival {
        kind,
        content_type,
        wishes,
        ..Arrival::new(Origin::Topic(topic), "", now, data)
    })
}

/// CloudEvents: the type of each is its topic.
fn described(
    project: &Project,
    headers: &HeaderMap,
    body: Bytes,
    wishes: &Wishes,
    now: Timestamp,
) -> Result<Vec<Arrival>, Refusal> {
    let batch = cloudevents::parse(headers, body).map_err(Refusal::Events)?;
    let alone = matches!(batch, cloudevents::Batch::One(_));
    let events = batch.into_events();
    let mut mistakes = Vec::new();
    if wishes.dedup.is_some() && events.len() > 1 {
        mistakes.push(Mistake {
            event: None,
            attribute: "x-wakeful-dedup".into(),
            rule: "names one event, and this is a batch: give each its own `id`".into(),
        });
    }
    let (mut arrivals, mut unknown) = (Vec::with_capacity(events.len()), Vec::new());
    for (place, event) in events.into_iter().enumerate() {
        let place = (!alone).then_some(place);
        let Some(topic) = declared(project, &event.kind) else {
            unknown.push((place, event.kind));
            continue;
        };
        match wished(event, topic, wishes, now) {
            Ok(arrival) => arrivals.push(arrival),
            Err(mistake) => mistakes.push(Mistake {
                event: place,
                ..mistake
            }),
        }
    }
    if !mistakes.is_empty() {
        return Err(Refusal::Events(Refused::Mistakes(mistakes)));
    }
    match unknown.is_empty() {
        true => Ok(arrivals),
        false => Err(unknown_topics(project, unknown)),
    }
}

fn wished(
    event: CloudEvent,
    topic: TopicName,
    wishes: &Wishes,
    now: Timestamp,
) -> Result<Arrival, Mistake> {
    let partition = match event.extensions.get(PARTITION_KEY) {
        None => None,
        Some(Extension::Text(key)) if (1..=limits::MAX_KEY).contains(&key.len()) => {
            Some(key.clone())
        }
        Some(_) => {
            return Err(Mistake {
                event: None,
                attribute: PARTITION_KEY.into(),
                rule: format!("must be text of 1 to {} bytes", limits::MAX_KEY),
            });
        }
    };
    let mut arrival = event.into_arrival(topic, now);
    arrival.wishes = wishes.clone();
    if arrival.wishes.ordering_key.is_none() {
        arrival.wishes.ordering_key = partition;
    }
    if arrival.wishes.dedup.is_some() {
        // The sender says by another word what a repetition is.
        arrival.id = arrival.dedup_id.take();
    }
    Ok(arrival)
}

async fn submit(
    shared: &Shared,
    arrivals: Vec<Arrival>,
) -> Result<Response<ResponseBody>, Refusal> {
    let receipt = match arrivals.is_empty() {
        true => Default::default(),
        false => {
            let submission = Submission {
                arrivals,
                ..Submission::default()
            };
            let submitted = shared.sink.submit(submission).await;
            submitted.map_err(Refusal::Submit)?
        }
    };
    let ids: Vec<String> = receipt.events.iter().map(ToString::to_string).collect();
    let document = json!({ "ids": ids, "duplicates": receipt.duplicates.len() });
    Ok(json_response(StatusCode::ACCEPTED, &document))
}
