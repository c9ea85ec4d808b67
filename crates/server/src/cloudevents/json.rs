//! The JSON event format (CloudEvents 1.0.2, "JSON Event Format").

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;
use wakeful_core::event::Extension;

use super::{
    draft::{CloudEvent, Draft, Mistake},
    rules,
};

/// An event in structured mode, or an element of a batch.
pub(super) fn parse(text: &RawValue) -> Result<CloudEvent, Vec<Mistake>> {
    let mut draft = Draft::default();
    let members: Members<'_> = match serde_json::from_str(text.get()) {
        Ok(members) => members,
        Err(_) => {
            draft.wrong("*", "an event must be a JSON object");
            return draft.finish(None);
        }
    };
    let (mut data, mut base64) = (None, None);
    for (name, value) in members.0 {
        let place = match &*name {
            "data" => &mut data,
            "data_base64" => &mut base64,
            _ => {
                attribute(&mut draft, &name, value);
                continue;
            }
        };
        if place.replace(value).is_some() {
            draft.wrong(&name, "must stand there only once");
        }
    }
    let data = payload(&mut draft, data, base64);
    draft.finish(data)
}

fn attribute(draft: &mut Draft, name: &str, value: &RawValue) {
    match value.get().as_bytes().first() {
        // Null is the same as not there (section 2.2), whatever the name.
        Some(b'n') => {}
        Some(b'"') => match serde_json::from_str(value.get()) {
            Ok(text) => draft.put(name, Extension::Text(text)),
            Err(_) => draft.wrong(name, "must be text without unpaired surrogates"),
        },
        Some(b't') => draft.put(name, Extension::Boolean(true)),
        Some(b'f') => draft.put(name, Extension::Boolean(false)),
        Some(b'{' | b'[') => draft.wrong(
            name,
            "must be a string, a boolean or a number: attributes have no structure",
        ),
        _ => match value.get().parse() {
            Ok(number) => draft.put(name, Extension::Integer(number)),
            Err(_) => draft.wrong(name, "must be a whole number of 32 bits"),
        },
    }
}

/// The bytes of the payload (section 3.1.2).
fn payload(draft: &mut Draft, data: Option<&RawValue>, base64: Option<&RawValue>) -> Option<Bytes> {
    match (data, base64) {
        (Some(_), Some(_)) => {
            draft.wrong("data", "and `data_base64` must not both stand there");
            None
        }
        (None, None) => None,
        (None, Some(value)) => decoded(draft, value),
        (Some(value), None) => stated(draft, value),
    }
}

fn decoded(draft: &mut Draft, value: &RawValue) -> Option<Bytes> {
    if value.get() == "null" {
        return None;
    }
    let text: Option<String> = serde_json::from_str(value.get()).ok();
    let bytes = text.and_then(|text| BASE64_STANDARD.decode(text).ok());
    if bytes.is_none() {
        draft.wrong("data_base64", "must be a string of base64 (RFC 4648)");
    }
    bytes.map(Bytes::from)
}

fn stated(draft: &mut Draft, value: &RawValue) -> Option<Bytes> {
    const JSON: &str = "application/json";
    let content_type = draft.text("datacontenttype");
    if content_type.is_none() {
        draft.put("datacontenttype", Extension::Text(JSON.to_owned()));
    } else if !content_type.is_some_and(rules::declares_json) {
        let text: Result<String, _> = serde_json::from_str(value.get());
        return match text {
            Ok(text) => Some(text.into()),
            Err(_) if value.get() == "null" => None,
            Err(_) => {
                draft.wrong(
                    "data",
                    "must be a string when `datacontenttype` does not declare JSON",
                );
                None
            }
        };
    }
    Some(Bytes::copy_from_slice(value.get().as_bytes()))
}

/// The members of an object in their order, repeated ones too.
struct Members<'a>(Vec<(std::borrow::Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some((name, value)) = map.next_entry::<Name<'de>, &'de RawValue>()? {
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A name, copied only when it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] std::borrow::Cow<'a, str>);
