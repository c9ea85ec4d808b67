//! From our errors to those of S3: one exhaustive match.

use http::{HeaderMap, HeaderValue, StatusCode, header::CONTENT_RANGE};
use s3s::{S3Error, S3ErrorCode};
use wakeful_core::port::{StoreError, SubmitError};

use crate::{error::ObjectError, model::BodyError};

impl From<ObjectError> for S3Error {
    fn from(error: ObjectError) -> Self {
        let code = code(&error);
        let mut message = error.to_string();
        if matches!(code, S3ErrorCode::InternalError) {
            tracing::error!(error = %chain(&error), "an S3 request failed");
            message.push_str(": the server's log says more");
        }
        let mut answer = Self::with_message(code, message);
        match &error {
            ObjectError::Range { size } => {
                let mut headers = HeaderMap::new();
                if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
                    headers.insert(CONTENT_RANGE, value);
                }
                answer.set_headers(headers);
            }
            ObjectError::Body(BodyError::Sha256) => answer.set_status_code(StatusCode::BAD_REQUEST),
            ObjectError::DiskFull
            | ObjectError::Submit(SubmitError::Store(StoreError::DiskFull)) => {
                answer.set_status_code(StatusCode::INSUFFICIENT_STORAGE);
            }
            _ => {}
        }
        answer
    }
}

fn code(error: &ObjectError) -> S3ErrorCode {
    match error {
        ObjectError::NoSuchBucket { .. } => S3ErrorCode::NoSuchBucket,
        ObjectError::Key { length: 0 } => S3ErrorCode::InvalidArgument,
        ObjectError::Key { .. } => S3ErrorCode::KeyTooLongError,
        ObjectError::Header { .. } => S3ErrorCode::InvalidArgument,
        ObjectError::MetadataTooLarge { .. } => S3ErrorCode::MetadataTooLarge,
        ObjectError::Precondition { .. } => S3ErrorCode::PreconditionFailed,
        ObjectError::NoSuchKey { .. } => S3ErrorCode::NoSuchKey,
        ObjectError::Range { .. } => S3ErrorCode::InvalidRange,
        ObjectError::TooLarge { .. } => S3ErrorCode::EntityTooLarge,
        ObjectError::Body(BodyError::Sha256) => {
            S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into())
        }
        ObjectError::Body(BodyError::Signature) => S3ErrorCode::SignatureDoesNotMatch,
        ObjectError::Body(BodyError::Incomplete | BodyError::Broken(_))
        | ObjectError::Length { .. } => S3ErrorCode::IncompleteBody,
        ObjectError::Idle => S3ErrorCode::RequestTimeout,
        ObjectError::Md5 | ObjectError::Checksum { .. } => S3ErrorCode::BadDigest,
        ObjectError::MalformedChecksum { .. } | ObjectError::Coverage { .. } => {
            S3ErrorCode::InvalidRequest
        }
        ObjectError::NoSuchUpload { .. } => S3ErrorCode::NoSuchUpload,
        ObjectError::PartNumber { .. } => S3ErrorCode::InvalidArgument,
        ObjectError::InvalidPart { .. } => S3ErrorCode::InvalidPart,
        ObjectError::PartOrder { .. } => S3ErrorCode::InvalidPartOrder,
        ObjectError::NoParts => S3ErrorCode::MalformedXML,
        ObjectError::PartTooSmall { .. } => S3ErrorCode::EntityTooSmall,
        ObjectError::Contended { .. } => S3ErrorCode::SlowDown,
        ObjectError::DiskFull => S3ErrorCode::Custom("InsufficientStorage".into()),
        ObjectError::Disk { .. } | ObjectError::Damaged { .. } | ObjectError::Metadata(_) => {
            S3ErrorCode::InternalError
        }
        ObjectError::Submit(SubmitError::Store(error)) | ObjectError::Store(error) => {
            store_code(error)
        }
        ObjectError::Submit(SubmitError::NoSuchFunction(_)) => S3ErrorCode::InternalError,
        ObjectError::Submit(SubmitError::Stopping) | ObjectError::Stopping => {
            S3ErrorCode::ServiceUnavailable
        }
    }
}

fn store_code(error: &StoreError) -> S3ErrorCode {
    match error {
        StoreError::Conflict(_) => S3ErrorCode::OperationAborted,
        StoreError::DiskFull => S3ErrorCode::Custom("InsufficientStorage".into()),
        StoreError::ReadOnly(_) | StoreError::Closed => S3ErrorCode::ServiceUnavailable,
        StoreError::Damaged(_) | StoreError::Unknown(_) | StoreError::Failed(_) => {
            S3ErrorCode::InternalError
        }
    }
}

/// An error and what led to it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
