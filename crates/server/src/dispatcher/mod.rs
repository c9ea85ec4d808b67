//! From events to settled deliveries.
//!
//! A submission becomes one durable transaction (`submit`). Where a worker is free and nothing
//! waits for the trigger, its delivery is born claimed and starts as soon as the commit returned.
//! Everything else waits in the store, and a *feeder* per trigger with a backlog (`feeder`)
//! claims what is ready as places become free. An attempt (`attempt`) ends in a settlement; the
//! rules for it are `core::delivery`. Nothing here knows where events come from.

mod attempt;
mod feeder;
mod invoke;
mod submit;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    id::{IdSource, RunId},
    name::{FunctionName, Scope, TriggerId},
    port::{Clock, Delivery, Intervention, Store, StoreError, Transaction},
    time::Timestamp,
};

use crate::{live::LiveCell, recorder::Recorder};
use feeder::Feeder;

/// Takes events in and sees to it that what they are owed is done. Cheap to clone.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

/// What a dispatcher works with.
pub struct Parts {
    /// The scope of everything it handles.
    pub scope: Scope,
    /// Where events and deliveries are.
    pub store: Arc<dyn Store>,
    /// The versions that are live.
    pub live: LiveCell,
    /// Where runs are written down.
    pub recorder: Recorder,
    /// Where ids come from.
    pub ids: Arc<IdSource>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The runtime on which attempts live: that of the workers' sockets, so that no outcome has
    /// to wake another thread.
    pub runtime: Handle,
}

struct Inner {
    parts: Parts,
    feeders: Mutex<HashMap<TriggerId, Arc<Feeder>>>,
    tasks: TaskTracker,
    stopping: CancellationToken,
    closed: AtomicBool,
}

impl Dispatcher {
    /// A dispatcher that has nothing to do yet; `wake_all` makes it look at what is stored.
    pub fn new(parts: Parts) -> Self {
        Self {
            inner: Arc::new(Inner {
                parts,
                feeders: Mutex::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                closed: AtomicBool::new(false),
            }),
        }
    }

    /// Looks at what is stored and feeds every trigger that is owed something: after a start,
    /// and after a reload, when triggers may have come back.
    pub async fn wake_all(&self) -> Result<(), StoreError> {
        for backlog in self.inner.parts.store.backlog().await? {
            if backlog.scope == self.inner.parts.scope {
                self.inner.feed(&backlog.trigger);
            }
        }
        Ok(())
    }

    /// Makes deliveries of `function` ready that were held for a version other than `live`
    /// (`None`: all that are held, as after a start, when what was missing may be there now).
    pub async fn release_held(
        &self,
        function: &FunctionName,
        live: Option<&str>,
    ) -> Result<usize, StoreError> {
        let parts = &self.inner.parts;
        let intervention = Intervention::ReleaseHeld {
            scope: parts.scope.clone(),
            function: function.clone(),
            live: live.unwrap_or_default().to_owned(),
            now: parts.clock.now(),
        };
        let done = self.inner.intervene(vec![intervention]).await?;
        if !done.is_empty() {
            self.wake_all().await?;
        }
        Ok(done.len())
    }

    /// Queues dead letters again with fresh attempts; replies those that were dead.
    pub async fn redrive(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let inner = &self.inner;
        let now = inner.parts.clock.now();
        let mut interventions = Vec::with_capacity(runs.len());
        for run in runs {
            let Some(delivery) = inner.parts.store.delivery(run).await? else {
                continue;
            };
            let max_age = inner.max_age(&delivery.function, &delivery.trigger);
            let expires_at = now.plus(max_age);
            interventions.push(Intervention::Redrive {
                run,
                now,
                expires_at,
            });
        }
        let done = inner.intervene(interventions).await?;
        for run in &done {
            if let Some(delivery) = inner.parts.store.delivery(*run).await? {
                inner
                    .parts
                    .recorder
                    .requeued(&delivery, inner.about(&delivery).await);
                inner.feed(&delivery.trigger);
            }
        }
        Ok(done)
    }

    /// Drops dead letters; replies those that were dead.
    pub async fn discard(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let inner = &self.inner;
        let mut known = HashMap::new();
        for run in &runs {
            if let Some(delivery) = inner.parts.store.delivery(*run).await? {
                known.insert(*run, delivery);
            }
        }
        let interventions = runs
            .into_iter()
            .map(|run| Intervention::Discard { run })
            .collect();
        let done = inner.intervene(interventions).await?;
        for run in &done {
            if let Some(delivery) = known.get(run) {
                let about = inner.about(delivery).await;
                inner.parts.recorder.discarded(delivery, about, inner.now());
            }
        }
        Ok(done)
    }

    /// How many deliveries wait for each trigger; for `functions`.
    pub async fn backlog(&self) -> Result<HashMap<TriggerId, u64>, StoreError> {
        let backlog = self.inner.parts.store.backlog().await?;
        Ok(backlog
            .into_iter()
            .map(|one| (one.trigger, one.queued))
            .collect())
    }

    /// Takes nothing new and starts nothing more; replies when what runs has been settled.
    /// Attempts that outlive the workers' drain end as interrupted, uncharged.
    pub async fn drain(&self) {
        self.inner.closed.store(true, Ordering::Relaxed);
        self.inner.stopping.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    async fn intervene(&self, interventions: Vec<Intervention>) -> Result<Vec<RunId>, StoreError> {
        let transaction = Transaction {
            interventions,
            ..Transaction::default()
        };
        Ok(self.parts.store.commit(transaction).await?.intervened)
    }

    /// A few words on what a delivery is about.
    async fn about(&self, delivery: &Delivery) -> String {
        match self.parts.store.event(delivery.event).await {
            Ok(Some(event)) => crate::recorder::about(&event),
            _ => delivery.trigger.to_string(),
        }
    }

    fn max_age(&self, function: &FunctionName, trigger: &TriggerId) -> std::time::Duration {
        let live = self.parts.live.load();
        let duty = live.duty(function, trigger);
        duty.map_or(wakeful_core::limits::MAX_AGE, |(_, duty)| {
            duty.retry.max_age
        })
    }
}
