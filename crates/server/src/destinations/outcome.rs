//! What a destination is told about the end of a delivery.

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use wakeful_core::{
    delivery::{DeadReason, Failure},
    event::{Event, Lineage, Origin},
    port::{Arrival, Delivery},
    time::Timestamp,
};

/// An event or result up to so many bytes is told whole; of a larger one its size is told.
const WHOLE: usize = 256 * 1024;

/// The end of a delivery.
pub struct Told<'a> {
    /// The delivery.
    pub delivery: &'a Delivery,
    /// Its event; none when it cannot be read.
    pub event: Option<&'a Event>,
    /// What user code returned, as JSON; none when it is a dead letter.
    pub result: Option<&'a Bytes>,
    /// Why it is a dead letter; none when it succeeded.
    pub dead: Option<DeadReason>,
    /// How its last attempt failed, without secrets.
    pub failure: Option<&'a Failure>,
    /// Now.
    pub now: Timestamp,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    run: String,
    function: &'a str,
    trigger: &'a str,
    attempts: u32,
    accepted_at: String,
    ended_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<DeadReason>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<&'a Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    result_bytes: Option<usize>,
    event_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_bytes: Option<usize>,
}

/// The end of a delivery as an event: `wakeful.run.succeeded` or `wakeful.run.dead`, about the
/// run, with the event that it was owed for. It stands one step further in the chain of causes.
pub fn outcome_event(told: Told<'_>) -> Arrival {
    let delivery = told.delivery;
    let verb = match told.dead {
        None => "succeeded",
        Some(_) => "dead",
    };
    let whole = told.event.filter(|event| event.data.len() <= WHOLE);
    let result = told.result.filter(|result| !result.is_empty());
    let kept = result.filter(|result| result.len() <= WHOLE);
    let data = Data {
        run: delivery.id.to_string(),
        function: delivery.function.as_str(),
        trigger: delivery.trigger.as_str(),
        attempts: delivery.attempts,
        accepted_at: delivery.id.drawn_at().to_string(),
        ended_at: told.now.to_string(),
        reason: told.dead,
        failure: told.failure,
        result: kept.and_then(|result| serde_json::from_slice(result).ok()),
        result_bytes: match kept {
            Some(_) => None,
            None => result.map(Bytes::len),
        },
        event_id: delivery.event.to_string(),
        event: whole.and_then(|event| {
            let json = String::from_utf8(event.to_json()).ok()?;
            RawValue::from_string(json).ok()
        }),
        event_bytes: match whole {
            Some(_) => None,
            None => told.event.map(|event| event.data.len()),
        },
    };
    let depth = told.event.map_or(0, |event| event.lineage.depth);
    let json = serde_json::to_vec(&data).unwrap_or_default();
    Arrival {
        subject: Some(delivery.id.to_string()),
        lineage: Lineage {
            run: Some(delivery.id),
            parent: Some(delivery.event),
            depth: depth.saturating_add(1),
            replay_of: None,
        },
        ..Arrival::new(
            Origin::Outcome(delivery.trigger.clone()),
            verb,
            told.now,
            json.into(),
        )
    }
}
