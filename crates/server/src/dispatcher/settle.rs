//! Writing down what must not be lost: ends of claims, and what follows from them.

use std::time::Duration;

use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind},
    limits,
    name::FunctionName,
    port::{
        Claim, Committed, Delivery, End, ExpiredQuery, Intervention, Settled, Settlement,
        StoreError, Transaction,
    },
};

use super::Inner;

/// The wait before a settlement that failed is tried again, doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// And the longest such wait.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

impl Inner {
    /// A delivery whose payload is gone or damaged cannot run, ever.
    pub(super) async fn bury(&self, delivery: Delivery) {
        let (at, reason) = (self.now(), DeadReason::Damaged);
        let failure = Failure::ours(
            FailureKind::NotStarted,
            format!(
                "event {} cannot be read back from the store",
                delivery.event
            ),
        );
        let end = End::Dead {
            reason,
            at,
            failure: Some(failure),
        };
        if self.settle(&delivery, end).await {
            let about = delivery.trigger.to_string();
            self.parts.recorder.dead(&delivery, about, reason, at);
        }
    }

    /// A claim that led to nothing ends, uncharged.
    pub(super) async fn give_back(&self, delivery: Delivery) {
        let end = End::Retry {
            at: self.now(),
            charged: false,
            alone: delivery.alone,
            failure: None,
        };
        self.settle(&delivery, end).await;
    }

    /// Writes down how a claim ended. True when that is on disk; otherwise the next start of the
    /// server queues the delivery again.
    pub(super) async fn settle(&self, delivery: &Delivery, end: End) -> bool {
        let settlement = Settlement {
            claim: self.claim_of(delivery),
            end,
        };
        let transaction = Transaction {
            settlements: vec![settlement],
            ..Transaction::default()
        };
        match self.insist(transaction).await {
            Ok(committed) if committed.settled == [Settled::Applied] => true,
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

    fn claim_of(&self, delivery: &Delivery) -> Claim {
        Claim {
            run: delivery.id,
            epoch: self.parts.store.epoch(),
            start: delivery.starts,
        }
    }

    /// Commits, again and again while the store refuses for reasons that may pass: a full disk
    /// gets room again. Ends with the dispatcher.
    async fn insist(&self, transaction: Transaction) -> Result<Committed, StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match self.parts.store.commit(transaction.clone()).await {
                Err(error) if may_pass(&error) => error,
                outcome => return outcome,
            };
            if pause == FIRST_PAUSE {
                tracing::error!(%error, "the store refuses what must be written; trying again");
            }
            let slept = tokio::time::sleep(pause);
            if self.closed.run_until_cancelled(slept).await.is_none() {
                return Err(error);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
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
    pub(super) async fn expire(&self, old: &[Delivery]) -> Result<(), StoreError> {
        let at = self.now();
        for some in old.chunks(limits::SWEEP_STEP) {
            let expire = |delivery: &Delivery| Intervention::Expire {
                run: delivery.id,
                at,
            };
            let done = self.intervene(some.iter().map(expire).collect()).await?;
            for delivery in some.iter().filter(|delivery| done.contains(&delivery.id)) {
                let about = self.about(delivery).await;
                let reason = DeadReason::TooOld;
                self.parts.recorder.dead(delivery, about, reason, at);
            }
        }
        Ok(())
    }

    /// The same for all that is queued or held, whether or not anything live owns its trigger.
    pub(super) async fn expire_all(&self) -> Result<(), StoreError> {
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
}

/// Whether trying again may help. After `Unknown` and `Closed` only a restart does.
const fn may_pass(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unknown(_) | StoreError::Closed)
}
