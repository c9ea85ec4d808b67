//! The gates of all triggers: what their rules remember between one start and the next.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use parking_lot::Mutex;
use wakeful_core::{
    flow::{Flow, Gate, Hold, Outcome, Plan, Turn, Unpark},
    id::RunId,
    name::{FunctionName, TriggerId},
    port::{Delivery, Intervention, Keys, Parked, Pause, StoreError, Transaction},
    time::Timestamp,
};

use super::Inner;
use crate::live::Live;

/// The gate of one trigger.
pub(super) type Cell = Arc<Mutex<Gate>>;

/// All gates, and the pauses that concern them.
pub(super) struct Gates {
    /// When the server started.
    began: Timestamp,
    all: Mutex<HashMap<TriggerId, Cell>>,
    pauses: Mutex<Vec<Pause>>,
    /// Held from reading the pauses until all gates know them, so that nobody tells older ones.
    reading: tokio::sync::Mutex<()>,
    /// The concurrency limits that the store was told of.
    limits: Mutex<HashMap<TriggerId, Option<u32>>>,
}

/// What was taken from a gate for one start. Dropped before user code was started, it gives back
/// what it took.
pub(super) struct Taken {
    gate: Cell,
    runs: Vec<(RunId, Keys)>,
    started: bool,
}

/// A trigger whose limit the store was not told of.
struct Untold {
    trigger: TriggerId,
    flow: Arc<Flow>,
    /// It was not there before, as far as this server knows.
    new: bool,
}

impl Untold {
    fn limit(&self) -> Option<u32> {
        (self.flow.concurrency.as_ref()).map(|rule| rule.limit)
    }
}

impl Taken {
    /// User code is started: from now on the gate waits to hear how it ends.
    pub(super) const fn started(&mut self) {
        self.started = true;
    }

    /// Of a batch only these could be claimed: the others are not in flight, while the start
    /// still counts.
    pub(super) fn only(&mut self, claimed: &HashSet<RunId>, now: Timestamp) {
        let gone = (self.runs).extract_if(.., |(run, _)| !claimed.contains(run));
        let mut gate = self.gate.lock();
        for (run, keys) in gone {
            // It was no probe, which is never in a batch, so that nothing turns.
            gate.ended(run, &keys, Outcome::Free, now);
        }
    }

    /// An attempt of one of its runs ended.
    pub(super) fn ended(&self, delivery: &Delivery, outcome: Outcome, now: Timestamp) -> Vec<Turn> {
        self.gate
            .lock()
            .ended(delivery.id, &delivery.keys, outcome, now)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.started {
            let mut gate = self.gate.lock();
            for (run, _) in &self.runs {
                gate.give_back(*run);
            }
        }
    }
}

impl Gates {
    pub(super) fn new(began: Timestamp) -> Self {
        Self {
            began,
            all: Mutex::default(),
            pauses: Mutex::default(),
            reading: tokio::sync::Mutex::default(),
            limits: Mutex::default(),
        }
    }

    /// The gate of a trigger whose rules are `flow`.
    pub(super) fn of(&self, trigger: &TriggerId, flow: &Arc<Flow>) -> Cell {
        let mut all = self.all.lock();
        if let Some(gate) = all.get(trigger) {
            return Arc::clone(gate);
        }
        let mut gate = Gate::new(Arc::clone(flow), self.began);
        let (whole, keys) = self.pauses_of(trigger);
        gate.set_pauses(whole, keys);
        let gate = Arc::new(Mutex::new(gate));
        all.insert(trigger.clone(), Arc::clone(&gate));
        gate
    }

    /// The rules of a new version; gates of triggers that are gone are dropped. Replies what
    /// follows for each.
    fn reload(&self, live: &Live) -> Vec<(TriggerId, Vec<Turn>)> {
        let mut follows = Vec::new();
        self.all.lock().retain(|trigger, gate| {
            let duty = function_of(trigger).and_then(|function| live.duty(&function, trigger));
            if let Some((_, duty)) = &duty {
                let turns = gate.lock().set_flow(Arc::clone(&duty.flow));
                follows.push((trigger.clone(), turns));
            }
            duty.is_some()
        });
        follows
    }

    /// The pause of the whole trigger, if any, and those of its keys.
    fn pauses_of(&self, trigger: &TriggerId) -> (Option<Pause>, Vec<Pause>) {
        let pauses = self.pauses.lock();
        let concerns = |pause: &&Pause| match &pause.trigger {
            Some(paused) => paused == trigger,
            None => function_of(trigger).as_ref() == Some(&pause.function),
        };
        let concerned: Vec<&Pause> = pauses.iter().filter(concerns).collect();
        let whole = concerned.iter().find(|pause| pause.key.is_none());
        let keys = concerned.iter().filter(|pause| pause.key.is_some());
        (
            whole.map(|pause| Pause::clone(pause)),
            keys.map(|pause| Pause::clone(pause)).collect(),
        )
    }

    /// Tells all gates of the pauses as they are now; replies what follows for each.
    fn set_pauses(&self, pauses: Vec<Pause>) -> Vec<(TriggerId, Vec<Turn>)> {
        *self.pauses.lock() = pauses;
        let all: Vec<_> = (self.all.lock().iter())
            .map(|(trigger, gate)| (trigger.clone(), Arc::clone(gate)))
            .collect();
        let told = all.into_iter().map(|(trigger, gate)| {
            let (whole, keys) = self.pauses_of(&trigger);
            let turns = gate.lock().set_pauses(whole, keys);
            (trigger, turns)
        });
        told.collect()
    }

    /// The triggers whose concurrency limit the store has not been told of. One that was gone for
    /// a while is new again: its gate was dropped with all that it knew.
    fn untold(&self, live: &Live) -> Vec<Untold> {
        let mut told = self.limits.lock();
        let ruled: HashMap<_, _> = (live.ruled())
            .map(|(trigger, _, flow)| (trigger, flow))
            .collect();
        told.retain(|trigger, _| ruled.contains_key(trigger));
        let one = |(trigger, flow): (TriggerId, &Arc<Flow>)| {
            let before = told.get(&trigger).copied();
            let found = Untold {
                new: before.is_none(),
                flow: Arc::clone(flow),
                trigger,
            };
            (before != Some(found.limit())).then_some(found)
        };
        ruled.into_iter().filter_map(one).collect()
    }

    /// The store was told of these.
    fn told(&self, untold: Vec<Untold>) {
        let limits = untold.into_iter().map(|one| {
            let limit = one.limit();
            (one.trigger, limit)
        });
        self.limits.lock().extend(limits);
    }

    /// The triggers of a function that have a gate.
    fn of_function(&self, function: &FunctionName) -> Vec<TriggerId> {
        let all = self.all.lock();
        let of_it = |trigger: &&TriggerId| function_of(trigger).as_ref() == Some(function);
        all.keys().filter(of_it).cloned().collect()
    }
}

/// The function that owns a trigger: the first part of its identity.
pub(super) fn function_of(trigger: &TriggerId) -> Option<FunctionName> {
    trigger.as_str().split('/').next()?.parse().ok()
}

impl Inner {
    /// Takes for a start what the rules ask for; `None` when it may not start now.
    pub(super) fn take(
        &self,
        trigger: &TriggerId,
        flow: &Arc<Flow>,
        starts: &[(RunId, &Keys)],
    ) -> Option<Taken> {
        let gate = self.gates.of(trigger, flow);
        gate.lock().take(starts, self.now()).ok()?;
        Some(Taken {
            gate,
            runs: (starts.iter())
                .map(|(run, keys)| (*run, Keys::clone(keys)))
                .collect(),
            started: false,
        })
    }

    /// How many heads to read for a plan.
    pub(super) fn page(&self, trigger: &TriggerId, flow: &Arc<Flow>) -> usize {
        let gate = self.gates.of(trigger, flow);
        gate.lock().page()
    }

    /// An `unpark` of one delivery of this key found none.
    pub(super) fn none_parked(&self, trigger: &TriggerId, flow: &Arc<Flow>, key: &str) {
        let gate = self.gates.of(trigger, flow);
        gate.lock().none_parked(key);
    }

    /// What follows once the heads that a plan parks are parked: what they were parked for may be
    /// over by now.
    pub(super) fn put_aside(
        &self,
        trigger: &TriggerId,
        flow: &Arc<Flow>,
        plan: &Plan,
    ) -> Vec<Turn> {
        let gate = self.gates.of(trigger, flow);
        gate.lock().put_aside(plan)
    }

    /// What is to be done with these ready heads.
    pub(super) fn plan(&self, trigger: &TriggerId, flow: &Arc<Flow>, heads: &[Delivery]) -> Plan {
        let gate = self.gates.of(trigger, flow);
        gate.lock().plan(heads, self.now())
    }

    /// Why deliveries of a trigger are held by its rules.
    pub(super) fn holds(&self, trigger: &TriggerId) -> Vec<Hold> {
        let Some(function) = function_of(trigger) else {
            return Vec::new();
        };
        let Some((_, duty)) = self.parts.live.load().duty(&function, trigger) else {
            return Vec::new();
        };
        let gate = self.gates.of(trigger, &duty.flow);
        gate.lock().holds(self.now())
    }

    /// Learns what is paused, and tells the store of limits; before anything is fed, and after
    /// each reload. Breakers are closed when the server starts, so nothing is parked for them.
    pub(super) async fn regate(self: &Arc<Self>) -> Result<(), StoreError> {
        let live = Arc::clone(&self.parts.live.load());
        for (trigger, turns) in self.gates.reload(&live) {
            self.follow(&trigger, turns).await;
        }
        self.read_pauses().await?;
        let untold = self.gates.untold(&live);
        let mut changes = Vec::new();
        for one in &untold {
            if one.new {
                let turns = self.gates.of(&one.trigger, &one.flow).lock().begin();
                let unpark = |turn| self.to_unpark(&one.trigger, turn);
                changes.extend(turns.into_iter().filter_map(unpark));
            }
            changes.push(Intervention::Limit {
                scope: self.parts.scope.clone(),
                trigger: one.trigger.clone(),
                limit: one.limit(),
            });
        }
        if !changes.is_empty() {
            self.intervene(changes).await?;
        }
        self.gates.told(untold);
        Ok(())
    }

    async fn read_pauses(self: &Arc<Self>) -> Result<(), StoreError> {
        let reading = self.gates.reading.lock().await;
        let pauses = self.parts.store.pauses().await?;
        let ours = (pauses.into_iter()).filter(|pause| pause.scope == self.parts.scope);
        let turns = self.gates.set_pauses(ours.collect());
        drop(reading);
        for (trigger, turns) in turns {
            self.follow(&trigger, turns).await;
        }
        Ok(())
    }

    /// Pauses or resumes something; on disk when this replies.
    pub(super) async fn set_pause(
        self: &Arc<Self>,
        pause: Pause,
        begins: bool,
    ) -> Result<(), StoreError> {
        let live = Arc::clone(&self.parts.live.load());
        let concerned: Vec<_> = (live.ruled())
            .filter(|(_, function, _)| **function == pause.function)
            .collect();
        for (trigger, _, flow) in &concerned {
            // It must be there to see the difference.
            self.gates.of(trigger, flow);
        }
        // What a pause held goes on together with its end: a crash in between would leave it held.
        let concerns = |trigger: &TriggerId| {
            let only = pause.trigger.as_ref();
            !begins && only.is_none_or(|paused| paused == trigger)
        };
        let released = concerned.iter().filter_map(|(trigger, ..)| {
            let key = pause.key.clone().filter(|_| concerns(trigger))?;
            let unpark = Unpark::all(Parked::Pause, Some(key));
            self.to_unpark(trigger, Turn::Unpark(unpark))
        });
        let interventions = released.collect();
        let function = pause.function.clone();
        let transaction = Transaction {
            interventions,
            pauses: vec![(pause, begins)],
            ..Transaction::default()
        };
        self.parts.store.commit(transaction).await?;
        self.read_pauses().await?;
        // Those of outcomes that are sent are paused with their function too.
        for trigger in self.gates.of_function(&function) {
            self.feed(&trigger);
        }
        Ok(())
    }

    /// What a turn asks of the store, if anything.
    fn to_unpark(&self, trigger: &TriggerId, turn: Turn) -> Option<Intervention> {
        let Turn::Unpark(unpark) = turn else {
            return None;
        };
        let scope = self.parts.scope.clone();
        Some(unpark.intervention(scope, trigger.clone(), self.now()))
    }

    /// Does what follows when a gate opens or closes.
    pub(super) async fn follow(self: &Arc<Self>, trigger: &TriggerId, turns: Vec<Turn>) {
        for turn in turns {
            match turn {
                Turn::Opened {
                    key,
                    until,
                    failures,
                } => {
                    tracing::warn!(%trigger, key, %until, failures,
                        "the breaker is open: what is owed waits, one delivery is tried then");
                    self.feed(trigger);
                }
                Turn::Closed { key } => {
                    tracing::info!(%trigger, key, "the breaker is closed: what waited goes on");
                    self.feed(trigger);
                }
                Turn::Unpark(unpark) => {
                    self.unpark(trigger, unpark).await;
                }
            }
        }
    }

    /// Makes parked deliveries ready; replies how many, as far as that is known at once.
    pub(super) async fn unpark(self: &Arc<Self>, trigger: &TriggerId, unpark: Unpark) -> usize {
        let scope = self.parts.scope.clone();
        let transaction = Transaction {
            interventions: vec![unpark.intervention(scope, trigger.clone(), self.now())],
            ..Transaction::default()
        };
        match self.insist(transaction).await {
            Ok(committed) => {
                self.feed(trigger);
                committed.intervened.len()
            }
            Err(error) => {
                tracing::error!(%trigger, %error, "parked deliveries could not be released");
                0
            }
        }
    }
}
