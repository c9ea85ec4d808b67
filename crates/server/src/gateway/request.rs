//! What a worker is sent of a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts, uri::PathAndQuery};
use hyper::body::{Body as _, Incoming};
use wakeful_core::delivery::{Failure, FailureKind};
use wakeful_workers::{Body, BodySender, HttpRequest};

use super::{
    Refusal,
    body::{Broken, drain, length, linger, next_piece, whole},
};

/// Bodies up to this size, in bytes, are read before a worker is looked for, and sent to it with
/// the request in one piece.
const WHOLE: u64 = 64 * 1024;
/// The longest path and query, in bytes.
const MAX_TARGET: usize = 65_535;

/// What a request brings beside its head: the captures of its path and its body. Made before a
/// worker is looked for, so that a client that is slow to send keeps no place on one.
pub(super) struct Intake {
    target: PathAndQuery,
    params: Vec<(String, String)>,
    body: Body,
    /// Set when a streamed body turns out larger than the function takes.
    too_large: Option<Arc<AtomicBool>>,
}

impl Intake {
    /// Takes in a request; reads small bodies whole, and lets larger ones stream.
    pub(super) async fn of(
        headers: &HeaderMap,
        target: Target,
        body: Incoming,
        max_body: u64,
    ) -> Result<Self, Refusal> {
        let (body, too_large) = take_in(headers, body, max_body).await?;
        Ok(Self {
            target: target.path_and_query,
            params: target.params,
            body,
            too_large,
        })
    }

    /// Of a body that was read whole.
    pub(super) fn read(target: Target, body: Bytes) -> Self {
        Self {
            target: target.path_and_query,
            params: target.params,
            body: Body::Full(body),
            too_large: None,
        }
    }

    /// Tells, once the request has failed, whether its body was to blame.
    pub(super) fn watch(&self) -> Option<Arc<AtomicBool>> {
        self.too_large.clone()
    }

    /// The request as a worker takes it.
    pub(super) fn into_request(self, parts: Parts, remote: Arc<str>) -> HttpRequest {
        HttpRequest {
            method: parts.method,
            target: self.target,
            remote,
            params: self.params,
            headers: parts.headers,
            body: self.body,
        }
    }
}

/// What a request is for.
pub(super) struct Target {
    /// Path and query as they came.
    pub(super) path_and_query: PathAndQuery,
    /// What the route captured from the path, percent-decoded.
    pub(super) params: Vec<(String, String)>,
}

/// Reads the target of a request.
pub(super) fn head(parts: &Parts, params: &matchit::Params<'_, '_>) -> Result<Target, Refusal> {
    let root = || PathAndQuery::from_static("/");
    let path_and_query = parts.uri.path_and_query().cloned().unwrap_or_else(root);
    if path_and_query.as_str().len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    Ok(Target {
        path_and_query,
        params: decoded(params)?,
    })
}

/// Captures of a path, percent-decoded.
fn decoded(params: &matchit::Params<'_, '_>) -> Result<Vec<(String, String)>, Refusal> {
    params
        .iter()
        .map(|(name, value)| {
            let value = percent_decoded(value).ok_or(Refusal::BadPath)?;
            Ok((name.to_owned(), value))
        })
        .collect()
}

/// Percent-decoding (RFC 3986 §2.1); `None` when the result is no UTF-8 or holds a NUL, which
/// the header block of the worker protocol cannot carry.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            out.push(*first);
            continue;
        }
        let digits = tail.get(..2)?;
        out.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = &tail[2..];
    }
    let text = String::from_utf8(out).ok()?;
    (!text.contains('\0')).then_some(text)
}

async fn take_in(
    headers: &HeaderMap,
    body: Incoming,
    max_body: u64,
) -> Result<(Body, Option<Arc<AtomicBool>>), Refusal> {
    if body.is_end_stream() {
        return Ok((Body::empty(), None));
    }
    match length(headers) {
        Some(length) if length > max_body => {
            linger(headers, body);
            Err(Refusal::TooLarge(max_body))
        }
        Some(length) if length <= WHOLE => Ok((Body::Full(whole(body).await?), None)),
        _ => {
            let (sender, stream) = Body::channel();
            let too_large = Arc::new(AtomicBool::new(false));
            tokio::spawn(feed(body, sender, max_body, Arc::clone(&too_large)));
            Ok((stream, Some(too_large)))
        }
    }
}

/// Passes a body on, piece by piece, at the pace of the worker. Ends by itself when either side
/// goes away or the client falls silent.
async fn feed(
    mut body: Incoming,
    mut sender: BodySender,
    max_body: u64,
    too_large: Arc<AtomicBool>,
) {
    let broken = |why: String| Failure::ours(FailureKind::UserError, why);
    let mut seen: u64 = 0;
    while let Some(piece) = next_piece(&mut body).await {
        let piece = match piece {
            Ok(piece) => piece,
            Err(Broken::Idle) => {
                return sender.fail(broken(
                    "the client stopped sending the request's body".into(),
                ));
            }
            Err(Broken::Off(error)) => {
                return sender.fail(broken(format!("the request's body broke off: {error}")));
            }
        };
        seen += piece.len() as u64;
        if seen > max_body {
            too_large.store(true, Ordering::Relaxed);
            sender.fail(broken(format!(
                "the request's body is larger than {max_body} bytes"
            )));
            return drain(body).await;
        }
        if sender.send(piece).await.is_err() {
            return drain(body).await;
        }
    }
    sender.finish();
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn paths_are_decoded_once() {
        for (text, expected) in [
            ("plain", Some("plain")),
            ("a%20b", Some("a b")),
            ("%C3%BC.jpg", Some("ü.jpg")),
            ("100%25", Some("100%")),
            ("a+b", Some("a+b")),
            ("%", None),
            ("%2", None),
            ("%zz", None),
            ("%FF", None),
            ("%00", None),
        ] {
            assert_eq!(percent_decoded(text).as_deref(), expected, "{text}");
        }
    }
}
