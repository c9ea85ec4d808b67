//! What people do to deliveries: redrive, discard, replace, pause, resume.

use std::{collections::HashMap, sync::Arc};

use wakeful_core::{
    delivery::Failure,
    flow::Hold,
    id::RunId,
    name::{FunctionName, TriggerId},
    port::{
        Arrival, Condition, Delivery, Intervention, Pause, Receipt, StoreError, SubmitError,
        Transaction,
    },
};

use super::{Dispatcher, Inner};
use crate::control::Redrive;

impl Dispatcher {
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
    pub async fn redrive(&self, runs: Vec<Redrive>) -> Result<Vec<RunId>, StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.redrive(runs).await };
        self.inner.to_the_end(work).await
    }

    /// Drops dead letters, with a word why; replies those that were dead.
    pub async fn discard(&self, runs: Vec<RunId>, why: String) -> Result<Vec<RunId>, StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.discard(runs, &why).await };
        self.inner.to_the_end(work).await
    }

    /// Takes an event in, in the place of a dead letter, which is dropped with the word that this
    /// event replaces it. `None`: it was no dead letter any more, and nothing was done.
    pub async fn replace(
        &self,
        dead: RunId,
        arrival: Arrival,
    ) -> Result<Option<Receipt>, SubmitError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.replace(dead, arrival).await };
        self.inner.to_the_end(work).await
    }

    /// Starts nothing more of a function, trigger or key; on disk when this replies.
    pub async fn pause(&self, pause: Pause) -> Result<(), StoreError> {
        self.set_pause(pause, true).await
    }

    /// Ends a pause, which is given exactly as the store has it.
    pub async fn resume(&self, pause: Pause) -> Result<(), StoreError> {
        self.set_pause(pause, false).await
    }

    async fn set_pause(&self, pause: Pause, begins: bool) -> Result<(), StoreError> {
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.set_pause(pause, begins).await };
        self.inner.to_the_end(work).await
    }

    /// Why deliveries of a trigger are held by its rules.
    pub fn holds(&self, trigger: &TriggerId) -> Vec<Hold> {
        self.inner.holds(trigger)
    }

    /// Why no worker could be started for a trigger that waits for one.
    pub fn no_worker(&self, trigger: &TriggerId) -> Option<Failure> {
        self.inner.no_worker(trigger)
    }

    /// How many deliveries wait for each trigger; for `functions`.
    pub async fn backlog(&self) -> Result<HashMap<TriggerId, u64>, StoreError> {
        let parts = &self.inner.parts;
        let backlog = parts.store.backlog().await?.into_iter();
        let ours = backlog.filter(|one| one.scope == parts.scope);
        Ok(ours.map(|one| (one.trigger, one.queued)).collect())
    }
}

impl Inner {
    async fn redrive(self: &Arc<Self>, runs: Vec<Redrive>) -> Result<Vec<RunId>, StoreError> {
        let known = self.known(runs.iter().map(|one| one.run).collect()).await?;
        let times: HashMap<RunId, _> = runs.iter().map(|one| (one.run, one.at)).collect();
        let redrive = |delivery: &Delivery| {
            let at = times
                .get(&delivery.id)
                .copied()
                .unwrap_or_else(|| self.now());
            Intervention::Redrive {
                run: delivery.id,
                now: at,
                expires_at: at.plus(self.max_age(&delivery.function, &delivery.trigger)),
            }
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

    async fn discard(
        self: &Arc<Self>,
        runs: Vec<RunId>,
        why: &str,
    ) -> Result<Vec<RunId>, StoreError> {
        let known = self.known(runs).await?;
        let discard = known.iter().map(|delivery| self.to_discard(delivery, why));
        let done = self.intervene(discard.collect()).await?;
        for delivery in known.iter().filter(|delivery| done.contains(&delivery.id)) {
            self.discarded(delivery).await;
        }
        Ok(done)
    }

    async fn replace(
        self: &Arc<Self>,
        dead: RunId,
        arrival: Arrival,
    ) -> Result<Option<Receipt>, SubmitError> {
        let Some(delivery) = self.parts.store.delivery(dead).await? else {
            return Ok(None);
        };
        let prepared = self.prepare(vec![arrival])?;
        let by: Vec<String> = prepared.ids().iter().map(ToString::to_string).collect();
        let why = format!("replaced by {}", by.join(", "));
        let mut transaction = Transaction {
            interventions: vec![self.to_discard(&delivery, &why)],
            condition: Condition::IfApplied,
            ..Transaction::default()
        };
        prepared.write_into(&mut transaction);
        let committed = self.parts.store.commit(transaction).await?;
        if committed.intervened.is_empty() {
            return Ok(None);
        }
        self.discarded(&delivery).await;
        Ok(Some(self.begin(prepared, committed)))
    }

    fn to_discard(&self, delivery: &Delivery, why: &str) -> Intervention {
        Intervention::Discard {
            run: delivery.id,
            at: self.now(),
            why: why.to_owned(),
        }
    }

    async fn discarded(&self, delivery: &Delivery) {
        let about = self.about(delivery).await;
        self.parts.recorder.discarded(delivery, about, self.now());
    }

    /// Those of these deliveries that are in the store.
    async fn known(&self, runs: Vec<RunId>) -> Result<Vec<Delivery>, StoreError> {
        let mut known = Vec::with_capacity(runs.len());
        for run in runs {
            known.extend(self.parts.store.delivery(run).await?);
        }
        Ok(known)
    }
}
