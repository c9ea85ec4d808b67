//! The gate of a trigger: what of its backlog may be started now.
//!
//! A gate is the memory of one trigger while the server runs: its pace, its breakers, what is
//! paused, what is in flight. Order and concurrency per key are kept by the store; what they hold
//! never reaches a gate. It is pure: it reads no clock and writes nothing down; it answers with
//! what is to be done, and whoever asks does it. How it is used:
//!
//! 1. After a start `set_pauses`, then `begin`; and `set_flow` and `set_pauses` whenever the rules
//!    or the pauses change. Their `Turn`s are carried out.
//! 2. To serve the queue: read a page of ready heads (`page` long, in the order of the store),
//!    `plan`, commit the plan's interventions, `put_aside` and its `Turn`s, and for each of its
//!    starts, as places become free: `take`, then claim. What was not claimed is given back. When a page was full and the plan
//!    is not `stopped`, there may be more behind it: read again. Also without any heads a plan
//!    may have something to say: a breaker may have come to its time.
//! 3. A delivery that is born claimed: `may_start`, `take`, then the commit; `give_back` when it
//!    was not claimed after all.
//! 4. After the settlement of every run that was taken: `ended`, and its `Turn`s.
//!
//! What a gate remembers does not survive a restart, and need not: rates count as used up at that
//! moment, breakers are closed and count anew.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Flow,
    breaker::{Breakers, Says, Swung},
    moment::{Moment, Pulse},
    plan::{Plan, Planner, Unpark},
    rate::Meter,
};
use crate::{
    delivery::{Charge, FailureKind},
    id::RunId,
    limits,
    port::{Delivery, Keys, Parked, Pause},
    time::Timestamp,
};

/// When a delivery is looked at again whose claim or settlement was under way.
pub(super) const SOON: Duration = Duration::from_millis(100);
/// Holds of each kind that are told.
const MOST_HOLDS: usize = 100;

/// The memory of one trigger.
#[derive(Debug)]
pub struct Gate {
    pub(super) flow: Arc<Flow>,
    pub(super) pulse: Pulse,
    pub(super) meter: Option<Meter>,
    pub(super) breakers: Option<Breakers>,
    pub(super) paused: Option<Pause>,
    paused_keys: BTreeMap<String, Pause>,
    in_flight: BTreeMap<RunId, Taken>,
}

/// What a run in flight took.
#[derive(Debug)]
struct Taken {
    at: Moment,
    /// The key whose rate it counts against; `None`: it shares the start of another run, or there
    /// is no rate.
    rate: Option<String>,
    /// The key of its breaker.
    breaker: String,
}

/// How an attempt ended, as a breaker sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Well.
    Succeeded,
    /// With a charged failure.
    Failed,
    /// In a way that says nothing about user code: interrupted, not started, not loaded, given up
    /// because of another attempt.
    Free,
}

impl Outcome {
    /// From the failure of an attempt; `None` for success.
    pub const fn of(failure: Option<FailureKind>) -> Self {
        match failure {
            None => Self::Succeeded,
            Some(kind) => match kind.charge() {
                Charge::Charged => Self::Failed,
                Charge::Free | Charge::FreeAlone | Charge::HeldForVersion => Self::Free,
            },
        }
    }
}

/// What follows from a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// A breaker opened, or its probe failed: plan again, to learn when to try one.
    Opened {
        /// Whose; `None`: the whole trigger's.
        key: Option<String>,
        /// When one delivery is tried.
        until: Timestamp,
        /// How many failed in a row.
        failures: u32,
    },
    /// A breaker closed: what it held goes on.
    Closed {
        /// Whose; `None`: the whole trigger's.
        key: Option<String>,
    },
    /// Parked deliveries are to be made ready (`Intervention::Unpark`).
    Unpark(Unpark),
}

/// Something that holds deliveries of a trigger back, for people.
#[derive(Debug, Clone, PartialEq)]
pub enum Hold {
    /// Someone paused it, or its function, or a key.
    Paused(Pause),
    /// A breaker is open.
    Breaker {
        /// Whose; `None`: the whole trigger's.
        key: Option<String>,
        /// Since when.
        since: Timestamp,
        /// When one delivery is tried; in the past: as soon as there is one.
        until: Timestamp,
        /// The delivery that is being tried now.
        probe: Option<RunId>,
        /// How many failed in a row.
        failures: u32,
    },
    /// A rate is used up.
    Rate {
        /// Whose; `None`: the whole trigger's.
        key: Option<String>,
        /// When all that wait for it will have been started; without a key, when the next one may.
        until: Timestamp,
    },
}

/// Something cannot be started now although it was planned: plan again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not now: a pause, a breaker or a rate holds it")]
pub struct NotNow;

impl Gate {
    /// A gate with nothing in flight. `began` is when the server started: rates count as used up
    /// then, so that a restart never exceeds them.
    pub fn new(flow: Arc<Flow>, began: Timestamp) -> Self {
        let pulse = Pulse::new(began);
        let meter = meter(&flow, &pulse);
        let breakers = flow.breaker.clone().map(Breakers::new);
        Self {
            flow,
            pulse,
            meter,
            breakers,
            paused: None,
            paused_keys: BTreeMap::new(),
            in_flight: BTreeMap::new(),
        }
    }

    /// What is to be done first after a start of the server, once the pauses are set: breakers are
    /// closed, so nothing is parked for them; and what is parked for a pause that is over, because
    /// the server died in between, comes back.
    pub fn begin(&self) -> Vec<Turn> {
        let mut turns = vec![all_of(Parked::Breaker)];
        if self.paused_keys.is_empty() {
            turns.push(all_of(Parked::Pause));
        }
        turns
    }

    /// The rules of a reload. Keeps what it knows where a rule stays as it was; a new rate counts
    /// as used up.
    pub fn set_flow(&mut self, flow: Arc<Flow>) -> Vec<Turn> {
        let before = std::mem::replace(&mut self.flow, flow);
        if before.rate != self.flow.rate {
            self.meter = meter(&self.flow, &self.pulse);
            for taken in self.in_flight.values_mut() {
                taken.rate = None;
            }
        }
        if before.breaker == self.flow.breaker {
            return Vec::new();
        }
        let old = self.breakers.take();
        self.breakers = self.flow.breaker.clone().map(Breakers::new);
        if old.is_some_and(|old| old.any_open()) {
            vec![all_of(Parked::Breaker)]
        } else {
            Vec::new()
        }
    }

    /// The pauses that concern this trigger: one of all of it (or of its function), and of keys.
    pub fn set_pauses(&mut self, whole: Option<Pause>, keys: Vec<Pause>) -> Vec<Turn> {
        self.paused = whole;
        let keyed = keys.into_iter().filter_map(|pause| {
            let key = pause.key.clone()?;
            Some((key, pause))
        });
        let before = std::mem::replace(&mut self.paused_keys, keyed.collect());
        let resumed: Vec<String> = before
            .into_keys()
            .filter(|key| !self.paused_keys.contains_key(key))
            .collect();
        if !resumed.is_empty() && self.paused_keys.is_empty() {
            return vec![all_of(Parked::Pause)];
        }
        let back = |key| Turn::Unpark(Unpark::all(Parked::Pause, Some(key)));
        resumed.into_iter().map(back).collect()
    }

    /// The interventions of a plan are committed. Between the plan and the commit a pause may have
    /// ended, or a breaker closed: what was parked for it all the same comes back.
    pub fn put_aside(&self, plan: &Plan) -> Vec<Turn> {
        let parked = plan.parked.iter().map(|(_, why, key)| (*why, key));
        let over: BTreeSet<_> = parked.filter(|(why, key)| !self.parks(*why, key)).collect();
        let back = |(why, key): (Parked, &String)| Unpark::all(why, Some(key.clone()));
        over.into_iter().map(back).map(Turn::Unpark).collect()
    }

    /// Whether deliveries with this key still are to be parked.
    fn parks(&self, why: Parked, key: &str) -> bool {
        match why {
            Parked::Pause => self.paused_keys.contains_key(key),
            Parked::Breaker => {
                let breakers = self.breakers.as_ref();
                breakers.is_some_and(|breakers| breakers.is_keyed() && breakers.is_open(key))
            }
        }
    }

    /// How many heads to read for a plan.
    pub fn page(&self) -> usize {
        let batch = self.flow.batch.map_or(0, |batch| batch.size);
        limits::QUEUE_HEADS.max(usize::try_from(batch).unwrap_or(usize::MAX))
    }

    /// Which of these heads of the queue may be started now, and what else is to be done with
    /// them. Places in the line of a rate are given at once; nothing else is taken.
    pub fn plan(&mut self, heads: &[Delivery], now: Timestamp) -> Plan {
        Planner::new(self, now).plan(heads)
    }

    /// Right before the claim of one start, of one run or of a batch: counts it against the rate,
    /// marks it as a breaker's probe, remembers it until `ended` or `give_back`. All or nothing.
    pub fn take(&mut self, runs: &[(RunId, &Keys)], now: Timestamp) -> Result<(), NotNow> {
        let now = self.pulse.beat(now);
        let Some((_, first)) = runs.first() else {
            return Ok(());
        };
        let together = self.flow.batch.map_or(1, |batch| batch.size as usize);
        if runs.len() > together {
            return Err(NotNow);
        }
        for (run, keys) in runs {
            let paused = self.paused.is_some() || self.paused_key(keys).is_some();
            if paused || self.is_in_flight(*run) || !self.breaker_lets(keys, runs.len(), now) {
                return Err(NotNow);
            }
        }
        let rate = self.rate_key(first);
        if let (Some(meter), Some(key)) = (&mut self.meter, &rate)
            && !meter.take(key, now)
        {
            return Err(NotNow);
        }
        for (n, (run, keys)) in runs.iter().enumerate() {
            let breaker = self.breaker_key(keys).to_owned();
            if let Some(breakers) = &mut self.breakers {
                breakers.probe(&breaker, *run);
            }
            let taken = Taken {
                at: now,
                rate: rate.clone().filter(|_| n == 0),
                breaker,
            };
            self.in_flight.insert(*run, taken);
        }
        Ok(())
    }

    fn breaker_lets(&self, keys: &Keys, together: usize, now: Moment) -> bool {
        let says = self.breakers.as_ref().map_or(Says::Go, |breakers| {
            breakers.says(self.breaker_key(keys), now)
        });
        match says {
            Says::Go => true,
            Says::Probe => together == 1,
            Says::Hold(_) => false,
        }
    }

    /// A run that was taken is not started after all.
    pub fn give_back(&mut self, run: RunId) {
        let Some(taken) = self.in_flight.remove(&run) else {
            return;
        };
        if let (Some(meter), Some(key)) = (&mut self.meter, &taken.rate) {
            meter.give_back(key, taken.at);
        }
        let latest = self.pulse.latest();
        if let Some(breakers) = &mut self.breakers {
            breakers.ended(&taken.breaker, run, Outcome::Free, latest);
        }
    }

    /// Whether a new delivery with these keys may be born claimed, if nothing else waits for the
    /// trigger. What is batched or debounced never is.
    pub fn may_start(&mut self, keys: &Keys, now: Timestamp) -> bool {
        let now = self.pulse.beat(now);
        let waits = self.flow.batch.is_some() || self.flow.debounce.is_some();
        let paused = self.paused.is_some() || self.paused_key(keys).is_some();
        let broken = self
            .breakers
            .as_ref()
            .is_some_and(|breakers| breakers.says(self.breaker_key(keys), now) != Says::Go);
        let rate = self.rate_key(keys).unwrap_or_default();
        let slow = self
            .meter
            .as_ref()
            .is_some_and(|meter| !meter.is_free(&rate, now));
        !waits && !paused && !broken && !slow
    }

    /// An attempt of a run that was taken ended, and its settlement is written down.
    pub fn ended(
        &mut self,
        run: RunId,
        keys: &Keys,
        outcome: Outcome,
        now: Timestamp,
    ) -> Vec<Turn> {
        let now = self.pulse.beat(now);
        self.in_flight.remove(&run);
        let key = self.breaker_key(keys).to_owned();
        let Some(breakers) = &mut self.breakers else {
            return Vec::new();
        };
        let told = breakers.is_keyed().then(|| key.clone());
        match breakers.ended(&key, run, outcome, now) {
            Swung::Not => Vec::new(),
            Swung::Opened { until, failures } => vec![Turn::Opened {
                key: told,
                until: self.pulse.time_of(until),
                failures,
            }],
            Swung::Closed => {
                let mut turns = vec![Turn::Closed { key: told.clone() }];
                let back = |key| Turn::Unpark(Unpark::all(Parked::Breaker, Some(key)));
                turns.extend(told.map(back));
                turns
            }
        }
    }

    /// An `Unpark` of one delivery for a probe found none: it need not be asked for again.
    pub fn none_parked(&mut self, key: &str) {
        if let Some(breakers) = &mut self.breakers {
            breakers.none_parked(key);
        }
    }

    /// What holds deliveries back, the first hundred of each kind.
    pub fn holds(&self, now: Timestamp) -> Vec<Hold> {
        let mut pulse = self.pulse.clone();
        let now = pulse.beat(now);
        let mut holds: Vec<Hold> = self
            .paused
            .iter()
            .chain(self.paused_keys.values())
            .take(MOST_HOLDS)
            .map(|pause| Hold::Paused(pause.clone()))
            .collect();
        if let Some(breakers) = &self.breakers {
            holds.extend(breakers.open(MOST_HOLDS).map(|(key, open)| Hold::Breaker {
                key: breakers.is_keyed().then(|| key.to_owned()),
                since: pulse.time_of(open.since),
                until: pulse.time_of(open.until),
                probe: open.probe,
                failures: open.failures,
            }));
        }
        if let Some(meter) = &self.meter {
            let used_up = meter.used_up(now, MOST_HOLDS).into_iter();
            holds.extend(used_up.map(|(key, until)| Hold::Rate {
                key: meter.is_keyed().then_some(key),
                until: pulse.time_of(until),
            }));
        }
        holds
    }

    /// How many runs were taken and have not ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn is_in_flight(&self, run: RunId) -> bool {
        self.in_flight.contains_key(&run)
    }

    /// The first of these keys that is paused.
    pub(super) fn paused_key(&self, keys: &Keys) -> Option<&str> {
        if self.paused_keys.is_empty() {
            return None;
        }
        let all = [&keys.ordering, &keys.concurrency, &keys.rate, &keys.breaker];
        all.into_iter()
            .flatten()
            .find_map(|key| self.paused_keys.get_key_value(key))
            .map(|(key, _)| key.as_str())
    }

    /// The key by which the breakers of this trigger know a delivery.
    pub(super) fn breaker_key<'k>(&self, keys: &'k Keys) -> &'k str {
        match &self.breakers {
            Some(breakers) if breakers.is_keyed() => keys.breaker.as_deref().unwrap_or_default(),
            _ => "",
        }
    }

    /// The key by which the meter of this trigger knows a delivery; `None` without a rate.
    fn rate_key(&self, keys: &Keys) -> Option<String> {
        let meter = self.meter.as_ref()?;
        let key = keys.rate.as_deref().filter(|_| meter.is_keyed());
        Some(key.unwrap_or_default().to_owned())
    }
}

fn meter(flow: &Flow, pulse: &Pulse) -> Option<Meter> {
    let rule = flow.rate.clone()?;
    Some(Meter::new(rule, pulse.latest()))
}

const fn all_of(why: Parked) -> Turn {
    Turn::Unpark(Unpark::all(why, None))
}

#[cfg(test)]
#[path = "gate_tests.rs"]
mod tests;
