//! Multipart uploads over S3.

use std::collections::BTreeSet;

use s3s::{
    S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm, ChecksumType,
        CommonPrefix, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
        CreateMultipartUploadInput, CreateMultipartUploadOutput, ListMultipartUploadsInput,
        ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part,
        StorageClass, UploadPartInput, UploadPartOutput,
    },
    s3_error,
};
use wakeful_core::name::BucketName;

use super::{
    bucket::{bucket_name, owner},
    convert::{
        checksum_type, etag, expect, part_number, set_checksum, stated_checksum, timestamp,
        upload_id, upload_text, wire_size,
    },
    incoming::{Sent, algorithm_named, kept_headers, refuse_unsupported},
    list::{Encoding, page_limit},
    object::UNKNOWN_TYPE,
    protocol::Protocol,
};
use crate::{
    checksum::{Algorithm, Coverage},
    model::{CompletedPart, Completion, PartInfo, UploadInfo},
};

impl Protocol {
    pub(super) async fn begin(
        &self,
        mut input: CreateMultipartUploadInput,
    ) -> S3Result<CreateMultipartUploadOutput> {
        refuse_unsupported!(input);
        let bucket = bucket_name(&input.bucket)?;
        let mut kept = kept_headers!(input);
        kept.content_type
            .get_or_insert_with(|| UNKNOWN_TYPE.to_owned());
        let algorithm = input
            .checksum_algorithm
            .as_ref()
            .map(algorithm_named)
            .transpose()?;
        let coverage = input.checksum_type.as_ref().map(coverage).transpose()?;
        let checksum = match (algorithm, coverage) {
            (Some(algorithm), coverage) => Some((algorithm, coverage)),
            (None, Some(_)) => {
                return Err(s3_error!(
                    InvalidRequest,
                    "a checksum type is given with a checksum algorithm"
                ));
            }
            (None, None) => None,
        };
        let upload = self
            .buckets
            .begin_upload(&bucket, &input.key, kept, checksum)
            .await?;
        // Clients that asked for no checksum are not told of ours: they would have to send it.
        let told = algorithm.map(|_| upload.checksum);
        Ok(CreateMultipartUploadOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(upload_text(upload.id)),
            checksum_algorithm: told
                .map(|(algorithm, _)| ChecksumAlgorithm::from_static(algorithm.as_str())),
            checksum_type: told.map(|(_, coverage)| checksum_type(coverage)),
            ..Default::default()
        })
    }

    pub(super) async fn part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<UploadPartOutput> {
        let S3Request {
            mut input,
            headers,
            trailing_headers,
            ..
        } = request;
        if input.sse_customer_algorithm.is_some() || input.sse_customer_key.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "encryption with a key of the customer is not supported"
            ));
        }
        let bucket = bucket_name(&input.bucket)?;
        let upload = upload_id(&input.upload_id)?;
        let number = part_number(input.part_number)?;
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
        let part = self
            .buckets
            .put_part(&bucket, &input.key, upload, number, body)
            .await?;
        let mut output = UploadPartOutput {
            e_tag: Some(etag(&part.etag)),
            ..Default::default()
        };
        set_checksum!(output, part.checksum.as_ref());
        Ok(output)
    }

    /// The transaction comes before the 200: s3s would keep the connection alive with a future
    /// inside the answer, but that future dies with the connection.
    pub(super) async fn complete(
        &self,
        mut input: CompleteMultipartUploadInput,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let bucket = bucket_name(&input.bucket)?;
        let upload = upload_id(&input.upload_id)?;
        let parts = input
            .multipart_upload
            .take()
            .and_then(|upload| upload.parts)
            .unwrap_or_default();
        let completion = Completion {
            parts: parts
                .into_iter()
                .map(completed_part)
                .collect::<S3Result<_>>()?,
            expect: expect(input.if_match.take(), input.if_none_match.take())?,
            checksum: stated_checksum!(input)?,
            size: input
                .mpu_object_size
                .and_then(|size| u64::try_from(size).ok()),
        };
        let written = self
            .buckets
            .complete_upload(&bucket, &input.key, upload, completion)
            .await?;
        let mut output = CompleteMultipartUploadOutput {
            location: Some(format!(
                "/{}/{}",
                input.bucket,
                super::convert::url_encode(&input.key)
            )),
            bucket: Some(input.bucket),
            key: Some(input.key),
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

    pub(super) async fn abort(
        &self,
        input: AbortMultipartUploadInput,
    ) -> S3Result<AbortMultipartUploadOutput> {
        let bucket = bucket_name(&input.bucket)?;
        let upload = upload_id(&input.upload_id)?;
        self.buckets
            .abort_upload(&bucket, &input.key, upload)
            .await?;
        Ok(AbortMultipartUploadOutput::default())
    }

    pub(super) async fn parts(&self, input: ListPartsInput) -> S3Result<ListPartsOutput> {
        let bucket = bucket_name(&input.bucket)?;
        let id = upload_id(&input.upload_id)?;
        let limit = page_limit(input.max_parts)?;
        let after = input.part_number_marker.unwrap_or_default();
        let (upload, parts) = self.buckets.list_parts(&bucket, &input.key, id).await?;
        let mut rest = parts
            .iter()
            .filter(|part| i32::from(part.number) > after)
            .peekable();
        let page: Vec<Part> = rest
            .by_ref()
            .take(usize::try_from(limit).unwrap_or_default())
            .map(listed_part)
            .collect();
        let more = rest.peek().is_some() && !page.is_empty();
        Ok(ListPartsOutput {
            bucket: Some(input.bucket),
            key: Some(input.key),
            upload_id: Some(input.upload_id),
            checksum_algorithm: Some(ChecksumAlgorithm::from_static(upload.checksum.0.as_str())),
            checksum_type: Some(checksum_type(upload.checksum.1)),
            is_truncated: Some(more),
            max_parts: Some(limit),
            part_number_marker: Some(after),
            next_part_number_marker: page.last().and_then(|part| part.part_number),
            owner: Some(owner()),
            parts: Some(page),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..Default::default()
        })
    }

    pub(super) async fn uploads(
        &self,
        input: ListMultipartUploadsInput,
    ) -> S3Result<ListMultipartUploadsOutput> {
        let bucket: BucketName = bucket_name(&input.bucket)?;
        let encoding = Encoding::of(input.encoding_type.as_ref())?;
        let limit = page_limit(input.max_uploads)?;
        let page = UploadsPage::of(&self.buckets.list_uploads(&bucket).await?, &input, limit);
        let last = page.uploads.last();
        Ok(ListMultipartUploadsOutput {
            next_key_marker: page
                .more
                .then(|| last.map(|upload| encoding.text(&upload.key)))
                .flatten(),
            next_upload_id_marker: page
                .more
                .then(|| last.map(|upload| upload_text(upload.id)))
                .flatten(),
            is_truncated: Some(page.more),
            uploads: Some(
                page.uploads
                    .iter()
                    .map(|upload| listed_upload(upload, encoding))
                    .collect(),
            ),
            common_prefixes: Some(
                page.prefixes
                    .iter()
                    .map(|prefix| CommonPrefix {
                        prefix: Some(encoding.text(prefix)),
                    })
                    .collect(),
            ),
            bucket: Some(input.bucket),
            prefix: Some(encoding.text(&input.prefix.unwrap_or_default())),
            delimiter: input.delimiter.map(|delimiter| encoding.text(&delimiter)),
            key_marker: input.key_marker.map(|marker| encoding.text(&marker)),
            upload_id_marker: input.upload_id_marker,
            max_uploads: Some(limit),
            encoding_type: input.encoding_type,
            request_charged: None,
        })
    }
}

/// One page of the uploads of a bucket. Those folded at the delimiter do not count.
struct UploadsPage {
    uploads: Vec<UploadInfo>,
    prefixes: BTreeSet<String>,
    more: bool,
}

impl UploadsPage {
    fn of(all: &[UploadInfo], input: &ListMultipartUploadsInput, limit: i32) -> Self {
        let limit = usize::try_from(limit).unwrap_or_default();
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let delimiter = input
            .delimiter
            .as_deref()
            .filter(|delimiter| !delimiter.is_empty());
        let marker = input.key_marker.as_deref().unwrap_or_default();
        let id_marker = input
            .upload_id_marker
            .as_deref()
            .filter(|_| !marker.is_empty());
        let is_after = |upload: &&UploadInfo| match id_marker {
            Some(id) => (upload.key.as_str(), upload_text(upload.id).as_str()) > (marker, id),
            None => marker.is_empty() || upload.key.as_str() > marker,
        };
        let mut page = Self {
            uploads: Vec::new(),
            prefixes: BTreeSet::new(),
            more: false,
        };
        for upload in all.iter().filter(is_after) {
            let Some(rest) = upload.key.strip_prefix(prefix) else {
                continue;
            };
            if let Some((delimiter, at)) = delimiter.and_then(|d| Some((d, rest.find(d)?))) {
                page.prefixes
                    .insert(format!("{prefix}{}", &rest[..at + delimiter.len()]));
            } else if page.uploads.len() < limit {
                page.uploads.push(upload.clone());
            } else {
                page.more = limit > 0;
                break;
            }
        }
        page
    }
}

fn completed_part(mut part: s3s::dto::CompletedPart) -> S3Result<CompletedPart> {
    let number = part
        .part_number
        .ok_or_else(|| s3_error!(MalformedXML, "a part has no number"))?;
    let etag = part
        .e_tag
        .take()
        .ok_or_else(|| s3_error!(MalformedXML, "part {number} has no ETag"))?;
    Ok(CompletedPart {
        number: part_number(number)?,
        etag: etag.into_value(),
        checksum: stated_checksum!(part)?,
    })
}

fn coverage(wanted: &ChecksumType) -> S3Result<Coverage> {
    match wanted.as_str() {
        ChecksumType::FULL_OBJECT => Ok(Coverage::FullObject),
        ChecksumType::COMPOSITE => Ok(Coverage::Composite),
        other => Err(s3_error!(InvalidRequest, "`{other}` is no checksum type")),
    }
}

fn listed_part(info: &PartInfo) -> Part {
    let mut part = Part {
        part_number: Some(i32::from(info.number)),
        e_tag: Some(etag(&info.etag)),
        size: Some(wire_size(info.size)),
        last_modified: Some(timestamp(info.modified)),
        ..Default::default()
    };
    set_checksum!(part, info.checksum.as_ref());
    part
}

fn listed_upload(upload: &UploadInfo, encoding: Encoding) -> MultipartUpload {
    let (algorithm, coverage): (Algorithm, Coverage) = upload.checksum;
    MultipartUpload {
        key: Some(encoding.text(&upload.key)),
        upload_id: Some(upload_text(upload.id)),
        initiated: Some(timestamp(upload.started)),
        checksum_algorithm: Some(ChecksumAlgorithm::from_static(algorithm.as_str())),
        checksum_type: Some(checksum_type(coverage)),
        owner: Some(owner()),
        initiator: None,
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
    }
}
