//! Feeding the backlog of one trigger, as `dispatcher::feeder` does.

use std::{collections::BTreeMap, sync::Arc};

use wakeful_core::{
    event::Event,
    flow::{Plan, Start},
    id::RunId,
    port::{Delivery, ExpiredQuery, Intervention, Keys, Parked, ReadyQuery, Store, Transaction},
    time::Timestamp,
};

use super::{Happening, World, places::Place};
use crate::{
    disk::{Around, Gone, now},
    mutation::Mutation,
};

/// The wait before a failed change of the store is tried again, milliseconds.
const PAUSE: i64 = 1000;
/// A feeder looks at its queue at least this often.
const LONGEST_SLEEP: i64 = 60_000;

/// Somebody who looks at a queue.
#[derive(Debug, Default)]
pub(super) struct Feeder {
    stage: Stage,
    asked: u64,
    /// Of its timers only the last one counts.
    token: u64,
    behind: Option<(Timestamp, RunId)>,
}

#[derive(Debug, Default)]
enum Stage {
    /// It will look.
    #[default]
    Look,
    Sleep,
    /// It waits for a place for these, which were planned then.
    Wait(Vec<Start>, Vec<Delivery>, Timestamp),
    /// What it does to the store is on its way.
    Away,
}

/// What it does next.
enum Then {
    Look,
    Pause(i64),
    Sleep(Timestamp),
    Wait(Vec<Start>, Vec<Delivery>, Timestamp),
    Tidy(Box<Plan>),
    Claim(Vec<Ready>),
    End,
}

/// What is about to be claimed for one start.
#[derive(Debug)]
pub(super) struct Ready {
    runs: Vec<RunId>,
    place: Place,
}

/// A claim on its way to the disk.
#[derive(Debug)]
pub(super) struct Claiming {
    trigger: usize,
    ready: Vec<Ready>,
}

impl World {
    /// Sees to it that somebody looks at the queue.
    pub(super) fn feed(&mut self, trigger: usize) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let feeder = server.feeders.entry(trigger);
        let new = matches!(feeder, std::collections::btree_map::Entry::Vacant(_));
        let feeder = feeder.or_default();
        feeder.asked += 1;
        if new || matches!(feeder.stage, Stage::Sleep) {
            feeder.stage = Stage::Look;
            let hop = self.hop();
            self.wake_feeder(trigger, hop);
        }
    }

    fn wake_feeder(&mut self, trigger: usize, after: i64) {
        let Some(feeder) = self.feeder(trigger) else {
            return;
        };
        feeder.token += 1;
        let token = feeder.token;
        self.soon(after, Happening::Feed { trigger, token });
    }

    fn feeder(&mut self, trigger: usize) -> Option<&mut Feeder> {
        self.server.as_mut()?.feeders.get_mut(&trigger)
    }

    /// A place became free.
    pub(super) fn place_is_free(&mut self, trigger: usize) {
        let waits = self
            .feeder(trigger)
            .is_some_and(|feeder| matches!(feeder.stage, Stage::Wait(..)));
        if waits {
            self.wake_feeder(trigger, 0);
        }
    }

    pub(super) fn feeder_goes_on(&mut self, trigger: usize, token: u64) {
        let Some(feeder) = self.feeder(trigger).filter(|feeder| feeder.token == token) else {
            return;
        };
        let asked = feeder.asked;
        let then = match std::mem::take(&mut feeder.stage) {
            Stage::Look | Stage::Sleep => self.step(trigger),
            // The rules may say otherwise by now: the gate is asked again before the claim.
            Stage::Wait(starts, heads, then) => self.serve(trigger, starts, heads, then),
            Stage::Away => return,
        };
        self.then(trigger, then, asked);
    }

    fn then(&mut self, trigger: usize, then: Then, asked: u64) {
        let wall = self.wall();
        let hop = self.hop();
        let Some(feeder) = self.feeder(trigger) else {
            return;
        };
        match then {
            Then::Look => {
                feeder.stage = Stage::Look;
                self.wake_feeder(trigger, hop);
            }
            Then::Pause(pause) => {
                feeder.stage = Stage::Look;
                self.wake_feeder(trigger, pause);
            }
            Then::Sleep(_) | Then::End if feeder.asked != asked => {
                feeder.stage = Stage::Look;
                self.wake_feeder(trigger, 0);
            }
            Then::Sleep(until) => {
                feeder.stage = Stage::Sleep;
                let sleep = super::ms(until.since(wall)).min(LONGEST_SLEEP);
                self.wake_feeder(trigger, sleep);
            }
            Then::Wait(starts, heads, then) => {
                feeder.stage = Stage::Wait(starts, heads, then);
                self.trace.count("waits for a place");
            }
            Then::Tidy(plan) => {
                feeder.stage = Stage::Away;
                self.soon(hop, Happening::Tidy(trigger, plan));
            }
            Then::Claim(ready) => {
                feeder.stage = Stage::Away;
                let claiming = Claiming { trigger, ready };
                self.soon(hop, Happening::Claim(Box::new(claiming)));
            }
            Then::End => {
                if let Some(server) = self.server.as_mut() {
                    server.feeders.remove(&trigger);
                }
            }
        }
    }

    fn step(&mut self, trigger: usize) -> Then {
        let spec = self.spec(trigger).clone();
        let page = self.gate(trigger).map_or(0, |gate| gate.page());
        let after = self.feeder(trigger).and_then(|feeder| feeder.behind.take());
        let query = ReadyQuery {
            scope: self.scenario.scope.clone(),
            trigger: spec.trigger.clone(),
            now: Timestamp::from_millis(i64::MAX),
            after,
            limit: page,
        };
        let mut around = Around {
            dice: &mut self.dice,
            model: &mut self.model,
            trace: &mut self.trace,
        };
        let Ok(mut heads) = self.disk.ready(query, &mut around) else {
            return Then::Pause(PAUSE);
        };
        let wall = self.wall();
        let ready = heads.partition_point(|head| head.ready_at <= wall);
        let next = heads.get(ready).map(|head| head.ready_at);
        heads.truncate(ready);
        let Some(gate) = self.gate(trigger) else {
            return Then::End;
        };
        let mut plan = gate.plan(&heads, wall);
        self.mutate(trigger, &mut plan, &heads);
        self.count_plan(&plan);
        if !plan
            .interventions(&self.scenario.scope, &spec.trigger, wall)
            .is_empty()
        {
            return Then::Tidy(Box::new(plan));
        }
        if !plan.starts.is_empty() {
            return self.serve(trigger, plan.starts, heads, wall);
        }
        if heads.len() == page && !plan.stopped {
            let behind = heads.last().map(|head| (head.ready_at, head.id));
            if let Some(feeder) = self.feeder(trigger) {
                feeder.behind = behind;
            }
            return Then::Look;
        }
        match [plan.look_again, next].into_iter().flatten().min() {
            Some(time) => Then::Sleep(time),
            None if heads.is_empty() => Then::End,
            None => Then::Sleep(wall.plus(std::time::Duration::from_secs(60))),
        }
    }

    /// Breaks the rules, when that is what is asked for.
    fn mutate(&mut self, trigger: usize, plan: &mut Plan, heads: &[Delivery]) {
        let open = |gate: &mut wakeful_core::flow::Gate, at| {
            let holds = gate.holds(at);
            holds
                .iter()
                .any(|hold| matches!(hold, wakeful_core::flow::Hold::Breaker { .. }))
        };
        let wall = self.wall();
        let holds_open =
            self.mutation.is_some() && self.gate(trigger).is_some_and(|gate| open(gate, wall));
        let alone = |head: &Delivery| Start {
            runs: vec![head.id],
            alone: head.alone,
        };
        match self.mutation {
            Some(Mutation::BreakerNeverProbes) if holds_open => {
                plan.starts.clear();
                plan.unpark.clear();
                plan.stopped = true;
            }
            Some(Mutation::BreakerLetsAllThrough) => {
                let parked = std::mem::take(&mut plan.parked);
                let parked = parked.iter().filter(|(_, why, _)| *why == Parked::Breaker);
                for (run, ..) in parked {
                    plan.starts
                        .extend(heads.iter().find(|head| head.id == *run).map(alone));
                }
            }
            Some(Mutation::RateIgnoresRetries) => {
                let retried = |run: &RunId| {
                    let head = heads.iter().find(|head| head.id == *run)?;
                    (head.starts > 0).then(|| alone(head))
                };
                let deferred = std::mem::take(&mut plan.deferred);
                for (run, until) in deferred {
                    match retried(&run) {
                        Some(start) => plan.starts.push(start),
                        None => plan.deferred.push((run, until)),
                    }
                }
            }
            Some(Mutation::BatchTooLarge) => {
                let all: Vec<Start> = std::mem::take(&mut plan.starts);
                let (batches, single): (Vec<Start>, Vec<Start>) =
                    all.into_iter().partition(|start| start.runs.len() > 1);
                plan.starts.extend(single);
                for pair in batches.chunks(2) {
                    let runs = pair.iter().flat_map(|start| start.runs.iter().copied());
                    plan.starts.push(Start {
                        runs: runs.collect(),
                        alone: false,
                    });
                }
            }
            _ => {}
        }
    }

    /// Puts aside what cannot be started now, some time after that was found out.
    pub(super) fn tidied(&mut self, trigger: usize, plan: Plan) {
        let (wall, scope) = (self.wall(), self.scenario.scope.clone());
        let spec = self.spec(trigger).trigger.clone();
        let aside = Plan {
            unpark: Vec::new(),
            ..plan.clone()
        };
        let transaction = Transaction {
            interventions: aside.interventions(&scope, &spec, wall),
            ..Transaction::default()
        };
        let asked = self.feeder(trigger).map_or(0, |feeder| feeder.asked);
        let Ok(committed) = self.commit(transaction) else {
            return self.then(trigger, Then::Pause(PAUSE), asked);
        };
        let names = self.names(&committed.intervened);
        self.line(format_args!("put aside: {names}"));
        self.fed_by(&committed);
        let turns = self.gate(trigger).map(|gate| gate.put_aside(&plan));
        let turns = turns.filter(|_| self.mutation != Some(Mutation::ForgetsLateParks));
        let turns = turns.unwrap_or_default();
        if !turns.is_empty() {
            self.trace.count("parked too late");
            self.turn(trigger, turns);
        }
        for unpark in plan.unpark {
            let transaction = Transaction {
                interventions: vec![self.unpark(trigger, unpark)],
                ..Transaction::default()
            };
            self.trace.count("probe asked for");
            self.insist(transaction, trigger, 100);
        }
        self.then(trigger, Then::Look, asked);
    }

    fn count_plan(&mut self, plan: &Plan) {
        let things = [
            ("expired while ready", !plan.expired.is_empty()),
            ("deferred for its rate", !plan.deferred.is_empty()),
            (
                "parked by a breaker",
                plan.parked
                    .iter()
                    .any(|(_, why, _)| *why == Parked::Breaker),
            ),
            (
                "parked by a pause",
                plan.parked.iter().any(|(_, why, _)| *why == Parked::Pause),
            ),
            ("the whole trigger stopped", plan.stopped),
        ];
        for (what, _) in things.iter().filter(|(_, happened)| *happened) {
            self.trace.count(what);
        }
    }

    /// Takes places and tokens for as many as there are.
    fn serve(
        &mut self,
        trigger: usize,
        starts: Vec<Start>,
        heads: Vec<Delivery>,
        planned: Timestamp,
    ) -> Then {
        if self.broken_code[trigger] {
            self.trace.count("held: the code is known not to load");
            let earliest = heads.iter().map(|head| head.expires_at).min();
            return earliest.map_or(Then::Look, Then::Sleep);
        }
        if !self.calm && self.dice.chance(self.scenario.faults.worker / 8) {
            self.trace.count("no worker could be started");
            return Then::Pause(PAUSE);
        }
        let (wall, steady) = (self.wall(), self.steady);
        let known: BTreeMap<RunId, &Delivery> = heads.iter().map(|head| (head.id, head)).collect();
        let mut ready = Vec::new();
        let mut waits = Vec::new();
        let mut starts = starts.into_iter();
        for start in starts.by_ref() {
            let Some(server) = self.server.as_mut() else {
                return Then::End;
            };
            let Some(place) = server.pools[trigger].reserve(start.alone) else {
                waits.push(start);
                break;
            };
            let of: Vec<&Delivery> = start
                .runs
                .iter()
                .filter_map(|run| known.get(run).copied())
                .collect();
            let keys: Vec<(RunId, &Keys)> = of.iter().map(|head| (head.id, &head.keys)).collect();
            let bold = matches!(
                self.mutation,
                Some(Mutation::RateIgnoresRetries | Mutation::BreakerLetsAllThrough)
            );
            let bold = bold
                && (self.mutation == Some(Mutation::BreakerLetsAllThrough)
                    || (self.scenario.specs[trigger].flow.breaker.is_none()
                        && self.pauses.is_empty()
                        && heads
                            .iter()
                            .any(|head| head.starts > 0 && start.runs.contains(&head.id))));
            if server.gates[trigger].take(&keys, wall).is_err() && !bold {
                self.trace.count("not now: planned, but not taken");
                server.pools[trigger].leave(place, None);
                return if ready.is_empty() {
                    Then::Look
                } else {
                    Then::Claim(ready)
                };
            }
            // Its time had come when it was planned; the clock may have been set back since.
            let due = wall.max(planned);
            self.model.decided(trigger, &of, start.alone, due, steady);
            ready.push(Ready {
                runs: start.runs,
                place,
            });
            if start.alone {
                break;
            }
        }
        if ready.is_empty() {
            waits.extend(starts);
            return Then::Wait(waits, heads, planned);
        }
        Then::Claim(ready)
    }

    pub(super) fn claim(&mut self, claiming: Claiming) {
        let Claiming { trigger, ready } = claiming;
        let runs: Vec<RunId> = ready
            .iter()
            .flat_map(|one| one.runs.iter().copied())
            .collect();
        let wall = self.wall();
        let mut around = Around {
            dice: &mut self.dice,
            model: &mut self.model,
            trace: &mut self.trace,
        };
        let (found, then) = match self.disk.claim(runs, wall, &mut around) {
            Ok(found) => (found, Then::Look),
            Err(Gone::Crashed) => return self.crash("at a claim"),
            Err(Gone::Refused(error)) => {
                self.refused(&error);
                (Vec::new(), Then::Pause(PAUSE))
            }
        };
        let mut found: BTreeMap<RunId, Delivery> = found
            .into_iter()
            .map(|delivery| (delivery.id, delivery))
            .collect();
        for one in ready {
            let mut deliveries = Vec::new();
            for run in &one.runs {
                let claimed = found.remove(run).or_else(|| self.unclaimed(*run));
                match claimed.and_then(|delivery| Some((self.event_of(&delivery)?, delivery))) {
                    Some((event, delivery)) => deliveries.push((delivery, event)),
                    None => {
                        self.give_back(trigger, *run);
                    }
                }
            }
            if deliveries.is_empty() {
                if let Some(server) = self.server.as_mut() {
                    server.pools[trigger].leave(one.place, None);
                }
            } else {
                self.begin_attempt(trigger, deliveries, one.place);
            }
        }
        let asked = self.feeder(trigger).map_or(0, |feeder| feeder.asked);
        self.then(trigger, then, asked);
    }

    fn give_back(&mut self, trigger: usize, run: RunId) {
        if let Some(gate) = self.gate(trigger) {
            gate.give_back(run);
        }
        self.model.undone(trigger, run);
    }

    /// For `StartsUnclaimed`: as though the store had claimed it.
    fn unclaimed(&self, run: RunId) -> Option<Delivery> {
        (self.mutation == Some(Mutation::StartsUnclaimed))
            .then(|| self.disk.delivery(run))
            .flatten()
    }

    fn event_of(&self, delivery: &Delivery) -> Option<Arc<Event>> {
        now(self.disk.store.event(delivery.event))
            .ok()
            .flatten()
            .map(Arc::new)
    }

    /// What grew too old becomes a dead letter, held or not.
    pub(super) fn expire_all(&mut self) {
        let mut after = None;
        while self.server.is_some() {
            let query = ExpiredQuery {
                now: self.wall(),
                after,
            };
            let Ok(found) = now(self.disk.store.expired(query)) else {
                break;
            };
            let at = self.wall();
            let expire = |one: &Delivery| Intervention::Expire { run: one.id, at };
            let interventions: Vec<_> = found.deliveries.iter().map(expire).collect();
            if !interventions.is_empty() {
                self.trace.count("expired");
                let transaction = Transaction {
                    interventions,
                    ..Transaction::default()
                };
                let Ok(committed) = self.commit(transaction) else {
                    break;
                };
                self.fed_by(&committed);
            }
            match found.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        self.later(if self.calm { 60_000 } else { 10_000 }, Happening::Expire);
    }
}
