//! Events as requests.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use wakeful_core::event::{Event, Extension};

use super::percent;

/// What is sent of an event.
#[derive(Debug, Clone)]
pub struct Written {
    /// Header fields, `content-type` among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Binary mode: attributes as header fields, the payload as body.
pub fn binary(event: &Event) -> Written {
    let mut headers = HeaderMap::new();
    let time = event.time.to_string();
    let mut put = |name: &str, value: &str| {
        let name = HeaderName::try_from(format!("ce-{name}"));
        let value = HeaderValue::try_from(&*percent::encode(value));
        // Names are letters and digits, and encoded values printable ASCII.
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.insert(name, value);
        }
    };
    put("specversion", "1.0");
    put("id", &event.id);
    put("source", &event.source);
    put("type", &event.kind);
    put("time", &time);
    if let Some(subject) = &event.subject {
        put("subject", subject);
    }
    for (name, value) in &event.extensions {
        match value {
            Extension::Boolean(value) => put(name, if *value { "true" } else { "false" }),
            Extension::Integer(value) => put(name, &value.to_string()),
            Extension::Text(value) => put(name, value),
        }
    }
    if let Ok(content_type) = HeaderValue::try_from(&event.content_type) {
        headers.insert(header::CONTENT_TYPE, content_type);
    }
    Written {
        headers,
        body: event.data.clone(),
    }
}

/// Structured mode: one JSON document.
pub fn structured(event: &Event) -> Written {
    const JSON: HeaderValue =
        HeaderValue::from_static("application/cloudevents+json; charset=utf-8");
    Written {
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]),
        body: event.to_json().into(),
    }
}
