//! What a gate answers when it is asked which of the waiting deliveries may be started.

use std::collections::BTreeMap;

use super::{
    breaker::{Breakers, Says},
    gate::{Gate, SOON},
    moment::Moment,
    rate::{Meter, Pass, Used},
};
use crate::{
    id::RunId,
    name::{Scope, TriggerId},
    port::{Delivery, Intervention, Parked},
    time::Timestamp,
};

/// Keys whose parked deliveries are asked for in one plan.
const MOST_ASKED: usize = 100;

/// What is to be done with one page of a queue. First `interventions`, in one commit; then
/// `starts`, each as far as there are places.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Plan {
    /// Too old: dead letters.
    pub expired: Vec<RunId>,
    /// Their key is paused or its breaker is open.
    pub parked: Vec<(RunId, Parked, String)>,
    /// The rate of their key is used up until then.
    pub deferred: Vec<(RunId, Timestamp)>,
    /// Parked deliveries that are to be tried.
    pub unpark: Vec<Unpark>,
    /// What may be started now, in this order. Each is one start: `Gate::take` before the claim.
    pub starts: Vec<Start>,
    /// When to plan again, if nothing else happens before that.
    pub look_again: Option<Timestamp>,
    /// Beyond `starts` nothing of this trigger can be started now, whatever stands behind this
    /// page: it is paused, its breaker is open, its rate is used up, or a batch is not full.
    pub stopped: bool,
}

/// One start of user code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// What it serves: several for a batch, otherwise one.
    pub runs: Vec<RunId>,
    /// Nobody may be beside it on its worker.
    pub alone: bool,
}

/// Parked deliveries that are ready again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpark {
    /// Why they were parked.
    pub why: Parked,
    /// Which; `None` for all keys.
    pub key: Option<String>,
    /// At most this many; `None` for all.
    pub most: Option<usize>,
}

impl Unpark {
    /// All that was parked for this.
    pub const fn all(why: Parked, key: Option<String>) -> Self {
        Self {
            why,
            key,
            most: None,
        }
    }

    /// The same for the store.
    pub fn intervention(self, scope: Scope, trigger: TriggerId, now: Timestamp) -> Intervention {
        Intervention::Unpark {
            scope,
            trigger,
            why: self.why,
            key: self.key,
            now,
            most: self.most,
        }
    }
}

impl Plan {
    /// What the store is to be told before anything is started; empty when there is nothing.
    pub fn interventions(
        &self,
        scope: &Scope,
        trigger: &TriggerId,
        now: Timestamp,
    ) -> Vec<Intervention> {
        let expired = self
            .expired
            .iter()
            .map(|&run| Intervention::Expire { run, at: now });
        let parked = self
            .parked
            .iter()
            .map(|(run, why, key)| Intervention::Park {
                run: *run,
                why: *why,
                key: key.clone(),
            });
        let deferred = self
            .deferred
            .iter()
            .map(|&(run, until)| Intervention::Defer { run, until });
        let unpark = self.unpark.iter().cloned();
        let unpark = unpark.map(|one| one.intervention(scope.clone(), trigger.clone(), now));
        expired
            .chain(parked)
            .chain(deferred)
            .chain(unpark)
            .collect()
    }

    fn look(&mut self, at: Timestamp) {
        self.look_again = Some(self.look_again.map_or(at, |before| before.min(at)));
    }
}

/// A plan in the making.
pub(super) struct Planner<'a, 'h> {
    gate: &'a mut Gate,
    now: Timestamp,
    moment: Moment,
    plan: Plan,
    /// What the starts of this plan leave of each rate.
    used: BTreeMap<&'h str, Used>,
    /// Keys of breakers of which this plan tries one.
    probing: Vec<&'h str>,
    /// Heads that wait for company, by the key of their rate.
    batches: BTreeMap<&'h str, Vec<&'h Delivery>>,
}

impl<'a, 'h> Planner<'a, 'h> {
    pub(super) fn new(gate: &'a mut Gate, now: Timestamp) -> Self {
        let moment = gate.pulse.beat(now);
        Self {
            gate,
            now,
            moment,
            plan: Plan::default(),
            used: BTreeMap::new(),
            probing: Vec::new(),
            batches: BTreeMap::new(),
        }
    }

    pub(super) fn plan(mut self, heads: &'h [Delivery]) -> Plan {
        for head in heads {
            if head.expires_at <= self.now {
                self.plan.expired.push(head.id);
            } else if head.ready_at > self.now {
                self.plan.look(head.ready_at);
                break;
            } else if !self.plan.stopped {
                self.judge(head);
            }
        }
        self.form_batches();
        self.ask_for_parked();
        self.remember();
        self.plan
    }

    fn judge(&mut self, head: &'h Delivery) {
        if self.gate.is_in_flight(head.id) {
            // Its claim or its settlement is on its way.
            let soon = self.now.plus(SOON);
            return self.plan.look(soon);
        }
        if self.gate.paused.is_some() {
            self.plan.stopped = true;
            return;
        }
        if let Some(key) = self.gate.paused_key(&head.keys) {
            self.plan
                .parked
                .push((head.id, Parked::Pause, key.to_owned()));
            return;
        }
        let probe = match self.breaker(head) {
            Says::Go => false,
            Says::Probe => true,
            Says::Hold(until) => return self.held_by_breaker(head, until),
        };
        let batched = self.gate.flow.batch.is_some() && !head.alone && !probe;
        if batched {
            let key = self.rate_key(head);
            self.batches.entry(key).or_default().push(head);
        } else if self.start(&[head], head.alone) && probe {
            self.probing.push(self.gate.breaker_key(&head.keys));
            self.plan.stopped |= !self.breaker_is_keyed();
        }
    }

    fn breaker(&self, head: &Delivery) -> Says {
        let Some(breakers) = &self.gate.breakers else {
            return Says::Go;
        };
        let key = self.gate.breaker_key(&head.keys);
        match breakers.says(key, self.moment) {
            Says::Probe if self.probing.contains(&key) => Says::Hold(None),
            says => says,
        }
    }

    fn breaker_is_keyed(&self) -> bool {
        let breakers = self.gate.breakers.as_ref();
        breakers.is_some_and(Breakers::is_keyed)
    }

    fn held_by_breaker(&mut self, head: &Delivery, until: Option<Moment>) {
        if self.breaker_is_keyed() {
            let key = self.gate.breaker_key(&head.keys).to_owned();
            self.plan.parked.push((head.id, Parked::Breaker, key));
        } else {
            self.plan.stopped = true;
            if let Some(until) = until {
                self.plan.look(self.gate.pulse.time_of(until));
            }
        }
    }

    fn rate_key(&self, head: &'h Delivery) -> &'h str {
        let key = head.keys.rate.as_deref().filter(|_| self.rate_is_keyed());
        key.unwrap_or_default()
    }

    fn rate_is_keyed(&self) -> bool {
        self.gate.meter.as_ref().is_some_and(Meter::is_keyed)
    }

    /// Starts these together, or defers them, or stops. They have the same rate key.
    fn start(&mut self, heads: &[&'h Delivery], alone: bool) -> bool {
        let (Some(first), Some(last)) = (heads.first(), heads.last()) else {
            return false;
        };
        let key = self.rate_key(first);
        let pass = match &self.gate.meter {
            None => Pass::Start,
            Some(meter) => {
                let used = self.used.entry(key).or_insert_with(|| meter.used(key));
                match (meter.is_keyed(), self.gate.flow.batch) {
                    (true, None) => meter.judge(used, last.id, self.moment),
                    (true, Some(_)) => meter.judge_batch(used, last.id, self.moment),
                    (false, _) => meter.pass(used, self.moment),
                }
            }
        };
        let runs: Vec<RunId> = heads.iter().map(|head| head.id).collect();
        match pass {
            Pass::Start => {
                self.plan.starts.push(Start { runs, alone });
                true
            }
            Pass::At(slot) => {
                let slot = self.gate.pulse.time_of(slot);
                if self.rate_is_keyed() {
                    self.plan
                        .deferred
                        .extend(runs.into_iter().map(|run| (run, slot)));
                } else {
                    self.plan.stopped = true;
                    self.plan.look(slot);
                }
                false
            }
        }
    }

    /// Full batches start; the rest does when its first one has waited long enough.
    fn form_batches(&mut self) {
        let Some(batch) = self.gate.flow.batch else {
            return;
        };
        let size = usize::try_from(batch.size).unwrap_or(usize::MAX).max(1);
        for (_, heads) in std::mem::take(&mut self.batches) {
            for some in heads.chunks(size) {
                let oldest = some.iter().map(|head| head.ready_at).min();
                let closes = oldest.unwrap_or(self.now).plus(batch.window);
                if some.len() == size || closes <= self.now {
                    self.start(some, false);
                } else {
                    self.plan.look(closes);
                }
            }
        }
    }

    /// The time of breakers has come of which nothing but parked deliveries is there.
    fn ask_for_parked(&mut self) {
        let paused = self.gate.paused.is_some();
        let Some(breakers) = self.gate.breakers.as_mut().filter(|_| !paused) else {
            return;
        };
        for (_, why, key) in &self.plan.parked {
            if *why == Parked::Breaker {
                breakers.parked(key);
            }
        }
        let due = breakers.ask(self.moment, MOST_ASKED);
        let here = |key: &String| self.probing.contains(&key.as_str());
        let due = due.into_iter().filter(|key| !here(key));
        self.plan.unpark.extend(due.map(|key| Unpark {
            why: Parked::Breaker,
            key: Some(key),
            most: Some(1),
        }));
        if let Some(at) = breakers.next_ask() {
            self.plan.look(self.gate.pulse.time_of(at));
        }
    }

    fn remember(&mut self) {
        if let Some(meter) = self.gate.meter.as_mut().filter(|meter| meter.is_keyed()) {
            for (key, used) in &self.used {
                meter.keep_line(key, used, self.moment);
            }
        }
    }
}
