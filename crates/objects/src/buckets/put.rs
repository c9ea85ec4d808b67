//! Writing objects whole: put and copy.

use futures::StreamExt;
use http::{HeaderName, HeaderValue};
use wakeful_core::{
    limits::{MAX_OBJECT_METADATA, MAX_OBJECT_PART},
    name::BucketName,
    port::{BlobPart, ObjectId},
};

use super::{
    Buckets,
    publish::{Draft, Operation},
};
use crate::{
    blob::FreshBlob,
    checksum::Algorithm,
    error::ObjectError,
    model::{
        Body, BodyError, Claim, Expect, Headers, META_VERSION, ObjectMeta, ObjectRead, Written,
    },
};

impl Buckets {
    /// Writes an object. It becomes visible, together with its event, when all of `body` is on
    /// disk and fits what its sender claims; until then and on every error the old one stays.
    pub async fn put(
        &self,
        bucket: &BucketName,
        key: &str,
        headers: Headers,
        body: Body,
        expect: Expect,
    ) -> Result<Written, ObjectError> {
        let at = self.place(bucket, key)?;
        self.write(at, headers, body, expect, Operation::Put).await
    }

    /// Writes what `source` brings as another object; with its headers unless others are given.
    pub async fn copy(
        &self,
        source: ObjectRead,
        (bucket, key): (&BucketName, &str),
        headers: Option<Headers>,
        algorithm: Option<Algorithm>,
        expect: Expect,
    ) -> Result<Written, ObjectError> {
        let at = self.place(bucket, key)?;
        let kept = source
            .info
            .checksum
            .as_ref()
            .map(|checksum| checksum.algorithm);
        let headers = headers.unwrap_or_else(|| source.info.headers.clone());
        let claim = algorithm.or(kept).map_or(Claim::None, Claim::Compute);
        let body = body_of(source).with_claim(claim);
        self.write(at, headers, body, expect, Operation::Copy).await
    }

    async fn write(
        &self,
        at: ObjectId,
        headers: Headers,
        body: Body,
        expect: Expect,
        operation: Operation,
    ) -> Result<Written, ObjectError> {
        check_headers(&headers)?;
        if expect != Expect::Anything {
            // A condition that does not hold is found before the body is taken in.
            let current = self.0.store.object(at.clone()).await?;
            expect.check(&at.key, current.as_ref())?;
        }
        let (draft, blob) = self.receive(at, headers, body, operation).await?;
        // From here on `publish` decides what becomes of the blob: a transaction under way may
        // already refer to it.
        let inner = self.0.clone();
        self.see_through(async move {
            blob.keep();
            inner.publish(draft, expect).await
        })
        .await
    }

    /// Brings a body to the disk as an object that nobody sees yet; its headers were checked.
    pub(super) async fn receive(
        &self,
        at: ObjectId,
        headers: Headers,
        body: Body,
        operation: Operation,
    ) -> Result<(Draft, FreshBlob), ObjectError> {
        let algorithm = body.claim.algorithm().unwrap_or(Algorithm::Crc64Nvme);
        let received = self
            .0
            .blobs
            .receive(body, vec![algorithm], MAX_OBJECT_PART)
            .await?;
        let part = BlobPart {
            blob: received.blob.id(),
            size: received.size,
        };
        let draft = Draft {
            at,
            blobs: vec![part],
            etag: hex::encode(received.digested.md5),
            meta: ObjectMeta {
                v: META_VERSION,
                headers,
                checksum: received.digested.sum(algorithm).cloned(),
                parts: None,
                upload: None,
            },
            operation,
            completes: None,
            cause: self.1,
        };
        Ok((draft, received.blob))
    }
}

/// The bytes of an object as a body for another.
pub(super) fn body_of(source: ObjectRead) -> Body {
    let size = source.range.end - source.range.start;
    let stream = source
        .body
        .map(|chunk| chunk.map_err(|error| BodyError::Broken(error.to_string())));
    Body::new(stream).with_size(Some(size))
}

/// Refuses headers that could not be given back over HTTP, and more metadata than S3 keeps.
pub(super) fn check_headers(headers: &Headers) -> Result<(), ObjectError> {
    let known = [
        ("content-type", &headers.content_type),
        ("cache-control", &headers.cache_control),
        ("content-disposition", &headers.content_disposition),
        ("content-encoding", &headers.content_encoding),
        ("content-language", &headers.content_language),
    ];
    let known = known
        .iter()
        .filter_map(|(name, value)| Some((*name, value.as_deref()?)));
    let user = headers
        .user
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in known.chain(user) {
        let writable = HeaderValue::from_bytes(value.as_bytes()).is_ok();
        if !writable || HeaderName::from_lowercase(name.as_bytes()).is_err() {
            return Err(ObjectError::Header {
                name: name.to_owned(),
            });
        }
    }
    let length: usize = headers
        .user
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if length > MAX_OBJECT_METADATA {
        return Err(ObjectError::MetadataTooLarge { length });
    }
    Ok(())
}
