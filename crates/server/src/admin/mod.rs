//! The admin API: what people and tools see and do, over HTTP with JSON, on its own listener.
//!
//! Every route under `/v1` needs an admin key; `/healthz` and `/openapi.json` tell nothing that
//! needs one. There is no CORS: no web page of another origin may read an answer. The routes know
//! the running server only through [`Control`] and [`Operations`].

mod error;
mod extract;
mod guard;
mod lingering;
pub mod model;
mod openapi;
mod routes;

use std::sync::Arc;

use axum::{Router, middleware};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use utoipa_axum::router::OpenApiRouter;
use wakeful_core::limits;

use self::error::ApiError;
use crate::{
    control::{Control, Operations},
    tools::Tools,
};

pub use openapi::document;

/// What the admin API is started with.
#[derive(Debug, Clone, Default)]
pub struct AdminOptions {
    /// Host names by which it may be reached, besides `localhost` and every IP address.
    pub hosts: Vec<String>,
    /// Cancelled when the server stops: those who follow the logs are let go.
    pub stop: CancellationToken,
    /// Where work goes on that whoever asked for it no longer waits for: replays, redrives.
    pub jobs: TaskTracker,
}

/// What every handler has.
#[derive(Clone)]
struct Admin {
    control: Control,
    operations: Arc<dyn Operations>,
    tools: Tools,
    hosts: Arc<[String]>,
    stop: CancellationToken,
    followers: Arc<Semaphore>,
}

/// The admin API of one running server.
pub fn router(control: Control, operations: Arc<dyn Operations>, options: AdminOptions) -> Router {
    let tools = Tools::new(
        control.clone(),
        Arc::clone(&operations),
        options.jobs,
        options.stop.clone(),
    );
    let admin = Admin {
        tools,
        control,
        operations,
        hosts: options.hosts.into(),
        stop: options.stop,
        followers: Arc::new(Semaphore::new(limits::LOG_FOLLOWERS)),
    };
    let with_key = middleware::from_fn_with_state(admin.clone(), guard::key);
    let quick = routes::quick().layer(middleware::from_fn(guard::patience));
    let (router, _) = OpenApiRouter::new()
        .merge(quick.layer(with_key.clone()))
        .merge(routes::unhurried().layer(with_key))
        .merge(routes::open())
        .split_for_parts();
    router
        .fallback(async || ApiError::NoSuchRoute)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(middleware::from_fn_with_state(admin.clone(), guard::host))
        .with_state(admin)
}
