//! PutObject, GetObject, HeadObject.

use http::{
    HeaderMap, HeaderValue,
    header::{ETAG, LAST_MODIFIED},
};
use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Response, S3Result,
    dto::{
        ChecksumMode, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
        HeadObjectOutput, PutObjectInput, PutObjectOutput, Range, StreamingBlob, Timestamp,
    },
    s3_error,
};

use super::{
    bucket::bucket_name,
    convert::{
        checksum_type, etag, expect, from_http_time, http_time, no_version, set_checksum,
        stated_checksum, wire_size,
    },
    incoming::{Sent, kept_headers, refuse_unsupported},
    protocol::Protocol,
};
use crate::{
    checksum::Checksum,
    error::ObjectError,
    model::{ByteRange, ObjectInfo},
};

/// What S3 says of an object whose type nobody gave.
pub(super) const UNKNOWN_TYPE: &str = "binary/octet-stream";

/// The headers that GetObject and HeadObject have in common.
macro_rules! described {
    ($output:ident, $info:expr) => {
        $output {
            accept_ranges: Some("bytes".to_owned()),
            cache_control: $info.headers.cache_control.clone(),
            content_disposition: $info.headers.content_disposition.clone(),
            content_encoding: $info.headers.content_encoding.clone(),
            content_language: $info.headers.content_language.clone(),
            content_type: Some(
                $info
                    .headers
                    .content_type
                    .clone()
                    .unwrap_or_else(|| UNKNOWN_TYPE.to_owned()),
            ),
            expires: $info.headers.expires.map(http_time),
            e_tag: Some(etag(&$info.etag)),
            last_modified: Some(http_time($info.modified)),
            metadata: Some($info.headers.user.clone().into_iter().collect()),
            ..Default::default()
        }
    };
}

impl Protocol {
    pub(super) async fn put(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let S3Request {
            mut input,
            headers,
            trailing_headers,
            ..
        } = request;
        refuse_unsupported!(input);
        if input.write_offset_bytes.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "appending to objects is not supported"
            ));
        }
        let bucket = bucket_name(&input.bucket)?;
        let condition = expect(input.if_match.take(), input.if_none_match.take())?;
        let mut kept = kept_headers!(input);
        kept.content_type
            .get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        let body = Sent {
            checksum: stated_checksum!(input)?,
            body: input.body.take(),
            length: input.content_length,
            md5: input.content_md5.as_deref(),
            algorithm: input.checksum_algorithm.as_ref(),
            headers: &headers,
            trailers: trailing_headers,
        }
        .into_body()?;
        let written = self
            .buckets
            .put(&bucket, &input.key, kept, body, condition)
            .await?;
        let mut output = PutObjectOutput {
            e_tag: Some(etag(&written.info.etag)),
            ..Default::default()
        };
        set_checksum!(output, written.info.checksum.as_ref());
        output.checksum_type = written
            .info
            .checksum
            .map(|checksum| checksum_type(checksum.coverage));
        Ok(S3Response::new(output))
    }

    pub(super) async fn get(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = request.input;
        no_version(input.version_id.as_deref())?;
        refuse_part(input.part_number)?;
        let bucket = bucket_name(&input.bucket)?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let range = input.range.map(byte_range);
        let read = self
            .buckets
            .get_if(&bucket, &input.key, range, |info| conditions.check(info))
            .await?
            .ok_or_else(|| no_such_key(&input.key))?;
        let mut output: GetObjectOutput = described!(GetObjectOutput, read.info);
        output.content_length = Some(wire_size(read.range.end - read.range.start));
        if range.is_some() {
            let (first, last) = (read.range.start, read.range.end.saturating_sub(1));
            output.content_range = Some(format!("bytes {first}-{last}/{}", read.info.size));
        }
        // A checksum of the whole says nothing about a part of it.
        if range.is_none() && wants_checksum(input.checksum_mode.as_ref()) {
            let checksum: Option<&Checksum> = read.info.checksum.as_ref();
            set_checksum!(output, checksum);
            output.checksum_type = checksum.map(|checksum| checksum_type(checksum.coverage));
        }
        output.body = Some(StreamingBlob::wrap(read.body));
        Ok(S3Response::new(output))
    }

    pub(super) async fn head(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = request.input;
        no_version(input.version_id.as_deref())?;
        refuse_part(input.part_number)?;
        let bucket = bucket_name(&input.bucket)?;
        let info = self.buckets.head(&bucket, &input.key).await?;
        let info = info.ok_or_else(|| no_such_key(&input.key))?;
        let conditions = Conditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&info)?;
        let mut output: HeadObjectOutput = described!(HeadObjectOutput, info);
        output.content_length = Some(wire_size(info.size));
        if wants_checksum(input.checksum_mode.as_ref()) {
            let checksum: Option<&Checksum> = info.checksum.as_ref();
            set_checksum!(output, checksum);
            output.checksum_type = checksum.map(|checksum| checksum_type(checksum.coverage));
        }
        Ok(S3Response::new(output))
    }
}

pub(super) fn no_such_key(key: &str) -> S3Error {
    ObjectError::NoSuchKey {
        key: key.to_owned(),
    }
    .into()
}

fn refuse_part(number: Option<i32>) -> S3Result<()> {
    match number {
        None => Ok(()),
        Some(_) => Err(s3_error!(
            NotImplemented,
            "reading by part number is not supported: use a range"
        )),
    }
}

fn wants_checksum(mode: Option<&ChecksumMode>) -> bool {
    mode.is_some_and(|mode| mode.as_str().eq_ignore_ascii_case(ChecksumMode::ENABLED))
}

fn byte_range(range: Range) -> ByteRange {
    match range {
        Range::Int { first, last } => ByteRange::From { first, last },
        Range::Suffix { length } => ByteRange::Last(length),
    }
}

/// The conditions of a read, in the precedence of RFC 9110 section 13.2.2.
#[derive(Default)]
pub(super) struct Conditions {
    pub(super) if_match: Option<ETagCondition>,
    pub(super) if_none_match: Option<ETagCondition>,
    pub(super) if_modified_since: Option<Timestamp>,
    pub(super) if_unmodified_since: Option<Timestamp>,
}

/// How an object compares with the conditions.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    NotModified,
    Failed,
}

impl Conditions {
    pub(super) fn verdict(&self, info: &ObjectInfo) -> Verdict {
        let matches = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(etag) => etag.value() == info.etag,
        };
        let second = info.modified.as_millis().div_euclid(1000);
        let later_than = |time: &Timestamp| {
            from_http_time(time).is_some_and(|time| second > time.as_millis().div_euclid(1000))
        };
        match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) if !matches(condition) => return Verdict::Failed,
            (None, Some(time)) if later_than(time) => return Verdict::Failed,
            _ => {}
        }
        match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) if matches(condition) => Verdict::NotModified,
            (None, Some(time)) if !later_than(time) => Verdict::NotModified,
            _ => Verdict::Send,
        }
    }

    fn check(&self, info: &ObjectInfo) -> S3Result<()> {
        match self.verdict(info) {
            Verdict::Send => Ok(()),
            Verdict::Failed => Err(s3_error!(
                PreconditionFailed,
                "the object is not as the request demands: its ETag is \"{}\"",
                info.etag
            )),
            Verdict::NotModified => {
                let mut error = S3Error::new(S3ErrorCode::NotModified);
                let mut headers = HeaderMap::new();
                if let Ok(value) = HeaderValue::from_str(&format!("\"{}\"", info.etag)) {
                    headers.insert(ETAG, value);
                }
                let mut modified = Vec::new();
                let formatted = http_time(info.modified)
                    .format(s3s::dto::TimestampFormat::HttpDate, &mut modified);
                if let (Ok(()), Ok(value)) = (formatted, HeaderValue::from_bytes(&modified)) {
                    headers.insert(LAST_MODIFIED, value);
                }
                error.set_headers(headers);
                Err(error)
            }
        }
    }
}
