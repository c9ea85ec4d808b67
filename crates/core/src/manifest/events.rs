//! `[events]`: where CloudEvents are taken in over HTTP.

use super::{
    document::quoted,
    function::AUTHS,
    problem::Problem,
    project::Scene,
    reader::{Fields, Item},
    routes,
    sections::EVENTS,
};
use crate::project::{Auth, EventsEndpoint};

const PATH: &str = "/events";

/// Reads `[events]`, and keeps its paths from being taken by functions.
pub(super) fn read(item: Item<'_>, scene: &Scene<'_>) -> Option<EventsEndpoint> {
    let fields = item.fields(&EVENTS, "`[events]`")?;
    let path = match fields.get("path") {
        None => Some(PATH.to_owned()),
        Some(given) => path(given),
    };
    let auth = auth(&fields, scene);
    let at = fields.get("path").map_or(fields.at, |item| item.span());
    let path = path?;
    scene.endpoints.add_events(&path, at);
    if scene.resources.topics.is_empty() {
        fields.report.warning(
            Problem::at(fields.at, "`[events]` takes nothing: no topic is declared")
                .help("declare what may be sent, such as [topic.\"orders.*\"]"),
        );
    }
    Some(EventsEndpoint { path, auth: auth? })
}

fn path(item: Item<'_>) -> Option<String> {
    let text = item.text("a path, such as \"/events\"")?;
    let path = routes::check_path(text, item.span(), item.report)?;
    let fault = if path.contains(['{', '}']) {
        "has a parameter"
    } else if path.ends_with('/') {
        "ends in `/`"
    } else {
        return Some(path);
    };
    item.refuse(
        format!("the path {} of `[events]` {fault}", quoted(&path)),
        "write a plain path such as \"/events\"; events for a topic go to PATH/TOPIC",
    );
    None
}

/// Outside `dev`, who may send must be said.
fn auth(fields: &Fields<'_>, scene: &Scene<'_>) -> Option<Auth> {
    match fields.get("auth") {
        Some(item) => item.word(&AUTHS),
        None if scene.is_dev() => Some(Auth::None),
        None => {
            if !fields.attempts("auth") {
                fields.report.problem(
                    Problem::at(fields.at, "`[events]` does not say who may send events").help(
                        "add auth = \"key\" for callers with a key, or auth = \"none\" for \
                         anyone; only in `dev` is this optional",
                    ),
                );
            }
            None
        }
    }
}
