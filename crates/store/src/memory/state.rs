//! What the store in memory holds, and how a transaction is applied to it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    name::{Scope, TriggerId},
    port::{
        Checkpoint, CheckpointKey, Committed, Condition, Ended, Ending, Epoch, NewDelivery,
        ObjectChange, Pause, Settled, StoreError, StoreStats, Sweep, Transaction,
    },
    time::Timestamp,
};

use super::{answers::Answers, objects::Index, rows::Rows};
use crate::{ids::greatest_in, lanes::Place, pauses};

/// What was refused because its caller broke the contract; nothing of it was applied.
pub(super) fn refused(why: String) -> StoreError {
    StoreError::Failed(why)
}

#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) epoch: Epoch,
    pub(super) greatest: i64,
    pub(super) events: BTreeMap<EventId, Event>,
    pub(super) rows: Rows,
    pub(super) checkpoints: HashMap<CheckpointKey, Bytes>,
    pub(super) index: Index,
    pub(super) answers: Answers,
    pub(super) pauses: BTreeMap<String, Pause>,
    pub(super) endings: BTreeMap<EventId, BTreeMap<RunId, Ending>>,
    children: BTreeMap<EventId, BTreeSet<EventId>>,
    /// Until when each key is remembered, and for which delivery.
    dedup: HashMap<(Scope, TriggerId, String), (Timestamp, RunId)>,
    pub(super) stats: StoreStats,
}

impl State {
    pub(super) fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            greatest: 0,
            events: BTreeMap::new(),
            rows: Rows::default(),
            checkpoints: HashMap::new(),
            index: Index::default(),
            answers: Answers::default(),
            pauses: BTreeMap::new(),
            endings: BTreeMap::new(),
            children: BTreeMap::new(),
            dedup: HashMap::new(),
            stats: StoreStats::default(),
        }
    }

    pub(super) fn commit(&mut self, transaction: Transaction) -> Result<Committed, StoreError> {
        let before = match transaction.condition {
            Condition::Always => None,
            Condition::IfApplied if self.is_sure_to_apply(&transaction) => None,
            Condition::IfApplied => Some(Box::new(self.clone())),
        };
        let Some(before) = before else {
            let index = self.changed_index(&transaction.objects)?;
            let committed = self.apply(transaction, &mut 0)?;
            self.index = index.unwrap_or_else(|| std::mem::take(&mut self.index));
            return Ok(committed);
        };
        let objects = transaction.objects.clone();
        let settlements = transaction.settlements.len();
        let mut ignored = 0;
        let committed = self.apply(transaction, &mut ignored)?;
        if ignored > 0 || committed.settled.contains(&Settled::Stale) {
            *self = *before;
            self.stats.commits += 1;
            self.stats.syncs += 1;
            self.stats.stale += settlements as u64;
            return Ok(Committed {
                settled: vec![Settled::Stale; settlements],
                ..Committed::default()
            });
        }
        match self.changed_index(&objects) {
            Ok(index) => self.index = index.unwrap_or_else(|| std::mem::take(&mut self.index)),
            Err(conflict) => {
                *self = *before;
                return Err(conflict);
            }
        }
        Ok(committed)
    }

    /// The object index as `changes` make it; `None` when there are none.
    fn changed_index(&self, changes: &[ObjectChange]) -> Result<Option<Index>, StoreError> {
        if changes.is_empty() {
            return Ok(None);
        }
        let mut next = self.index.clone();
        for change in changes.iter().cloned() {
            next.apply(change)?;
        }
        Ok(Some(next))
    }

    /// Whether a transaction with a condition needs no copy to go back to: it ends different
    /// claims that are the present ones, and nothing else in it could be in vain.
    fn is_sure_to_apply(&self, transaction: &Transaction) -> bool {
        let mut runs = HashSet::new();
        let settlements = &transaction.settlements;
        transaction.interventions.is_empty()
            && transaction.objects.is_empty()
            && settlements
                .iter()
                .all(|settlement| self.holds(settlement.claim) && runs.insert(settlement.claim.run))
    }

    /// Applies everything but the objects; after an error nothing of it.
    fn apply(
        &mut self,
        transaction: Transaction,
        ignored: &mut usize,
    ) -> Result<Committed, StoreError> {
        let mut committed = Committed::default();
        let deliveries = self.admit(&transaction, &mut committed)?;
        // Nothing can be refused from here on.
        self.greatest = self.greatest.max(greatest_in(&transaction));
        self.keep(transaction.events);
        for (new, first) in deliveries {
            match first {
                Some(first) => self.leave_out(&new, first),
                None => self.enqueue(new, &mut committed),
            }
        }
        for Checkpoint { key, value } in transaction.checkpoints {
            self.checkpoints.insert(key, value);
        }
        for settlement in transaction.settlements {
            committed.settled.push(self.settle(settlement));
        }
        for intervention in transaction.interventions {
            self.intervene(intervention, &mut committed.intervened, ignored);
        }
        for (pause, begins) in transaction.pauses {
            let what = pauses::identity(&pause);
            match begins {
                true => self.pauses.insert(what, pause),
                false => self.pauses.remove(&what),
            };
        }
        committed.released = self.released();
        self.stats.commits += 1;
        self.stats.syncs += 1;
        self.stats.duplicates += committed.duplicates.len() as u64;
        Ok(committed)
    }

    fn released(&mut self) -> Vec<TriggerId> {
        let numbers = std::mem::take(&mut self.rows.released);
        let names = numbers
            .into_iter()
            .map(|number| self.rows.trigger(number).id.clone());
        names.collect::<BTreeSet<_>>().into_iter().collect()
    }

    fn keep(&mut self, events: Vec<Event>) {
        let mut born = Vec::with_capacity(events.len());
        for event in events {
            born.push((event.key, event.lineage));
            self.events.insert(event.key, event);
        }
        for (child, lineage) in born {
            for parent in [lineage.parent, lineage.replay_of].into_iter().flatten() {
                if self.events.contains_key(&parent) {
                    self.children.entry(parent).or_default().insert(child);
                }
            }
        }
    }

    /// Checks the ids of a transaction, and finds out which deliveries repeat which.
    fn admit(
        &self,
        transaction: &Transaction,
        committed: &mut Committed,
    ) -> Result<Vec<(NewDelivery, Option<RunId>)>, StoreError> {
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
                if let Some((_, first)) = known.filter(|(until, _)| *until > now) {
                    committed.duplicates.push((new.id, *first));
                    admitted.push((new.clone(), Some(*first)));
                    continue;
                }
                keys.insert(key, (now.plus(dedup.window), new.id));
            }
            if self.rows.get(new.id).is_some() || !runs.insert(new.id) {
                return Err(refused(format!("delivery {} exists already", new.id)));
            }
            if !events.contains(&new.event) && !self.events.contains_key(&new.event) {
                let why = format!(
                    "delivery {} is owed for {}, which is not kept",
                    new.id, new.event
                );
                return Err(refused(why));
            }
            admitted.push((new.clone(), None));
        }
        Ok(admitted)
    }

    fn leave_out(&mut self, new: &NewDelivery, first: RunId) {
        let ending = Ending {
            event: new.event,
            run: new.id,
            trigger: new.trigger.clone(),
            at: new.id.drawn_at(),
            how: Ended::Duplicate(first),
        };
        self.end(ending);
    }

    /// Keeps how a delivery ended, as long as its event is kept.
    pub(super) fn end(&mut self, ending: Ending) {
        if self.events.contains_key(&ending.event) {
            let of_event = self.endings.entry(ending.event).or_default();
            of_event.insert(ending.run, ending);
        }
    }

    pub(super) fn remember(&mut self, new: &NewDelivery) {
        if let Some(dedup) = &new.dedup {
            let key = (new.scope.clone(), new.trigger.clone(), dedup.key.clone());
            let until = new.id.drawn_at().plus(dedup.window);
            self.dedup.insert(key, (until, new.id));
        }
    }

    /// The events that came of an event and are kept.
    pub(super) fn children(&self, event: EventId) -> Vec<EventId> {
        let children = self.children.get(&event).into_iter().flatten();
        children
            .filter(|child| self.events.contains_key(child))
            .copied()
            .collect()
    }

    pub(super) fn sweep(&mut self, sweep: &Sweep) -> u64 {
        self.answers.sweep(sweep.now, self.epoch);
        if let Some(before) = sweep.dead_before {
            self.sweep_dead(before);
        }
        self.dedup.retain(|_, (until, _)| *until > sweep.now);
        let bound = EventId::first_at(sweep.events_before);
        let old = self.events.range(..bound).map(|(id, _)| *id);
        let gone: Vec<EventId> = old.filter(|id| !self.rows.owes(*id)).collect();
        for event in &gone {
            self.events.remove(event);
            self.endings.remove(event);
            self.children.remove(event);
        }
        gone.len() as u64
    }

    pub(super) fn stats(&self) -> StoreStats {
        let count = |place: Place| {
            let triggers = self.rows.triggers.iter();
            triggers
                .map(|trigger| trigger.counts[place as usize])
                .sum::<u64>()
        };
        let data = self.events.values().map(|event| event.data.len() as u64);
        let (running, dead) = (count(Place::Running), count(Place::Dead));
        StoreStats {
            events: self.events.len() as u64,
            queued: self.rows.all().len() as u64 - running - dead,
            running,
            dead,
            bytes: data.sum(),
            ..self.stats.clone()
        }
    }
}
