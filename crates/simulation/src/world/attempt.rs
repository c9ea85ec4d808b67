//! One attempt, from its place to its settlement, as `dispatcher::attempt` and `settle` do; with
//! what simulated workers do to it.

use std::sync::Arc;

use wakeful_core::{
    delivery::{Charge, Failure, FailureKind, RetryAdvice, settlement},
    event::Event,
    flow::{Flow, Outcome, batch_failures},
    port::{Condition, Delivery, End, Epoch, Settled, Settlement, StoreError, Transaction},
    retry::RetryPolicy,
};

use super::{Happening, World, places::Place, submit::Submission};
use crate::mutation::Mutation;

/// An attempt under way.
#[derive(Debug)]
pub(super) struct Attempt {
    trigger: usize,
    deliveries: Vec<(Delivery, Arc<Event>)>,
    place: Option<Place>,
    worker: usize,
    version: String,
    flow: Arc<Flow>,
    retry: Arc<RetryPolicy>,
    /// How each came out, once it has ended.
    outcomes: Vec<Result<(), Failure>>,
    /// What is to be written down, once that is known: it is the same when it is tried again.
    ends: Vec<End>,
    follows: Option<Submission>,
}

impl Attempt {
    /// What it would settle if it had gone well, unheard.
    pub(super) fn as_succeeded(&self, epoch: Epoch) -> Transaction {
        let settle = |(delivery, _): &(Delivery, Arc<Event>)| Settlement {
            claim: delivery.claim(epoch),
            end: End::Succeeded,
        };
        Transaction {
            settlements: self.deliveries.iter().map(settle).collect(),
            ..Transaction::default()
        }
    }
}

impl World {
    pub(super) fn begin_attempt(
        &mut self,
        trigger: usize,
        deliveries: Vec<(Delivery, Arc<Event>)>,
        place: Place,
    ) {
        let spec = self.spec(trigger).clone();
        let epoch = self.disk.epoch();
        for (delivery, _) in &deliveries {
            self.model
                .code_began(delivery.id, epoch, delivery.starts, &spec.retry);
            if delivery.starts > 1 {
                self.trace.count("tried again");
            }
        }
        self.trace.count("attempt");
        if deliveries.len() > 1 {
            self.trace.count("batch");
        }
        if deliveries.iter().any(|(one, _)| one.alone) {
            self.trace.count("alone");
        }
        let runs: Vec<_> = deliveries.iter().map(|(one, _)| one.id).collect();
        let names = self.names(&runs);
        self.line(format_args!(
            "code of {trigger} begins for {names} on worker {}",
            place.worker
        ));
        self.sent += 1;
        let id = self.sent;
        let takes = 1 + self.dice.below(spec.slow);
        let version = self.version(trigger);
        let Some(server) = self.server.as_mut() else {
            return;
        };
        server.pools[trigger].occupy(place, id);
        let attempt = Attempt {
            trigger,
            deliveries,
            place: Some(place),
            worker: place.worker,
            version,
            flow: spec.flow,
            retry: spec.retry,
            outcomes: Vec::new(),
            ends: Vec::new(),
            follows: None,
        };
        server.attempts.insert(id, attempt);
        let takes = i64::try_from(takes).unwrap_or(1);
        self.soon(takes, Happening::End { attempt: id });
    }

    fn attempt(&self, id: u64) -> Option<&Attempt> {
        self.server.as_ref()?.attempts.get(&id)
    }

    /// User code comes to an end, in one of many ways.
    pub(super) fn code_ends(&mut self, id: u64) {
        let Some(attempt) = self.attempt(id).filter(|one| one.outcomes.is_empty()) else {
            return;
        };
        let (trigger, worker) = (attempt.trigger, attempt.worker);
        let alone = attempt.deliveries.iter().any(|(one, _)| one.alone);
        let dies = self.scenario.faults.worker / 4;
        if !self.calm && self.dice.chance(dies) && !alone {
            return self.worker_of_dies(trigger, worker, Some(id));
        }
        let spec = self.spec(trigger).clone();
        let poison = self.is_poison(id);
        let fails = if self.calm { 0 } else { spec.fails };
        let whole = if self.broken_code[trigger] {
            Some(Failure::ours(FailureKind::Load, "no such module"))
        } else if poison || self.dice.chance(fails) {
            Some(self.failure())
        } else {
            None
        };
        let outcomes = self.outcomes(id, whole);
        self.ended(id, outcomes);
    }

    fn is_poison(&self, id: u64) -> bool {
        let poison = |event: &Event| {
            let text = String::from_utf8_lossy(&event.data);
            text.contains("\"poison\":true")
        };
        self.attempt(id)
            .is_some_and(|one| one.deliveries.iter().any(|(_, event)| poison(event)))
    }

    fn failure(&mut self) -> Failure {
        let kind = *self.dice.pick(&[
            FailureKind::UserError,
            FailureKind::UserError,
            FailureKind::UserError,
            FailureKind::Timeout,
            FailureKind::MissingResponse,
            FailureKind::Interrupted,
        ]);
        // Interruptions are over when it is calm: code that fails, fails with a charge.
        let kind = if self.calm {
            FailureKind::UserError
        } else {
            kind
        };
        let advice = match self.dice.below(12) {
            0 => Some(RetryAdvice::Never),
            1 => Some(RetryAdvice::AfterMs(self.dice.below(3000))),
            _ => None,
        };
        Failure {
            advice: advice.filter(|_| kind == FailureKind::UserError),
            ..Failure::ours(kind, "simulated")
        }
    }

    /// The outcome of each delivery of an attempt.
    fn outcomes(&mut self, id: u64, whole: Option<Failure>) -> Vec<Result<(), Failure>> {
        let Some(attempt) = self.attempt(id) else {
            return Vec::new();
        };
        let count = attempt.deliveries.len();
        let batched = attempt.flow.batch.is_some();
        let all: Vec<_> = (attempt.deliveries.iter())
            .map(|(delivery, event)| (delivery.id, event.id.clone()))
            .collect();
        if let (true, Some(FailureKind::UserError)) = (batched, whole.as_ref().map(|one| one.kind))
        {
            let (result, meant) = self.batch_result(&all);
            let known: Vec<_> = all.iter().map(|(run, id)| (*run, id.as_str())).collect();
            let found = batch_failures(result.as_bytes(), &known).ok();
            let meant_runs = meant.clone();
            self.model.require(found == meant, || {
                format!("{result} means that {meant_runs:?} failed, {found:?} were found")
            });
            let error = || Failure::ours(FailureKind::UserError, "in the batch");
            return all
                .iter()
                .map(|(run, _)| match &meant {
                    Some(failed) if !failed.contains(run) => Ok(()),
                    _ => Err(error()),
                })
                .collect();
        }
        vec![whole.map_or(Ok(()), Err); count]
    }

    /// What a handler returns for its batch, and what it means by that; `None`: nothing can be
    /// made of it, so all failed.
    fn batch_result(
        &mut self,
        batch: &[(wakeful_core::id::RunId, String)],
    ) -> (String, Option<Vec<wakeful_core::id::RunId>>) {
        self.trace.count("batch with failures");
        let failed: Vec<_> = batch.iter().filter(|_| self.dice.chance(400)).collect();
        let mut items: Vec<String> = Vec::new();
        for (run, event) in &failed {
            let id = if self.dice.chance(500) {
                event.clone()
            } else {
                run.to_string()
            };
            items.push(format!("{{\"itemIdentifier\":\"{id}\"}}"));
        }
        let spoilt = self.dice.chance(150);
        if spoilt {
            items.push("{\"itemIdentifier\":\"nobody\"}".to_owned());
        }
        let result = format!("{{\"batchItemFailures\":[{}]}}", items.join(","));
        let same = |run| batch.iter().filter(move |(other, _)| other == run);
        let meant = failed
            .iter()
            .flat_map(|(run, _)| same(run))
            .map(|(run, _)| *run);
        (result, (!spoilt).then(|| meant.collect()))
    }

    /// Some worker dies with all that runs on it.
    pub(super) fn worker_dies(&mut self) {
        let triggers = self.scenario.specs.len() as u64;
        let trigger = usize::try_from(self.dice.below(triggers)).unwrap_or_default();
        let workers = self.spec(trigger).workers as u64;
        let worker = usize::try_from(self.dice.below(workers)).unwrap_or_default();
        if self.server.is_some() && !self.calm {
            self.worker_of_dies(trigger, worker, None);
        }
    }

    /// `culprit` is known to be the cause; nobody: all are suspects, unless there is one only.
    fn worker_of_dies(&mut self, trigger: usize, worker: usize, culprit: Option<u64>) {
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let there = server.pools[trigger].on(worker);
        self.trace.count("worker died");
        self.line(format_args!(
            "worker {worker} of {trigger} dies with {there:?}"
        ));
        let only = there.len() == 1;
        let known = culprit.filter(|_| only || self.dice.chance(600));
        let cause = *self.dice.pick(&[
            FailureKind::Crash,
            FailureKind::OutOfMemory,
            FailureKind::BlockedLoop,
        ]);
        for id in there {
            let kind = match known {
                Some(culprit) if culprit == id => cause,
                Some(_) => FailureKind::Bystander,
                None if only => cause,
                None => FailureKind::Suspect,
            };
            self.trace.count(kind.as_str());
            let Some(attempt) = self.attempt(id).filter(|one| one.outcomes.is_empty()) else {
                continue;
            };
            let outcomes = attempt.deliveries.iter();
            let outcomes = outcomes
                .map(|_| Err(Failure::ours(kind, "the worker died")))
                .collect();
            self.ended(id, outcomes);
        }
    }

    /// User code ended like this: its place is free, the settlement is next.
    fn ended(&mut self, id: u64, outcomes: Vec<Result<(), Failure>>) {
        let epoch = self.disk.epoch();
        let Some(server) = self.server.as_mut() else {
            return;
        };
        let Some(attempt) = server.attempts.get_mut(&id) else {
            return;
        };
        attempt.outcomes = outcomes;
        let trigger = attempt.trigger;
        if let Some(place) = attempt.place.take() {
            server.pools[trigger].leave(place, Some(id));
        }
        let mut words = Vec::new();
        for ((delivery, _), outcome) in attempt.deliveries.iter().zip(&attempt.outcomes) {
            let how = outcome.as_ref().copied().map_err(|failure| failure.kind);
            self.model
                .code_ended(delivery.id, epoch, delivery.starts, how);
            let name = self.model.name(delivery.id);
            let word = how.map_or_else(FailureKind::as_str, |()| "well");
            self.trace.count(word);
            words.push(format!("{name} {word}"));
        }
        let words = words.join(", ");
        self.line(format_args!("code ended: {words}"));
        self.verdict(id);
        let hop = self.hop();
        self.soon(
            hop,
            Happening::Settle {
                attempt: id,
                pause: 100,
            },
        );
        self.place_is_free(trigger);
    }

    /// What the outcomes mean, by the rules of `core::delivery`, and who is to be told.
    fn verdict(&mut self, id: u64) {
        let wall = self.wall();
        let mutation = self.mutation;
        let Some(attempt) = self
            .server
            .as_mut()
            .and_then(|one| one.attempts.get_mut(&id))
        else {
            return;
        };
        let mut ends = Vec::new();
        for ((delivery, _), outcome) in attempt.deliveries.iter().zip(&attempt.outcomes) {
            let (delivery, outcome, retry) = perturbed(mutation, delivery, outcome, &attempt.retry);
            let random = self.dice.fraction();
            let (mut end, _) =
                settlement(outcome, &delivery, &retry, &attempt.version, wall, random);
            if let (Some(Mutation::ChargesHeld), End::Retry { charged, .. }) = (mutation, &mut end)
            {
                *charged = true;
            }
            if mutation == Some(Mutation::BatchLosesFailures) && attempt.flow.batch.is_some() {
                end = End::Succeeded;
            }
            ends.push(end);
        }
        attempt.ends = ends;
        let over = |end: &End| matches!(end, End::Succeeded | End::Dead { .. });
        let told: Vec<Arc<Event>> = (attempt.deliveries.iter().zip(&attempt.ends))
            .filter(|(_, end)| over(end))
            .map(|((_, event), _)| Arc::clone(event))
            .filter(|event| event.lineage.depth < 3)
            .collect();
        let Some(to) = self.scenario.specs[self.trigger_of(id)].tells else {
            return;
        };
        let sent: Vec<_> = told.iter().map(|event| self.told(to, event)).collect();
        if !sent.is_empty() {
            let follows = self.prepare(sent, false);
            if let Some(attempt) = self
                .server
                .as_mut()
                .and_then(|one| one.attempts.get_mut(&id))
            {
                attempt.follows = Some(follows);
            }
        }
    }

    fn trigger_of(&self, id: u64) -> usize {
        self.attempt(id).map_or(0, |attempt| attempt.trigger)
    }

    /// Writes it down, again and again while the store refuses for reasons that may pass.
    pub(super) fn settle(&mut self, id: u64, pause: i64) {
        let epoch = self.disk.epoch();
        let Some(attempt) = self.attempt(id) else {
            return;
        };
        let settlements = attempt.deliveries.iter().zip(&attempt.ends);
        let mut transaction = Transaction {
            settlements: settlements
                .map(|((delivery, _), end)| Settlement {
                    claim: delivery.claim(epoch),
                    end: end.clone(),
                })
                .collect(),
            ..Transaction::default()
        };
        if let Some(follows) = &attempt.follows {
            let events = follows.events.iter();
            transaction.events = events.map(|event| Event::clone(event)).collect();
            let planned = follows.planned.iter();
            transaction.deliveries = planned.map(|plan| plan.delivery.clone()).collect();
            transaction.condition = Condition::IfApplied;
        }
        match self.commit(transaction) {
            Ok(committed) => {
                self.settled(id, &committed.settled.clone(), &committed);
            }
            Err(StoreError::Unknown(_) | StoreError::Closed) => {}
            Err(_) if self.mutation == Some(Mutation::GivesUpSettling) => {}
            Err(_) => {
                self.trace.count("a settlement tried again");
                let next = (pause * 2).min(5000);
                self.soon(
                    pause,
                    Happening::Settle {
                        attempt: id,
                        pause: next,
                    },
                );
            }
        }
    }

    fn settled(&mut self, id: u64, settled: &[Settled], committed: &wakeful_core::port::Committed) {
        let (wall, steady) = (self.wall(), self.steady);
        let Some(attempt) = self
            .server
            .as_mut()
            .and_then(|one| one.attempts.remove(&id))
        else {
            return;
        };
        let trigger = attempt.trigger;
        if let Some(follows) = attempt.follows {
            self.trace.count("a destination was told");
            self.begin(follows, committed);
        } else {
            self.fed_by(committed);
        }
        let mut again = false;
        let ends = attempt.ends.iter().zip(attempt.outcomes).zip(settled);
        for ((delivery, _), ((end, outcome), settled)) in attempt.deliveries.iter().zip(ends) {
            let stale = *settled == Settled::Stale;
            let kind = outcome.err().map(|failure| failure.kind);
            let said = if stale {
                Outcome::Free
            } else {
                Outcome::of(kind)
            };
            self.model.told(delivery.id, kind, stale, steady);
            let turns = self
                .gate(trigger)
                .map(|gate| gate.ended(delivery.id, &delivery.keys, said, wall));
            self.turn(trigger, turns.unwrap_or_default());
            again |= matches!(end, End::Retry { .. });
            if let (End::HeldForVersion { .. }, true) =
                (end, attempt.version != self.version(trigger))
            {
                let release = Transaction {
                    interventions: vec![self.release(trigger)],
                    ..Transaction::default()
                };
                self.trace
                    .count("held for a version that was replaced meanwhile");
                self.insist(release, trigger, 100);
            }
        }
        if again {
            self.feed(trigger);
        }
        self.place_is_free(trigger);
    }
}

/// Breaks the rules, when that is what is asked for.
fn perturbed(
    mutation: Option<Mutation>,
    delivery: &Delivery,
    outcome: &Result<(), Failure>,
    retry: &Arc<RetryPolicy>,
) -> (Delivery, Result<(), Failure>, Arc<RetryPolicy>) {
    let (mut delivery, mut outcome, mut retry) =
        (delivery.clone(), outcome.clone(), Arc::clone(retry));
    match (mutation, &mut outcome) {
        (Some(Mutation::ChargesInnocents), Err(failure))
            if matches!(failure.kind.charge(), Charge::Free | Charge::FreeAlone) =>
        {
            failure.kind = FailureKind::Crash;
        }
        (Some(Mutation::IgnoresMaxAttempts), _) => {
            let mut more = RetryPolicy::clone(&retry);
            more.max_attempts += 1;
            more.kinds.clear();
            retry = Arc::new(more);
        }
        (Some(Mutation::IgnoresOnUnknown), _) => {
            delivery.on_unknown = wakeful_core::flow::OnUnknown::Retry;
        }
        _ => {}
    }
    (delivery, outcome, retry)
}
