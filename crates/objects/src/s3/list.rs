//! ListObjects and ListObjectsV2.

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use s3s::{
    S3Result,
    dto::{
        ChecksumAlgorithm, CommonPrefix, EncodingType, ListObjectsInput, ListObjectsOutput,
        ListObjectsV2Input, ListObjectsV2Output, Object, ObjectStorageClass,
    },
    s3_error,
};
use wakeful_core::limits::MAX_OBJECT_PAGE;

use super::{
    bucket::{bucket_name, owner},
    convert::{checksum_type, etag, timestamp, url_encode, wire_size},
    protocol::Protocol,
};
use crate::model::{ListQuery, Listing, ObjectInfo};

impl Protocol {
    pub(super) async fn list_v1(&self, input: ListObjectsInput) -> S3Result<ListObjectsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_limit(input.max_keys)?;
        let listing = self
            .page(
                &input.bucket,
                input.prefix.as_deref(),
                input.delimiter.as_deref(),
                input.marker.clone(),
                limit,
            )
            .await?;
        Ok(ListObjectsOutput {
            name: Some(input.bucket),
            is_truncated: Some(listing.next.is_some()),
            next_marker: listing.next.as_deref().map(|next| encoding.text(next)),
            contents: Some(contents(&listing, encoding, true)),
            common_prefixes: Some(common_prefixes(&listing, encoding)),
            prefix: Some(encoding.text(&input.prefix.unwrap_or_default())),
            marker: Some(encoding.text(&input.marker.unwrap_or_default())),
            delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
            max_keys: Some(limit),
            encoding_type: input.encoding_type,
            request_charged: None,
        })
    }

    pub(super) async fn list_v2(&self, input: ListObjectsV2Input) -> S3Result<ListObjectsV2Output> {
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_limit(input.max_keys)?;
        let after = match &input.continuation_token {
            Some(token) => Some(from_token(token)?),
            None => input.start_after.clone(),
        };
        let listing = self
            .page(
                &input.bucket,
                input.prefix.as_deref(),
                input.delimiter.as_deref(),
                after,
                limit,
            )
            .await?;
        let count = listing.objects.len() + listing.prefixes.len();
        let with_owner = input.fetch_owner.unwrap_or(false);
        Ok(ListObjectsV2Output {
            name: Some(input.bucket),
            key_count: i32::try_from(count).ok(),
            is_truncated: Some(listing.next.is_some()),
            next_continuation_token: listing.next.as_deref().map(to_token),
            contents: Some(contents(&listing, encoding, with_owner)),
            common_prefixes: Some(common_prefixes(&listing, encoding)),
            prefix: Some(encoding.text(&input.prefix.unwrap_or_default())),
            start_after: input.start_after.map(|after| encoding.text(&after)),
            delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
            continuation_token: input.continuation_token,
            max_keys: Some(limit),
            encoding_type: input.encoding_type,
            request_charged: None,
        })
    }

    async fn page(
        &self,
        bucket: &str,
        prefix: Option<&str>,
        delimiter: Option<&str>,
        after: Option<String>,
        limit: i32,
    ) -> S3Result<Listing> {
        let query = ListQuery {
            prefix: prefix.unwrap_or_default().to_owned(),
            delimiter: delimiter.map(ToOwned::to_owned),
            after: after.filter(|after| !after.is_empty()),
            limit: usize::try_from(limit).unwrap_or_default(),
        };
        Ok(self.buckets.list(&bucket_name(bucket)?, query).await?)
    }
}

/// How keys are written in an answer. Plain XML cannot carry control characters.
#[derive(Debug, Clone, Copy)]
pub(super) enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    pub(super) fn of(wanted: Option<&EncodingType>) -> S3Result<Self> {
        match wanted.map(EncodingType::as_str) {
            None | Some("") => Ok(Self::Plain),
            Some("url") => Ok(Self::Url),
            Some(other) => Err(s3_error!(
                InvalidArgument,
                "`{other}` is no encoding type: only `url` is"
            )),
        }
    }

    pub(super) fn text(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => url_encode(text),
        }
    }
}

/// The page size that a request asks for, within S3's limit.
pub(super) fn page_limit(asked: Option<i32>) -> S3Result<i32> {
    let most = i32::try_from(MAX_OBJECT_PAGE).unwrap_or(i32::MAX);
    match asked {
        None => Ok(most),
        Some(asked) if asked < 0 => Err(s3_error!(InvalidArgument, "a page has no negative size")),
        Some(asked) => Ok(asked.min(most)),
    }
}

fn contents(listing: &Listing, encoding: Encoding, with_owner: bool) -> Vec<Object> {
    let entry = |info: &ObjectInfo| Object {
        key: Some(encoding.text(&info.key)),
        e_tag: Some(etag(&info.etag)),
        last_modified: Some(timestamp(info.modified)),
        size: Some(wire_size(info.size)),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        checksum_algorithm: info
            .checksum
            .as_ref()
            .map(|checksum| vec![ChecksumAlgorithm::from_static(checksum.algorithm.as_str())]),
        checksum_type: info
            .checksum
            .as_ref()
            .map(|checksum| checksum_type(checksum.coverage)),
        owner: with_owner.then(owner),
        restore_status: None,
    };
    listing.objects.iter().map(entry).collect()
}

fn common_prefixes(listing: &Listing, encoding: Encoding) -> Vec<CommonPrefix> {
    let entry = |prefix: &String| CommonPrefix {
        prefix: Some(encoding.text(prefix)),
    };
    listing.prefixes.iter().map(entry).collect()
}

/// A token is opaque to clients, and safe in every encoding.
fn to_token(after: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(after)
}

fn from_token(token: &str) -> S3Result<String> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|raw| String::from_utf8(raw).ok())
        .ok_or_else(|| s3_error!(InvalidArgument, "the continuation token is not one of ours"))
}
