//! What handlers take from a request; what does not fit is refused as JSON, like all the rest.

use axum::{
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{BytesRejection, FailedToBufferBody},
    },
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use wakeful_core::limits;

use super::error::ApiError;

/// The query.
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(refusal) => Err(ApiError::Invalid(refusal.body_text())),
        }
    }
}

/// What the path names.
pub(super) struct Place<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Place<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(place)) => Ok(Self(place)),
            Err(refusal) => Err(ApiError::Invalid(refusal.body_text())),
        }
    }
}

/// A JSON body, whatever content type it claims.
pub(super) struct Input<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Input<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = whole_body(request, state, limits::MAX_ADMIN_BODY).await?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            ApiError::Invalid(format!("the body is not what was expected: {error}"))
        })
    }
}

/// The payload of an invocation: a body of at most `limits::MAX_BODY` bytes.
pub(super) struct Payload(pub(super) Bytes);

impl<S: Send + Sync> FromRequest<S> for Payload {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let limit = usize::try_from(limits::MAX_BODY).unwrap_or(usize::MAX);
        whole_body(request, state, limit).await.map(Self)
    }
}

async fn whole_body<S: Send + Sync>(
    mut request: Request,
    state: &S,
    limit: usize,
) -> Result<Bytes, ApiError> {
    DefaultBodyLimit::max(limit).apply(&mut request);
    Bytes::from_request(request, state)
        .await
        .map_err(|refusal| match refusal {
            BytesRejection::FailedToBufferBody(FailedToBufferBody::LengthLimitError(_)) => {
                ApiError::TooLarge(limit)
            }
            other => ApiError::Invalid(other.body_text()),
        })
}
