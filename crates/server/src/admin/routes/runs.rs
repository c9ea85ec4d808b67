//! Runs.

use axum::{Json, extract::State};
use serde::Deserialize;
use utoipa::IntoParams;
use wakeful_core::{id::RunId, name::FunctionName, run::RunState};
use wakeful_store::{RunDetail, RunsQuery};

use super::page;
use crate::{
    admin::{
        Admin,
        error::ApiError,
        extract::{Params, Place},
        model::{
            AttemptInfo, DeliveryInfo, ErrorBody, LogEntry, RunDetails, RunInfo, RunList, Time,
        },
    },
    tools::{envelope, of_delivery, readable},
};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those that stand there: `queued`, `running`, `retrying`, `held`, `succeeded`,
    /// `failed`, `dead`, `discarded`, `skipped`, `superseded`.
    #[param(value_type = Option<String>)]
    state: Option<RunState>,
    /// Only those accepted at or after this time.
    since: Option<Time>,
    /// Only those before this run: the `next` of the page before.
    #[param(value_type = Option<String>)]
    before: Option<RunId>,
    /// 1 to 1,000; 100 if not given.
    limit: Option<usize>,
}

/// Runs
///
/// Deliveries and synchronous calls, newest first.
#[utoipa::path(
    get, operation_id = "list_runs", path = "/v1/runs", tag = "runs",
    params(RunParams),
    responses(
        (status = 200, description = "It worked", body = RunList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn list(
    State(admin): State<Admin>,
    Params(params): Params<RunParams>,
) -> Result<Json<RunList>, ApiError> {
    let limit = page(params.limit)?;
    let query = RunsQuery {
        function: params.function,
        state: params.state,
        since: params.since.map(|Time(at)| at),
        before: params.before,
        limit,
    };
    let history = &admin.control.history;
    history.flush().await?;
    let runs = history.runs(query).await?;
    let full = runs.len() >= limit;
    let next = runs.last().filter(|_| full).map(|run| run.id);
    let runs = runs.into_iter().map(RunInfo::from).collect();
    Ok(Json(RunList { runs, next }))
}

/// One run
///
/// With its attempts, its log lines and, while the store keeps it, its event. A run that the
/// history no longer has is shown as its delivery has it.
#[utoipa::path(
    get, operation_id = "get_run", path = "/v1/runs/{id}", tag = "runs",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = RunDetails),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn one(
    State(admin): State<Admin>,
    Place(id): Place<RunId>,
) -> Result<Json<RunDetails>, ApiError> {
    let control = &admin.control;
    control.history.flush().await?;
    let recorded = admin.tools.recorded(id).await?;
    let delivery = control.store.delivery(id).await?;
    let event = match (&recorded, &delivery) {
        (Some(RunDetail { run, .. }), _) if run.event.is_none() => None,
        (Some(RunDetail { run, .. }), _) => run.event,
        (None, Some(delivery)) => Some(delivery.event),
        (None, None) => return Err(ApiError::not_found("run", id)),
    };
    let event = match event {
        Some(id) => readable(control.store.event(id).await)?,
        None => None,
    };
    let detail = recorded.or_else(|| {
        let delivery = delivery.as_ref()?;
        Some(of_delivery(delivery, event.as_ref()))
    });
    let detail = detail.ok_or_else(|| ApiError::not_found("run", id))?;
    Ok(Json(RunDetails {
        run: detail.run.into(),
        attempts: detail.attempts.into_iter().map(AttemptInfo::from).collect(),
        logs: detail.logs.into_iter().map(LogEntry::from).collect(),
        event: event.as_ref().map(envelope).transpose()?,
        lineage: event.map(|event| event.lineage.into()).unwrap_or_default(),
        delivery: delivery.map(DeliveryInfo::from),
    }))
}
