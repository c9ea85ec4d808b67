//! What waits for the writer: bounded, and in the order in which it was handed in.
//!
//! Work that finds room is with the writer when `submit` returns, whether or not the reply is
//! ever polled. Otherwise it waits in its reply, in the order in which replies are first polled,
//! and nothing that comes later overtakes it. A reply that is dropped while it waits hands its
//! work in all the same: dropping it does not undo what was asked for.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use wakeful_core::{
    id::RunId,
    limits,
    port::{Answer, AnswerKey, BeginAnswer, Begun, Delivery, Reply, StoreError, Transaction},
    time::Timestamp,
};

use super::{
    steps::{Done, Rest},
    sweep::{Step, Stepped},
};
use crate::ids::{weight_of, weight_of_answer};

/// The share of one piece of work, however light: so one semaphore bounds count and bytes.
const LEAST_WEIGHT: u64 = limits::COMMIT_QUEUE_BYTES / limits::COMMIT_QUEUE as u64;

pub(super) type Sender<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(super) enum Work {
    Commit(Transaction, Sender<Done>),
    GoOn(Vec<Rest>, Sender<Done>),
    Claim(Vec<RunId>, Timestamp, Sender<Vec<Delivery>>),
    BeginAnswer(BeginAnswer, Sender<Begun>),
    FinishAnswer(AnswerKey, Option<Answer>, Sender<()>),
    Sweep(Step, Sender<Stepped>),
    Close,
}

impl Work {
    /// About how many bytes it brings.
    pub(super) fn weight(&self) -> u64 {
        match self {
            Self::Commit(transaction, _) => weight_of(transaction),
            Self::Claim(runs, ..) => runs.len() as u64 * 256,
            Self::BeginAnswer(begin, _) => begin.key.key.len() as u64 + 256,
            Self::FinishAnswer(_, answer, _) => answer.as_ref().map_or(0, weight_of_answer),
            Self::GoOn(..) | Self::Sweep(..) | Self::Close => 0,
        }
    }
}

/// Work, with the room it takes until it is done.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    _room: Option<OwnedSemaphorePermit>,
}

/// The way to the writer.
#[derive(Debug)]
pub(super) struct Intake {
    jobs: mpsc::UnboundedSender<Job>,
    room: Arc<Semaphore>,
    /// Work that waits in its reply.
    parked: AtomicUsize,
    /// Whether the writer ended as it should.
    ended: Arc<AtomicBool>,
}

impl Intake {
    pub(super) fn new() -> (Arc<Self>, mpsc::UnboundedReceiver<Job>) {
        let (jobs, receiver) = mpsc::unbounded_channel();
        let intake = Self {
            jobs,
            room: Arc::new(Semaphore::new(limits::COMMIT_QUEUE_BYTES as usize)),
            parked: AtomicUsize::new(0),
            ended: Arc::default(),
        };
        (Arc::new(intake), receiver)
    }

    /// Hands in work, and replies what the writer answers.
    pub(super) fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        work: Work,
        answer: oneshot::Receiver<Result<T, StoreError>>,
    ) -> Reply<T, StoreError> {
        let permits = work
            .weight()
            .clamp(LEAST_WEIGHT, limits::COMMIT_QUEUE_BYTES) as u32;
        let room = if self.parked.load(Ordering::Acquire) == 0 {
            Arc::clone(&self.room).try_acquire_many_owned(permits).ok()
        } else {
            None
        };
        if room.is_some() {
            self.send(work, room);
            let ended = Arc::clone(&self.ended);
            return Box::pin(
                async move { answer.await.unwrap_or_else(|_| Err(no_answer(&ended))) },
            );
        }
        self.parked.fetch_add(1, Ordering::AcqRel);
        let mut parked = Parked {
            work: Some(work),
            intake: Arc::clone(self),
        };
        Box::pin(async move {
            let room = Arc::clone(&parked.intake.room)
                .acquire_many_owned(permits)
                .await;
            parked.hand_in(room.ok());
            let ended = &parked.intake.ended;
            answer.await.unwrap_or_else(|_| Err(no_answer(ended)))
        })
    }

    /// Where the writer says that it ended as it should.
    pub(super) fn ended(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.ended)
    }

    /// Hands in work whatever waits.
    pub(super) fn send(&self, work: Work, room: Option<OwnedSemaphorePermit>) {
        // When the writer is gone the work is dropped, and with it the sender of its answer.
        let _ = self.jobs.send(Job { work, _room: room });
    }
}

/// Why there is no answer.
fn no_answer(ended: &AtomicBool) -> StoreError {
    match ended.load(Ordering::Acquire) {
        true => StoreError::Closed,
        false => StoreError::Unknown("the thread that writes the store ended".to_owned()),
    }
}

struct Parked {
    work: Option<Work>,
    intake: Arc<Intake>,
}

impl Parked {
    fn hand_in(&mut self, room: Option<OwnedSemaphorePermit>) {
        if let Some(work) = self.work.take() {
            self.intake.send(work, room);
            self.intake.parked.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for Parked {
    fn drop(&mut self) {
        self.hand_in(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn without_a_proper_end_nobody_knows_what_was_written() {
        let (intake, jobs) = Intake::new();
        let ask = || {
            let (reply, answer) = oneshot::channel();
            let work = Work::Commit(Transaction::default(), reply);
            intake.submit(work, answer)
        };
        let asked = ask();
        // As when the thread that has them panics.
        drop(jobs);
        assert!(matches!(asked.await, Err(StoreError::Unknown(_))));
        assert!(matches!(ask().await, Err(StoreError::Unknown(_))));
        intake.ended().store(true, Ordering::Release);
        assert!(matches!(ask().await, Err(StoreError::Closed)));
    }
}
