//! Invocations by name: the CLI's `invoke`, and later Lambda's Invoke API.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::Deserialize;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    event::{Extensions, Lineage, Origin},
    id::RunId,
    limits,
    name::{FunctionName, HandlerName, TriggerId},
    port::{Arrival, Kind, Receipt, StoreError, Submission, SubmitError, Target, Wishes},
    project::{On, Style},
    time::Timestamp,
};
use wakeful_workers::{
    Body, Call, Invocation as WorkerInvocation, Reserve, ReserveError, Slot, What, WorkerRef,
};

use super::{Dispatcher, Inner};
use crate::{
    attempts::Underway,
    cloudevents::declares_json,
    control::{Asked, Invocation, InvokeError, Invoked},
    internal::invoke_trigger,
    live::Version,
    recorder::Ended,
};

/// What people call the export that a manifest has no name for.
const DEFAULT: &str = "default";

/// Who invokes, when it is a run, and how.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// What causes the invocation.
    pub lineage: Lineage,
    /// The type of the payload; `None`: JSON.
    pub content_type: Option<String>,
    /// The functions that wait for the answer, the first one longest; not looked at when nobody
    /// waits.
    pub waiting: Vec<FunctionName>,
    /// How long to wait for a place; `None`: as long as callers from outside do.
    pub patience: Option<Duration>,
    /// What a payload in the shape of a CloudEvent is.
    pub payload: Payload,
    /// Attributes of the event that the function gets.
    pub extensions: Extensions,
}

/// How the payload of an invocation is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Payload {
    /// A CloudEvent is the event itself; anything else is its data.
    #[default]
    EventOrData,
    /// It is always the data.
    Data,
}

impl Caller {
    /// What causes what the invoked run does. Its own event is stored nowhere: what it does
    /// follows from the event before it.
    fn cause(&self, run: RunId) -> Lineage {
        let from_inside = self.lineage.run.is_some();
        Lineage {
            run: Some(run),
            parent: self.lineage.parent,
            depth: (self.lineage.depth).saturating_add(u16::from(from_inside)),
            replay_of: None,
        }
    }
}

impl Dispatcher {
    /// Runs the function and waits for its result; nothing is stored but the record of the run.
    pub async fn invoke(&self, invocation: Invocation) -> Result<Invoked, InvokeError> {
        self.invoke_from(invocation, Caller::default()).await
    }

    /// The same, for a run that calls.
    pub async fn invoke_from(
        &self,
        invocation: Invocation,
        caller: Caller,
    ) -> Result<Invoked, InvokeError> {
        Ok(match self.begin(invocation, caller).await? {
            Begun::Refused(invoked, _) => invoked,
            Begun::Running(running) => running.whole().await,
        })
    }

    /// Starts the function, for a caller that waits for its answer.
    pub async fn begin(
        &self,
        invocation: Invocation,
        caller: Caller,
    ) -> Result<Begun, InvokeError> {
        let inner = &self.inner;
        let event = inner.event(inner.invoked(&invocation, &caller)?);
        let target = inner.target(&invocation)?;
        let target_version = Arc::clone(&target.version);
        let mut run = Unheard::begin(inner, &target.version);
        let (target, slot) = match inner
            .callee_place(&invocation, target, caller.patience)
            .await
        {
            Ok(found) => found,
            Err(ReserveError::Load(failure) | ReserveError::NotStarted(failure)) => {
                return Ok(Begun::Refused(run.refused(failure), target_version));
            }
            Err(ReserveError::Overloaded) => {
                run.forget();
                return Err(InvokeError::Overloaded(invocation.function));
            }
            Err(ReserveError::Retired) => {
                run.forget();
                return Err(InvokeError::Stopping);
            }
        };
        let cause = caller.cause(run.id);
        let attempts = &inner.parts.attempts;
        let underway = attempts.answering((run.id, 1), &run.function, cause, caller.waiting);
        let call = slot.start(WorkerInvocation {
            run: run.id,
            attempt: 1,
            handler: target.handler,
            timeout: None,
            what: What::Event {
                json: Bytes::from(event.to_json()),
            },
        });
        run.started(&target.version, call.worker());
        Ok(Begun::Running(Running {
            version: target.version,
            call,
            run,
            _underway: underway,
        }))
    }

    /// Accepts the invocation as a delivery; it is on disk when this replies.
    pub async fn invoke_async(
        &self,
        invocation: Invocation,
        asked: Asked,
    ) -> Result<Receipt, InvokeError> {
        self.invoke_async_from(invocation, asked, &Caller::default())
            .await
    }

    /// The same, for a caller that is known.
    pub async fn invoke_async_from(
        &self,
        invocation: Invocation,
        asked: Asked,
        caller: &Caller,
    ) -> Result<Receipt, InvokeError> {
        let arrival = self.invocation(&invocation, asked, caller)?;
        let submission = Submission {
            arrivals: vec![arrival],
            ..Submission::default()
        };
        self.inner.submit(submission).await.map_err(refused)
    }

    /// The invocation as an event that is owed to the function alone.
    pub fn invocation(
        &self,
        invocation: &Invocation,
        asked: Asked,
        caller: &Caller,
    ) -> Result<Arrival, InvokeError> {
        let target = self.inner.target(invocation)?;
        Ok(Arrival {
            wishes: Wishes {
                not_before: asked.not_before,
                ordering_key: asked.ordering_key,
                dedup: asked.dedup,
                target: Target::Trigger(invocation.function.clone(), target.trigger),
            },
            ..self.inner.invoked(invocation, caller)?
        })
    }
}

fn refused(error: SubmitError) -> InvokeError {
    match error {
        SubmitError::Store(error) => error.into(),
        SubmitError::NoSuchFunction(name) => InvokeError::NoSuchFunction(name),
        SubmitError::NoSuchTopic(topic) => {
            InvokeError::Store(StoreError::Failed(format!("there is no topic `{topic}`")))
        }
        SubmitError::Stopping => InvokeError::Stopping,
    }
}

/// What became of the start of a function.
pub enum Begun {
    /// It could not be started, as this version.
    Refused(Invoked, Arc<Version>),
    /// Its code runs.
    Running(Running),
}

/// A function that runs for a caller that waits. Dropped, its caller went away.
pub struct Running {
    version: Arc<Version>,
    call: Call,
    run: Unheard,
    _underway: Underway,
}

impl Running {
    /// Its run.
    pub const fn run(&self) -> RunId {
        self.run.id
    }

    /// The version that runs.
    pub const fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The worker it runs on.
    pub fn worker(&self) -> WorkerRef {
        self.call.worker()
    }

    /// Waits for its result, whole.
    pub async fn whole(mut self) -> Invoked {
        let outcome = super::attempt::result(&mut self.call).await;
        self.ended(outcome)
    }

    /// Waits for its answer, whose pieces may still be on their way. Asked once.
    pub async fn answer(&mut self) -> Result<Body, Failure> {
        Ok(self.call.response().await?.body)
    }

    /// Writes down how it ended.
    pub fn ended(self, outcome: Result<Bytes, Failure>) -> Invoked {
        self.run.ended(outcome)
    }
}

/// A synchronous invocation on its way. Whatever becomes of it leaves a record, also when its
/// caller goes away and this is dropped.
struct Unheard {
    inner: Arc<Inner>,
    id: RunId,
    function: FunctionName,
    asked: Timestamp,
    stage: Stage,
}

enum Stage {
    /// It waits for a place on a worker.
    Waiting,
    /// User code runs.
    Running {
        version: Arc<Version>,
        worker: WorkerRef,
        started_at: Timestamp,
        clock: Instant,
    },
    /// It is over, and recorded if it is to be.
    Over,
}

impl Unheard {
    fn begin(inner: &Arc<Inner>, version: &Version) -> Self {
        let asked = inner.now();
        Self {
            inner: Arc::clone(inner),
            id: inner.parts.ids.run(asked),
            function: version.function.name.clone(),
            asked,
            stage: Stage::Waiting,
        }
    }

    fn started(&mut self, version: &Arc<Version>, worker: WorkerRef) {
        self.stage = Stage::Running {
            version: Arc::clone(version),
            worker,
            started_at: self.inner.now(),
            clock: Instant::now(),
        };
    }

    /// It was never accepted.
    fn forget(mut self) {
        self.stage = Stage::Over;
    }

    fn refused(self, failure: Failure) -> Invoked {
        self.ended(Err(failure))
    }

    fn ended(mut self, result: Result<Bytes, Failure>) -> Invoked {
        self.record(result.clone());
        Invoked {
            run: self.id,
            result,
        }
    }

    fn record(&mut self, outcome: Result<Bytes, Failure>) {
        let recorder = &self.inner.parts.recorder;
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Waiting => {
                if let Err(failure) = outcome {
                    recorder.refused(self.id, &self.function, self.asked, failure);
                }
            }
            Stage::Running {
                version,
                worker,
                started_at,
                clock,
            } => {
                let ended = Ended {
                    version: &version.id,
                    worker,
                    started_at,
                    waited: started_at.since(self.asked),
                    took: clock.elapsed(),
                    outcome,
                    next: None,
                    now: self.inner.now(),
                    batch: None,
                };
                recorder.invoked(self.id, &self.function, self.asked, ended);
            }
            Stage::Over => {}
        }
    }
}

impl Drop for Unheard {
    fn drop(&mut self) {
        let (kind, message) = match self.stage {
            Stage::Waiting => (
                FailureKind::NotStarted,
                "the caller went away before it was started",
            ),
            Stage::Running { .. } => (
                FailureKind::Interrupted,
                "the caller went away before it ended; it may have taken effect",
            ),
            Stage::Over => return,
        };
        self.record(Err(Failure::ours(kind, message)));
    }
}

/// What an invocation calls.
pub(super) struct Callee {
    version: Arc<Version>,
    pub(super) handler: u16,
    pub(super) trigger: TriggerId,
}

impl Inner {
    /// A place on a worker, after a bounded wait. When a new version takes over meanwhile, a
    /// place on that one.
    pub(super) async fn callee_place(
        &self,
        invocation: &Invocation,
        target: Callee,
        patience: Option<Duration>,
    ) -> Result<(Callee, Slot), ReserveError> {
        let usual = target.version.function.timeout + limits::LOAD_TIMEOUT;
        let patience = patience.map_or(usual, |least| least.min(usual));
        let waiting = self.wait_for_place(invocation, target);
        let found = tokio::time::timeout(patience, waiting).await;
        found.unwrap_or(Err(ReserveError::Overloaded))
    }

    async fn wait_for_place(
        &self,
        invocation: &Invocation,
        mut target: Callee,
    ) -> Result<(Callee, Slot), ReserveError> {
        loop {
            match target.version.pool.reserve(Reserve::Shared).await {
                Ok(slot) => return Ok((target, slot)),
                Err(ReserveError::Retired) => {
                    // What the new version no longer has cannot be called any more either.
                    let next = self.target(invocation).ok();
                    let next = next.filter(|next| next.version.id != target.version.id);
                    target = next.ok_or(ReserveError::Retired)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    pub(super) fn target(&self, invocation: &Invocation) -> Result<Callee, InvokeError> {
        let name = &invocation.function;
        let live = self.parts.live.load();
        let version = live
            .version(name)
            .ok_or_else(|| InvokeError::NoSuchFunction(name.clone()))?;
        let handler = match &invocation.handler {
            Some(handler) => named(version, handler),
            None => only_event_handler(version)?,
        };
        let number =
            version
                .handler(handler.as_ref())
                .ok_or_else(|| InvokeError::NoSuchHandler {
                    function: name.clone(),
                    known: known_handlers(version),
                })?;
        Ok(Callee {
            version: Arc::clone(version),
            handler: number,
            trigger: invoke_trigger(name, handler.as_ref()),
        })
    }

    /// The payload as an event: a CloudEvent as it stands, anything else as data.
    fn invoked(&self, invocation: &Invocation, caller: &Caller) -> Result<Arrival, InvokeError> {
        let mut arrival = self.payload(invocation, caller)?;
        arrival.extensions.extend(caller.extensions.clone());
        Ok(Arrival {
            lineage: caller.lineage,
            ..arrival
        })
    }

    fn payload(&self, invocation: &Invocation, caller: &Caller) -> Result<Arrival, InvokeError> {
        let payload = &invocation.payload;
        let content_type = caller.content_type.as_deref();
        let opaque = |given: &&str| payload.is_empty() || !declares_json(given);
        if let Some(content_type) = content_type.filter(opaque) {
            let origin = Origin::Invoke(invocation.function.clone());
            return Ok(Arrival {
                content_type: content_type.to_owned(),
                ..Arrival::new(origin, "invoke", self.now(), payload.clone())
            });
        }
        serde_json::from_slice::<serde::de::IgnoredAny>(payload)
            .map_err(|error| InvokeError::Payload(error.to_string()))?;
        let now = self.now();
        let origin = Origin::Invoke(invocation.function.clone());
        let given: Option<GivenEvent<'_>> = match caller.payload {
            Payload::EventOrData => serde_json::from_slice(payload).ok(),
            Payload::Data => None,
        };
        let Some(given) = given else {
            let arrival = Arrival::new(origin, "invoke", now, payload.clone());
            return Ok(match content_type {
                None => arrival,
                Some(content_type) => Arrival {
                    content_type: content_type.to_owned(),
                    ..arrival
                },
            });
        };
        let data = given.data.map_or_else(Bytes::new, |data| {
            Bytes::copy_from_slice(data.get().as_bytes())
        });
        let time = given.time.and_then(|time| parse_time(&time)).unwrap_or(now);
        Ok(Arrival {
            kind: Kind::Given(given.kind.into_owned()),
            id: Some(given.id.into_owned()),
            source: Some(given.source.into_owned()),
            subject: given.subject.map(|subject| subject.into_owned()),
            ..Arrival::new(origin, "invoke", time, data)
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

fn parse_time(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp::from_millis(at.as_millisecond()))
}

/// The export to call when none is named: the only one that events call.
pub(super) fn only_event_handler(version: &Version) -> Result<Option<HandlerName>, InvokeError> {
    let triggers = &version.function.triggers;
    let mut handlers: Vec<&Option<HandlerName>> = triggers
        .iter()
        .filter(|trigger| !matches!(trigger.on, On::Http(_)))
        .map(|trigger| &trigger.handler)
        .collect();
    handlers.sort_unstable();
    handlers.dedup();
    match handlers.as_slice() {
        [] if triggers.is_empty() => Ok(None),
        [] => match version.handlers() {
            // A request is an event like any other to it.
            [one] if version.pool.style() == Some(Style::Lambda) => Ok(one.clone()),
            _ => Err(InvokeError::OnlyHttp(version.function.name.clone())),
        },
        [one] => Ok((*one).clone()),
        _ => Err(InvokeError::NoSuchHandler {
            function: version.function.name.clone(),
            known: known_handlers(version),
        }),
    }
}

/// The export that somebody means by a name.
fn named(version: &Version, name: &HandlerName) -> Option<HandlerName> {
    let is_default = name.as_str() == DEFAULT && version.handler(Some(name)).is_none();
    (!is_default).then(|| name.clone())
}

fn known_handlers(version: &Version) -> String {
    let name = |handler: &Option<HandlerName>| match handler {
        Some(name) => name.to_string(),
        None => DEFAULT.to_owned(),
    };
    version
        .handlers()
        .iter()
        .map(name)
        .collect::<Vec<_>>()
        .join(", ")
}
