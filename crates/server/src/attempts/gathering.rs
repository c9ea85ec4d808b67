//! The gatherings of one attempt.

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use wakeful_core::{event::Lineage, id::RunId, limits, name::FunctionName};
use wakeful_databases::TxId;

use super::{Effect, Effects};

/// Names a gathering within its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatheringId(pub u64);

/// Why an attempt does not gather something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is over, or will be in a moment.
    #[error("the attempt is over: nothing can apply with its success any more")]
    Over,
    /// There is one of that name.
    #[error("once(`{0}`) was called already in this attempt")]
    Twice(String),
    /// There is no such gathering, or not any more.
    #[error("this once() is over, or belongs to another attempt")]
    NotOpen,
    /// It would be too much.
    #[error(
        "one attempt may gather {} effects with {} bytes of data together",
        limits::MAX_ONCE_EFFECTS,
        limits::MAX_BODY
    )]
    TooMuch,
    /// A batch, and it is not said for which of its deliveries.
    #[error("in a batch once() is for one of its events: say `run`")]
    NoRun,
    /// That delivery is none of this attempt.
    #[error("this attempt does not serve {0}")]
    OtherRun(RunId),
}

/// It did not become certain in time what an attempt has gathered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a transaction of context.once() was still being committed when the attempt had ended")]
pub struct Unsettled;

/// A transaction in a database that belongs to a gathering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Its number.
    pub tx: TxId,
    /// The key under which it is remembered; `None` when it is not.
    pub key: Option<String>,
    /// Keys that are of no use any more.
    pub forget: Vec<String>,
}

/// An attempt that runs.
pub struct Attempt {
    /// The deliveries that it serves, and what their effects are caused by.
    served: Vec<(RunId, Lineage)>,
    cause: Lineage,
    callers: Vec<FunctionName>,
    /// The function that runs, if it is known.
    function: Option<FunctionName>,
    state: Mutex<State>,
    changed: Notify,
    over: CancellationToken,
}

#[derive(Default)]
struct State {
    /// Nothing more is gathered.
    closed: bool,
    gatherings: Vec<Gathering>,
    drawn: u64,
}

struct Gathering {
    id: GatheringId,
    name: String,
    /// The delivery that it belongs to; `None` in a call without one.
    run: Option<RunId>,
    stage: Stage,
    transaction: Option<Transaction>,
    effects: Vec<Effect>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Open,
    /// Whether it is committed is not known yet.
    Committing,
    Committed,
}

/// A gathering that is about to be committed.
#[derive(Debug)]
pub struct Gathered<'a> {
    /// Its transaction, if it has one.
    pub transaction: Option<Transaction>,
    /// Its effects.
    pub effects: &'a [Effect],
}

impl Attempt {
    pub(super) fn serving(served: Vec<(RunId, Lineage)>) -> Self {
        // Of a batch nobody knows which event is the cause: the longest chain is the safe answer.
        let deepest = served.iter().map(|(_, cause)| *cause);
        let cause = deepest.max_by_key(|cause| cause.depth).unwrap_or_default();
        Self {
            served,
            ..Self::answering(cause, Vec::new())
        }
    }

    pub(super) fn answering(cause: Lineage, callers: Vec<FunctionName>) -> Self {
        Self {
            served: Vec::new(),
            cause,
            callers,
            function: None,
            state: Mutex::default(),
            changed: Notify::new(),
            over: CancellationToken::new(),
        }
    }

    /// The same, of this function.
    pub(super) fn of(self, function: Option<FunctionName>) -> Self {
        Self { function, ..self }
    }

    /// Whether it is an attempt of this function.
    pub fn is_of(&self, function: &FunctionName) -> bool {
        self.function.as_ref() == Some(function)
    }

    /// Whether it serves deliveries: what it gathers applies when they are settled.
    pub fn serves(&self) -> bool {
        !self.served.is_empty()
    }

    /// What causes what it does at once.
    pub fn cause(&self) -> Lineage {
        self.cause
    }

    /// The functions that wait for it.
    pub fn callers(&self) -> &[FunctionName] {
        &self.callers
    }

    /// Cancelled when its code has ended, or nobody waits for it any more.
    pub fn over(&self) -> CancellationToken {
        self.over.clone()
    }

    /// The delivery that a gathering is for, and what causes its effects. `None` when the attempt
    /// serves none.
    ///
    /// # Errors
    /// When `run` is missing or none of this attempt.
    pub fn delivery(&self, run: Option<RunId>) -> Result<Option<RunId>, Refused> {
        match (self.served.as_slice(), run) {
            ([], None) => Ok(None),
            ([(only, _)], None) => Ok(Some(*only)),
            (_, None) => Err(Refused::NoRun),
            (served, Some(run)) => match served.iter().any(|(known, _)| *known == run) {
                true => Ok(Some(run)),
                false => Err(Refused::OtherRun(run)),
            },
        }
    }

    /// Opens a gathering.
    ///
    /// # Errors
    /// `Over`, or `Twice`.
    pub fn begin(&self, name: &str, run: Option<RunId>) -> Result<GatheringId, Refused> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Refused::Over);
        }
        let known = |it: &Gathering| it.run == run && it.name == name;
        if state.gatherings.iter().any(known) {
            return Err(Refused::Twice(name.to_owned()));
        }
        if state.gatherings.len() >= limits::MAX_ONCE_EFFECTS {
            return Err(Refused::TooMuch);
        }
        state.drawn += 1;
        let id = GatheringId(state.drawn);
        state.gatherings.push(Gathering {
            id,
            name: name.to_owned(),
            run,
            stage: Stage::Open,
            transaction: None,
            effects: Vec::new(),
        });
        Ok(id)
    }

    /// A transaction belongs to it from now on.
    ///
    /// # Errors
    /// `NotOpen`.
    pub fn attach(&self, id: GatheringId, transaction: Transaction) -> Result<(), Refused> {
        let mut state = self.state.lock();
        state.open(id)?.transaction = Some(transaction);
        Ok(())
    }

    /// What causes the effects of a gathering, and whether it has a transaction.
    ///
    /// # Errors
    /// `NotOpen`.
    pub fn look(&self, id: GatheringId) -> Result<(Lineage, bool), Refused> {
        let mut state = self.state.lock();
        let gathering = state.open(id)?;
        let run = gathering.run;
        let cause = self.served.iter().find(|(known, _)| Some(*known) == run);
        let cause = cause.map_or(self.cause, |(_, cause)| *cause);
        Ok((cause, gathering.transaction.is_some()))
    }

    /// Adds effects.
    ///
    /// # Errors
    /// `NotOpen`, or `TooMuch`; then none of them is added.
    pub fn add(&self, id: GatheringId, effects: Vec<Effect>) -> Result<(), Refused> {
        let mut state = self.state.lock();
        state.open(id)?;
        let known = || state.gatherings.iter().flat_map(|it| &it.effects);
        let count = known().count() + effects.len();
        let bytes: usize = known().chain(&effects).map(Effect::bytes).sum();
        if count > limits::MAX_ONCE_EFFECTS || bytes as u64 > limits::MAX_BODY {
            return Err(Refused::TooMuch);
        }
        state.open(id)?.effects.extend(effects);
        Ok(())
    }

    /// It is being committed: `read` sees what it has.
    ///
    /// # Errors
    /// `NotOpen`.
    pub fn commit<T>(
        &self,
        id: GatheringId,
        read: impl FnOnce(Gathered<'_>) -> T,
    ) -> Result<T, Refused> {
        let mut state = self.state.lock();
        let gathering = state.open(id)?;
        gathering.stage = Stage::Committing;
        Ok(read(Gathered {
            transaction: gathering.transaction.take(),
            effects: &gathering.effects,
        }))
    }

    /// It is committed: its effects apply with the success of its delivery.
    pub fn committed(&self, id: GatheringId) {
        let mut state = self.state.lock();
        let found = state.gatherings.iter_mut().find(|it| it.id == id);
        if let Some(gathering) = found {
            gathering.stage = Stage::Committed;
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// It is given up; replies its transaction, if that is still open.
    pub fn abort(&self, id: GatheringId) -> Option<Transaction> {
        self.remove(id).and_then(|gathering| gathering.transaction)
    }

    /// Its effects are applied by whoever calls this: there is no delivery to settle.
    pub fn take_one(&self, id: GatheringId) -> Effects {
        let gathering = self.remove(id);
        gathering.into_iter().flat_map(|it| it.effects).collect()
    }

    fn remove(&self, id: GatheringId) -> Option<Gathering> {
        let mut state = self.state.lock();
        let place = state.gatherings.iter().position(|it| it.id == id)?;
        let gathering = state.gatherings.remove(place);
        drop(state);
        self.changed.notify_waiters();
        Some(gathering)
    }

    /// Whether a transaction belongs to one of its gatherings.
    pub fn owns(&self, tx: TxId) -> bool {
        let state = self.state.lock();
        let mut transactions = state
            .gatherings
            .iter()
            .filter_map(|it| it.transaction.as_ref());
        transactions.any(|transaction| transaction.tx == tx)
    }

    /// Nothing more is gathered, and what is open is aborted.
    pub(super) fn close(&self) {
        self.over.cancel();
        let mut state = self.state.lock();
        state.closed = true;
        let open = |gathering: &mut Gathering| gathering.stage == Stage::Open;
        let aborted: Vec<Gathering> = state.gatherings.extract_if(.., open).collect();
        drop(state);
        // Only now: bytes of objects are removed with it.
        drop(aborted);
    }

    pub(super) async fn certain(&self) -> Result<(), Unsettled> {
        self.close();
        let certain = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                let pending = {
                    let state = self.state.lock();
                    let mut stages = state.gatherings.iter().map(|it| it.stage);
                    stages.any(|stage| stage == Stage::Committing)
                };
                if !pending {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(limits::ONCE_PATIENCE, certain)
            .await
            .map_err(|_| Unsettled)
    }

    pub(super) fn take(&self, run: RunId) -> Effects {
        let mut state = self.state.lock();
        let of_run = |it: &mut Gathering| it.run == Some(run) && it.stage == Stage::Committed;
        let taken: Vec<Gathering> = state.gatherings.extract_if(.., of_run).collect();
        drop(state);
        taken.into_iter().flat_map(|it| it.effects).collect()
    }

    pub(super) fn clear(&self) {
        self.over.cancel();
        let mut state = self.state.lock();
        state.closed = true;
        let rest = std::mem::take(&mut state.gatherings);
        drop(state);
        drop(rest);
    }
}

impl State {
    fn open(&mut self, id: GatheringId) -> Result<&mut Gathering, Refused> {
        let found = self.gatherings.iter_mut().find(|it| it.id == id);
        found
            .filter(|gathering| gathering.stage == Stage::Open)
            .ok_or(Refused::NotOpen)
    }
}
