//! What people do: pause, resume, redrive, discard, deploy.

use std::sync::Arc;

use wakeful_core::{
    flow::{Flow, Unpark},
    id::RunId,
    port::{Intervention, Parked, Pause, Store, Transaction},
};

use super::{Happening, World};
use crate::{disk::now, model::Stands, mutation::Mutation, scenario};

impl World {
    pub(super) fn operate(&mut self) {
        if self.server.is_none() || self.calm {
            return;
        }
        match self.dice.below(6) {
            0 | 1 => {
                let pause = self.something_to_pause();
                let begins = !self.pauses.contains(&pause);
                if begins && self.dice.chance(600) {
                    let (trigger, key) = pause.clone();
                    let after = i64::try_from(self.dice.below(2000)).unwrap_or_default();
                    self.later(after, Happening::Resume(trigger, key));
                }
                self.pause(pause, begins);
            }
            2 => self.act_on_dead(true),
            3 => self.act_on_dead(false),
            4 => self.reload(),
            _ => self.break_code(),
        }
    }

    fn something_to_pause(&mut self) -> (usize, Option<String>) {
        if let Some(paused) = self.pauses.iter().next()
            && self.dice.chance(500)
        {
            return paused.clone();
        }
        let triggers = self.scenario.specs.len() as u64;
        let trigger = usize::try_from(self.dice.below(triggers)).unwrap_or_default();
        let key = format!("k{}", self.dice.below(self.scenario.keys));
        (trigger, self.dice.chance(600).then_some(key))
    }

    /// Pauses something, or ends that. What it parked comes back in the same transaction.
    pub(super) fn pause(&mut self, what: (usize, Option<String>), begins: bool) {
        let (trigger, key) = what.clone();
        let spec = self.spec(trigger);
        let pause = Pause {
            scope: self.scenario.scope.clone(),
            function: spec.function.clone(),
            trigger: Some(spec.trigger.clone()),
            key: key.clone(),
            at: wakeful_core::time::Timestamp::from_millis(super::BEGIN),
            why: "simulated".to_owned(),
        };
        let unpark = Unpark::all(Parked::Pause, key.clone());
        let unpark = self.unpark(trigger, unpark);
        let releases = !begins && key.is_some();
        let transaction = Transaction {
            pauses: vec![(pause.clone(), begins)],
            interventions: if releases { vec![unpark] } else { Vec::new() },
            ..Transaction::default()
        };
        self.line(format_args!("pause {trigger} {key:?}: {begins}"));
        self.trace.count(if begins { "paused" } else { "resumed" });
        let Ok(committed) = self.commit(transaction) else {
            if begins {
                return;
            }
            // Whoever resumes tries until it is done.
            self.pauses.insert(what.clone());
            let (_, key) = what;
            return self.later(700, Happening::Resume(trigger, key));
        };
        if begins {
            self.pauses.insert(what.clone());
        } else {
            self.pauses.remove(&what);
        }
        self.model.paused(trigger, key, begins);
        let concerned = self.spec(trigger).trigger.clone();
        let stored = now(self.disk.store.pauses()).unwrap_or_default();
        let (whole, keys): (Vec<_>, Vec<_>) = stored
            .into_iter()
            .filter(|pause| pause.trigger.as_ref() == Some(&concerned))
            .partition(|pause| pause.key.is_none());
        if self.mutation != Some(Mutation::PauseIsIgnored) {
            let turns = self
                .gate(trigger)
                .map(|gate| gate.set_pauses(whole.into_iter().next(), keys));
            self.turn(trigger, turns.unwrap_or_default());
        }
        self.fed_by(&committed);
        self.feed(trigger);
    }

    /// Redrives or discards some of the dead letters.
    fn act_on_dead(&mut self, redrive: bool) {
        let dead: Vec<(RunId, usize)> = (self.model.runs.iter())
            .filter(|(_, owed)| matches!(owed.stands, Stands::Dead(_)))
            .map(|(run, owed)| (*run, owed.trigger))
            .collect();
        let some: Vec<_> = dead.into_iter().filter(|_| self.dice.chance(600)).collect();
        let (now, mut interventions) = (self.wall(), Vec::new());
        for (run, trigger) in &some {
            let age = self.spec(*trigger).retry.max_age;
            interventions.push(if redrive {
                Intervention::Redrive {
                    run: *run,
                    now,
                    expires_at: now.plus(age),
                }
            } else {
                Intervention::Discard {
                    run: *run,
                    at: now,
                    why: "simulated".to_owned(),
                }
            });
        }
        if interventions.is_empty() {
            return;
        }
        self.trace
            .count(if redrive { "redriven" } else { "discarded" });
        let runs: Vec<_> = some.iter().map(|(run, _)| *run).collect();
        let names = self.names(&runs);
        self.line(format_args!("dead: redrive {redrive} {names}"));
        let transaction = Transaction {
            interventions,
            ..Transaction::default()
        };
        if let Ok(committed) = self.commit(transaction) {
            self.fed_by(&committed);
            for (_, trigger) in some {
                self.feed(trigger);
            }
        }
    }

    /// Other rules for the same trigger.
    fn reload(&mut self) {
        let triggers = self.scenario.specs.len() as u64;
        let trigger = usize::try_from(self.dice.below(triggers)).unwrap_or_default();
        let other = scenario::draw_flow(&mut self.dice);
        let before = self.spec(trigger).flow.clone();
        // One of the rules changes, as when somebody edits a line.
        let mut flow = Flow::clone(&before);
        match self.dice.below(5) {
            0 => flow.rate = other.rate,
            1 => flow.breaker = other.breaker,
            2 => flow.concurrency = other.concurrency,
            3 => flow.batch = other.batch.filter(|_| flow.debounce.is_none()),
            _ => flow.on_unknown = other.on_unknown,
        }
        let flow = Arc::new(flow);
        let retry = Arc::new(scenario::draw_retry(&mut self.dice));
        self.line(format_args!("reload {trigger}: {flow:?} {retry:?}"));
        self.trace.count("reload");
        self.scenario.specs[trigger].flow = Arc::clone(&flow);
        self.scenario.specs[trigger].retry = retry;
        self.model.reloaded(trigger, Arc::clone(&flow));
        let turns = self.gate(trigger).map(|gate| gate.set_flow(flow));
        self.turn(trigger, turns.unwrap_or_default());
        if before.concurrency != self.spec(trigger).flow.concurrency {
            let transaction = Transaction {
                interventions: vec![self.limit(trigger)],
                ..Transaction::default()
            };
            self.insist(transaction, trigger, 100);
        }
        self.deploy(trigger);
    }

    /// A version whose code does not load takes over, and later one that does.
    fn break_code(&mut self) {
        let triggers = self.scenario.specs.len() as u64;
        let trigger = usize::try_from(self.dice.below(triggers)).unwrap_or_default();
        self.versions[trigger] += 1;
        self.broken_code[trigger] = true;
        self.trace.count("code that does not load");
        self.line(format_args!("{trigger} cannot be loaded any more"));
        let after = i64::try_from(self.dice.below(20_000)).unwrap_or_default();
        self.later(after, Happening::Deploy(trigger));
    }

    /// A version whose code loads takes over: what was held is released.
    pub(super) fn deploy(&mut self, trigger: usize) {
        self.versions[trigger] += 1;
        self.broken_code[trigger] = false;
        if self.server.is_none() {
            return;
        }
        let transaction = Transaction {
            interventions: vec![self.release(trigger)],
            ..Transaction::default()
        };
        self.insist(transaction, trigger, 100);
    }

    /// When it is calm somebody looks after what blocks others.
    pub(super) fn tend(&mut self) {
        let dead: Vec<RunId> = (self.model.runs.iter())
            .filter(|(_, owed)| owed.blocks && matches!(owed.stands, Stands::Dead(_)))
            .map(|(run, _)| *run)
            .collect();
        let at = self.wall();
        let discard = |run| Intervention::Discard {
            run,
            at,
            why: "it blocks".to_owned(),
        };
        let interventions: Vec<_> = dead.into_iter().map(discard).collect();
        if interventions.is_empty() {
            return;
        }
        let transaction = Transaction {
            interventions,
            ..Transaction::default()
        };
        if let Ok(committed) = self.commit(transaction) {
            self.trace.count("blocking dead letters discarded");
            self.fed_by(&committed);
        }
    }
}
