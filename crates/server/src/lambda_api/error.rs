//! Errors in the shape in which Lambda's clients know them: a type in `x-amzn-errortype`, a status,
//! and a JSON body. One table decides all three.

use http::{HeaderValue, Response, StatusCode, header};
use serde_json::json;
use wakeful_core::{limits, port::StoreError};

use super::{
    answer::{AnswerBody, whole},
    route::SUPPORTED,
    signature::SignatureError,
};
use crate::{control::InvokeError, gateway::Refusal};

/// Seconds after which a refused client should try again.
const RETRY_AFTER: &str = "1";

/// Why a request is refused. Nothing was started, except where `Store` says otherwise.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The signature does not count.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Nobody here has this access key.
    #[error(
        "The security token included in the request is invalid: the access key is not known here. \
         It may belong to another server, or to an earlier start of this one"
    )]
    UnknownKey,
    /// The key may not do this.
    #[error("{0}")]
    Denied(String),
    /// There is no such operation here.
    #[error("{method} {path} is no operation that this server has; it has {SUPPORTED}")]
    UnknownOperation {
        /// The method.
        method: String,
        /// The path.
        path: String,
    },
    /// No such function.
    #[error("Function not found: {0}")]
    NoSuchFunction(String),
    /// No such version of a function.
    #[error(
        "Function not found: {function}:{qualifier}. The version that is live is {live}; earlier \
         ones are not kept, and there are no aliases"
    )]
    NoSuchVersion {
        /// The function.
        function: String,
        /// What was asked for.
        qualifier: String,
        /// What there is.
        live: String,
    },
    /// A header, a parameter or a name is not what it must be.
    #[error("{0}")]
    InvalidParameter(String),
    /// Functions wake each other without end.
    #[error(
        "the chain of invocations that led here is longer than {}: functions invoke each other in \
         a loop",
        limits::MAX_CHAIN
    )]
    Loop,
    /// The payload is no JSON.
    #[error("Could not parse request body into json: {0}")]
    InvalidContent(String),
    /// The payload is too large.
    #[error("Request must be at most {0} bytes for the InvokeFunction operation")]
    TooLarge(u64),
    /// Too much runs or waits already.
    #[error("{0}")]
    TooMany(String),
    /// The body did not come.
    #[error("{0}")]
    Body(&'static str),
    /// No worker could be started, or the server stops.
    #[error("{0}")]
    Unavailable(String),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an error is told.
struct Told {
    status: StatusCode,
    kind: &'static str,
    /// `Message` or `message`: Lambda has both, by the type.
    key: &'static str,
}

impl ApiError {
    fn told(&self) -> Told {
        let (status, kind, key) = match self {
            Self::Signature(SignatureError::Missing) => (
                StatusCode::FORBIDDEN,
                "MissingAuthenticationTokenException",
                "message",
            ),
            Self::Signature(SignatureError::Incomplete(_)) => (
                StatusCode::FORBIDDEN,
                "IncompleteSignatureException",
                "message",
            ),
            Self::Signature(_) => (
                StatusCode::FORBIDDEN,
                "InvalidSignatureException",
                "message",
            ),
            Self::UnknownKey => (
                StatusCode::FORBIDDEN,
                "UnrecognizedClientException",
                "message",
            ),
            Self::Denied(_) => (StatusCode::FORBIDDEN, "AccessDeniedException", "Message"),
            Self::UnknownOperation { .. } => (
                StatusCode::NOT_IMPLEMENTED,
                "UnknownOperationException",
                "message",
            ),
            Self::NoSuchFunction(_) | Self::NoSuchVersion { .. } => (
                StatusCode::NOT_FOUND,
                "ResourceNotFoundException",
                "Message",
            ),
            Self::InvalidParameter(_) => (
                StatusCode::BAD_REQUEST,
                "InvalidParameterValueException",
                "message",
            ),
            Self::Loop => (
                StatusCode::BAD_REQUEST,
                "RecursiveInvocationException",
                "Message",
            ),
            Self::InvalidContent(_) | Self::Body(_) => (
                StatusCode::BAD_REQUEST,
                "InvalidRequestContentException",
                "message",
            ),
            Self::TooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "RequestTooLargeException",
                "message",
            ),
            Self::TooMany(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "TooManyRequestsException",
                "message",
            ),
            Self::Unavailable(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "ServiceException",
                "Message",
            ),
            Self::Store(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "ServiceException",
                "Message",
            ),
        };
        Told { status, kind, key }
    }

    /// The answer that tells of it.
    pub(super) fn response(&self) -> Response<AnswerBody> {
        let Told { status, kind, key } = self.told();
        let whose = if status.is_server_error() {
            "Service"
        } else {
            "User"
        };
        let mut body = json!({ "Type": whose, key: self.to_string() });
        if matches!(self, Self::TooMany(_)) {
            body["Reason"] = "ReservedFunctionConcurrentInvocationLimitExceeded".into();
        }
        let mut response = whole(status, body.to_string());
        let headers = response.headers_mut();
        headers.insert("x-amzn-errortype", HeaderValue::from_static(kind));
        if matches!(self, Self::TooMany(_) | Self::Unavailable(_)) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
        response
    }
}

impl From<InvokeError> for ApiError {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::NoSuchFunction(name) => Self::NoSuchFunction(name.to_string()),
            InvokeError::NoSuchHandler { .. } | InvokeError::OnlyHttp(_) => {
                Self::InvalidParameter(error.to_string())
            }
            InvokeError::Payload(why) => Self::InvalidContent(why),
            InvokeError::Overloaded(_) => Self::TooMany(error.to_string()),
            InvokeError::Stopping => Self::Unavailable(error.to_string()),
            InvokeError::Store(error) => Self::Store(error),
        }
    }
}

/// What became of a body that was to be read; `most` is what its operation takes.
pub(super) fn of_body(refusal: Refusal, most: u64) -> ApiError {
    match refusal {
        Refusal::TooLarge(_) => ApiError::TooLarge(most),
        Refusal::BodyTimeout => ApiError::Body("the body of the request took too long"),
        Refusal::Busy => ApiError::TooMany(
            "the memory for payloads is in use by other requests: try again".to_owned(),
        ),
        _ => ApiError::Body("the body of the request broke off"),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn errors_look_as_clients_expect_them() {
        for (error, status, kind, says) in [
            (
                ApiError::NoSuchFunction("f".into()),
                404,
                "ResourceNotFoundException",
                r#"{"Message":"Function not found: f","Type":"User"}"#,
            ),
            (
                ApiError::TooLarge(1),
                413,
                "RequestTooLargeException",
                r#"{"Type":"User","message":"Request must be at most 1 bytes for the InvokeFunction operation"}"#,
            ),
            (
                ApiError::TooMany("later".into()),
                429,
                "TooManyRequestsException",
                r#"{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"later"}"#,
            ),
            (
                ApiError::Unavailable("the server is stopping".into()),
                503,
                "ServiceException",
                r#"{"Message":"the server is stopping","Type":"Service"}"#,
            ),
        ] {
            let response = error.response();
            assert_eq!(response.status(), status);
            assert_eq!(response.headers()["x-amzn-errortype"], kind);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, says);
        }
    }
}
