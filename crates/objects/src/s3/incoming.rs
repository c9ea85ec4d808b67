//! From an S3 request with a body to a `Body` with its claims, and to the headers to keep.

use base64::prelude::{BASE64_STANDARD, Engine};
use futures::StreamExt;
use http::HeaderMap;
use s3s::{
    S3Result, TrailingHeaders,
    dto::{ChecksumAlgorithm, StreamingBlob},
    s3_error,
};

use super::idle::SILENT;
use crate::{
    checksum::Algorithm,
    model::{Body, BodyError, Claim},
};

/// What a request says about its body.
pub(super) struct Sent<'a> {
    pub(super) body: Option<StreamingBlob>,
    pub(super) length: Option<i64>,
    pub(super) md5: Option<&'a str>,
    pub(super) checksum: Option<(Algorithm, String)>,
    pub(super) algorithm: Option<&'a ChecksumAlgorithm>,
    pub(super) headers: &'a HeaderMap,
    pub(super) trailers: Option<TrailingHeaders>,
}

impl Sent<'_> {
    pub(super) fn into_body(self) -> S3Result<Body> {
        let size = self.size()?;
        let md5 = self.md5.map(parse_md5).transpose()?;
        let claim = self.claim()?;
        let body = match self.body {
            Some(blob) => {
                Body::new(blob.map(|chunk| chunk.map_err(|error| body_error(&error.to_string()))))
            }
            None => Body::new(futures::stream::empty()),
        };
        Ok(body.with_size(size).with_md5(md5).with_claim(claim))
    }

    /// The length without the chunk framing of streaming signatures.
    fn size(&self) -> S3Result<Option<u64>> {
        let wrong = || {
            s3_error!(
                InvalidArgument,
                "the length of the body is not a number of bytes"
            )
        };
        if let Some(decoded) = self.headers.get("x-amz-decoded-content-length") {
            let decoded = decoded.to_str().ok().and_then(|text| text.parse().ok());
            return decoded.map(Some).ok_or_else(wrong);
        }
        self.length
            .map(|length| u64::try_from(length).map_err(|_| wrong()))
            .transpose()
    }

    fn claim(&self) -> S3Result<Claim> {
        if let Some((algorithm, value)) = &self.checksum {
            return Ok(Claim::Is(*algorithm, value.clone()));
        }
        if let Some(algorithm) = announced(self.headers) {
            let trailers = self.trailers.clone();
            return Ok(Claim::Follows(
                algorithm,
                Box::new(move || trailing(trailers.as_ref()?, algorithm)),
            ));
        }
        match self.algorithm {
            Some(name) => Ok(Claim::Compute(algorithm_named(name)?)),
            None => Ok(Claim::None),
        }
    }
}

/// The checksum that `x-amz-trailer` announces.
fn announced(headers: &HeaderMap) -> Option<Algorithm> {
    let names = headers.get("x-amz-trailer")?.to_str().ok()?;
    names
        .split(',')
        .find_map(|name| Algorithm::of_header(name.trim()))
}

fn trailing(trailers: &TrailingHeaders, algorithm: Algorithm) -> Option<String> {
    trailers.read(|headers| {
        Some(
            headers
                .get(algorithm.header())?
                .to_str()
                .ok()?
                .trim()
                .to_owned(),
        )
    })?
}

pub(super) fn algorithm_named(name: &ChecksumAlgorithm) -> S3Result<Algorithm> {
    Algorithm::named(name.as_str()).ok_or_else(|| {
        s3_error!(
            InvalidRequest,
            "the checksum algorithm `{}` is not known",
            name.as_str()
        )
    })
}

/// The one checksum that is stated; S3 refuses several.
pub(super) fn one_checksum(
    fields: [(Algorithm, Option<String>); 5],
) -> S3Result<Option<(Algorithm, String)>> {
    let mut stated = fields
        .into_iter()
        .filter_map(|(algorithm, value)| Some((algorithm, value?)));
    let first = stated.next();
    match stated.next() {
        None => Ok(first),
        Some(_) => Err(s3_error!(
            InvalidRequest,
            "a request states one checksum, not several"
        )),
    }
}

fn parse_md5(text: &str) -> S3Result<[u8; 16]> {
    BASE64_STANDARD
        .decode(text)
        .ok()
        .and_then(|raw| raw.try_into().ok())
        .ok_or_else(|| s3_error!(InvalidDigest, "Content-MD5 is not the base64 of an MD5"))
}

/// The error types of s3s's body streams are private: their text tells which one it is. The
/// conformance test holds us to it.
fn body_error(text: &str) -> BodyError {
    if text.contains("Sha256Mismatch") {
        BodyError::Sha256
    } else if text.contains("SignatureMismatch") {
        BodyError::Signature
    } else if text.contains(SILENT) {
        BodyError::Broken(SILENT.to_owned())
    } else if text.contains("Incomplete") {
        BodyError::Incomplete
    } else {
        BodyError::Broken(text.to_owned())
    }
}

/// `Content-Encoding` without the framing of streaming signatures, which is not of the object.
pub(super) fn content_encoding(value: Option<String>) -> Option<String> {
    let kept: Vec<&str> = value
        .as_deref()?
        .split(',')
        .map(str::trim)
        .filter(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(", "))
}

/// The headers of a request that are kept with the object.
macro_rules! kept_headers {
    ($input:expr) => {
        $crate::model::Headers {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $crate::s3::incoming::content_encoding(
                $input.content_encoding.take(),
            ),
            content_language: $input.content_language.take(),
            expires: $input
                .expires
                .as_ref()
                .and_then($crate::s3::convert::from_http_time),
            user: $input
                .metadata
                .take()
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }
    };
}
pub(super) use kept_headers;

/// Refuses what would be lost or ignored in silence.
macro_rules! refuse_unsupported {
    ($input:expr) => {
        if $input.sse_customer_algorithm.is_some() || $input.sse_customer_key.is_some() {
            return Err(s3s::s3_error!(
                NotImplemented,
                "encryption with a key of the customer is not supported"
            ));
        }
        if $input.tagging.is_some() {
            return Err(s3s::s3_error!(
                NotImplemented,
                "tags are not supported: use user metadata (x-amz-meta-*)"
            ));
        }
        if $input.object_lock_mode.is_some() || $input.object_lock_legal_hold_status.is_some() {
            return Err(s3s::s3_error!(
                NotImplemented,
                "object lock is not supported"
            ));
        }
        if $input.website_redirect_location.is_some() {
            return Err(s3s::s3_error!(
                NotImplemented,
                "website redirects are not supported"
            ));
        }
    };
}
pub(super) use refuse_unsupported;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_framing_is_no_encoding_of_the_object() {
        let strip = |text: &str| content_encoding(Some(text.to_owned()));
        assert_eq!(strip("aws-chunked"), None);
        assert_eq!(strip("gzip, aws-chunked").as_deref(), Some("gzip"));
        assert_eq!(strip("gzip").as_deref(), Some("gzip"));
        assert_eq!(content_encoding(None), None);
    }

    #[test]
    fn one_checksum_at_most() {
        let none = || {
            Algorithm::ALL
                .iter()
                .map(|a| (*a, None))
                .collect::<Vec<_>>()
        };
        let of = |fields: Vec<_>| one_checksum(fields.try_into().unwrap());
        assert_eq!(of(none()).unwrap(), None);
        let mut fields = none();
        fields[1].1 = Some("x".to_owned());
        assert_eq!(
            of(fields.clone()).unwrap(),
            Some((Algorithm::Crc32c, "x".to_owned()))
        );
        fields[4].1 = Some("y".to_owned());
        assert!(of(fields).is_err());
    }
}
