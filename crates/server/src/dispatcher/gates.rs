//! The gates of all triggers: what their rules remember between one start and the next.

use std::{collections::HashMap, sync::Arc};

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
    /// The concurrency limits that the store was told of.
    limits: Mutex<HashMap<TriggerId, Option<u32>>>,
}

/// What was taken from a gate for one start. Dropped before user code was started, it gives back
/// what it took.
pub(super) struct Taken {
    gate: Cell,
    runs: Vec<RunId>,
    started: bool,
}

impl Taken {
    /// User code is started: from now on the gate waits to hear how it ends.
    pub(super) const fn started(&mut self) {
        self.started = true;
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
            for run in &self.runs {
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

    /// The triggers whose concurrency limit the store has not been told of, and whether they are
    /// new to this server.
    fn changed_limits(&self, live: &Live) -> Vec<(TriggerId, Option<u32>, bool)> {
        let mut told = self.limits.lock();
        let mut changed = Vec::new();
        for trigger in live.triggers.iter() {
            let limit = trigger.flow.concurrency.as_ref().map(|rule| rule.limit);
            let before = told.insert(trigger.id.clone(), limit);
            if before != Some(limit) {
                changed.push((trigger.id.clone(), limit, before.is_none()));
            }
        }
        changed
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
            runs: starts.iter().map(|(run, _)| *run).collect(),
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
        let mut changes = Vec::new();
        for (trigger, limit, new) in self.gates.changed_limits(&live) {
            if new && let Some(found) = live.triggers.get(&trigger) {
                let turns = self.gates.of(&trigger, &found.flow).lock().begin();
                changes.extend(
                    turns
                        .into_iter()
                        .filter_map(|turn| self.to_unpark(&trigger, turn)),
                );
            }
            changes.push(Intervention::Limit {
                scope: self.parts.scope.clone(),
                trigger,
                limit,
            });
        }
        if !changes.is_empty() {
            self.intervene(changes).await?;
        }
        Ok(())
    }

    async fn read_pauses(self: &Arc<Self>) -> Result<(), StoreError> {
        let pauses = self.parts.store.pauses().await?;
        let ours = (pauses.into_iter()).filter(|pause| pause.scope == self.parts.scope);
        for (trigger, turns) in self.gates.set_pauses(ours.collect()) {
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
        let concerned: Vec<_> = (live.triggers.iter())
            .filter(|trigger| trigger.function == pause.function)
            .collect();
        for trigger in &concerned {
            // It must be there to see the difference.
            self.gates.of(&trigger.id, &trigger.flow);
        }
        // What a pause held goes on together with its end: a crash in between would leave it held.
        let released = concerned.iter().filter(|trigger| {
            !begins
                && pause
                    .trigger
                    .as_ref()
                    .is_none_or(|paused| *paused == trigger.id)
        });
        let released = released.filter_map(|trigger| {
            let unpark = Unpark::all(Parked::Pause, Some(pause.key.clone()?));
            self.to_unpark(&trigger.id, Turn::Unpark(unpark))
        });
        let transaction = Transaction {
            interventions: released.collect(),
            pauses: vec![(pause, begins)],
            ..Transaction::default()
        };
        self.parts.store.commit(transaction).await?;
        self.read_pauses().await?;
        for trigger in concerned {
            self.feed(&trigger.id);
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
