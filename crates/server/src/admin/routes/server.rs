//! The server itself.

use axum::{Json, extract::State};
use utoipa::openapi::OpenApi;

use crate::{
    admin::{
        Admin,
        error::ApiError,
        model::{ErrorBody, Health, HistoryStats, Liveness, Stats, WorkerEntry, WorkerList},
    },
    control::FunctionState,
};

/// The worker processes
#[utoipa::path(
    get, operation_id = "list_workers", path = "/v1/workers", tag = "server",
    responses(
        (status = 200, description = "It worked", body = WorkerList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn workers(State(admin): State<Admin>) -> Json<WorkerList> {
    let workers = admin.control.workers.snapshot();
    Json(WorkerList {
        workers: workers.into_iter().map(WorkerEntry::from).collect(),
    })
}

/// Figures
#[utoipa::path(
    get, operation_id = "get_stats", path = "/v1/stats", tag = "server",
    responses(
        (status = 200, description = "It worked", body = Stats),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn stats(State(admin): State<Admin>) -> Result<Json<Stats>, ApiError> {
    let control = &admin.control;
    Ok(Json(Stats {
        store: control.store.stats().await?.into(),
        history: HistoryStats {
            dropped: control.history.dropped(),
            unrecorded: control.sampling.unrecorded(),
        },
        workers: control.workers.snapshot().len(),
    }))
}

/// Who the server is and how it does
#[utoipa::path(
    get, operation_id = "get_health", path = "/v1/health", tag = "server",
    responses(
        (status = 200, description = "It worked", body = Health),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn health(State(admin): State<Admin>) -> Json<Health> {
    let control = &admin.control;
    let functions = admin.operations.functions().await.into_iter();
    let broken: Vec<_> = functions
        .filter(|status| {
            matches!(
                status.state,
                FunctionState::Broken(_) | FunctionState::Outdated(_)
            )
        })
        .map(|status| status.name)
        .collect();
    let status = if broken.is_empty() { "ok" } else { "degraded" };
    Json(Health {
        status: status.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        project: control.scope.project.clone(),
        environment: control.scope.environment.clone(),
        pid: std::process::id(),
        epoch: control.store.epoch().0,
        broken,
        addresses: admin.operations.addresses().into(),
    })
}

/// Whether the server answers
#[utoipa::path(
    get, operation_id = "get_liveness", path = "/healthz", tag = "server",
    security(()),
    responses((status = 200, description = "It worked", body = Liveness))
)]
pub(super) async fn alive() -> Json<Liveness> {
    Json(Liveness {
        status: "ok".to_owned(),
    })
}

/// This document
#[utoipa::path(
    get, operation_id = "get_openapi", path = "/openapi.json", tag = "server",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
pub(super) async fn openapi() -> Json<OpenApi> {
    Json(crate::admin::document())
}
