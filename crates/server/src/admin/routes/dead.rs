//! Dead letters.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use wakeful_core::{
    delivery::DeadReason,
    id::RunId,
    name::{FunctionName, TriggerId},
    port::DeadQuery,
};

use super::{pace, page};
use crate::admin::{
    Admin,
    error::ApiError,
    extract::{Input, Params, Payload, Place},
    model::{
        Affected, DeadDetail, DeadLetter, DeadList, DeadSummary, ErrorBody, Replaced, Selection,
        Time,
    },
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those of this trigger.
    #[param(value_type = Option<String>)]
    trigger: Option<TriggerId>,
    /// Only those that died for this reason: `attempts_exhausted`, `too_old`, `damaged`,
    /// `not_retriable`, `outcome_unknown`, `loop`.
    #[param(value_type = Option<String>)]
    reason: Option<DeadReason>,
    /// Only those that died at this time or later.
    since: Option<Time>,
    /// Only those that died before this time.
    until: Option<Time>,
    /// Only those before this run: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<RunId>,
    /// 1 to 1,000; 100 if not given.
    limit: Option<usize>,
}

impl DeadParams {
    fn query(self) -> Result<DeadQuery, ApiError> {
        Ok(DeadQuery {
            limit: page(self.limit)?,
            function: self.function,
            trigger: self.trigger,
            reason: self.reason,
            since: self.since.map(|Time(at)| at),
            until: self.until.map(|Time(at)| at),
            before: self.before,
        })
    }
}

/// Dead letters
///
/// Newest first.
#[utoipa::path(
    get, operation_id = "list_dead_letters", path = "/v1/dead", tag = "dead letters",
    params(DeadParams),
    responses(
        (status = 200, description = "It worked", body = DeadList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn list(
    State(admin): State<Admin>,
    Params(params): Params<DeadParams>,
) -> Result<Json<DeadList>, ApiError> {
    let query = params.query()?;
    let limit = query.limit;
    let found = admin.control.store.dead(query).await?;
    let full = found.len() >= limit;
    let next = found.last().filter(|_| full).map(|delivery| delivery.id);
    let dead = found.into_iter().filter_map(DeadLetter::of).collect();
    Ok(Json(DeadList { dead, next }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct SummaryParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those of this trigger.
    #[param(value_type = Option<String>)]
    trigger: Option<TriggerId>,
    /// Only those that died for this reason.
    #[param(value_type = Option<String>)]
    reason: Option<DeadReason>,
    /// Only those that died at this time or later.
    since: Option<Time>,
    /// Only those that died before this time.
    until: Option<Time>,
}

/// Dead letters, counted
///
/// By function and reason, the largest group first, each with its last error.
#[utoipa::path(
    get, operation_id = "count_dead_letters", path = "/v1/dead/summary", tag = "dead letters",
    params(SummaryParams),
    responses(
        (status = 200, description = "It worked", body = DeadSummary),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn summary(
    State(admin): State<Admin>,
    Params(params): Params<SummaryParams>,
) -> Result<Json<DeadSummary>, ApiError> {
    let query = DeadQuery {
        function: params.function,
        trigger: params.trigger,
        reason: params.reason,
        since: params.since.map(|Time(at)| at),
        until: params.until.map(|Time(at)| at),
        before: None,
        limit: wakeful_core::limits::MAX_ADMIN_PAGE,
    };
    Ok(Json(admin.tools.dead_summary(query).await?))
}

/// One dead letter
///
/// With its event, and with its attempts and log lines as far as the history has them.
#[utoipa::path(
    get, operation_id = "get_dead_letter", path = "/v1/dead/{id}", tag = "dead letters",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = DeadDetail),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn one(
    State(admin): State<Admin>,
    Place(id): Place<RunId>,
) -> Result<Json<DeadDetail>, ApiError> {
    Ok(Json(admin.tools.dead_detail(id).await?))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RedriveParams {
    /// So many to be started in a time, such as `10/s`; all at once if not given.
    rate: Option<String>,
    /// `true` to only say what would be redriven.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Queue dead letters again
///
/// With fresh attempts and a fresh age. What is no dead letter (any more) is left alone. With a
/// rate the oldest goes first. It goes on when the connection breaks.
#[utoipa::path(
    post, operation_id = "redrive_dead_letters", path = "/v1/dead/redrive", tag = "dead letters",
    params(RedriveParams),
    request_body = Selection,
    responses(
        (status = 200, description = "It worked", body = Affected),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn redrive(
    State(admin): State<Admin>,
    Params(params): Params<RedriveParams>,
    Input(selection): Input<Selection>,
) -> Result<Json<Affected>, ApiError> {
    let pace = pace(params.rate.as_deref())?;
    let done = admin.tools.redrive(selection, pace, params.dry_run).await?;
    Ok(Json(done))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DiscardParams {
    /// Why, in the words of who does it; kept with the event.
    #[serde(default)]
    #[param(required = false)]
    why: String,
    /// `true` to only say what would be discarded.
    #[serde(default)]
    #[param(required = false)]
    dry_run: bool,
}

/// Drop dead letters for good
///
/// What is no dead letter (any more) is left alone. It goes on when the connection breaks.
#[utoipa::path(
    post, operation_id = "discard_dead_letters", path = "/v1/dead/discard", tag = "dead letters",
    params(DiscardParams),
    request_body = Selection,
    responses(
        (status = 200, description = "It worked", body = Affected),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn discard(
    State(admin): State<Admin>,
    Params(params): Params<DiscardParams>,
    Input(selection): Input<Selection>,
) -> Result<Json<Affected>, ApiError> {
    let done = admin.tools.discard(selection, params.why, params.dry_run);
    Ok(Json(done.await?))
}

/// Run a dead letter with another payload
///
/// The body is the payload. It becomes a new event that repeats the old one and is owed to the
/// same trigger, and the dead letter is dropped with the word which event replaces it: both, or
/// neither.
#[utoipa::path(
    post, operation_id = "edit_dead_letter", path = "/v1/dead/{id}/edit", tag = "dead letters",
    params(("id" = String, Path)),
    request_body(content = Object, description = "The new payload", content_type = "application/json"),
    responses(
        (status = 200, description = "It worked", body = Replaced),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn edit(
    State(admin): State<Admin>,
    Place(id): Place<RunId>,
    Payload(data): Payload,
) -> Result<Json<Replaced>, ApiError> {
    Ok(Json(admin.tools.edit(id, data).await?))
}
