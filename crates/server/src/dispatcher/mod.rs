//! From events to settled deliveries.
//!
//! A submission becomes one durable transaction (`submit`). Where a worker is free and nothing
//! waits for the trigger, its delivery is born claimed and starts as soon as the commit returned.
//! Everything else waits in the store, and a *feeder* per trigger with a backlog (`feeder`)
//! claims what is ready as places become free. An attempt (`attempt`) ends in a settlement
//! (`settle`); the rules for it are `core::delivery`. Nothing here knows where events come from.
//!
//! What is once begun with the store is never dropped half done: a caller may go away while its
//! commit is with the writer, and what was committed must be started all the same.

mod attempt;
mod feeder;
mod invoke;
mod settle;
mod submit;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

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
    /// Nothing further is started.
    stopping: CancellationToken,
    /// Nothing further is taken in.
    closed: CancellationToken,
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
                closed: CancellationToken::new(),
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
    /// (`None`: all that are held, as after a start, when what was missing may be there now);
    /// replies how many. `wake_all` then sees to it that they are started.
    pub async fn release_held(
        &self,
        function: &FunctionName,
        live: Option<&str>,
    ) -> Result<usize, StoreError> {
        let release = self.inner.release(function, live.unwrap_or_default());
        let committed = self.inner.parts.store.commit(release).await?;
        Ok(committed.intervened.len())
    }

    /// Makes dead letters of what has grown too old while nothing could start it: to be called
    /// now and then.
    pub async fn expire(&self) -> Result<(), StoreError> {
        self.inner.expire_all().await
    }

    /// Queues dead letters again with fresh attempts; replies those that were dead.
    pub async fn redrive(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.redrive(runs).await };
        self.inner.to_the_end(work).await
    }

    /// Drops dead letters; replies those that were dead.
    pub async fn discard(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.discard(runs).await };
        self.inner.to_the_end(work).await
    }

    /// How many deliveries wait for each trigger; for `functions`.
    pub async fn backlog(&self) -> Result<HashMap<TriggerId, u64>, StoreError> {
        let parts = &self.inner.parts;
        let backlog = parts.store.backlog().await?.into_iter();
        let ours = backlog.filter(|one| one.scope == parts.scope);
        Ok(ours.map(|one| (one.trigger, one.queued)).collect())
    }

    /// Starts nothing more. What is handed in from now on is written down, and started after
    /// the next start of the server.
    pub fn stop_feeding(&self) {
        self.inner.stopping.cancel();
    }

    /// Takes nothing more; replies when all that was under way is settled. What cannot be
    /// settled is queued again, uncharged, by the next start of the server.
    pub async fn drain(&self) {
        self.stop_feeding();
        self.inner.closed.cancel();
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }
}

impl Inner {
    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Waits for something, or until nothing further is to be started.
    async fn pause<T>(&self, waiting: impl Future<Output = T>) {
        self.stopping.run_until_cancelled(waiting).await;
    }

    /// Does something to its end, even when the caller goes away meanwhile.
    async fn to_the_end<T, E>(
        &self,
        work: impl Future<Output = Result<T, E>> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let task = self.tasks.spawn_on(work, &self.parts.runtime);
        task.await.unwrap_or_else(|error| {
            let why = format!("the server ended meanwhile: {error}");
            Err(StoreError::Unknown(why).into())
        })
    }

    async fn redrive(self: &Arc<Self>, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let now = self.now();
        let known = self.known(runs).await?;
        let redrive = |delivery: &Delivery| Intervention::Redrive {
            run: delivery.id,
            now,
            expires_at: now.plus(self.max_age(&delivery.function, &delivery.trigger)),
        };
        let done = self.intervene(known.iter().map(redrive).collect()).await?;
        for delivery in known.iter().filter(|delivery| done.contains(&delivery.id)) {
            let fresh = Delivery {
                attempts: 0,
                ..delivery.clone()
            };
            let about = self.about(delivery).await;
            self.parts.recorder.requeued(&fresh, about);
            self.feed(&delivery.trigger);
        }
        Ok(done)
    }

    async fn discard(&self, runs: Vec<RunId>) -> Result<Vec<RunId>, StoreError> {
        let known = self.known(runs).await?;
        let discard = |delivery: &Delivery| Intervention::Discard { run: delivery.id };
        let done = self.intervene(known.iter().map(discard).collect()).await?;
        for delivery in known.iter().filter(|delivery| done.contains(&delivery.id)) {
            let about = self.about(delivery).await;
            self.parts.recorder.discarded(delivery, about, self.now());
        }
        Ok(done)
    }

    /// Those of these deliveries that are in the store.
    async fn known(&self, runs: Vec<RunId>) -> Result<Vec<Delivery>, StoreError> {
        let mut known = Vec::with_capacity(runs.len());
        for run in runs {
            known.extend(self.parts.store.delivery(run).await?);
        }
        Ok(known)
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
