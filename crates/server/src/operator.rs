//! What the admin API asks of the running server.

use std::{ops::ControlFlow, path::PathBuf, sync::Arc};

use futures::future::BoxFuture;
use wakeful_core::{
    delivery::Failure,
    flow::Hold,
    id::RunId,
    name::TriggerId,
    port::{Arrival, Clock, Pause, Receipt, Sink, StoreError, Submission, SubmitError},
    project::On,
};

use wakeful_objects::Buckets;
use wakeful_store::{
    SqliteStore,
    backup::{self, BackupError, Source, Summary, WithHistory},
};

use crate::{
    addresses::Addresses,
    control::{Asked, FunctionStatus, Invocation, InvokeError, Invoked, Operations, Redrive},
    deploy::States,
    dispatcher::Dispatcher,
    live::{LiveCell, Version, in_words},
};

/// Does what the admin API asks for.
pub struct Operator {
    /// Invocations and dead letters.
    pub dispatcher: Dispatcher,
    /// What is live.
    pub live: LiveCell,
    /// How functions stand.
    pub states: States,
    /// Where the listeners are.
    pub addresses: Addresses,
    /// The store, for backups.
    pub store: SqliteStore,
    /// The buckets, for backups.
    pub buckets: Buckets,
    /// The clock.
    pub clock: Arc<dyn Clock>,
}

impl Operations for Operator {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invoked, InvokeError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.invoke(invocation).await })
    }

    fn invoke_async(
        &self,
        invocation: Invocation,
        asked: Asked,
    ) -> BoxFuture<'static, Result<Receipt, InvokeError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.invoke_async(invocation, asked).await })
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Receipt, SubmitError>> {
        self.dispatcher.submit(submission)
    }

    fn redrive(&self, runs: Vec<Redrive>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.redrive(runs).await })
    }

    fn discard(
        &self,
        runs: Vec<RunId>,
        why: String,
    ) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.discard(runs, why).await })
    }

    fn replace(
        &self,
        dead: RunId,
        arrival: Arrival,
    ) -> BoxFuture<'static, Result<Option<Receipt>, SubmitError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.replace(dead, arrival).await })
    }

    fn pause(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.pause(pause).await })
    }

    fn resume(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        let dispatcher = self.dispatcher.clone();
        Box::pin(async move { dispatcher.resume(pause).await })
    }

    fn holds(&self, trigger: &TriggerId) -> Vec<Hold> {
        self.dispatcher.holds(trigger)
    }

    fn no_worker(&self, trigger: &TriggerId) -> Option<Failure> {
        self.dispatcher.no_worker(trigger)
    }

    fn backup(
        &self,
        to: PathBuf,
        history: WithHistory,
    ) -> BoxFuture<'static, Result<Summary, BackupError>> {
        let (store, buckets) = (self.store.clone(), self.buckets.clone());
        let now = self.clock.now();
        let folder = to.display().to_string();
        let copying = tokio::task::spawn_blocking(move || {
            // Nothing that the index in the copy refers to goes while its bytes are copied.
            let _kept = buckets.keep_removed();
            let mut watch = |_| ControlFlow::Continue(());
            backup::take(Source::Running(&store), &to, history, now, &mut watch)
        });
        Box::pin(async move {
            copying
                .await
                .unwrap_or(Err(BackupError::Stopped { folder }))
        })
    }

    fn functions(&self) -> BoxFuture<'static, Vec<FunctionStatus>> {
        let (dispatcher, states) = (self.dispatcher.clone(), self.states.clone());
        let (live, addresses) = (self.live.clone(), self.addresses);
        Box::pin(async move {
            // Without the backlog the rest is still worth showing.
            let backlog = dispatcher.backlog().await.unwrap_or_default();
            let live = live.load();
            let status = |version: &Arc<Version>| {
                let queued = |trigger: &wakeful_core::name::TriggerId| {
                    let name = version.function.name.as_str();
                    let owner = trigger.as_str().split('/').next();
                    owner == Some(name)
                };
                let owed = backlog.iter().filter(|(trigger, _)| queued(trigger));
                let owed: u64 = owed.map(|(_, count)| count).sum();
                function_status(version, &states, &addresses, owed)
            };
            let mut all: Vec<FunctionStatus> = live.versions().map(status).collect();
            all.sort_by(|a, b| a.name.cmp(&b.name));
            all
        })
    }

    fn addresses(&self) -> Addresses {
        self.addresses
    }
}

fn function_status(
    version: &Version,
    states: &States,
    addresses: &Addresses,
    owed: u64,
) -> FunctionStatus {
    let function = &version.function;
    let (state, style) = states.get(&function.name);
    let stats = version.pool.stats();
    let endpoint = |on: &On| match on {
        On::Http(http) => {
            let method = http.method.as_deref().unwrap_or("ANY");
            Some(format!("{method} http://{}{}", addresses.http, http.path))
        }
        _ => None,
    };
    FunctionStatus {
        name: function.name.clone(),
        style: function.style.or(style),
        version: Some(version.id.clone()),
        state,
        workers: stats.serving + stats.starting,
        in_flight: stats.in_flight,
        queued: owed + stats.waiting as u64,
        wakes: function.triggers.iter().map(in_words).collect(),
        endpoints: function
            .triggers
            .iter()
            .filter_map(|trigger| endpoint(&trigger.on))
            .collect(),
    }
}
