//! Dead letters.

use axum::{Json, extract::State};
use futures::future::BoxFuture;
use serde::Deserialize;
use utoipa::IntoParams;
use wakeful_core::{
    id::RunId,
    limits,
    name::FunctionName,
    port::{DeadQuery, StoreError},
};

use super::{
    page,
    runs::{envelope, readable},
};
use crate::admin::{
    Admin,
    error::ApiError,
    extract::{Input, Params, Place},
    model::{Affected, DeadDetail, DeadLetter, DeadList, ErrorBody, Selection},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct DeadParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those before this run: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<RunId>,
    /// 1 to 1,000; 100 if not given.
    limit: Option<usize>,
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
    let limit = page(params.limit)?;
    let query = DeadQuery {
        function: params.function,
        before: params.before,
        limit,
    };
    let found = admin.control.store.dead(query).await?;
    let full = found.len() >= limit;
    let next = found.last().filter(|_| full).map(|delivery| delivery.id);
    let dead = found.into_iter().filter_map(DeadLetter::of).collect();
    Ok(Json(DeadList { dead, next }))
}

/// One dead letter
///
/// With its event.
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
    let store = &admin.control.store;
    let delivery = store.delivery(id).await?;
    let dead = delivery.and_then(DeadLetter::of);
    let dead = dead.ok_or_else(|| ApiError::not_found("dead letter", id))?;
    let event = readable(store.event(dead.event).await)?;
    let event = event.as_ref().map(envelope).transpose()?;
    Ok(Json(DeadDetail { dead, event }))
}

/// Queue dead letters again
///
/// With fresh attempts and a fresh age. What is no dead letter (any more) is left alone.
#[utoipa::path(
    post, operation_id = "redrive_dead_letters", path = "/v1/dead/redrive", tag = "dead letters",
    request_body = Selection,
    responses(
        (status = 200, description = "It worked", body = Affected),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn redrive(
    State(admin): State<Admin>,
    Input(selection): Input<Selection>,
) -> Result<Json<Affected>, ApiError> {
    let operations = admin.operations.clone();
    for_all(&admin, selection, |runs| operations.redrive(runs)).await
}

/// Drop dead letters for good
///
/// What is no dead letter (any more) is left alone.
#[utoipa::path(
    post, operation_id = "discard_dead_letters", path = "/v1/dead/discard", tag = "dead letters",
    request_body = Selection,
    responses(
        (status = 200, description = "It worked", body = Affected),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn discard(
    State(admin): State<Admin>,
    Input(selection): Input<Selection>,
) -> Result<Json<Affected>, ApiError> {
    let operations = admin.operations.clone();
    for_all(&admin, selection, |runs| operations.discard(runs)).await
}

/// Does it to all that are selected, a page at a time. Those that die meanwhile are newer than
/// the first page, so that this comes to an end.
async fn for_all(
    admin: &Admin,
    selection: Selection,
    act: impl Fn(Vec<RunId>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>>,
) -> Result<Json<Affected>, ApiError> {
    let mut affected = Affected {
        count: 0,
        runs: Vec::new(),
    };
    let mut note = |runs: Vec<RunId>| {
        affected.count += runs.len() as u64;
        let room = limits::MAX_ADMIN_PAGE - affected.runs.len();
        affected.runs.extend(runs.into_iter().take(room));
    };
    let function = match (selection.runs, selection.function, selection.all) {
        (Some(runs), None, None) if runs.len() <= limits::MAX_ADMIN_PAGE => {
            note(act(runs).await?);
            return Ok(Json(affected));
        }
        (Some(_), None, None) => {
            return Err(ApiError::Invalid(format!(
                "`runs` may have at most {} entries",
                limits::MAX_ADMIN_PAGE
            )));
        }
        (None, Some(function), None) => Some(function),
        (None, None, Some(true)) => None,
        _ => {
            return Err(ApiError::Invalid(
                "exactly one of `runs`, `function` and `\"all\": true` is expected".to_owned(),
            ));
        }
    };
    let mut before = None;
    loop {
        let query = DeadQuery {
            function: function.clone(),
            before,
            limit: limits::MAX_ADMIN_PAGE,
        };
        let page = admin.control.store.dead(query).await?;
        let Some(last) = page.last() else {
            return Ok(Json(affected));
        };
        before = Some(last.id);
        let runs = page.into_iter().map(|delivery| delivery.id).collect();
        note(act(runs).await?);
    }
}
