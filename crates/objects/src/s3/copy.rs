//! CopyObject and UploadPartCopy.

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource,
        MetadataDirective, TaggingDirective, UploadPartCopyInput, UploadPartCopyOutput,
    },
    s3_error,
};

use super::{
    bucket::bucket_name,
    convert::{checksum_type, etag, no_version, part_number, set_checksum, timestamp, upload_id},
    incoming::{algorithm_named, kept_headers, refuse_unsupported},
    object::{Conditions, UNKNOWN_TYPE, Verdict, no_such_key},
    protocol::Protocol,
};
use crate::model::{ByteRange, Expect, ObjectInfo, ObjectRead, Written};

/// The conditions that a copy sets for its source.
macro_rules! source_conditions {
    ($input:expr) => {
        Conditions {
            if_match: $input.copy_source_if_match.take(),
            if_none_match: $input.copy_source_if_none_match.take(),
            if_modified_since: $input.copy_source_if_modified_since.take(),
            if_unmodified_since: $input.copy_source_if_unmodified_since.take(),
        }
    };
}

impl Protocol {
    pub(super) async fn copy(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut input = request.input;
        refuse_unsupported!(input);
        let replace = replaces(input.metadata_directive.as_ref())?;
        if input
            .tagging_directive
            .as_ref()
            .is_some_and(|tags| tags.as_str() == TaggingDirective::REPLACE)
        {
            return Err(s3_error!(
                NotImplemented,
                "tags are not supported: use user metadata (x-amz-meta-*)"
            ));
        }
        if !replace && is_itself(&input.copy_source, &input.bucket, &input.key) {
            return Err(s3_error!(
                InvalidRequest,
                "an object is copied onto itself only with x-amz-metadata-directive: REPLACE"
            ));
        }
        let bucket = bucket_name(&input.bucket)?;
        let conditions = source_conditions!(input);
        let source = self.source(&input.copy_source, None, &conditions).await?;
        let headers = replace.then(|| {
            let mut kept = kept_headers!(input);
            kept.content_type
                .get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
            kept
        });
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(algorithm_named)
            .transpose()?;
        let written = self
            .buckets
            .copy(
                source,
                (&bucket, &input.key),
                headers,
                algorithm,
                Expect::Anything,
            )
            .await?;
        let result = copied(&written);
        Ok(S3Response::new(CopyObjectOutput {
            copy_object_result: Some(result),
            ..Default::default()
        }))
    }

    pub(super) async fn copy_part(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        let mut input = request.input;
        let bucket = bucket_name(&input.bucket)?;
        let upload = upload_id(&input.upload_id)?;
        let number = part_number(input.part_number)?;
        let conditions = source_conditions!(input);
        let range = input
            .copy_source_range
            .as_deref()
            .map(source_range)
            .transpose()?;
        let source = self.source(&input.copy_source, range, &conditions).await?;
        let part = self
            .buckets
            .copy_part(source, (&bucket, &input.key), upload, number)
            .await?;
        let mut result = CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            last_modified: Some(timestamp(part.modified)),
            ..Default::default()
        };
        set_checksum!(result, part.checksum.as_ref());
        Ok(S3Response::new(UploadPartCopyOutput {
            copy_part_result: Some(result),
            ..Default::default()
        }))
    }

    async fn source(
        &self,
        source: &CopySource,
        range: Option<ByteRange>,
        conditions: &Conditions,
    ) -> S3Result<ObjectRead> {
        let CopySource::Bucket {
            bucket,
            key,
            version_id,
        } = source
        else {
            return Err(s3_error!(
                NotImplemented,
                "a copy source is `bucket/key`, no access point"
            ));
        };
        no_version(version_id.as_deref())?;
        let bucket = bucket_name(bucket)?;
        let accept = |info: &ObjectInfo| match conditions.verdict(info) {
            Verdict::Send => Ok(()),
            Verdict::NotModified | Verdict::Failed => Err(s3_error!(
                PreconditionFailed,
                "the source of the copy is not as the request demands"
            )),
        };
        self.buckets
            .get_if(&bucket, key, range, accept)
            .await?
            .ok_or_else(|| no_such_key(key))
    }
}

fn copied(written: &Written) -> CopyObjectResult {
    let checksum = written.info.checksum.as_ref();
    let mut result = CopyObjectResult {
        e_tag: Some(etag(&written.info.etag)),
        last_modified: Some(timestamp(written.info.modified)),
        checksum_type: checksum.map(|checksum| checksum_type(checksum.coverage)),
        ..Default::default()
    };
    set_checksum!(result, checksum);
    result
}

fn replaces(directive: Option<&MetadataDirective>) -> S3Result<bool> {
    match directive.map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => Ok(false),
        Some(MetadataDirective::REPLACE) => Ok(true),
        Some(other) => Err(s3_error!(
            InvalidArgument,
            "`{other}` is no metadata directive: COPY or REPLACE"
        )),
    }
}

fn is_itself(source: &CopySource, to_bucket: &str, to_key: &str) -> bool {
    matches!(source, CopySource::Bucket { bucket, key, .. } if **bucket == *to_bucket && **key == *to_key)
}

/// `bytes=first-last`: S3 takes no other form here.
fn source_range(text: &str) -> S3Result<ByteRange> {
    let parsed = text.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        let (first, last) = (first.parse().ok()?, last.parse().ok()?);
        (first <= last).then_some(ByteRange::From {
            first,
            last: Some(last),
        })
    });
    parsed.ok_or_else(|| {
        s3_error!(
            InvalidArgument,
            "x-amz-copy-source-range has the form bytes=first-last"
        )
    })
}
