//! Requests that are kept: those to asynchronous endpoints, as the data of an event.
//!
//! The document is made to be looked into as well: a key expression finds `data.body.customer`,
//! `data.headers.x-tenant`, `data.query.page` or `data.params.id`. What comes out again is what
//! came in, to the byte: signatures are made over bytes.

use std::{collections::BTreeMap, sync::Arc};

use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::PathAndQuery};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use wakeful_core::event::Event;
use wakeful_workers::{Body, HttpRequest};

use super::{request::percent_decoded, respond::OF_THE_CONNECTION};

/// The version of the document that is written, and the only one so far.
const VERSION: u32 = 1;

/// A request with its whole body.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRequest {
    /// The method.
    pub method: Method,
    /// Path and query as they came.
    pub target: PathAndQuery,
    /// The caller's address.
    pub remote: Arc<str>,
    /// What the route captured from the path, percent-decoded, by name.
    pub params: BTreeMap<String, String>,
    /// Header fields, without those of the connection.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// An event holds no request that this version can read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotARequest {
    /// It was written by a newer version.
    #[error("the stored request has format {0}, and {VERSION} is the newest that is known")]
    Newer(u32),
    /// It is no request.
    #[error("the event holds no request: {0}")]
    Malformed(String),
}

/// The request that an event of an asynchronous endpoint holds, as a worker takes it.
///
/// # Errors
/// Says why the event holds none.
pub fn stored_request(event: &Event) -> Result<HttpRequest, NotARequest> {
    StoredRequest::decode(&event.data).map(StoredRequest::into_request)
}

#[derive(Serialize, Deserialize)]
struct Document<'a> {
    version: u32,
    method: String,
    target: String,
    #[serde(default)]
    path: String,
    #[serde(default)]
    query: BTreeMap<String, Several<String>>,
    remote: String,
    params: BTreeMap<String, String>,
    headers: BTreeMap<String, Several<FieldValue>>,
    encoding: Encoding,
    /// White space before and after a body that stands here as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    around: Option<(String, String)>,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    body: Option<&'a RawValue>,
}

/// How the body is written down.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    /// There is none.
    None,
    /// As the JSON that it is.
    Json,
    /// As text.
    Text,
    /// As base64.
    Base64,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Several<T> {
    One(T),
    Many(Vec<T>),
}

impl<T> Several<T> {
    fn push(&mut self, value: T) {
        let mut all = match std::mem::replace(self, Self::Many(Vec::new())) {
            Self::One(first) => vec![first],
            Self::Many(all) => all,
        };
        all.push(value);
        *self = Self::Many(all);
    }

    fn into_vec(self) -> Vec<T> {
        match self {
            Self::One(value) => vec![value],
            Self::Many(all) => all,
        }
    }
}

/// Adds to what a name already has.
fn add<T>(map: &mut BTreeMap<String, Several<T>>, name: String, value: T) {
    match map.entry(name) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(Several::One(value));
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => entry.get_mut().push(value),
    }
}

/// Header values are text, but may be any bytes.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum FieldValue {
    Text(String),
    Bytes { base64: String },
}

impl FieldValue {
    fn of(value: &HeaderValue) -> Self {
        match std::str::from_utf8(value.as_bytes()) {
            Ok(text) => Self::Text(text.to_owned()),
            Err(_) => Self::Bytes {
                base64: BASE64_STANDARD.encode(value.as_bytes()),
            },
        }
    }

    fn into_value(self) -> Option<HeaderValue> {
        let bytes = match self {
            Self::Text(text) => text.into_bytes(),
            Self::Bytes { base64 } => BASE64_STANDARD.decode(base64).ok()?,
        };
        HeaderValue::from_bytes(&bytes).ok()
    }
}

impl StoredRequest {
    /// Leaves out what belongs to the connection, and says how long the body is: frameworks read
    /// none where neither a length nor an encoding is stated.
    pub(super) fn clean(&mut self) {
        if let Some(listed) = self.headers.remove(header::CONNECTION) {
            for name in listed.to_str().unwrap_or_default().split(',') {
                self.headers.remove(name.trim());
            }
        }
        for name in OF_THE_CONNECTION
            .iter()
            .chain(&[header::TE, header::TRAILER, header::EXPECT])
        {
            self.headers.remove(name);
        }
        match self.body.is_empty() {
            true => self.headers.remove(header::CONTENT_LENGTH),
            false => (self.headers).insert(header::CONTENT_LENGTH, self.body.len().into()),
        };
    }

    /// As the data of an event: a JSON text.
    ///
    /// # Errors
    /// When it cannot be written as JSON, which no request is known to cause.
    pub fn encode(&self) -> Result<Bytes, serde_json::Error> {
        let mut headers = BTreeMap::new();
        for (name, value) in &self.headers {
            add(
                &mut headers,
                name.as_str().to_owned(),
                FieldValue::of(value),
            );
        }
        let text = std::str::from_utf8(&self.body);
        let json = text.ok().filter(|_| self.declares_json());
        let json: Option<&RawValue> = json.and_then(|text| serde_json::from_str(text).ok());
        let other: Box<RawValue>;
        let (encoding, body) = match (self.body.is_empty(), json, text) {
            (true, _, _) => (Encoding::None, None),
            (false, Some(json), _) => (Encoding::Json, Some(json)),
            (false, None, Ok(text)) => {
                other = serde_json::value::to_raw_value(text)?;
                (Encoding::Text, Some(&*other))
            }
            (false, None, Err(_)) => {
                let text = BASE64_STANDARD.encode(&self.body);
                other = serde_json::value::to_raw_value(&text)?;
                (Encoding::Base64, Some(&*other))
            }
        };
        let around = json.and(text.ok()).map(around);
        let document = Document {
            version: VERSION,
            method: self.method.as_str().to_owned(),
            target: self.target.as_str().to_owned(),
            path: self.target.path().to_owned(),
            query: query(self.target.query().unwrap_or_default()),
            remote: self.remote.as_ref().to_owned(),
            params: self.params.clone(),
            headers,
            encoding,
            around: around.filter(|(before, after)| !before.is_empty() || !after.is_empty()),
            body,
        };
        serde_json::to_vec(&document).map(Bytes::from)
    }

    fn declares_json(&self) -> bool {
        let value = self.headers.get(header::CONTENT_TYPE);
        let value = value.and_then(|value| value.to_str().ok());
        let essence = value.unwrap_or_default().split(';').next();
        let essence = essence.unwrap_or_default().trim().to_ascii_lowercase();
        essence.ends_with("/json") || essence.ends_with("+json")
    }

    /// From the data of an event.
    ///
    /// # Errors
    /// Says why it is no request.
    pub fn decode(data: &[u8]) -> Result<Self, NotARequest> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let malformed = |what: &dyn std::fmt::Display| NotARequest::Malformed(what.to_string());
        let Versioned { version } =
            serde_json::from_slice(data).map_err(|error| malformed(&error))?;
        if version != VERSION {
            return Err(NotARequest::Newer(version));
        }
        let document: Document<'_> =
            serde_json::from_slice(data).map_err(|error| malformed(&error))?;
        let body = document.bytes().ok_or_else(|| malformed(&"its body"))?;
        let mut headers = HeaderMap::new();
        for (name, values) in document.headers {
            let name: HeaderName = name.parse().map_err(|error| malformed(&error))?;
            for value in values.into_vec() {
                let value = value.into_value().ok_or_else(|| malformed(&name))?;
                headers.append(name.clone(), value);
            }
        }
        Ok(Self {
            method: document.method.parse().map_err(|error| malformed(&error))?,
            target: document.target.parse().map_err(|error| malformed(&error))?,
            remote: document.remote.into(),
            params: document.params,
            headers,
            body,
        })
    }

    /// As a worker takes it.
    pub fn into_request(self) -> HttpRequest {
        HttpRequest {
            method: self.method,
            target: self.target,
            remote: self.remote,
            params: self.params.into_iter().collect(),
            headers: self.headers,
            body: Body::Full(self.body),
        }
    }
}

impl Document<'_> {
    fn bytes(&self) -> Option<Bytes> {
        let text = || serde_json::from_str::<String>(self.body?.get()).ok();
        Some(match self.encoding {
            Encoding::None => Bytes::new(),
            Encoding::Text => text()?.into(),
            Encoding::Base64 => BASE64_STANDARD.decode(text()?).ok()?.into(),
            Encoding::Json => {
                let json = self.body?.get();
                match &self.around {
                    None => Bytes::copy_from_slice(json.as_bytes()),
                    Some((before, after)) => [before, json, after].concat().into(),
                }
            }
        })
    }
}

/// The white space around a JSON text.
fn around(text: &str) -> (String, String) {
    let is_space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    let before = text.len() - text.trim_start_matches(is_space).len();
    let after = text.trim_end_matches(is_space).len();
    (text[..before].to_owned(), text[after..].to_owned())
}

/// The fields of a query, for those who look: what is no UTF-8 stays as it came.
fn query(text: &str) -> BTreeMap<String, Several<String>> {
    let decoded = |part: &str| {
        let spaced = part.replace('+', " ");
        percent_decoded(&spaced).unwrap_or(spaced)
    };
    let mut fields = BTreeMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        add(&mut fields, decoded(name), decoded(value));
    }
    fields
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn request(content_type: &str, body: &[u8]) -> StoredRequest {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, content_type.parse().unwrap());
        headers.append(header::COOKIE, "a=1".parse().unwrap());
        headers.append(header::COOKIE, "b=2".parse().unwrap());
        headers.insert("x-latin", HeaderValue::from_bytes(b"gr\xfcn").unwrap());
        StoredRequest {
            method: Method::POST,
            target: "/books/7?q=a%20b+c&x&q=2".parse().unwrap(),
            remote: "127.0.0.1".into(),
            params: [("id".to_owned(), "7".to_owned())].into(),
            headers,
            body: Bytes::copy_from_slice(body),
        }
    }

    #[test]
    fn the_document_can_be_looked_into() {
        let request = request(
            "application/json; charset=utf-8",
            b" {\"a\":1.0, \"a\":2}\n",
        );
        let document: serde_json::Value =
            serde_json::from_slice(&request.encode().unwrap()).unwrap();
        let expected = serde_json::json!({
            "version": 1, "method": "POST", "target": "/books/7?q=a%20b+c&x&q=2",
            "path": "/books/7", "query": { "q": ["a b c", "2"], "x": "" },
            "remote": "127.0.0.1", "params": { "id": "7" },
            "headers": {
                "content-type": "application/json; charset=utf-8",
                "cookie": ["a=1", "b=2"], "x-latin": { "base64": "Z3L8bg==" }
            },
            "encoding": "json", "around": [" ", "\n"], "body": { "a": 2 }
        });
        assert_eq!(document, expected);
    }

    #[test]
    fn what_was_written_by_this_version_stays_readable() {
        let text = br#"{"version":1,"method":"PUT","target":"/x?y","path":"/x","query":{"y":""},
            "remote":"::1","params":{"id":"7"},"headers":{"accept":"*/*","cookie":["a","b"]},
            "encoding":"base64","body":"/w=="}"#;
        let found = StoredRequest::decode(text).unwrap();
        assert_eq!((found.method.as_str(), &*found.body), ("PUT", &b"\xff"[..]));
        assert_eq!(found.headers.get_all("cookie").iter().count(), 2);
        for (text, expected) in [
            (&br#"{"version":2}"#[..], "has format 2"),
            (b"{}", "holds no request"),
            (br#"{"version":1,"method":"a b","target":"/","remote":"","params":{},"headers":{},"encoding":"none"}"#, "holds no request"),
            (br#"{"version":1,"method":"GET","target":"/","remote":"","params":{},"headers":{},"encoding":"json"}"#, "its body"),
        ] {
            let error = StoredRequest::decode(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_belongs_to_the_connection_is_left_out() {
        let mut request = request("text/plain", b"abc");
        for (name, value) in [
            ("connection", "keep-alive, x-hop"),
            ("x-hop", "1"),
            ("transfer-encoding", "chunked"),
            ("expect", "100-continue"),
        ] {
            request.headers.insert(name, value.parse().unwrap());
        }
        request.clean();
        let mut names: Vec<&str> = request.headers.keys().map(|name| name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            ["content-length", "content-type", "cookie", "x-latin"]
        );
        assert_eq!(request.headers["content-length"], "3");
    }

    proptest! {
        #[test]
        fn every_byte_comes_back(
            text in "[ \\n]{0,2}(\\{\"a\": [0-9.]{1,4}\\}|\"ä\"|[a-z]{0,4})[ \\t]{0,2}",
            bytes in proptest::collection::vec(any::<u8>(), 0..40),
            json in any::<bool>(),
        ) {
            let content_type = if json { "application/json" } else { "text/plain" };
            for body in [text.as_bytes(), &bytes] {
                let request = request(content_type, body);
                let decoded = StoredRequest::decode(&request.encode().unwrap()).unwrap();
                prop_assert_eq!(decoded, request);
            }
        }
    }
}
