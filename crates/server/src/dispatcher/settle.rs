//! Writing down what must not be lost: ends of claims, together with what follows from them.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind, Next, settlement},
    event::Event,
    flow::Outcome,
    limits,
    name::{FunctionName, TriggerId},
    port::{
        Condition, DeadQuery, Delivery, End, ExpiredQuery, Intervention, Settled, Settlement,
        StoreError, Transaction,
    },
    run::BatchPlace,
    time::Timestamp,
};
use wakeful_workers::WorkerRef;

use super::{
    Inner,
    attempt::ready_since,
    consequences::{Concluded, How},
    gates::Taken,
    submit::Prepared,
};
use crate::{
    attempts::Underway,
    live::{Duty, Version},
    recorder::Ended,
};

/// An attempt that is over.
pub(super) struct Attempted {
    /// The deliveries it served.
    pub deliveries: Vec<(Delivery, Arc<Event>)>,
    /// How each of them came out.
    pub outcomes: Vec<Result<Bytes, Failure>>,
    /// Where it ran.
    pub worker: WorkerRef,
    /// The version that ran it.
    pub version: Arc<Version>,
    /// What it was to do.
    pub duty: Duty,
    /// When it started.
    pub started_at: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What it has gathered.
    pub underway: Underway,
}

/// What the outcome of one delivery means.
struct Verdict {
    end: End,
    next: Option<Next>,
}

impl Inner {
    /// Settles what an attempt served, in one transaction with everything that follows from it.
    pub(super) async fn conclude(self: &Arc<Self>, mut attempted: Attempted, taken: &Taken) {
        let gathered = self.gathered(&mut attempted).await;
        let now = self.now();
        let verdicts: Vec<Verdict> = (attempted.deliveries.iter().zip(&attempted.outcomes))
            .map(|((delivery, _), outcome)| verdict(outcome, delivery, &attempted, now))
            .collect();
        let concluded = attempted
            .deliveries
            .iter()
            .zip(&attempted.outcomes)
            .zip(&verdicts);
        let concluded: Vec<Concluded<'_>> = concluded
            .filter_map(|(((delivery, event), outcome), verdict)| {
                Some(Concluded {
                    delivery,
                    event: Some(event),
                    flow: &attempted.duty.flow,
                    how: how(outcome, &verdict.end)?,
                })
            })
            .collect();
        let mut follows = self.consequences(&concluded);
        follows.extend(gathered.prepared);
        let settlements = attempted.deliveries.iter().zip(&verdicts);
        let transaction = Transaction {
            settlements: settlements
                .map(|((delivery, _), verdict)| Settlement {
                    claim: delivery.claim(self.parts.store.epoch()),
                    end: verdict.end.clone(),
                })
                .collect(),
            ..Transaction::default()
        };
        drop(concluded);
        let end_of = attempted.deliveries.first();
        let end_of = end_of.map(|(first, _)| first.trigger.clone());
        match self
            .insist_on(transaction, end_of.as_ref(), follows, gathered.staged)
            .await
        {
            Ok((committed, follows)) => {
                let settled = committed.settled.clone();
                self.begin(follows, committed);
                self.settled(attempted, verdicts, &settled, taken, now)
                    .await;
            }
            Err(error) => {
                for (delivery, _) in &attempted.deliveries {
                    tracing::error!(run = %delivery.id, %error, "a run could not be settled");
                }
            }
        }
    }

    /// Records what was settled, and sees to what waits because of it.
    async fn settled(
        self: &Arc<Self>,
        attempted: Attempted,
        verdicts: Vec<Verdict>,
        settled: &[Settled],
        taken: &Taken,
        now: Timestamp,
    ) {
        let Some(trigger) = attempted
            .deliveries
            .first()
            .map(|(one, _)| one.trigger.clone())
        else {
            return;
        };
        let batch = batch_of(&attempted.deliveries);
        let (mut again, mut held, mut turns) = (false, false, Vec::new());
        let deliveries = attempted.deliveries.iter().zip(attempted.outcomes);
        for (((delivery, event), outcome), (verdict, settled)) in
            deliveries.zip(verdicts.iter().zip(settled))
        {
            let stale = *settled == Settled::Stale;
            let said = match stale {
                true => Outcome::Free,
                false => Outcome::of(outcome.as_ref().err().map(|failure| failure.kind)),
            };
            turns.extend(taken.ended(delivery, said, now));
            // It may have been the one that a breaker tried, and then it is another one's turn.
            again |= said == Outcome::Free;
            if stale {
                tracing::warn!(run = %delivery.id, "a stale settlement was refused");
                continue;
            }
            let ended = Ended {
                version: &attempted.version.id,
                worker: attempted.worker,
                started_at: attempted.started_at,
                waited: attempted.started_at.since(ready_since(delivery)),
                took: attempted.took,
                outcome,
                next: verdict.next,
                now,
                batch,
            };
            self.parts.recorder.ended(delivery, event, ended);
            again |= matches!(verdict.next, Some(Next::Retry { .. }));
            held |= matches!(verdict.next, Some(Next::HoldForVersion));
        }
        let version = &attempted.version;
        if held {
            again |= self
                .release_if_replaced(&version.function.name, &version.id)
                .await;
        }
        self.follow(&trigger, turns).await;
        if again {
            self.feed(&trigger);
        }
    }

    /// A delivery whose payload is gone or damaged cannot run, ever.
    pub(super) async fn bury(self: &Arc<Self>, delivery: Delivery) {
        let at = self.now();
        let message = format!(
            "event {} cannot be read back from the store",
            delivery.event
        );
        let failure = Failure::ours(FailureKind::NotStarted, message);
        let end = End::Dead {
            reason: DeadReason::Damaged,
            at,
            failure: Some(failure.clone()),
        };
        let how = How::Dead(DeadReason::Damaged, Some(&failure));
        let follows = self.consequences_of(&delivery, None, how);
        if self.settle_with(&delivery, end, follows).await {
            let about = delivery.trigger.to_string();
            (self.parts.recorder).dead(&delivery, about, DeadReason::Damaged, at);
        }
    }

    /// Claims that led to nothing end, uncharged; each keeps its place in its queue.
    pub(super) async fn give_back(self: &Arc<Self>, deliveries: Vec<Delivery>) {
        for some in deliveries.chunks(limits::RELEASE_STEP) {
            let back = |delivery: &Delivery| Settlement {
                claim: delivery.claim(self.parts.store.epoch()),
                end: End::Retry {
                    at: delivery.ready_at,
                    charged: false,
                    alone: delivery.alone,
                    failure: None,
                },
            };
            let transaction = Transaction {
                settlements: some.iter().map(back).collect(),
                ..Transaction::default()
            };
            match self.insist(transaction).await {
                Ok(committed) => drop(self.begin(Prepared::default(), committed)),
                Err(error) => {
                    let count = some.len();
                    tracing::error!(count, %error, "claims could not be given back");
                }
            }
        }
    }

    /// Writes down how a claim ended. True when that is on disk; otherwise the next start of the
    /// server queues the delivery again.
    pub(super) async fn settle_with(
        self: &Arc<Self>,
        delivery: &Delivery,
        end: End,
        mut follows: Prepared,
    ) -> bool {
        let transaction = Transaction {
            settlements: vec![Settlement {
                claim: delivery.claim(self.parts.store.epoch()),
                end,
            }],
            ..Transaction::default()
        };
        let written = self.insist_with(transaction, Some(&delivery.trigger), [&mut follows]);
        match written.await {
            Ok(committed) if committed.settled == [Settled::Applied] => {
                self.begin(follows, committed);
                true
            }
            Ok(_) => {
                tracing::warn!(run = %delivery.id, "a stale settlement was refused");
                false
            }
            Err(error) => {
                tracing::error!(run = %delivery.id, %error, "a run could not be settled");
                false
            }
        }
    }

    /// After a delivery was held for `version`: when that one was replaced meanwhile, its
    /// successor released what was held before this delivery was, and that is made up for here.
    /// Says whether it was replaced.
    pub(super) async fn release_if_replaced(&self, function: &FunctionName, version: &str) -> bool {
        let live = self.parts.live.load().version(function).cloned();
        let Some(live) = live.filter(|live| live.id != version) else {
            return false;
        };
        let release = self.release(function, &live.id);
        if let Err(error) = self.insist(release).await {
            tracing::error!(%function, %error, "held deliveries could not be released");
        }
        true
    }

    pub(super) fn release(&self, function: &FunctionName, live: &str) -> Transaction {
        let release = Intervention::ReleaseHeld {
            scope: self.parts.scope.clone(),
            function: function.clone(),
            live: live.to_owned(),
            now: self.now(),
        };
        Transaction {
            interventions: vec![release],
            ..Transaction::default()
        }
    }

    /// What has grown too old becomes a dead letter without being started.
    pub(super) async fn expire(self: &Arc<Self>, old: &[Delivery]) -> Result<(), StoreError> {
        for some in old.chunks(limits::SWEEP_STEP) {
            let (told, silent): (Vec<&Delivery>, Vec<&Delivery>) = some
                .iter()
                .partition(|delivery| self.somebody_listens(delivery));
            self.expire_together(&silent, Prepared::default()).await?;
            for delivery in told {
                let event = self.parts.store.event(delivery.event).await.ok().flatten();
                let failure = delivery.failure.as_ref();
                let how = How::Dead(DeadReason::TooOld, failure);
                let follows = self.consequences_of(delivery, event.as_ref(), how);
                self.expire_together(&[delivery], follows).await?;
            }
        }
        Ok(())
    }

    async fn expire_together(
        self: &Arc<Self>,
        old: &[&Delivery],
        follows: Prepared,
    ) -> Result<(), StoreError> {
        if old.is_empty() {
            return Ok(());
        }
        let at = self.now();
        let expire = |delivery: &&Delivery| Intervention::Expire {
            run: delivery.id,
            at,
        };
        let mut transaction = Transaction {
            interventions: old.iter().map(expire).collect(),
            ..Transaction::default()
        };
        depend(&mut transaction, &follows);
        let committed = self.parts.store.commit(transaction).await?;
        let done = committed.intervened.clone();
        if !done.is_empty() {
            self.begin(follows, committed);
        }
        for delivery in old.iter().filter(|delivery| done.contains(&delivery.id)) {
            let about = self.about(delivery).await;
            (self.parts.recorder).dead(delivery, about, DeadReason::TooOld, at);
        }
        Ok(())
    }

    /// The same for all that is queued or held, whether or not anything live owns its trigger.
    pub(super) async fn expire_all(self: &Arc<Self>) -> Result<(), StoreError> {
        let now = self.now();
        let mut after = None;
        loop {
            let query = ExpiredQuery { now, after };
            let found = self.parts.store.expired(query).await?;
            self.expire(&found.deliveries).await?;
            match found.next {
                Some(next) => after = Some(next),
                None => return Ok(()),
            }
        }
    }

    /// Records what died while the server was not there, deliveries whose outcome nobody knows
    /// since it ended (the history may have lost all it knew of them), and tells destinations.
    /// Only those since `opened`, so that each is told of once.
    pub(super) async fn tell_of_unknown(self: &Arc<Self>, opened: Timestamp) {
        let mut query = DeadQuery {
            reason: Some(DeadReason::OutcomeUnknown),
            since: Some(opened),
            limit: limits::SWEEP_STEP,
            ..DeadQuery::default()
        };
        loop {
            let Ok(dead) = self.parts.store.dead(query.clone()).await else {
                return;
            };
            let Some(last) = dead.last() else { return };
            query.before = Some(last.id);
            for delivery in &dead {
                let reason = DeadReason::OutcomeUnknown;
                let died = delivery.dead.map_or(opened, |(_, at)| at);
                let about = self.about(delivery).await;
                self.parts.recorder.dead(delivery, about, reason, died);
                if !self.somebody_listens(delivery) {
                    continue;
                }
                let event = self.parts.store.event(delivery.event).await.ok().flatten();
                let how = How::Dead(DeadReason::OutcomeUnknown, delivery.failure.as_ref());
                let mut follows = self.consequences_of(delivery, event.as_ref(), how);
                let told = self.insist_with(Transaction::default(), None, [&mut follows]);
                match told.await {
                    Ok(committed) => drop(self.begin(follows, committed)),
                    Err(error) => tracing::error!(run = %delivery.id, %error, "nobody was told"),
                }
            }
        }
    }

    /// Feeds triggers of which something became ready.
    pub(super) fn feed_all(self: &Arc<Self>, released: Vec<TriggerId>) {
        for trigger in released {
            self.feed(&trigger);
        }
    }
}

/// The batch that an attempt served, if it served several deliveries.
fn batch_of(deliveries: &[(Delivery, Arc<Event>)]) -> Option<BatchPlace> {
    let (first, _) = deliveries.first().filter(|_| deliveries.len() > 1)?;
    Some(BatchPlace {
        first: first.id,
        number: first.starts,
        size: u32::try_from(deliveries.len()).unwrap_or(u32::MAX),
    })
}

/// Adds to a transaction what follows from it: then it is all or nothing.
fn depend(transaction: &mut Transaction, follows: &Prepared) {
    if !follows.is_empty() {
        follows.write_into(transaction);
        transaction.condition = Condition::IfApplied;
    }
}

/// What the outcome means, by the rules of `core::delivery`.
fn verdict(
    outcome: &Result<Bytes, Failure>,
    delivery: &Delivery,
    attempted: &Attempted,
    now: Timestamp,
) -> Verdict {
    let (end, next) = settlement(
        outcome.as_ref().map(|_| ()).map_err(Clone::clone),
        delivery,
        &attempted.duty.retry,
        &attempted.version.id,
        now,
        rand::random::<f64>(),
    );
    Verdict { end, next }
}

/// What destinations are told of; nothing while it goes on.
fn how<'a>(outcome: &'a Result<Bytes, Failure>, end: &End) -> Option<How<'a>> {
    match (outcome, end) {
        (Ok(result), End::Succeeded) => Some(How::Succeeded(result)),
        (outcome, End::Dead { reason, .. }) => Some(How::Dead(*reason, outcome.as_ref().err())),
        _ => None,
    }
}
