//! The routes, by what they are about.

mod dead;
mod functions;
mod logs;
mod objects;
mod runs;
mod server;
mod vault;

use utoipa_axum::{router::OpenApiRouter, routes};
use wakeful_core::limits;

use super::{Admin, error::ApiError};

/// Routes that answer at once, or not at all.
pub(super) fn quick() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(functions::list))
        .routes(routes!(functions::one))
        .routes(routes!(runs::list))
        .routes(routes!(runs::one))
        .routes(routes!(runs::event))
        .routes(routes!(dead::list))
        .routes(routes!(dead::one))
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

/// Routes that run user code, stream, or work through any number of dead letters.
pub(super) fn unhurried() -> OpenApiRouter<Admin> {
    OpenApiRouter::new()
        .routes(routes!(functions::invoke))
        .routes(routes!(logs::lines))
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
