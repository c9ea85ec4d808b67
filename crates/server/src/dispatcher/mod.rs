//! From events to settled deliveries.
//!
//! A submission gets its envelope (`envelope`), the deliveries that its triggers' rules say it is
//! owed (`owed`), and becomes one durable transaction (`submit`). Where a worker is free, nothing
//! waits for the trigger and its rules agree, a delivery is born claimed and starts as soon as the
//! commit returned. Everything else waits in the store, and a *feeder* per trigger with a backlog
//! (`feeder`) claims what its *gate* (`gates`: pace, breaker, pauses) lets through as places become
//! free (`place`). An attempt (`attempt`) ends in a settlement (`settle`, `insist`), committed
//! together with what follows from it (`consequences`) and what its code has gathered (`effects`);
//! the rules are those of `core::delivery` and `core::flow`. What people do by hand is in `operate`
//! and `invoke`. Nothing here knows where events come from.
//!
//! What is once begun with the store is never dropped half done: a caller may go away while its
//! commit is with the writer, and what was committed must be started all the same.

mod attempt;
mod batch;
mod consequences;
mod effects;
#[cfg(test)]
mod effects_tests;
mod envelope;
mod feeder;
mod gates;
mod insist;
mod invoke;
#[cfg(test)]
mod moody;
mod operate;
mod owed;
mod place;
mod request;
#[cfg(test)]
mod rules_tests;
mod settle;
mod submit;
#[cfg(test)]
mod tests;

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    id::{IdSource, RunId},
    name::{FunctionName, Scope, TriggerId},
    port::{Clock, Delivery, Intervention, Store, StoreError, Transaction},
    time::Timestamp,
};

pub use invoke::{Begun, Caller, Payload, Running};

use crate::{attempts::Attempts, live::LiveCell, recorder::Recorder};
use feeder::Feeder;
use gates::Gates;

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
    /// The attempts that run, for their calls back.
    pub attempts: Attempts,
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
    /// What the rules of each trigger remember.
    gates: Gates,
    /// The places of what is only sent.
    senders: Arc<Semaphore>,
    /// Ends that the store refuses for now.
    unwritten: insist::Unwritten,
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
                gates: Gates::new(parts.clock.now()),
                senders: place::senders(),
                unwritten: insist::Unwritten::default(),
                parts,
                feeders: Mutex::default(),
                tasks: TaskTracker::new(),
                stopping: CancellationToken::new(),
                closed: CancellationToken::new(),
            }),
        }
    }

    /// Looks at what is stored and feeds every trigger that is owed something: after a start,
    /// and after a reload, when triggers may have come back and rules may have changed.
    pub async fn wake_all(&self) -> Result<(), StoreError> {
        self.inner.regate().await?;
        for backlog in self.inner.parts.store.backlog().await? {
            if backlog.scope == self.inner.parts.scope {
                self.inner.feed(&backlog.trigger);
            }
        }
        Ok(())
    }

    /// Tells destinations of deliveries that died with the server that ran them; `opened` is when
    /// this one opened the store.
    pub async fn tell_of_unknown(&self, opened: Timestamp) {
        self.inner.tell_of_unknown(opened).await;
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

    /// Does what people or rules ask for, and sees to what is ready because of it; replies the
    /// runs that it changed.
    async fn intervene(
        self: &Arc<Self>,
        interventions: Vec<Intervention>,
    ) -> Result<Vec<RunId>, StoreError> {
        let transaction = Transaction {
            interventions,
            ..Transaction::default()
        };
        let committed = self.parts.store.commit(transaction).await?;
        self.feed_all(committed.released);
        Ok(committed.intervened)
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
