//! The OpenAPI document, made from the routes themselves.

use utoipa::{
    Modify, OpenApi,
    openapi::{
        OpenApi as Document,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

use super::{Admin, model, routes};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Wakeful admin API",
        description = "Functions, runs, logs, dead letters, buckets, secrets and keys of one \
            running server. Every refusal has the body `ErrorBody`.",
        license(name = "MIT OR Apache-2.0")
    ),
    security(("admin_key" = [])),
    modifiers(&AdminKey),
    components(schemas(model::ErrorBody)),
    tags(
        (name = "functions", description = "Functions and their invocation"),
        (name = "runs", description = "What ran, and what it logged"),
        (name = "events", description = "Events: what they are owed, what became of them, replays"),
        (name = "topics", description = "Publishing"),
        (name = "queues", description = "What waits, and why; pauses"),
        (name = "dead letters", description = "Deliveries that failed for good"),
        (name = "buckets", description = "Objects"),
        (name = "secrets", description = "Secrets and keys"),
        (name = "server", description = "The server itself"),
    )
)]
struct Frame;

struct AdminKey;

impl Modify for AdminKey {
    fn modify(&self, document: &mut Document) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An admin key."))
            .build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("admin_key", SecurityScheme::Http(scheme));
    }
}

/// The OpenAPI document of the admin API.
pub fn document() -> Document {
    let (_, mut document) = OpenApiRouter::<Admin>::with_openapi(Frame::openapi())
        .merge(routes::quick())
        .merge(routes::unhurried())
        .merge(routes::open())
        .split_for_parts();
    // OpenAPI has no word for "the rest of the path"; the router writes it `{*key}`.
    let paths = std::mem::take(&mut document.paths.paths);
    let plain = |(path, item): (String, _)| (path.replace("{*", "{"), item);
    document.paths.paths = paths.into_iter().map(plain).collect();
    document
}
