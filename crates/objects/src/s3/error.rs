//! From our errors to those of S3: one exhaustive match.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header::CONTENT_RANGE};
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
        ObjectError::Submit(SubmitError::NoSuchFunction(_) | SubmitError::NoSuchTopic(_)) => {
            S3ErrorCode::InternalError
        }
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

/// Gives a refusal of s3s that has a code alone the message that S3 has for it; SDKs would
/// print "Unknown" in its place.
pub(super) fn with_message(mut response: Response<s3s::Body>) -> Response<s3s::Body> {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let worded = response.body().bytes().and_then(|body| worded(&body));
    if let Some(body) = worded {
        *response.body_mut() = s3s::Body::from(body);
    }
    response
}

/// An error document with its message; `None` where nothing is missing or the code is not known.
fn worded(document: &[u8]) -> Option<String> {
    const END: &str = "</Code>";
    let text = str::from_utf8(document).ok()?;
    let (before, after) = text.split_once(END)?;
    if after.contains("<Message>") {
        return None;
    }
    let (_, code) = before.rsplit_once("<Code>")?;
    let message = wording(code)?;
    Some(format!("{before}{END}<Message>{message}</Message>{after}"))
}

/// What S3 says for a code ("Error responses", Amazon S3 API Reference).
fn wording(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDenied" => "Access Denied",
        "AuthorizationHeaderMalformed" => "The authorization header you provided is not valid.",
        "BadDigest" => {
            "The Content-MD5 or checksum value that you specified did not match what the server received."
        }
        "EntityTooLarge" => "Your proposed upload exceeds the maximum allowed object size.",
        "IncompleteBody" => {
            "You did not provide the number of bytes specified by the Content-Length HTTP header."
        }
        "InternalError" => "An internal error occurred. Try again.",
        "InvalidBucketName" => "The specified bucket is not valid.",
        "InvalidDigest" => "The Content-MD5 or checksum value that you specified is not valid.",
        "InvalidRequest" => "The request is not valid.",
        "KeyTooLongError" => "Your key is too long.",
        "MalformedXML" => {
            "The XML that you provided was not well formed or did not validate against our published schema."
        }
        "MethodNotAllowed" => "The specified method is not allowed against this resource.",
        "MissingContentLength" => "You must provide the Content-Length HTTP header.",
        "NoSuchVersion" => {
            "The version ID specified in the request does not match an existing version."
        }
        "NotImplemented" => {
            "A header that you provided implies functionality that is not implemented."
        }
        "RequestTimeTooSkewed" => {
            "The difference between the request time and the server's time is too large."
        }
        "SignatureDoesNotMatch" => {
            "The request signature that the server calculated does not match the signature that you provided. Check your AWS secret access key and signing method."
        }
        _ => return None,
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(error: S3Error) -> String {
        let response = with_message(error.to_http_response().unwrap());
        String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
    }

    #[test]
    fn a_code_alone_gets_its_message() {
        for (code, expected) in [
            (
                S3ErrorCode::SignatureDoesNotMatch,
                "Check your AWS secret access key",
            ),
            (S3ErrorCode::KeyTooLongError, "Your key is too long."),
            (S3ErrorCode::AccessDenied, "Access Denied"),
        ] {
            let text = refusal(code.clone().into());
            let code = format!("<Code>{}</Code><Message>", code.as_str());
            assert!(text.contains(&code) && text.contains(expected), "{text}");
        }
        let own = refusal(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            "ask the owner",
        ));
        assert!(
            own.contains("ask the owner") && !own.contains("Access Denied"),
            "{own}"
        );
        let unknown = refusal(S3ErrorCode::TokenRefreshRequired.into());
        assert!(!unknown.contains("<Message>"), "{unknown}");
    }
}
