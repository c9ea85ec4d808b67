//! Effects that apply once: what user code has gathered is committed together with the success of
//! its delivery, or not at all.

use wakeful_core::{
    delivery::{Failure, FailureKind},
    limits,
    name::TriggerId,
    port::{Committed, Condition, Settled, StoreError, SubmitError, Transaction},
};
use wakeful_objects::{Joint, ObjectError, Staged};

use super::{
    Dispatcher, Inner,
    insist::{FIRST_PAUSE, LONGEST_PAUSE},
    settle::Attempted,
    submit::Prepared,
};
use crate::{attempts::Effects, live::Task};

/// What the deliveries of an attempt have gathered that succeeded.
#[derive(Default)]
pub(super) struct Gathered {
    /// Events, with what they are owed.
    pub prepared: Prepared,
    /// Changes of objects.
    pub staged: Vec<Staged>,
}

impl Dispatcher {
    /// Applies the effects of a call that has no delivery to settle, in one transaction; they are
    /// on disk when this replies.
    pub async fn apply(&self, effects: Effects) -> Result<(), SubmitError> {
        let inner = &self.inner;
        if inner.closed.is_cancelled() {
            return Err(SubmitError::Stopping);
        }
        let Gathered { prepared, staged } = inner.ready(effects).map_err(of_object)?;
        for _ in 0..limits::OBJECT_CONFLICTS {
            let mut joint = Joint::of(&staged).await.map_err(of_object)?;
            let told = inner.prepare(std::mem::take(&mut joint.arrivals))?;
            let mut transaction = Transaction {
                objects: joint.objects.clone(),
                ..Transaction::default()
            };
            prepared.write_into(&mut transaction);
            told.write_into(&mut transaction);
            match inner.parts.store.commit(transaction).await {
                Ok(committed) => {
                    joint.applied(staged).await;
                    let mut all = prepared;
                    all.extend(told);
                    inner.begin(all, committed);
                    return Ok(());
                }
                Err(StoreError::Conflict(_)) => {}
                Err(error) => {
                    if is_unknown(&error) {
                        Joint::unknown(staged);
                    }
                    return Err(error.into());
                }
            }
        }
        Err(
            StoreError::Failed("the objects were changed by too many writers at once".into())
                .into(),
        )
    }
}

impl Inner {
    /// Takes what the deliveries that succeeded have gathered. Where that cannot be applied any
    /// more, the delivery has not succeeded after all: it runs again, and hears why.
    pub(super) async fn gathered(&self, attempted: &mut Attempted) -> Gathered {
        let mut all = Gathered::default();
        if let Task::Send { .. } = attempted.duty.task {
            attempted.underway.without_code();
            return all;
        }
        if attempted.outcomes.iter().all(Result::is_err) {
            return all;
        }
        let certain = attempted.underway.certain().await;
        for ((delivery, _), outcome) in attempted.deliveries.iter().zip(&mut attempted.outcomes) {
            if outcome.is_err() {
                continue;
            }
            let ready = match &certain {
                Err(unsettled) => Err(unsettled.to_string()),
                Ok(()) => {
                    let effects = attempted.underway.take(delivery.id);
                    self.ready(effects).map_err(|error| error.to_string())
                }
            };
            match ready {
                Ok(ready) => {
                    all.prepared.extend(ready.prepared);
                    all.staged.extend(ready.staged);
                }
                Err(why) => {
                    let why = format!("what context.once() gathered cannot be applied: {why}");
                    *outcome = Err(Failure::ours(FailureKind::Interrupted, why));
                }
            }
        }
        all
    }

    /// Effects with what they are owed; an error when a reload made them impossible.
    fn ready(&self, effects: Effects) -> Result<Gathered, ObjectError> {
        for staged in &effects.staged {
            staged.check()?;
        }
        Ok(Gathered {
            prepared: self.prepare(effects.arrivals)?,
            staged: effects.staged,
        })
    }

    /// Commits a settlement with the objects that change with it, trying again while that may
    /// help. Replies what is to be begun: nothing when the settlement was stale, since then
    /// nothing of it happened.
    pub(super) async fn insist_on(
        &self,
        mut transaction: Transaction,
        end_of: Option<&TriggerId>,
        mut follows: Prepared,
        staged: Vec<Staged>,
    ) -> Result<(Committed, Prepared), StoreError> {
        if staged.is_empty() {
            let committed = self
                .insist_with(transaction, end_of, [&mut follows])
                .await?;
            let follows = if_applied(&committed, follows);
            return Ok((committed, follows));
        }
        transaction.condition = Condition::IfApplied;
        loop {
            let mut joint = self.joint(&staged).await?;
            let mut told = self
                .prepare(std::mem::take(&mut joint.arrivals))
                .map_err(|error| StoreError::Failed(error.to_string()))?;
            let mut whole = transaction.clone();
            whole.objects.extend(joint.objects.iter().cloned());
            let written = self.insist_with(whole, end_of, [&mut follows, &mut told]);
            match written.await {
                Ok(committed) => {
                    if is_applied(&committed) {
                        joint.applied(staged).await;
                    }
                    let mut all = follows;
                    all.extend(told);
                    let all = if_applied(&committed, all);
                    return Ok((committed, all));
                }
                // Another writer was faster: once more, against what is there now.
                Err(StoreError::Conflict(_)) => {}
                Err(error) => {
                    if is_unknown(&error) {
                        Joint::unknown(staged);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// What changes of objects come to. The index may fail to be read for a while.
    async fn joint(&self, staged: &[Staged]) -> Result<Joint, StoreError> {
        let mut pause = FIRST_PAUSE;
        loop {
            let error = match Joint::of(staged).await {
                Ok(joint) => return Ok(joint),
                Err(error) => error,
            };
            tracing::error!(%error, "objects that change with a settlement cannot be looked up");
            let slept = tokio::time::sleep(pause);
            if self.closed.run_until_cancelled(slept).await.is_none() {
                return Err(StoreError::Closed);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

fn is_applied(committed: &Committed) -> bool {
    committed.settled.iter().all(|one| *one == Settled::Applied)
}

fn if_applied(committed: &Committed, prepared: Prepared) -> Prepared {
    match is_applied(committed) {
        true => prepared,
        false => Prepared::default(),
    }
}

/// Whether it may be on disk all the same.
const fn is_unknown(error: &StoreError) -> bool {
    matches!(error, StoreError::Unknown(_) | StoreError::Closed)
}

fn of_object(error: ObjectError) -> SubmitError {
    match error {
        ObjectError::Submit(error) => error,
        ObjectError::Store(error) => error.into(),
        other => StoreError::Failed(other.to_string()).into(),
    }
}
