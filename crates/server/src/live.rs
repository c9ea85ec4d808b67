//! What is live: the versions of all functions, and how requests and events find them.
//!
//! A `Live` never changes. A reload builds a new one and swaps it in, so that whoever works with
//! one sees a consistent picture and the hot path takes no lock.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use wakeful_core::{
    flow::{Destination, Flow},
    limits,
    name::{FunctionName, HandlerName, Scope, TriggerId},
    project::{Function, On, Project, Trigger},
    retry::RetryPolicy,
    routing::Triggers,
};
use wakeful_workers::Pool;

use crate::{
    gateway::Router,
    internal::{self, invoke_trigger, invoked_handler},
};

/// One version of one function, ready to be run.
pub struct Version {
    /// The function as the manifest described it when this version was made.
    pub function: Function,
    /// Its identity: a hash over code and settings.
    pub id: String,
    /// The workers that run it.
    pub pool: Pool,
    handlers: Vec<Option<HandlerName>>,
}

impl Version {
    /// A version that `pool` runs.
    pub fn new(function: Function, id: String, pool: Pool) -> Self {
        let handlers = handlers_of(&function);
        Self {
            function,
            id,
            pool,
            handlers,
        }
    }

    /// The number by which the pool knows an export.
    pub fn handler(&self, name: Option<&HandlerName>) -> Option<u16> {
        let place = self
            .handlers
            .iter()
            .position(|handler| handler.as_ref() == name)?;
        u16::try_from(place).ok()
    }

    /// The exports it can be called by.
    pub fn handlers(&self) -> &[Option<HandlerName>] {
        &self.handlers
    }

    /// What to call for a delivery to `trigger`, and how it is retried; `None` when this
    /// version has no such trigger.
    pub fn duty(&self, trigger: &TriggerId) -> Option<Duty> {
        let function = &self.function;
        if let Some(handler) = invoked_handler(&function.name, trigger) {
            let handler = self.handler(handler.as_ref())?;
            return Some(Duty {
                task: Task::Event { handler },
                retry: function.retry.clone(),
                flow: Arc::clone(&function.flow),
            });
        }
        if let Some((of, outcome)) = internal::sent(&function.name, trigger) {
            return self.duty_to_send(&of, outcome);
        }
        let found = self.trigger(trigger)?;
        let handler = self.handler(found.handler.as_ref())?;
        let task = match &found.on {
            On::Http(_) => Task::Request { handler },
            _ => Task::Event { handler },
        };
        Some(Duty {
            task,
            retry: found.retry.clone(),
            flow: Arc::clone(&found.flow),
        })
    }

    /// That of the outcomes of a trigger whose destination is an address.
    fn duty_to_send(&self, of: &TriggerId, outcome: internal::Outcome) -> Option<Duty> {
        let function = &self.function;
        let flow = match invoked_handler(&function.name, of) {
            Some(_) => &function.flow,
            None => &self.trigger(of)?.flow,
        };
        let Destination::Http { url, structured } = outcome.destination(flow)? else {
            return None;
        };
        Some(Duty {
            task: Task::Send {
                url: url.clone(),
                structured: *structured,
            },
            retry: RetryPolicy::default(),
            flow: Arc::default(),
        })
    }

    fn trigger(&self, id: &TriggerId) -> Option<&Trigger> {
        self.function.triggers.iter().find(|other| other.id == *id)
    }
}

/// What a delivery asks of a version.
#[derive(Debug, Clone)]
pub struct Duty {
    /// What is to be done.
    pub task: Task,
    /// What happens when it fails.
    pub retry: RetryPolicy,
    /// How such deliveries flow.
    pub flow: Arc<Flow>,
}

/// What an attempt does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// It calls an export with one event, or with a batch of them.
    Event {
        /// The number of the export.
        handler: u16,
    },
    /// It calls an export with a request that was accepted before.
    Request {
        /// The number of the export.
        handler: u16,
    },
    /// It sends the event to an address.
    Send {
        /// The address.
        url: String,
        /// As one JSON document.
        structured: bool,
    },
}

impl Task {
    /// The export it calls, if any.
    pub const fn handler(&self) -> Option<u16> {
        match self {
            Self::Event { handler } | Self::Request { handler } => Some(*handler),
            Self::Send { .. } => None,
        }
    }
}

/// The exports that a function's triggers call, each once; the default when there are none.
pub fn handlers_of(function: &Function) -> Vec<Option<HandlerName>> {
    let mut handlers: Vec<Option<HandlerName>> = Vec::new();
    for trigger in &function.triggers {
        if !handlers.contains(&trigger.handler) {
            handlers.push(trigger.handler.clone());
        }
    }
    if handlers.is_empty() {
        handlers.push(None);
    }
    handlers
}

/// Everything that is live.
pub struct Live {
    /// The project, with each function as its live version has it.
    pub project: Arc<Project>,
    /// Which triggers an event wakes.
    pub triggers: Triggers,
    /// Which endpoint a request belongs to.
    pub router: Router,
    versions: HashMap<FunctionName, Arc<Version>>,
}

impl Live {
    /// Of a project and the versions of its functions.
    pub fn new(project: Project, versions: Vec<Arc<Version>>) -> Self {
        Self {
            triggers: Triggers::of(&project),
            router: Router::new(&versions, project.events.as_ref()),
            versions: versions
                .into_iter()
                .map(|v| (v.function.name.clone(), v))
                .collect(),
            project: Arc::new(project),
        }
    }

    /// The live version of a function.
    pub fn version(&self, function: &FunctionName) -> Option<&Arc<Version>> {
        self.versions.get(function)
    }

    /// All live versions, in no order.
    pub fn versions(&self) -> impl Iterator<Item = &Arc<Version>> {
        self.versions.values()
    }

    /// Every trigger whose deliveries have rules of their own, with its function: those of the
    /// manifest, and those of invocations by name.
    pub fn ruled(&self) -> impl Iterator<Item = (TriggerId, &FunctionName, &Arc<Flow>)> {
        let declared = self.triggers.iter();
        let declared = declared.map(|one| (one.id.clone(), &one.function, &one.flow));
        let invoked = self.versions.values().flat_map(|version| {
            let Function { name, flow, .. } = &version.function;
            let handlers = version.handlers.iter();
            handlers.map(move |handler| (invoke_trigger(name, handler.as_ref()), name, flow))
        });
        declared.chain(invoked)
    }

    /// The version and duty for a delivery; `None` when nothing live owns its trigger.
    pub fn duty(
        &self,
        function: &FunctionName,
        trigger: &TriggerId,
    ) -> Option<(Arc<Version>, Duty)> {
        let version = self.version(function)?;
        version
            .duty(trigger)
            .map(|duty| (Arc::clone(version), duty))
    }
}

/// The present `Live`, and who is told when it changes. Cheap to clone.
#[derive(Clone)]
pub struct LiveCell {
    now: Arc<ArcSwap<Live>>,
    project: watch::Sender<Arc<Project>>,
}

impl LiveCell {
    /// Starting with this one.
    pub fn new(first: Live) -> Self {
        let (project, _) = watch::channel(Arc::clone(&first.project));
        Self {
            now: Arc::new(ArcSwap::from_pointee(first)),
            project,
        }
    }

    /// What is live now.
    pub fn load(&self) -> arc_swap::Guard<Arc<Live>> {
        self.now.load()
    }

    /// Puts `next` in the place of what is live, and tells everybody.
    pub fn swap(&self, next: Live) {
        let project = Arc::clone(&next.project);
        self.now.store(Arc::new(next));
        self.project.send_replace(project);
    }

    /// The project, now and with each change.
    pub fn project(&self) -> watch::Receiver<Arc<Project>> {
        self.project.subscribe()
    }
}

/// In human words: what wakes a function, such as `photos: created, changed *.jpg`.
pub fn in_words(trigger: &Trigger) -> String {
    let source = source_in_words(trigger);
    match trigger.filter {
        Some(_) => format!("{source} (filtered)"),
        None => source,
    }
}

fn source_in_words(trigger: &Trigger) -> String {
    let list = |words: Vec<&str>| words.join(", ");
    match &trigger.on {
        On::Http(on) => format!(
            "{} {}",
            on.method.as_deref().unwrap_or("any method"),
            on.path
        ),
        On::Bucket(on) => {
            let events = list(on.events.iter().map(|verb| verb.as_str()).collect());
            let key = on
                .key
                .as_ref()
                .map(|key| format!(" {}", key.text()))
                .unwrap_or_default();
            format!("bucket {}:{key} {events}", on.bucket)
        }
        On::Database(on) => {
            let events = list(on.events.iter().map(|verb| verb.as_str()).collect());
            format!("table {}.{}: {events}", on.database, on.table)
        }
        On::Topic(pattern) => format!("topic {pattern}"),
        On::DeadLetters => "dead letters".to_owned(),
        On::Schedule(on) => match &on.when {
            wakeful_core::project::When::Cron(cron) => format!("{cron} ({})", on.timezone),
            wakeful_core::project::When::Every(wait) => format!("every {}", units(*wait)),
        },
    }
}

/// A duration in the manifest's words: `90s`, `5m`, `1d`.
fn units(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let whole = units
        .into_iter()
        .find(|(_, unit)| millis >= *unit && millis.is_multiple_of(*unit));
    whole.map_or_else(
        || "0s".to_owned(),
        |(name, unit)| format!("{}{name}", millis / unit),
    )
}

/// CloudEvents `source` of what happens within a scope: `/photos/dev/bucket/photos`.
pub fn source_uri(scope: &Scope, kind: &str, name: &str) -> String {
    format!("/{}/{}/{kind}/{name}", scope.project, scope.environment)
}

/// Attempts that may wait for a worker, for synchronous callers of one function.
pub const MAX_WAITING: usize = limits::MAX_WAITING_CALLS;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_the_manifest_writes_them() {
        for (seconds, text) in [(60, "1m"), (90, "90s"), (86_400, "1d"), (7_200, "2h")] {
            assert_eq!(units(Duration::from_secs(seconds)), text);
        }
        assert_eq!(units(Duration::from_millis(1_500)), "1500ms");
    }
}
