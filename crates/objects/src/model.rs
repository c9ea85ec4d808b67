//! What callers hand in and get back: headers, bodies with their claims, conditions, objects.

use std::{collections::BTreeMap, fmt, ops::Range};

use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};
use wakeful_core::{
    name::BucketName,
    port::{Object, UploadId},
    time::Timestamp,
};

use crate::{
    blob::BlobStream,
    checksum::{Algorithm, Checksum, Coverage},
};

/// The headers that are kept with an object and given back with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Headers {
    /// `Content-Type`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// `Cache-Control`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    /// `Expires`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// `x-amz-meta-*`, without that prefix, names in lower case.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
}

impl Headers {
    /// Headers that only say the type.
    pub fn of_type(content_type: impl Into<String>) -> Self {
        Self {
            content_type: Some(content_type.into()),
            ..Self::default()
        }
    }
}

/// A body on its way in, with what its sender claims about it. All claims are checked before
/// anything of it is visible.
pub struct Body {
    pub(crate) stream: BoxStream<'static, Result<Bytes, BodyError>>,
    pub(crate) size: Option<u64>,
    pub(crate) md5: Option<[u8; 16]>,
    pub(crate) claim: Claim,
}

impl Body {
    /// A streamed body.
    pub fn new(
        stream: impl futures::Stream<Item = Result<Bytes, BodyError>> + Send + 'static,
    ) -> Self {
        Self {
            stream: stream.boxed(),
            size: None,
            md5: None,
            claim: Claim::None,
        }
    }

    /// Its sender says that it has this many bytes.
    #[must_use]
    pub fn with_size(mut self, size: Option<u64>) -> Self {
        self.size = size;
        self
    }

    /// Its sender says that this is its MD5 (`Content-MD5`).
    #[must_use]
    pub fn with_md5(mut self, md5: Option<[u8; 16]>) -> Self {
        self.md5 = md5;
        self
    }

    /// What its sender says about its checksum.
    #[must_use]
    pub fn with_claim(mut self, claim: Claim) -> Self {
        self.claim = claim;
        self
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let size = bytes.len() as u64;
        Self::new(futures::stream::iter([Ok(bytes)])).with_size(Some(size))
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

/// A checksum that comes after the body: asked for once the body has ended.
pub type Trailer = Box<dyn FnOnce() -> Option<String> + Send>;

/// What a sender says about the checksum of a body.
#[derive(Default)]
pub enum Claim {
    /// Nothing; the default algorithm is computed and kept.
    #[default]
    None,
    /// Nothing, but this algorithm is to be computed and kept.
    Compute(Algorithm),
    /// It is this, in base64.
    Is(Algorithm, String),
    /// It follows after the body, in base64.
    Follows(Algorithm, Trailer),
}

impl Claim {
    /// The algorithm by which the body's own checksum is computed.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        match self {
            Self::None => None,
            Self::Compute(algorithm) | Self::Is(algorithm, _) | Self::Follows(algorithm, _) => {
                Some(*algorithm)
            }
        }
    }
}

/// Why a body broke off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The sender went away, or the encoding of the body is wrong.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// It ended before the length that was announced.
    #[error("the body ended before the length that was announced")]
    Incomplete,
    /// The signed SHA-256 is another.
    #[error("the body does not fit the SHA-256 that was signed (x-amz-content-sha256)")]
    Sha256,
    /// The signature of a chunk is wrong.
    #[error("the signature of a chunk of the body is wrong")]
    Signature,
}

/// Under which condition a write takes place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Expect {
    /// Whatever is there.
    #[default]
    Anything,
    /// There is no object (`If-None-Match: *`).
    Absent,
    /// There is an object (`If-Match: *`).
    Present,
    /// There is an object with this ETag (`If-Match`).
    ETag(String),
}

/// Which bytes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ByteRange {
    /// From the first byte to the last, both included; to the end without a last.
    From {
        /// The first byte.
        first: u64,
        /// The last byte; clamped to the end.
        last: Option<u64>,
    },
    /// The last this many bytes.
    Last(u64),
}

impl ByteRange {
    /// The range within `size` bytes; `None` when it has none of them.
    pub fn within(self, size: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => {
                first..last.map_or(size, |last| last.saturating_add(1).min(size))
            }
            Self::Last(count) => size.saturating_sub(count)..size,
        };
        (range.start < range.end).then_some(range)
    }
}

/// What an object is, without its bytes.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Grows with each write of the key.
    pub generation: i64,
    /// Its headers.
    pub headers: Headers,
    /// Its checksum.
    pub checksum: Option<Checksum>,
    /// How many parts it was uploaded in; `None` for a simple put.
    pub parts: Option<u16>,
}

/// An object that is being read.
#[derive(Debug)]
pub struct ObjectRead {
    /// What it is.
    pub info: ObjectInfo,
    /// Which of its bytes `body` brings.
    pub range: Range<u64>,
    /// Those bytes. Stays readable when the object is overwritten or deleted meanwhile.
    pub body: BlobStream,
}

/// What a write did.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// What is there now.
    pub info: ObjectInfo,
    /// Whether the key existed before.
    pub replaced: bool,
}

/// One page of a listing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Listing {
    /// The objects, in the byte order of their keys.
    pub objects: Vec<ObjectInfo>,
    /// The beginnings of keys up to the delimiter, each once, in byte order.
    pub prefixes: Vec<String>,
    /// Where the next page begins (its `after`); `None` when this is the last.
    pub next: Option<String>,
}

/// Which objects to list.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// Keys that begin with this.
    pub prefix: String,
    /// Keys that have this after the prefix are folded into one entry of `prefixes`.
    pub delimiter: Option<String>,
    /// Strictly after this key; a `Listing::next` goes on where that page ended.
    pub after: Option<String>,
    /// At most this many objects and prefixes; no more than 1,000 in any case.
    pub limit: usize,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadInfo {
    /// Its id.
    pub id: UploadId,
    /// The key it will become.
    pub key: String,
    /// When it began.
    pub started: Timestamp,
    /// The algorithm of its checksum, and what that covers.
    pub checksum: (Algorithm, Coverage),
}

/// One part of a multipart upload.
#[derive(Debug, Clone, PartialEq)]
pub struct PartInfo {
    /// 1 to 10,000.
    pub number: u16,
    /// Bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Its checksum, by the upload's algorithm.
    pub checksum: Option<Checksum>,
}

/// A part as the client that completes an upload knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompletedPart {
    /// Its number.
    pub number: u16,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its checksum in base64, if the client knows it.
    pub checksum: Option<(Algorithm, String)>,
}

/// What the client that completes an upload says about the object.
#[derive(Debug, Clone, Default)]
pub struct Completion {
    /// The parts it is made of, in order.
    pub parts: Vec<CompletedPart>,
    /// Under which condition.
    pub expect: Expect,
    /// The checksum of the whole.
    pub checksum: Option<(Algorithm, String)>,
    /// Bytes of the whole.
    pub size: Option<u64>,
}

/// What the index keeps beside the columns it understands: JSON, with its own version.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ObjectMeta {
    /// Format: 1.
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) headers: Headers,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<Checksum>,
    /// Parts it was uploaded in.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) parts: Option<u16>,
    /// The upload it came from, so that a repeated completion is recognised.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) upload: Option<UploadId>,
}

/// The same for an upload under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UploadMeta {
    /// Format: 1.
    pub(crate) v: u32,
    #[serde(flatten)]
    pub(crate) headers: Headers,
    pub(crate) algorithm: Algorithm,
    pub(crate) coverage: Coverage,
}

/// The same for a part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PartMeta {
    /// Format: 1.
    pub(crate) v: u32,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) checksum: Option<Checksum>,
}

/// The format of the metadata that we write.
pub(crate) const META_VERSION: u32 = 1;

pub(crate) fn to_meta<T: Serialize>(meta: &T) -> Result<Bytes, crate::ObjectError> {
    serde_json::to_vec(meta)
        .map(Bytes::from)
        .map_err(|error| crate::ObjectError::Metadata(error.to_string()))
}

pub(crate) fn from_meta<T: for<'de> Deserialize<'de>>(
    meta: &[u8],
) -> Result<T, crate::ObjectError> {
    serde_json::from_slice(meta).map_err(|error| crate::ObjectError::Metadata(error.to_string()))
}

impl ObjectInfo {
    pub(crate) fn of(object: &Object) -> Result<(Self, ObjectMeta), crate::ObjectError> {
        let meta: ObjectMeta = from_meta(&object.meta)?;
        let info = Self {
            key: object.at.key.clone(),
            size: object.size,
            etag: object.etag.clone(),
            modified: object.modified,
            generation: object.generation,
            headers: meta.headers.clone(),
            checksum: meta.checksum.clone(),
            parts: meta.parts,
        };
        Ok((info, meta))
    }
}

/// A bucket name as people write it in a manifest's key: quoted where TOML demands it.
pub(crate) fn toml_key(bucket: &BucketName) -> String {
    if bucket.as_str().contains('.') {
        format!("\"{bucket}\"")
    } else {
        bucket.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_within_a_size() {
        let from = |first, last| ByteRange::From { first, last };
        for (range, size, expected) in [
            (from(0, Some(0)), 10, Some(0..1)),
            (from(2, None), 10, Some(2..10)),
            (from(2, Some(99)), 10, Some(2..10)),
            (from(0, Some(u64::MAX)), 10, Some(0..10)),
            (from(10, None), 10, None),
            (ByteRange::Last(3), 10, Some(7..10)),
            (ByteRange::Last(99), 10, Some(0..10)),
            (ByteRange::Last(0), 10, None),
            (ByteRange::Last(1), 0, None),
        ] {
            assert_eq!(range.within(size), expected, "{range:?} of {size}");
        }
    }

    /// What version 1 wrote must stay readable.
    #[test]
    fn stored_metadata_of_version_1_is_read() {
        let stored = br#"{"v":1,"contentType":"image/png","user":{"a":"b"},
            "checksum":{"algorithm":"CRC64NVME","value":"AAAAAAAAAAA=","coverage":"FullObject"},
            "parts":2,"upload":7}"#;
        let meta: ObjectMeta = from_meta(stored).unwrap();
        assert_eq!(meta.headers.content_type.as_deref(), Some("image/png"));
        assert_eq!(meta.headers.user["a"], "b");
        assert_eq!(
            meta.checksum.as_ref().unwrap().algorithm,
            Algorithm::Crc64Nvme
        );
        assert_eq!((meta.parts, meta.upload), (Some(2), Some(UploadId(7))));
        assert_eq!(
            from_meta::<ObjectMeta>(&to_meta(&meta).unwrap()).unwrap(),
            meta
        );

        let upload: UploadMeta = from_meta(
            br#"{"v":1,"algorithm":"CRC32","coverage":"Composite","cacheControl":"no-store"}"#,
        )
        .unwrap();
        assert_eq!(upload.headers.cache_control.as_deref(), Some("no-store"));
        let part: PartMeta = from_meta(br#"{"v":1}"#).unwrap();
        assert_eq!(part.checksum, None);
    }
}
