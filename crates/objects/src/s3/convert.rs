//! Between our types and those of the wire: times, ETags, checksums, encodings.

use std::time::{Duration, SystemTime};

use s3s::{
    S3ErrorCode, S3Result,
    dto::{self, ETag, ETagCondition, TimestampFormat},
    s3_error,
};
use wakeful_core::{port::UploadId, time::Timestamp};

use crate::{blob::from_hex, checksum::Coverage, model::Expect};

pub(super) fn timestamp(at: Timestamp) -> dto::Timestamp {
    let since = Duration::from_millis(at.as_millis().unsigned_abs());
    let time = if at.as_millis() < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(since)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(since)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH).into()
}

/// The time to the second, as HTTP headers have it.
pub(super) fn http_time(at: Timestamp) -> dto::Timestamp {
    timestamp(Timestamp::from_millis(
        at.as_millis().div_euclid(1000) * 1000,
    ))
}

/// The second of a time that came in a header; `None` when it is out of all reason.
pub(super) fn from_http_time(at: &dto::Timestamp) -> Option<Timestamp> {
    let mut text = Vec::new();
    at.format(TimestampFormat::EpochSeconds, &mut text).ok()?;
    let seconds = std::str::from_utf8(&text)
        .ok()?
        .split('.')
        .next()?
        .parse::<i64>()
        .ok()?;
    seconds.checked_mul(1000).map(Timestamp::from_millis)
}

pub(super) fn etag(etag: &str) -> ETag {
    ETag::Strong(etag.to_owned())
}

/// The condition of a write.
pub(super) fn expect(
    if_match: Option<ETagCondition>,
    if_none_match: Option<ETagCondition>,
) -> S3Result<Expect> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Expect::Anything),
        (None, Some(ETagCondition::Any)) => Ok(Expect::Absent),
        (Some(ETagCondition::Any), None) => Ok(Expect::Present),
        (Some(ETagCondition::ETag(etag)), None) => Ok(Expect::ETag(etag.into_value())),
        (None, Some(ETagCondition::ETag(_))) => Err(s3_error!(
            NotImplemented,
            "a write with If-None-Match takes only `*`"
        )),
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "a write takes either If-Match or If-None-Match"
        )),
    }
}

pub(super) fn upload_text(id: UploadId) -> String {
    format!("{:016x}", id.0)
}

pub(super) fn upload_id(text: &str) -> S3Result<UploadId> {
    from_hex(text).map(UploadId).ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "there is no such multipart upload: its id is not one of ours"
        )
    })
}

pub(super) fn part_number(number: i32) -> S3Result<u16> {
    u16::try_from(number)
        .ok()
        .filter(|number| (1..=wakeful_core::limits::MAX_OBJECT_PARTS).contains(number))
        .ok_or_else(|| {
            crate::ObjectError::PartNumber {
                number: i64::from(number),
            }
            .into()
        })
}

pub(super) fn checksum_type(coverage: Coverage) -> dto::ChecksumType {
    dto::ChecksumType::from_static(match coverage {
        Coverage::FullObject => dto::ChecksumType::FULL_OBJECT,
        Coverage::Composite => dto::ChecksumType::COMPOSITE,
    })
}

/// Sizes on the wire are signed.
pub(super) fn wire_size(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// Refuses a version: objects have none, which S3 calls the version `null`.
pub(super) fn no_version(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("null" | "") => Ok(()),
        Some(_) => Err(S3ErrorCode::NoSuchVersion.into()),
    }
}

/// Percent-encoding as listings use it when asked for `encoding-type=url`.
pub(super) fn url_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                encoded.push(char::from(byte));
            }
            _ => {
                encoded.push('%');
                encoded.push_str(&hex::encode_upper([byte]));
            }
        }
    }
    encoded
}

/// Sets the field of an answer that belongs to the checksum's algorithm.
macro_rules! set_checksum {
    ($answer:expr, $checksum:expr) => {
        if let Some(checksum) = $checksum {
            let value = Some(checksum.value.clone());
            match checksum.algorithm {
                $crate::checksum::Algorithm::Crc32 => $answer.checksum_crc32 = value,
                $crate::checksum::Algorithm::Crc32c => $answer.checksum_crc32c = value,
                $crate::checksum::Algorithm::Crc64Nvme => $answer.checksum_crc64nvme = value,
                $crate::checksum::Algorithm::Sha1 => $answer.checksum_sha1 = value,
                $crate::checksum::Algorithm::Sha256 => $answer.checksum_sha256 = value,
            }
        }
    };
}
pub(super) use set_checksum;

/// The one checksum that a request states, out of S3's five fields for it.
macro_rules! stated_checksum {
    ($input:expr) => {
        $crate::s3::incoming::one_checksum([
            (
                $crate::checksum::Algorithm::Crc32,
                $input.checksum_crc32.take(),
            ),
            (
                $crate::checksum::Algorithm::Crc32c,
                $input.checksum_crc32c.take(),
            ),
            (
                $crate::checksum::Algorithm::Crc64Nvme,
                $input.checksum_crc64nvme.take(),
            ),
            (
                $crate::checksum::Algorithm::Sha1,
                $input.checksum_sha1.take(),
            ),
            (
                $crate::checksum::Algorithm::Sha256,
                $input.checksum_sha256.take(),
            ),
        ])
    };
}
pub(super) use stated_checksum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_to_the_wire_and_back() {
        for ms in [0, 1_700_000_000_000, -86_400_000] {
            let at = Timestamp::from_millis(ms);
            assert_eq!(from_http_time(&http_time(at)), Some(at));
        }
        let odd = Timestamp::from_millis(1_700_000_000_999);
        assert_eq!(
            from_http_time(&http_time(odd)),
            Some(Timestamp::from_millis(1_700_000_000_000))
        );
    }

    #[test]
    fn keys_are_encoded_byte_by_byte() {
        assert_eq!(url_encode("a/b c+ä\u{1}"), "a/b%20c%2B%C3%A4%01");
    }

    #[test]
    fn only_our_upload_ids_are_read() {
        assert_eq!(upload_id(&upload_text(UploadId(77))).unwrap(), UploadId(77));
        for wrong in [
            "",
            "77",
            "+00000000000004d",
            "000000000000004g",
            "ffffffffffffffff",
        ] {
            assert!(upload_id(wrong).is_err(), "{wrong}");
        }
    }
}
