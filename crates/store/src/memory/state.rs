//! What the store in memory holds, and what each operation does to it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ops::Bound,
};

use bytes::Bytes;
use wakeful_core::{
    delivery::{DeadReason, State as Stands},
    event::Event,
    id::{EventId, RunId},
    limits,
    name::{Scope, TriggerId},
    port::{
        Backlog, Checkpoint, CheckpointKey, Claim, Committed, DeadQuery, Delivery, End, Epoch,
        Expired, ExpiredQuery, Held, Intervention, NewDelivery, ReadyQuery, Settled, Settlement,
        StoreError, StoreStats, Sweep, Transaction,
    },
    time::Timestamp,
};

use super::objects::Index;
use crate::ids::greatest_in;

/// What was refused because its caller broke the contract; nothing of it was applied.
pub(super) fn refused(why: String) -> StoreError {
    StoreError::Failed(why)
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) delivery: Delivery,
    /// The epoch of its last claim.
    claimed_by: Epoch,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) epoch: Epoch,
    pub(super) greatest: i64,
    pub(super) events: BTreeMap<EventId, Event>,
    pub(super) deliveries: BTreeMap<RunId, Row>,
    pub(super) checkpoints: HashMap<CheckpointKey, Bytes>,
    pub(super) index: Index,
    /// Until when each key is remembered.
    dedup: HashMap<(Scope, TriggerId, String), Timestamp>,
    stats: StoreStats,
}

impl State {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            greatest: 0,
            events: BTreeMap::new(),
            deliveries: BTreeMap::new(),
            checkpoints: HashMap::new(),
            index: Index::default(),
            dedup: HashMap::new(),
            stats: StoreStats::default(),
        }
    }

    pub(super) fn restart(&mut self) -> Epoch {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.stats = StoreStats::default();
        for row in self.deliveries.values_mut() {
            if row.delivery.state == Stands::Running {
                row.delivery.state = Stands::Queued;
                row.delivery.attempts -= 1;
            }
        }
        self.epoch
    }

    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<Committed, StoreError> {
        let mut committed = Committed::default();
        let mut index = None;
        if !transaction.objects.is_empty() {
            let mut next = self.index.clone();
            for change in transaction.objects.iter().cloned() {
                next.apply(change)?;
            }
            index = Some(next);
        }
        let deliveries = self.admit(&transaction, &mut committed)?;
        // Nothing can be refused from here on.
        self.greatest = self.greatest.max(greatest_in(&transaction));
        self.index = index.unwrap_or_else(|| std::mem::take(&mut self.index));
        for event in transaction.events {
            self.events.insert(event.key, event);
        }
        for delivery in deliveries {
            self.enqueue(delivery);
        }
        for Checkpoint { key, value } in transaction.checkpoints {
            self.checkpoints.insert(key, value);
        }
        for settlement in transaction.settlements {
            committed.settled.push(self.settle(settlement));
        }
        for intervention in transaction.interventions {
            self.intervene(intervention, &mut committed.intervened);
        }
        self.stats.commits += 1;
        self.stats.syncs += 1;
        self.stats.duplicates += committed.duplicates.len() as u64;
        Ok(committed)
    }

    /// Checks the ids of a transaction and picks its deliveries that repeat nothing.
    fn admit(
        &self,
        transaction: &Transaction,
        committed: &mut Committed,
    ) -> Result<Vec<NewDelivery>, StoreError> {
        let mut events = HashSet::new();
        for event in &transaction.events {
            if self.events.contains_key(&event.key) || !events.insert(event.key) {
                return Err(refused(format!("event {} exists already", event.key)));
            }
        }
        let mut runs = HashSet::new();
        let mut keys = HashMap::new();
        let mut admitted = Vec::new();
        for new in &transaction.deliveries {
            if let Some(dedup) = &new.dedup {
                let key = (new.scope.clone(), new.trigger.clone(), dedup.key.clone());
                let now = new.id.drawn_at();
                let known = keys.get(&key).or_else(|| self.dedup.get(&key));
                if known.is_some_and(|until| *until > now) {
                    committed.duplicates.push((new.id, new.id));
                    continue;
                }
                keys.insert(key, now.plus(dedup.window));
            }
            if self.deliveries.contains_key(&new.id) || !runs.insert(new.id) {
                return Err(refused(format!("delivery {} exists already", new.id)));
            }
            if !events.contains(&new.event) && !self.events.contains_key(&new.event) {
                let why = format!(
                    "delivery {} is owed for {}, which is not kept",
                    new.id, new.event
                );
                return Err(refused(why));
            }
            admitted.push(new.clone());
        }
        Ok(admitted)
    }

    fn enqueue(&mut self, new: NewDelivery) {
        if let Some(dedup) = &new.dedup {
            let key = (new.scope.clone(), new.trigger.clone(), dedup.key.clone());
            self.dedup.insert(key, new.id.drawn_at().plus(dedup.window));
        }
        let starts = u32::from(new.claimed);
        let delivery = Delivery {
            id: new.id,
            partition: new.partition(),
            scope: new.scope,
            event: new.event,
            trigger: new.trigger,
            function: new.function,
            keys: new.keys,
            blocks: new.blocks,
            on_unknown: new.on_unknown,
            state: if new.claimed {
                Stands::Running
            } else {
                Stands::Queued
            },
            starts,
            attempts: starts,
            ready_at: new.ready_at,
            expires_at: new.expires_at,
            alone: false,
            held: None,
            dead: None,
            failure: None,
        };
        let row = Row {
            delivery,
            claimed_by: self.epoch,
        };
        self.deliveries.insert(new.id, row);
    }

    fn holds(&self, claim: Claim) -> bool {
        self.deliveries.get(&claim.run).is_some_and(|row| {
            row.delivery.state == Stands::Running
                && row.claimed_by == claim.epoch
                && row.delivery.starts == claim.start
        })
    }

    fn settle(&mut self, settlement: Settlement) -> Settled {
        if !self.holds(settlement.claim) {
            self.stats.stale += 1;
            return Settled::Stale;
        }
        let run = settlement.claim.run;
        let Some(row) = self.deliveries.get_mut(&run) else {
            return Settled::Stale;
        };
        let delivery = &mut row.delivery;
        match settlement.end {
            End::Succeeded => {
                self.deliveries.remove(&run);
            }
            End::Retry {
                at,
                charged,
                alone,
                failure,
            } => {
                delivery.state = Stands::Queued;
                delivery.ready_at = at;
                delivery.attempts -= u32::from(!charged);
                delivery.alone = alone;
                delivery.failure = failure.or(delivery.failure.take());
            }
            End::HeldForVersion { version, failure } => {
                delivery.state = Stands::Queued;
                delivery.attempts -= 1;
                delivery.held = Some(Held::Version(version));
                delivery.failure = Some(failure);
            }
            End::Dead {
                reason,
                at,
                failure,
            } => {
                delivery.state = Stands::Dead;
                delivery.dead = Some((reason, at));
                delivery.failure = failure.or(delivery.failure.take());
            }
        }
        Settled::Applied
    }

    fn intervene(&mut self, intervention: Intervention, changed: &mut Vec<RunId>) {
        match intervention {
            Intervention::Redrive {
                run,
                now,
                expires_at,
            } => {
                if let Some(delivery) = self.standing(run, Stands::Dead) {
                    delivery.state = Stands::Queued;
                    delivery.attempts = 0;
                    delivery.ready_at = now;
                    delivery.expires_at = expires_at;
                    delivery.dead = None;
                    changed.push(run);
                }
            }
            Intervention::Discard { run, .. } => {
                if self.standing(run, Stands::Dead).is_some() {
                    self.deliveries.remove(&run);
                    changed.push(run);
                }
            }
            Intervention::Expire { run, at } => {
                if let Some(delivery) = self.standing(run, Stands::Queued) {
                    delivery.state = Stands::Dead;
                    delivery.held = None;
                    delivery.dead = Some((DeadReason::TooOld, at));
                    changed.push(run);
                }
            }
            Intervention::ReleaseHeld {
                scope,
                function,
                live,
                now,
            } => {
                for row in self.deliveries.values_mut() {
                    let delivery = &mut row.delivery;
                    let held = matches!(&delivery.held, Some(Held::Version(held)) if *held != live);
                    if held && delivery.scope == scope && delivery.function == function {
                        delivery.held = None;
                        delivery.ready_at = now;
                        changed.push(delivery.id);
                    }
                }
            }
            _ => {}
        }
    }

    fn standing(&mut self, run: RunId, state: Stands) -> Option<&mut Delivery> {
        let row = self.deliveries.get_mut(&run)?;
        (row.delivery.state == state).then_some(&mut row.delivery)
    }

    pub(super) fn claim(&mut self, runs: &[RunId], now: Timestamp) -> Vec<Delivery> {
        let epoch = self.epoch;
        let mut claimed = Vec::new();
        for run in runs {
            let Some(row) = self.deliveries.get_mut(run) else {
                continue;
            };
            let delivery = &mut row.delivery;
            if delivery.state == Stands::Queued && delivery.expires_at > now {
                delivery.state = Stands::Running;
                delivery.held = None;
                delivery.starts += 1;
                delivery.attempts += 1;
                row.claimed_by = epoch;
                claimed.push(delivery.clone());
            }
        }
        self.stats.syncs += 1;
        claimed
    }

    pub(super) fn select(&self, keep: impl Fn(&Delivery) -> bool) -> Vec<Delivery> {
        let all = self.deliveries.values().map(|row| &row.delivery);
        all.filter(|delivery| keep(delivery)).cloned().collect()
    }

    pub(super) fn ready(&self, query: &ReadyQuery) -> Vec<Delivery> {
        let mut ready = self.select(|delivery| {
            waits(delivery)
                && delivery.scope == query.scope
                && delivery.trigger == query.trigger
                && delivery.ready_at <= query.now
                && query
                    .after
                    .is_none_or(|after| (delivery.ready_at, delivery.id) > after)
        });
        ready.sort_by_key(|delivery| (delivery.ready_at, delivery.id));
        ready.truncate(query.limit);
        ready
    }

    pub(super) fn backlog(&self) -> Vec<Backlog> {
        let mut by_trigger: BTreeMap<(Scope, TriggerId), (u64, Timestamp)> = BTreeMap::new();
        for delivery in self.select(waits) {
            let (queued, earliest) = by_trigger
                .entry((delivery.scope, delivery.trigger))
                .or_insert((0, delivery.ready_at));
            *queued += 1;
            *earliest = (*earliest).min(delivery.ready_at);
        }
        by_trigger
            .into_iter()
            .map(|((scope, trigger), (queued, earliest))| Backlog {
                scope,
                trigger,
                queued,
                earliest,
            })
            .collect()
    }

    pub(super) fn expired(&self, query: ExpiredQuery) -> Expired {
        let bounds = (
            query.after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        let mut rest = self.deliveries.range(bounds);
        let step: Vec<_> = rest.by_ref().take(limits::EXPIRY_STEP).collect();
        let is_expired = |delivery: &&Delivery| {
            delivery.state == Stands::Queued && delivery.expires_at <= query.now
        };
        Expired {
            next: rest.next().and(step.last()).map(|(run, _)| **run),
            deliveries: step
                .iter()
                .map(|(_, row)| &row.delivery)
                .filter(is_expired)
                .cloned()
                .collect(),
        }
    }

    pub(super) fn dead(&self, query: &DeadQuery) -> Vec<Delivery> {
        let mut dead = self.select(|delivery| {
            delivery.state == Stands::Dead
                && query.before.is_none_or(|before| delivery.id < before)
                && query
                    .function
                    .as_ref()
                    .is_none_or(|name| delivery.function == *name)
        });
        dead.reverse();
        dead.truncate(query.limit);
        dead
    }

    pub(super) fn sweep(&mut self, sweep: &Sweep) -> u64 {
        if let Some(before) = sweep.dead_before {
            self.deliveries
                .retain(|_, row| row.delivery.dead.is_none_or(|(_, since)| since >= before));
        }
        self.dedup.retain(|_, until| *until > sweep.now);
        let owed: HashSet<EventId> = self
            .deliveries
            .values()
            .map(|row| row.delivery.event)
            .collect();
        let bound = EventId::first_at(sweep.events_before);
        let before = self.events.len();
        self.events
            .retain(|id, _| *id >= bound || owed.contains(id));
        (before - self.events.len()) as u64
    }

    pub(super) fn stats(&self) -> StoreStats {
        let count = |state| self.select(|delivery| delivery.state == state).len() as u64;
        StoreStats {
            events: self.events.len() as u64,
            queued: count(Stands::Queued),
            running: count(Stands::Running),
            dead: count(Stands::Dead),
            bytes: self
                .events
                .values()
                .map(|event| event.data.len() as u64)
                .sum(),
            ..self.stats.clone()
        }
    }
}

/// Queued, and not held for a version.
fn waits(delivery: &Delivery) -> bool {
    delivery.state == Stands::Queued && delivery.held.is_none()
}
