//! What a worker is sent of a request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, request::Parts};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use wakeful_core::delivery::{Failure, FailureKind};
use wakeful_workers::{Body, BodySender, HttpRequest};

use super::Refusal;

/// Bodies up to this size, in bytes, are sent to the worker with the request in one piece.
const WHOLE: u64 = 64 * 1024;
/// Bytes of an unwanted body that are read so that its sender hears the answer.
const LINGER_BYTES: u64 = 64 * 1024 * 1024;
/// How long such a body is read.
const LINGER: Duration = Duration::from_secs(5);
/// The longest path and query, in bytes.
const MAX_TARGET: usize = 65_535;

/// What became of a body that was streamed to the worker, for the caller's answer.
#[derive(Clone, Default)]
pub(super) struct Upload(Arc<AtomicBool>);

impl Upload {
    /// Whether the body turned out larger than the function takes.
    pub(super) fn was_too_large(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request as a worker takes it.
pub(super) async fn to_worker(
    parts: Parts,
    params: Vec<(String, String)>,
    body: Incoming,
    remote: &str,
    max_body: u64,
    upload: &Upload,
) -> Result<HttpRequest, Refusal> {
    let target = parts
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    let target = Bytes::copy_from_slice(target.as_bytes());
    let body = body_for_worker(&parts.headers, body, max_body, upload).await?;
    Ok(HttpRequest {
        method: parts.method,
        target,
        remote: remote.to_owned(),
        params,
        headers: parts.headers,
        body,
    })
}

/// Captures of a path, percent-decoded.
pub(super) fn decoded(params: &matchit::Params<'_, '_>) -> Result<Vec<(String, String)>, Refusal> {
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

async fn body_for_worker(
    headers: &HeaderMap,
    body: Incoming,
    max_body: u64,
    upload: &Upload,
) -> Result<Body, Refusal> {
    if body.is_end_stream() {
        return Ok(Body::empty());
    }
    let length = headers.get(http::header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    match length {
        Some(length) if length > max_body => {
            linger(headers, body);
            Err(Refusal::TooLarge(max_body))
        }
        Some(length) if length <= WHOLE => {
            let whole = body.collect().await.map_err(|_| Refusal::BrokenBody)?;
            Ok(Body::Full(whole.to_bytes()))
        }
        _ => {
            let (sender, stream) = Body::channel();
            tokio::spawn(feed(body, sender, max_body, upload.clone()));
            Ok(stream)
        }
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
        let mut left = LINGER_BYTES;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, |piece| piece.len() as u64);
            left = left.saturating_sub(length);
            if left == 0 {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(LINGER, read).await;
}

/// Passes a body on, piece by piece, at the pace of the worker. Ends by itself when either side
/// goes away.
async fn feed(mut body: Incoming, mut sender: BodySender, max_body: u64, upload: Upload) {
    let mut seen: u64 = 0;
    while let Some(frame) = body.frame().await {
        let broken = |why: String| Failure::ours(FailureKind::UserError, why);
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => {
                return sender.fail(broken(format!("the request's body broke off: {error}")));
            }
        };
        let Ok(piece) = frame.into_data() else {
            continue;
        };
        seen += piece.len() as u64;
        if seen > max_body {
            upload.0.store(true, Ordering::Relaxed);
            let why = format!("the request's body is larger than {max_body} bytes");
            sender.fail(broken(why));
            return drain(body).await;
        }
        if sender.send(piece).await.is_err() {
            return;
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
