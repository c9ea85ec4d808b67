//! What waits and why, and pauses.

use axum::{Json, extract::State};
use wakeful_core::name::FunctionName;

use crate::admin::{
    Admin,
    error::ApiError,
    extract::{Input, Place},
    model::{ErrorBody, PauseInfo, PauseList, PauseTarget, QueueReport},
};

/// Why a function's queues move or not
///
/// What waits for each of its triggers, what for, and what to make of it.
#[utoipa::path(
    get, operation_id = "get_queues", path = "/v1/functions/{name}/why", tag = "queues",
    params(("name" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = QueueReport),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn why(
    State(admin): State<Admin>,
    Place(name): Place<FunctionName>,
) -> Result<Json<QueueReport>, ApiError> {
    Ok(Json(admin.tools.why(&name).await?))
}

/// The pauses
#[utoipa::path(
    get, operation_id = "list_pauses", path = "/v1/pauses", tag = "queues",
    responses(
        (status = 200, description = "It worked", body = PauseList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn pauses(State(admin): State<Admin>) -> Result<Json<PauseList>, ApiError> {
    let pauses = admin.tools.pauses().await?;
    Ok(Json(PauseList {
        pauses: pauses.into_iter().map(PauseInfo::from).collect(),
    }))
}

/// Pause a function, a trigger or a key
///
/// Nothing more of it is started until it is resumed, also after a restart. Attempts that run go
/// on, and events are taken in as ever.
#[utoipa::path(
    post, operation_id = "pause", path = "/v1/pauses", tag = "queues",
    request_body = PauseTarget,
    responses(
        (status = 200, description = "It is paused", body = PauseInfo),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn pause(
    State(admin): State<Admin>,
    Input(target): Input<PauseTarget>,
) -> Result<Json<PauseInfo>, ApiError> {
    Ok(Json(admin.tools.pause(target).await?))
}

/// Resume what is paused
///
/// Exactly that: resuming a function leaves a pause of one of its triggers as it is.
#[utoipa::path(
    post, operation_id = "resume", path = "/v1/pauses/resume", tag = "queues",
    request_body = PauseTarget,
    responses(
        (status = 200, description = "It goes on", body = PauseInfo),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn resume(
    State(admin): State<Admin>,
    Input(target): Input<PauseTarget>,
) -> Result<Json<PauseInfo>, ApiError> {
    Ok(Json(admin.tools.resume(target).await?))
}
