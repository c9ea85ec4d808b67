//! Events: what they are owed, what became of them; publishing and replaying.

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use utoipa::IntoParams;
use wakeful_core::{id::EventId, name::TopicName};

use super::duration;
use crate::{
    admin::{
        Admin,
        error::ApiError,
        extract::{Input, Params, Payload, Place},
        model::{
            Accepted, DeliveryInfo, ErrorBody, EventDetail, EventStory, ReplayOrder, ReplayReport,
            RunInfo, TopicList,
        },
    },
    tools::{Deferral, Publication, envelope, of_delivery},
};

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
pub(super) async fn one(
    State(admin): State<Admin>,
    Place(id): Place<EventId>,
) -> Result<Json<EventDetail>, ApiError> {
    let store = &admin.control.store;
    let event = store.event(id).await?;
    let event = event.ok_or_else(|| ApiError::not_found("event", id))?;
    let deliveries = store.deliveries_of(id).await?;
    admin.control.history.flush().await?;
    let mut runs = admin.tools.recorded_of(id).await?;
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
        lineage: event.lineage.into(),
        event: envelope(&event)?,
        deliveries: deliveries.into_iter().map(DeliveryInfo::from).collect(),
        runs: runs.into_iter().map(RunInfo::from).collect(),
    }))
}

/// The payload of an event
///
/// As it came in, with its content type.
#[utoipa::path(
    get, operation_id = "get_event_data", path = "/v1/events/{id}/data", tag = "events",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "The payload", content_type = "application/octet-stream"),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn data(
    State(admin): State<Admin>,
    Place(id): Place<EventId>,
) -> Result<Response, ApiError> {
    let (kind, data) = admin.tools.payload(id).await?;
    // It is not ours: no browser is to take it for a page of this origin.
    let headers = [
        (header::CONTENT_TYPE, kind.as_str()),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, data).into_response())
}

/// What became of an event
///
/// How it came in, what each trigger says of it and why, each delivery with what it waits for and
/// its attempts, and the events it led to. Triggers are judged by the manifest as it is now.
#[utoipa::path(
    get, operation_id = "explain_event", path = "/v1/events/{id}/story", tag = "events",
    params(("id" = String, Path)),
    responses(
        (status = 200, description = "It worked", body = EventStory),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn story(
    State(admin): State<Admin>,
    Place(id): Place<EventId>,
) -> Result<Json<EventStory>, ApiError> {
    Ok(Json(admin.tools.explain(id).await?))
}

/// Replay events
///
/// Each becomes a new event that says which one it repeats, for the triggers that want it now.
/// Replays are not replayed again unless `again` says so. It goes on when the connection breaks.
#[utoipa::path(
    post, operation_id = "replay", path = "/v1/replays", tag = "events",
    request_body = ReplayOrder,
    responses(
        (status = 200, description = "It worked", body = ReplayReport),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn replay(
    State(admin): State<Admin>,
    Input(order): Input<ReplayOrder>,
) -> Result<Json<ReplayReport>, ApiError> {
    Ok(Json(admin.tools.replay(order).await?))
}

/// The topics
///
/// As the manifest declares them, with who listens.
#[utoipa::path(
    get, operation_id = "list_topics", path = "/v1/topics", tag = "topics",
    responses(
        (status = 200, description = "It worked", body = TopicList),
        (status = "default", description = "Refused", body = ErrorBody)
    )
)]
pub(super) async fn topics(State(admin): State<Admin>) -> Json<TopicList> {
    Json(admin.tools.topics())
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct PublishParams {
    /// The event's type; otherwise the topic. Not with a CloudEvent.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// Its subject. Not with a CloudEvent.
    subject: Option<String>,
    /// How long it is not to be started: `5m`.
    delay: Option<String>,
    /// Takes the place of what the triggers' `ordering_key` would find in it.
    key: Option<String>,
    /// A second event with this word is left out, for a day.
    dedup: Option<String>,
}

/// Publish an event
///
/// The body is its payload, of the content type that the request says (JSON if it says none), or
/// a CloudEvent in binary or structured mode. It is on disk when this answers.
#[utoipa::path(
    post, operation_id = "publish", path = "/v1/topics/{topic}/events", tag = "topics",
    params(("topic" = String, Path), PublishParams),
    request_body(content = Object, description = "The payload, or a CloudEvent", content_type = "application/json"),
    responses(
        (status = 202, description = "It is on disk", body = Accepted),
        (status = "default", description = "Refused; nothing was stored", body = ErrorBody)
    )
)]
pub(super) async fn publish(
    State(admin): State<Admin>,
    Place(topic): Place<TopicName>,
    Params(params): Params<PublishParams>,
    headers: HeaderMap,
    Payload(body): Payload,
) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let publication = Publication {
        headers,
        body,
        kind: params.kind,
        subject: params.subject,
        wishes: Deferral {
            delay: duration("delay", params.delay.as_deref())?,
            key: params.key,
            dedup: params.dedup,
        },
    };
    let accepted = admin.tools.publish(topic, publication).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}
