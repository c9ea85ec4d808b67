//! Invocations by name: the CLI's `invoke`, and later Lambda's Invoke API.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use serde::Deserialize;
use wakeful_core::{
    event::{Event, Origin},
    id::EventId,
    name::{HandlerName, TriggerId},
    port::SubmitError,
    project::On,
};
use wakeful_workers::{Invocation as WorkerInvocation, Reserve, ReserveError, What};

use super::{Dispatcher, Inner};
use crate::{
    control::{Invocation, InvokeError, Invoked},
    live::{Version, invoke_trigger, source_uri},
    recorder::Ended,
};

impl Dispatcher {
    /// Runs the function and waits for its result; nothing is stored but the record of the run.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Invoked, InvokeError> {
        let inner = &self.inner;
        let target = inner.target(&invocation)?;
        let event = inner.invoked_event(&invocation)?;
        let run = inner.parts.ids.run(inner.now());
        let asked = inner.now();
        let slot = match target.version.pool.reserve(Reserve::Shared).await {
            Ok(slot) => slot,
            Err(ReserveError::Load(failure) | ReserveError::NotStarted(failure)) => {
                let result = Err(failure.clone());
                inner
                    .parts
                    .recorder
                    .refused(run, &target.version.function.name, asked, failure);
                return Ok(Invoked { run, result });
            }
            Err(ReserveError::Overloaded) => {
                return Err(InvokeError::Overloaded(invocation.function));
            }
            Err(ReserveError::Retired) => return Err(InvokeError::Stopping),
        };
        let started_at = inner.now();
        let clock = Instant::now();
        let mut call = slot.start(WorkerInvocation {
            run,
            attempt: 1,
            handler: target.handler,
            timeout: None,
            what: What::Event {
                json: Bytes::from(event.to_json()),
            },
        });
        let outcome = super::attempt::result(&mut call).await;
        let ended = Ended {
            version: &target.version.id,
            worker: call.worker(),
            started_at,
            waited: started_at.since(asked),
            took: clock.elapsed(),
            outcome: outcome.clone(),
            next: None,
            now: inner.now(),
        };
        inner
            .parts
            .recorder
            .invoked(run, &target.version.function.name, asked, ended);
        Ok(Invoked {
            run,
            result: outcome,
        })
    }

    /// Accepts the invocation as a delivery; it is on disk when this replies.
    pub async fn invoke_async(&self, invocation: Invocation) -> Result<EventId, InvokeError> {
        let inner = &self.inner;
        let target = inner.target(&invocation)?;
        let event = inner.invoked_event(&invocation)?;
        let id = event.key;
        let function = invocation.function;
        match inner.submit_for(event, function, target.trigger).await {
            Ok(_) => Ok(id),
            Err(SubmitError::Store(error)) => Err(error.into()),
            Err(SubmitError::NoSuchFunction(name)) => Err(InvokeError::NoSuchFunction(name)),
            Err(SubmitError::Stopping) => Err(InvokeError::Stopping),
        }
    }
}

/// What an invocation calls.
struct Target {
    version: Arc<Version>,
    handler: u16,
    trigger: TriggerId,
}

impl Inner {
    fn target(&self, invocation: &Invocation) -> Result<Target, InvokeError> {
        let name = &invocation.function;
        let live = self.parts.live.load();
        let version = live
            .version(name)
            .ok_or_else(|| InvokeError::NoSuchFunction(name.clone()))?;
        let handler = match &invocation.handler {
            Some(handler) => Some(handler.clone()),
            None => only_event_handler(version)?,
        };
        let number =
            version
                .handler(handler.as_ref())
                .ok_or_else(|| InvokeError::NoSuchHandler {
                    function: name.clone(),
                    known: known_handlers(version),
                })?;
        Ok(Target {
            version: Arc::clone(version),
            handler: number,
            trigger: invoke_trigger(name, handler.as_ref()),
        })
    }

    /// The payload as an event: a CloudEvent as it stands, anything else as data.
    fn invoked_event(&self, invocation: &Invocation) -> Result<Event, InvokeError> {
        let payload = &invocation.payload;
        serde_json::from_slice::<serde::de::IgnoredAny>(payload)
            .map_err(|error| InvokeError::Payload(error.to_string()))?;
        let now = self.now();
        let key = self.parts.ids.event(now);
        let origin = Origin::Invoke(invocation.function.clone());
        let given: Option<GivenEvent<'_>> = serde_json::from_slice(payload).ok();
        Ok(match given {
            Some(given) => Event {
                key,
                origin,
                id: given.id.into_owned(),
                source: given.source.into_owned(),
                kind: given.kind.into_owned(),
                subject: given.subject.map(|subject| subject.into_owned()),
                time: given.time.and_then(|time| parse_time(&time)).unwrap_or(now),
                content_type: "application/json".into(),
                data: given.data.map_or_else(Bytes::new, |data| {
                    Bytes::copy_from_slice(data.get().as_bytes())
                }),
            },
            None => Event {
                key,
                origin,
                id: key.to_string(),
                source: source_uri(&self.parts.scope, "function", invocation.function.as_str()),
                kind: "wakeful.function.invoke".into(),
                subject: None,
                time: now,
                content_type: "application/json".into(),
                data: payload.clone(),
            },
        })
    }
}

/// A CloudEvent in structured mode; what lacks one of the required attributes is not one.
#[derive(Deserialize)]
struct GivenEvent<'a> {
    #[serde(rename = "specversion")]
    _specversion: std::borrow::Cow<'a, str>,
    id: std::borrow::Cow<'a, str>,
    source: std::borrow::Cow<'a, str>,
    #[serde(rename = "type")]
    kind: std::borrow::Cow<'a, str>,
    subject: Option<std::borrow::Cow<'a, str>>,
    time: Option<String>,
    #[serde(borrow)]
    data: Option<&'a serde_json::value::RawValue>,
}

fn parse_time(text: &str) -> Option<wakeful_core::time::Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(wakeful_core::time::Timestamp::from_millis(
        at.as_millisecond(),
    ))
}

/// The export to call when none is named: the only one that events call.
fn only_event_handler(version: &Version) -> Result<Option<HandlerName>, InvokeError> {
    let triggers = &version.function.triggers;
    let mut handlers: Vec<&Option<HandlerName>> = triggers
        .iter()
        .filter(|trigger| !matches!(trigger.on, On::Http(_)))
        .map(|trigger| &trigger.handler)
        .collect();
    handlers.dedup();
    match handlers.as_slice() {
        [] if triggers.is_empty() => Ok(None),
        [] => Err(InvokeError::OnlyHttp(version.function.name.clone())),
        [one] => Ok((*one).clone()),
        _ => Err(InvokeError::NoSuchHandler {
            function: version.function.name.clone(),
            known: known_handlers(version),
        }),
    }
}

fn known_handlers(version: &Version) -> String {
    let name = |handler: &Option<HandlerName>| match handler {
        Some(name) => name.to_string(),
        None => "the default".to_owned(),
    };
    version
        .handlers()
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .join(", ")
}
