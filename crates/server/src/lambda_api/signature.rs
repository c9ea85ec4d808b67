//! AWS Signature Version 4 in the `Authorization` header, checked.
//!
//! The rules are those of "Create a signed AWS API request" in AWS's IAM user guide, in the form
//! that all services but S3 use: the path is encoded once more than it is on the wire. Stricter
//! than asked for: every `x-amz-*` field must be signed, since such fields change what is done.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, header::AUTHORIZATION, request::Parts};
use jiff::{civil::DateTime, tz::TimeZone};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use wakeful_core::time::Timestamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
const TERMINATOR: &str = "aws4_request";
const DATE: &str = "x-amz-date";
const BODY_HASH: &str = "x-amz-content-sha256";
/// How far the clocks of client and server may be apart: what AWS allows.
const MAX_SKEW: Duration = Duration::from_secs(5 * 60);

/// Why a signature does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum SignatureError {
    /// Nothing is signed.
    #[error("Missing Authentication Token: sign the request with AWS Signature Version 4")]
    Missing,
    /// The header is not what it must be.
    #[error("the Authorization header is not a signature of version 4: {0}")]
    Incomplete(String),
    /// It was made too early or too late.
    #[error(
        "Signature expired or not yet valid: {stated} is more than {} minutes from {now}, the time \
         here. Set the clock of the client, or of this server, right",
        MAX_SKEW.as_secs() / 60
    )]
    Skewed {
        /// The time in the request.
        stated: String,
        /// The time here.
        now: String,
    },
    /// A field that changes what is done is not signed.
    #[error("the header `{0}` is not among the signed ones")]
    Unsigned(String),
    /// The body is another one.
    #[error("x-amz-content-sha256 is not the SHA-256 of the body")]
    Body,
    /// Another secret, or another request.
    #[error(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method"
    )]
    Mismatch,
}

/// What a request says of its signature.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signature {
    /// Whose secret made it.
    pub(super) access_key: String,
    /// The region it is for; any will do.
    pub(super) region: String,
    /// The service it is for.
    pub(super) service: String,
    date: String,
    headers: Vec<String>,
    value: [u8; 32],
}

impl Signature {
    /// As the `Authorization` header has it.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, SignatureError> {
        let header = headers.get(AUTHORIZATION).ok_or(SignatureError::Missing)?;
        let wrong = |what: &str| SignatureError::Incomplete(what.to_owned());
        let text = header
            .to_str()
            .map_err(|_| wrong("it is no plain text"))?
            .trim();
        let fields = text
            .strip_prefix(ALGORITHM)
            .ok_or_else(|| wrong("it does not begin with AWS4-HMAC-SHA256"))?;
        let field = |name: &str| {
            let mut parts = fields.split(',').map(str::trim);
            parts
                .find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
                .ok_or_else(|| SignatureError::Incomplete(format!("it lacks {name}")))
        };
        let scope: Vec<&str> = field("Credential")?.rsplitn(5, '/').collect();
        let [TERMINATOR, service, region, date, access_key] = scope[..] else {
            return Err(wrong(
                "its Credential is not KEY/DATE/REGION/SERVICE/aws4_request",
            ));
        };
        let signed = field("SignedHeaders")?.split(';');
        let mut value = [0; 32];
        hex::decode_to_slice(field("Signature")?, &mut value)
            .map_err(|_| wrong("its Signature is not 64 hexadecimal digits"))?;
        Ok(Self {
            access_key: access_key.to_owned(),
            region: region.to_owned(),
            service: service.to_owned(),
            date: date.to_owned(),
            headers: signed.map(str::to_ascii_lowercase).collect(),
            value,
        })
    }

    /// Whether the request is recent and signs what it must; the signature itself is not looked at.
    pub(super) fn plausible(&self, head: &Parts, now: Timestamp) -> Result<(), SignatureError> {
        let stated = self.stated(&head.headers)?;
        let at = instant(stated).ok_or_else(|| {
            SignatureError::Incomplete(format!("x-amz-date must be YYYYMMDDThhmmssZ, not {stated}"))
        })?;
        let apart = now.as_millis().abs_diff(at.as_millis());
        if u128::from(apart) > MAX_SKEW.as_millis() {
            return Err(SignatureError::Skewed {
                stated: stated.to_owned(),
                now: now.to_string(),
            });
        }
        if !stated.starts_with(&self.date) {
            let what = "the date in its Credential is not that of x-amz-date";
            return Err(SignatureError::Incomplete(what.to_owned()));
        }
        let must = |name: &str| name == "host" || name.starts_with("x-amz-");
        let mut names = head.headers.keys().map(http::HeaderName::as_str);
        match names.find(|name| must(name) && !self.headers.iter().any(|signed| signed == name)) {
            Some(name) => Err(SignatureError::Unsigned(name.to_owned())),
            None => Ok(()),
        }
    }

    /// Whether this secret made it, for this request.
    pub(super) fn check(
        &self,
        secret: &str,
        head: &Parts,
        body: &[u8],
    ) -> Result<(), SignatureError> {
        let hash = hex::encode(Sha256::digest(body));
        if let Some(stated) = head.headers.get(BODY_HASH)
            && stated.as_bytes() != hash.as_bytes()
        {
            return Err(SignatureError::Body);
        }
        let expected = self.expected(secret, head, &hash)?;
        match bool::from(expected.ct_eq(&self.value)) {
            true => Ok(()),
            false => Err(SignatureError::Mismatch),
        }
    }

    fn stated<'a>(&self, headers: &'a HeaderMap) -> Result<&'a str, SignatureError> {
        let stated = headers.get(DATE).and_then(|value| value.to_str().ok());
        stated.ok_or_else(|| SignatureError::Incomplete("there is no x-amz-date header".to_owned()))
    }

    fn expected(&self, secret: &str, head: &Parts, hash: &str) -> Result<[u8; 32], SignatureError> {
        let (date, region, service) = (&self.date, &self.region, &self.service);
        let canonical = Sha256::digest(self.canonical(head, hash));
        let text = format!(
            "{ALGORITHM}\n{}\n{date}/{region}/{service}/{TERMINATOR}\n{}",
            self.stated(&head.headers)?,
            hex::encode(canonical)
        );
        let mut key = mac(format!("AWS4{secret}").as_bytes(), date.as_bytes());
        for part in [region, service, TERMINATOR] {
            key = mac(&key, part.as_bytes());
        }
        Ok(mac(&key, text.as_bytes()))
    }

    fn canonical(&self, head: &Parts, hash: &str) -> Vec<u8> {
        let mut text = format!(
            "{}\n{}\n{}\n",
            head.method,
            canonical_path(head.uri.path()),
            canonical_query(head.uri.query().unwrap_or_default())
        )
        .into_bytes();
        for name in &self.headers {
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            let values = head.headers.get_all(name.as_str()).iter();
            for (place, value) in values.enumerate() {
                if place > 0 {
                    text.push(b',');
                }
                push_trimmed(&mut text, value.as_bytes());
            }
            text.push(b'\n');
        }
        text.push(b'\n');
        text.extend_from_slice(self.headers.join(";").as_bytes());
        text.push(b'\n');
        text.extend_from_slice(hash.as_bytes());
        text
    }
}

/// The service that a request without an `Authorization` header names, as presigned ones do.
pub(super) fn presigned_service(query: &str) -> Option<String> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, scope) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("X-Amz-Credential"))?;
    let scope = String::from_utf8(decode(scope)).ok()?;
    scope.rsplit('/').nth(1).map(str::to_owned)
}

fn instant(text: &str) -> Option<Timestamp> {
    let at = DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()?;
    let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_millis(at.as_millisecond()))
}

fn mac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(text);
    mac.finalize().into_bytes().into()
}

/// Without `.`, `..` and empty segments, and encoded once more.
fn canonical_path(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let mut canonical = String::with_capacity(path.len() + 16);
    for segment in &kept {
        canonical.push('/');
        encode(segment.as_bytes(), &mut canonical);
    }
    if canonical.is_empty() || path.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// Sorted by name, then value, each encoded in the one canonical way.
fn canonical_query(query: &str) -> String {
    let canonical = |text: &str| {
        let mut encoded = String::with_capacity(text.len());
        encode(&decode(text), &mut encoded);
        encoded
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let mut pairs: Vec<(String, String)> = pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (canonical(name), canonical(value)))
        .collect();
    pairs.sort();
    let pairs: Vec<String> = pairs.iter().map(|(n, v)| format!("{n}={v}")).collect();
    pairs.join("&")
}

/// Percent-encodes everything but the unreserved characters of RFC 3986.
fn encode(bytes: &[u8], out: &mut String) {
    for byte in bytes {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(*byte));
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
}

/// Percent-decodes; what is no escape stays as it is.
pub(super) fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let mut byte = [0];
        let escape = (bytes[at] == b'%').then(|| bytes.get(at + 1..at + 3));
        match escape.flatten() {
            Some(digits) if hex::decode_to_slice(digits, &mut byte).is_ok() => {
                decoded.push(byte[0]);
                at += 3;
            }
            _ => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    decoded
}

/// Without blanks around it, and with one where there are several.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    let value = value.trim_ascii();
    for (place, byte) in value.iter().enumerate() {
        if *byte != b' ' || value[place - 1] != b' ' {
            out.push(*byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// The key pair, the time and the scope of AWS's published test suite for Signature Version 4.
    const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
    const NOW: &str = "20150830T123600Z";

    fn head(method: &str, target: &str, more: &[(&str, &str)], signed: &str, value: &str) -> Parts {
        let scope = "AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header("host", "example.amazonaws.com")
            .header("x-amz-date", NOW)
            .header(
                AUTHORIZATION,
                format!(
                    "{ALGORITHM} Credential={scope}, SignedHeaders={signed}, Signature={value}"
                ),
            );
        for (name, value) in more {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn verdict(head: &Parts, secret: &str, body: &[u8]) -> Result<(), SignatureError> {
        let signature = Signature::of(&head.headers)?;
        signature.plausible(head, instant(NOW).unwrap())?;
        signature.check(secret, head, body)
    }

    #[test]
    fn the_published_examples_are_accepted() {
        let plain = "host;x-amz-date";
        for (method, target, more, signed, value) in [
            (
                "GET",
                "/",
                &[][..],
                plain,
                "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
            ),
            (
                "POST",
                "/",
                &[],
                plain,
                "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
            ),
            (
                "GET",
                "/?Param2=value2&Param1=value1",
                &[],
                plain,
                "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
            ),
            (
                "GET",
                "/",
                &[
                    ("my-header1", "  value1"),
                    ("my-header2", "  \"a   b   c\""),
                ],
                "host;my-header1;my-header2;x-amz-date",
                "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
            ),
        ] {
            let head = head(method, target, more, signed, value);
            assert_eq!(verdict(&head, SECRET, b""), Ok(()), "{method} {target}");
            assert_eq!(
                verdict(&head, "another", b""),
                Err(SignatureError::Mismatch)
            );
            assert_eq!(verdict(&head, SECRET, b"x"), Err(SignatureError::Mismatch));
        }
    }

    #[test]
    fn what_must_be_signed_is() {
        let zero = "0".repeat(64);
        let invoke = [("x-amz-invocation-type", "Event")];
        let unsigned = head("POST", "/", &invoke, "host;x-amz-date", &zero);
        let named = SignatureError::Unsigned("x-amz-invocation-type".to_owned());
        assert_eq!(verdict(&unsigned, SECRET, b""), Err(named));
        let no_host = head("POST", "/", &[], "x-amz-date", &zero);
        let named = SignatureError::Unsigned("host".to_owned());
        assert_eq!(verdict(&no_host, SECRET, b""), Err(named));
        let claimed = [(BODY_HASH, "UNSIGNED-PAYLOAD")];
        let signed = "host;x-amz-content-sha256;x-amz-date";
        let claimed = head("POST", "/", &claimed, signed, &zero);
        assert_eq!(verdict(&claimed, SECRET, b""), Err(SignatureError::Body));
    }

    #[test]
    fn clocks_may_be_five_minutes_apart() {
        let head = head("GET", "/", &[], "host;x-amz-date", &"0".repeat(64));
        let signature = Signature::of(&head.headers).unwrap();
        let at = instant(NOW).unwrap();
        for (now, is_fine) in [
            (at.plus(MAX_SKEW), true),
            (at.minus(MAX_SKEW), true),
            (at.plus(MAX_SKEW + Duration::from_millis(1)), false),
            (at.minus(MAX_SKEW + Duration::from_millis(1)), false),
        ] {
            assert_eq!(signature.plausible(&head, now).is_ok(), is_fine, "{now}");
        }
    }

    #[test]
    fn a_header_that_is_no_signature_says_what_it_lacks() {
        for (text, says) in [
            ("Basic abc", "does not begin with AWS4-HMAC-SHA256"),
            ("AWS4-HMAC-SHA256 SignedHeaders=host", "lacks Credential"),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c",
                "KEY/DATE/REGION/SERVICE",
            ),
            (
                "AWS4-HMAC-SHA256 Credential=a/b/c/d/aws4_request, SignedHeaders=host, Signature=xy",
                "64 hexadecimal digits",
            ),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, text.parse().unwrap());
            let error = Signature::of(&headers).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
        assert_eq!(
            Signature::of(&HeaderMap::new()),
            Err(SignatureError::Missing)
        );
    }

    #[test]
    fn paths_and_queries_have_one_canonical_form() {
        for (path, canonical) in [
            ("/", "/"),
            ("/a//b/./c/../d/", "/a/b/d/"),
            ("/functions/arn%3Aaws", "/functions/arn%253Aaws"),
            ("/a:b", "/a%3Ab"),
        ] {
            assert_eq!(canonical_path(path), canonical);
        }
        assert_eq!(
            canonical_query("b=%24LATEST&a=x+y&a&B="),
            "B=&a=&a=x%2By&b=%24LATEST"
        );
    }

    #[test]
    fn presigned_requests_name_their_service() {
        let query = "X-Amz-Credential=AK%2F20260101%2Fus-east-1%2Flambda%2Faws4_request&x=1";
        assert_eq!(presigned_service(query).as_deref(), Some("lambda"));
        assert_eq!(presigned_service("a=b"), None);
    }
}
