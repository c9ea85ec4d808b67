//! `publish`.

use super::{
    out,
    payload::{Payload, Shape},
};
use crate::{
    admin::model::Accepted,
    cli::{
        args::{PublishArgs, WishArgs},
        client::{Query, encode},
        error::CliError,
        out::{Format, Out, Tone},
        reach, words,
    },
};

const CLOUD_EVENT: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

pub(super) fn run(args: &PublishArgs) -> Result<(), CliError> {
    let payload = match (&args.file, &args.data) {
        (Some(path), _) => Some(Payload::read(path)?),
        (None, Some(text)) => Some(Payload::given(text, "--data")?),
        (None, None) => None,
    };
    let kind = match (&args.content_type, &payload) {
        (Some(kind), _) => kind.as_str(),
        (None, None) => "application/json",
        (None, Some(payload)) => match payload.shape() {
            Shape::CloudEvent => CLOUD_EVENT,
            Shape::Batch => BATCH,
            Shape::Data => "application/json",
        },
    };
    let payload = match (payload, kind) {
        (Some(payload), "application/json") => payload.json()?.bytes,
        (payload, _) => payload.map(|payload| payload.bytes).unwrap_or_default(),
    };
    let client = reach::server(args.folder.as_deref())?;
    let path = format!("/v1/topics/{}/events", encode(args.topic.as_str()));
    let query = wishes(Query::default(), &args.wishes)
        .with("type", args.kind.as_ref())
        .with("subject", args.subject.as_ref());
    let accepted: Accepted = client.post_as(&path, query, kind, payload)?;
    let mut out = out(args.json);
    match out.format {
        Format::Json => out.json(&accepted),
        Format::Text => show(&mut out, &accepted),
    }
}

/// What is asked for an event that nobody waits for.
pub(super) fn wishes(query: Query, wishes: &WishArgs) -> Query {
    let delay = wishes.delay.map(|delay| format!("{}ms", delay.as_millis()));
    query
        .with("delay", delay)
        .with("key", wishes.key.as_ref())
        .with("dedup", wishes.dedup.as_ref())
}

/// The event, and what became of it at once.
pub(super) fn show(out: &mut Out, accepted: &Accepted) -> Result<(), CliError> {
    out.line(&format!("{} is stored", accepted.event))?;
    for run in &accepted.runs {
        out.line(&format!("  → {run}"))?;
    }
    for repetition in &accepted.duplicates {
        let text = format!("  ⨯ {} repeats {}: left out", repetition.run, repetition.of);
        out.line(&out.paint(Tone::Warn, &text))?;
    }
    if accepted.runs.is_empty() && accepted.duplicates.is_empty() {
        let text = format!(
            "  no trigger wants it; see why: wakeful explain {}",
            accepted.event
        );
        out.line(&out.paint(Tone::Dim, &words::one_line(&text)))?;
    }
    Ok(())
}
