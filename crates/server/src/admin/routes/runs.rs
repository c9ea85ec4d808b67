//! Runs and events.

use std::time::Duration;

use axum::{Json, extract::State};
use serde::Deserialize;
use serde_json::value::RawValue;
use utoipa::IntoParams;
use wakeful_core::delivery::State as DeliveryState;
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    name::FunctionName,
    port::{Delivery, StoreError},
    run::{Run, RunKind, RunState},
};
use wakeful_store::{RunDetail, RunsQuery};

use super::page;
use crate::{
    admin::{
        Admin,
        error::ApiError,
        extract::{Params, Place},
        model::{
            AttemptInfo, DeliveryInfo, ErrorBody, EventDetail, LogEntry, RunDetails, RunInfo,
            RunList, Time,
        },
    },
    recorder::about,
};

/// Longer than the ids of an acceptance, of its events and of their runs, are ever drawn apart.
const ACCEPTANCE: Duration = Duration::from_secs(2);

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct RunParams {
    /// Only those of this function.
    #[param(value_type = Option<String>)]
    function: Option<FunctionName>,
    /// Only those that stand there: `queued`, `running`, `retrying`, `held`, `succeeded`,
    /// `failed`, `dead`, `discarded`.
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
    let recorded = control.history.run(id).await?;
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
        delivery: delivery.map(DeliveryInfo::from),
    }))
}

/// One event
///
/// With the deliveries that are not over, and its runs.
#[utoipa::path(
    get, operation_id = "get_event", path = "/v1/events/{id}", tag = "events",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = EventDetail),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn event(
    State(admin): State<Admin>,
    Place(id): Place<EventId>,
) -> Result<Json<EventDetail>, ApiError> {
    let store = &admin.control.store;
    let event = store.event(id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event", id))?;
    let deliveries = store.deliveries_of(id).await?;
    let mut runs = recorded_of(&admin, id).await?;
    for delivery in &deliveries {
        if !runs.iter().any(|run| run.id == delivery.id) {
            runs.push(of_delivery(delivery, Some(&event)).run);
        }
    }
    runs.sort_unstable_by_key(|run| std::cmp::Reverse(run.id));
    Ok(Json(EventDetail {
        id,
        accepted_at: id.drawn_at().into(),
        origin: event.origin.to_string(),
        event: envelope(&event)?,
        deliveries: deliveries.into_iter().map(DeliveryInfo::from).collect(),
        runs: runs.into_iter().map(RunInfo::from).collect(),
    }))
}

/// The event's runs that the history has. Their ids were drawn right after the event's, when it
/// was accepted, so that only the runs of a moment need to be looked through.
async fn recorded_of(admin: &Admin, id: EventId) -> Result<Vec<Run>, ApiError> {
    let history = &admin.control.history;
    history.flush().await?;
    let accepted = id.drawn_at();
    let mut before = RunId::first_at(accepted.plus(ACCEPTANCE));
    let mut found = Vec::new();
    loop {
        let query = RunsQuery {
            since: Some(accepted),
            before: Some(before),
            limit: limits::MAX_ADMIN_PAGE,
            ..RunsQuery::default()
        };
        let page = history.runs(query).await?;
        let full = page.len() >= limits::MAX_ADMIN_PAGE;
        let last = page.last().map(|run| run.id);
        found.extend(page.into_iter().filter(|run| run.event == Some(id)));
        match last {
            Some(last) if full => before = last,
            _ => return Ok(found),
        }
    }
}

/// A damaged event must not hide the run or dead letter it belongs to.
pub(super) fn readable(
    read: Result<Option<Event>, StoreError>,
) -> Result<Option<Event>, StoreError> {
    match read {
        Err(StoreError::Damaged(_)) => Ok(None),
        other => other,
    }
}

/// The event as a CloudEvent.
pub(super) fn envelope(event: &Event) -> Result<Box<RawValue>, ApiError> {
    serde_json::from_slice(&event.to_json())
        .map_err(|_| ApiError::Internal("writing the event as JSON"))
}

/// What the store alone tells of a run.
fn of_delivery(delivery: &Delivery, event: Option<&Event>) -> RunDetail {
    let state = match delivery.state {
        DeliveryState::Running => RunState::Running,
        DeliveryState::Dead => RunState::Dead,
        DeliveryState::Queued if delivery.held_for.is_some() => RunState::Held,
        DeliveryState::Queued if delivery.attempts > 0 => RunState::Retrying,
        DeliveryState::Queued => RunState::Queued,
    };
    let run = Run {
        id: delivery.id,
        kind: RunKind::Delivery,
        function: delivery.function.clone(),
        trigger: Some(delivery.trigger.clone()),
        event: Some(delivery.event),
        about: event.map(about).unwrap_or_default(),
        state,
        accepted_at: delivery.id.drawn_at(),
        ended_at: delivery.dead.map(|(_, at)| at),
        attempts: delivery.attempts,
        status: None,
        failure: delivery.failure.clone(),
    };
    RunDetail {
        run,
        attempts: Vec::new(),
        logs: Vec::new(),
    }
}
