//! The routes, by what they are about.

mod care;
mod dead;
mod events;
mod functions;
mod logs;
mod objects;
mod queues;
mod runs;
mod server;
mod vault;

use std::time::Duration;

use utoipa_axum::{router::OpenApiRouter, routes};
use wakeful_core::{limits, manifest::parse_duration};

use super::{Admin, error::ApiError};
use crate::tools::Pace;

/// Routes that answer at once, or not at all.
pub(super) fn quick() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(functions::list))
        .routes(routes!(functions::one))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one))
        .routes(routes!(events::one))
        .routes(routes!(events::data))
        .routes(routes!(events::story))
        .routes(routes!(events::topics))
        .routes(routes!(queues::why))
        .routes(routes!(queues::pauses, queues::pause))
        .routes(routes!(queues::resume))
        .routes(routes!(dead::list))
        .routes(routes!(dead::one))
        .routes(routes!(dead::edit))
        .routes(routes!(objects::buckets))
        .routes(routes!(objects::list))
        .routes(routes!(vault::secrets))
        .routes(routes!(vault::set_secret, vault::remove_secret))
        .routes(routes!(vault::keys, vault::create_key))
        .routes(routes!(vault::remove_key))
        .routes(routes!(server::workers))
        .routes(routes!(server::stats))
        .routes(routes!(server::health))
}

/// Routes that run user code, stream, or work through any number of events or dead letters.
pub(super) fn unhurried() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(functions::invoke))
        .routes(routes!(logs::lines))
        .routes(routes!(care::backup))
        .routes(routes!(events::publish))
        .routes(routes!(events::replay))
        .routes(routes!(dead::summary))
        .routes(routes!(dead::redrive))
        .routes(routes!(dead::discard))
        .routes(routes!(
            objects::get,
            objects::head,
            objects::put_object,
            objects::remove
        ))
}

/// Routes that need no key.
pub(super) fn open() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(server::alive))
        .routes(routes!(server::openapi))
}

/// The size of a page: what was asked for, within bounds.
fn page(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit {
        None => Ok(limits::ADMIN_PAGE),
        Some(limit) if (1..=limits::MAX_ADMIN_PAGE).contains(&limit) => Ok(limit),
        Some(_) => Err(ApiError::Invalid(format!(
            "`limit` must be 1 to {}",
            limits::MAX_ADMIN_PAGE
        ))),
    }
}

/// A duration of a query: `5m`.
fn duration(name: &str, text: Option<&str>) -> Result<Option<Duration>, ApiError> {
    let duration = text.map(parse_duration).transpose();
    duration.map_err(|error| ApiError::Invalid(format!("`{name}`: {error}")))
}

/// A rate of a query: `10/s`.
fn pace(text: Option<&str>) -> Result<Option<Pace>, ApiError> {
    let pace = text.map(str::parse).transpose();
    pace.map_err(|error: crate::tools::InvalidPace| ApiError::Invalid(error.to_string()))
}
