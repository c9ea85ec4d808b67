//! What a worker is sent of a request.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, request::Parts, uri::PathAndQuery};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    limits,
};
use wakeful_workers::{Body, BodySender, HttpRequest};

use super::Refusal;

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
        parts: &Parts,
        params: &matchit::Params<'_, '_>,
        body: Incoming,
        max_body: u64,
    ) -> Result<Self, Refusal> {
        let (target, params) = match head(parts, params) {
            Ok(head) => head,
            Err(refusal) => {
                linger(&parts.headers, body);
                return Err(refusal);
            }
        };
        let (body, too_large) = take_in(&parts.headers, body, max_body).await?;
        Ok(Self {
            target,
            params,
            body,
            too_large,
        })
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

type Captures = Vec<(String, String)>;

fn head(
    parts: &Parts,
    params: &matchit::Params<'_, '_>,
) -> Result<(PathAndQuery, Captures), Refusal> {
    let root = || PathAndQuery::from_static("/");
    let target = parts.uri.path_and_query().cloned().unwrap_or_else(root);
    if target.as_str().len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    Ok((target, decoded(params)?))
}

/// Captures of a path, percent-decoded.
fn decoded(params: &matchit::Params<'_, '_>) -> Result<Captures, Refusal> {
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
fn percent_decoded(text: &str) -> Option<String> {
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
    let length = headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
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

/// A small body, whole. Each piece of it must come within `limits::BODY_IDLE`.
async fn whole(mut body: Incoming) -> Result<Bytes, Refusal> {
    let mut first: Option<Bytes> = None;
    let mut more = BytesMut::new();
    while let Some(piece) = next_piece(&mut body).await {
        let piece = piece.map_err(|broken| match broken {
            Broken::Idle => Refusal::BodyTimeout,
            Broken::Off(_) => Refusal::BrokenBody,
        })?;
        match first.take() {
            None if more.is_empty() => first = Some(piece),
            None => more.extend_from_slice(&piece),
            Some(begin) => {
                more.extend_from_slice(&begin);
                more.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| more.freeze()))
}

/// Why a body did not go on.
enum Broken {
    Idle,
    Off(hyper::Error),
}

/// The next piece of a body; `None` at its end. Trailers are passed over.
async fn next_piece(body: &mut Incoming) -> Option<Result<Bytes, Broken>> {
    loop {
        return match timeout(limits::BODY_IDLE, body.frame()).await {
            Err(_) => Some(Err(Broken::Idle)),
            Ok(None) => None,
            Ok(Some(Err(error))) => Some(Err(Broken::Off(error))),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => Some(Ok(piece)),
                Err(_) => continue,
            },
        };
    }
}

/// Reads on for a while what a client sends of a body that nobody wants: a client that is still
/// sending when the connection closes loses the answer (RFC 9112 §9.6). One that waits for
/// `100 Continue` has not begun.
pub(super) fn linger(headers: &HeaderMap, body: Incoming) {
    if !body.is_end_stream() && !headers.contains_key(http::header::EXPECT) {
        tokio::spawn(drain(body));
    }
}

async fn drain(mut body: Incoming) {
    let read = async {
        let mut left = limits::LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    let _ = timeout(limits::LINGER, read).await;
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
