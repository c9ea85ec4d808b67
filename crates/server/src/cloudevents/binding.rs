//! The HTTP binding: which of the three content modes a request has, and what it says.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use serde_json::value::RawValue;
use wakeful_core::{event::Extension, limits};

use super::{
    draft::{CloudEvent, Draft, Mistake},
    json, percent, rules,
};

/// How a request carries events (HTTP binding, section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Attributes in header fields, the payload as body.
    Binary,
    /// One JSON document.
    Structured,
    /// A JSON array of such documents.
    Batch,
    /// It carries no CloudEvent.
    Plain,
}

/// What came with one request.
#[derive(Debug, Clone, PartialEq)]
pub enum Batch {
    /// An event by itself.
    One(CloudEvent),
    /// A batch of any size, none included.
    Many(Vec<CloudEvent>),
}

impl Batch {
    /// The events, in their order.
    pub fn into_events(self) -> Vec<CloudEvent> {
        match self {
            Self::One(event) => vec![event],
            Self::Many(events) => events,
        }
    }
}

/// Why a request was not understood.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It carries no CloudEvent.
    #[error(
        "the request carries no CloudEvent: it has neither `ce-` header fields nor the content \
         type `application/cloudevents+json` or `application/cloudevents-batch+json`"
    )]
    Plain,
    /// Its format or encoding is not one that is understood.
    #[error("{0}")]
    Media(String),
    /// The body is no JSON, or not the JSON that its mode needs.
    #[error("the body is {0}")]
    Body(String),
    /// Rules are broken; all of them are named.
    #[error("{}", listed(.0))]
    Mistakes(Vec<Mistake>),
    /// There are more events than a batch may have.
    #[error("a batch may have {most} events, and this one has {0}", most = limits::MAX_EVENT_BATCH)]
    TooMany(usize),
    /// The payload of an event is too large, in bytes.
    #[error("the data of {} has {size} bytes, and {most} is the most", place(.event), most = limits::MAX_BODY)]
    TooLarge {
        /// Its place in a batch.
        event: Option<usize>,
        /// Its size.
        size: usize,
    },
}

/// Mistakes that a message names; the others are counted.
const NAMED: usize = 10;

fn listed(mistakes: &[Mistake]) -> String {
    let mut text = mistakes
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    if mistakes.len() > NAMED {
        text.push_str(&format!("; and {} more", mistakes.len() - NAMED));
    }
    text
}

fn place(event: &Option<usize>) -> String {
    event.map_or_else(|| "the event".to_owned(), |place| format!("event {place}"))
}

const PREFIX: &str = "ce-";
const STRUCTURED: &str = "application/cloudevents";
const BATCHED: &str = "application/cloudevents-batch";

/// The mode of a request, by its header fields.
pub fn mode(headers: &HeaderMap) -> Mode {
    let essence = essence(headers);
    let is = |prefix: &str| {
        let rest = essence.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('+'))
    };
    if is(BATCHED) {
        Mode::Batch
    } else if is(STRUCTURED) {
        Mode::Structured
    } else if headers.keys().any(|name| name.as_str().starts_with(PREFIX)) {
        Mode::Binary
    } else {
        Mode::Plain
    }
}

/// The media type of the body, without parameters, in lower case.
fn essence(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let value = value.unwrap_or_default();
    let essence = value.split(';').next().unwrap_or_default().trim();
    essence.to_ascii_lowercase()
}

/// Reads the events of a request.
///
/// # Errors
/// Says everything that is wrong with all of them.
pub fn parse(headers: &HeaderMap, body: Bytes) -> Result<Batch, Refused> {
    match mode(headers) {
        Mode::Plain => Err(Refused::Plain),
        Mode::Binary => {
            let event = binary(headers, body).map_err(Refused::Mistakes)?;
            sized(event, None).map(Batch::One)
        }
        Mode::Structured => {
            understood(headers, STRUCTURED)?;
            let event = json::parse(document(&body)?).map_err(Refused::Mistakes)?;
            sized(event, None).map(Batch::One)
        }
        Mode::Batch => {
            understood(headers, BATCHED)?;
            batch(&body)
        }
    }
}

/// Only JSON in UTF-8 is understood.
fn understood(headers: &HeaderMap, kind: &str) -> Result<(), Refused> {
    let found = essence(headers);
    if found != format!("{kind}+json") {
        return Err(Refused::Media(format!(
            "the event format `{found}` is not understood: send `{kind}+json`"
        )));
    }
    let value = headers.get(header::CONTENT_TYPE);
    let value = value.and_then(|value| value.to_str().ok());
    let parameters = value.unwrap_or_default().split(';').skip(1);
    for parameter in parameters {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let charset = value.trim().trim_matches('"').to_ascii_lowercase();
        let known = matches!(&*charset, "utf-8" | "utf8" | "us-ascii");
        if name.trim().eq_ignore_ascii_case("charset") && !known {
            return Err(Refused::Media(format!(
                "the charset `{charset}` is not understood: JSON is sent as UTF-8 (RFC 8259)"
            )));
        }
    }
    Ok(())
}

fn document(body: &[u8]) -> Result<&RawValue, Refused> {
    serde_json::from_slice(body).map_err(|error| Refused::Body(format!("no JSON: {error}")))
}

fn batch(body: &[u8]) -> Result<Batch, Refused> {
    let document = document(body)?;
    let elements: Vec<&RawValue> = serde_json::from_str(document.get())
        .map_err(|_| Refused::Body("no JSON array, which is what a batch is".to_owned()))?;
    if elements.len() > limits::MAX_EVENT_BATCH {
        return Err(Refused::TooMany(elements.len()));
    }
    let mut events = Vec::with_capacity(elements.len());
    let mut mistakes = Vec::new();
    for (place, element) in elements.into_iter().enumerate() {
        match json::parse(element) {
            Ok(event) => events.push(sized(event, Some(place))?),
            Err(found) => mistakes.extend(found.into_iter().map(|mistake| Mistake {
                event: Some(place),
                ..mistake
            })),
        }
    }
    match mistakes.is_empty() {
        true => Ok(Batch::Many(events)),
        false => Err(Refused::Mistakes(mistakes)),
    }
}

fn sized(event: CloudEvent, place: Option<usize>) -> Result<CloudEvent, Refused> {
    let size = event.data.as_ref().map_or(0, Bytes::len);
    match size as u64 > limits::MAX_BODY {
        true => Err(Refused::TooLarge { event: place, size }),
        false => Ok(event),
    }
}

fn binary(headers: &HeaderMap, body: Bytes) -> Result<CloudEvent, Vec<Mistake>> {
    let mut draft = Draft::default();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(PREFIX) else {
            continue;
        };
        if name == "datacontenttype" {
            draft.wrong(name, "is said by the header field `content-type`");
            continue;
        }
        match percent::decode(value.as_bytes()) {
            Some(text) => draft.put(name, Extension::Text(text)),
            None => draft.wrong(name, "must be UTF-8 once its escapes are decoded"),
        }
    }
    let content_type = media_type(&mut draft, headers);
    let data = (!body.is_empty()).then_some(body);
    if let (Some(content_type), Some(data)) = (&content_type, &data)
        && rules::declares_json(content_type)
        && let Err(why) = is_json(data)
    {
        draft.wrong(
            "data",
            format!("must be JSON, as `content-type` says: {why}"),
        );
    }
    draft.finish(data)
}

fn media_type(draft: &mut Draft, headers: &HeaderMap) -> Option<String> {
    const NAME: &HeaderName = &header::CONTENT_TYPE;
    let mut values = headers.get_all(NAME).iter();
    let value = values.next()?;
    if values.next().is_some() {
        draft.wrong("datacontenttype", "must stand there only once");
    }
    let Ok(text) = value.to_str() else {
        draft.wrong("datacontenttype", "must be printable ASCII");
        return None;
    };
    draft.put("datacontenttype", Extension::Text(text.to_owned()));
    Some(text.to_owned())
}

/// Whether bytes are a JSON text; the error says where not.
pub(crate) fn is_json(data: &[u8]) -> Result<(), String> {
    let text = std::str::from_utf8(data).map_err(|error| error.to_string())?;
    let checked: Result<serde::de::IgnoredAny, _> = serde_json::from_str(text);
    checked.map(|_| ()).map_err(|error| error.to_string())
}
