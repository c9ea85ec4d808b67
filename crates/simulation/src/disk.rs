//! The store with its faults: it refuses, fills, dies before or after a change, and its readers
//! fail. What it really did is told to the model, whatever the driver hears of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    task::{Context, Poll, Waker},
};

use wakeful_core::{
    delivery::State,
    id::RunId,
    name::TriggerId,
    port::{
        Committed, Delivery, Epoch, Held, Intervention, NewDelivery, ReadyQuery, Reply, Settled,
        Store, StoreError, Transaction,
    },
    time::Timestamp,
};
use wakeful_store::MemoryStore;

use crate::{dice::Dice, model::Model, mutation::Mutation, scenario::Faults, trace::Trace};

/// Why the driver got no answer.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The server died at this point.
    Crashed,
    /// The store refused; nothing was applied.
    Refused(StoreError),
}

/// A store in memory, and what goes wrong with it.
pub(crate) struct Disk {
    pub(crate) store: MemoryStore,
    pub(crate) full: bool,
    /// The disk failed while writing: nothing is accepted until a restart.
    pub(crate) failed: bool,
    /// How many changes there were.
    pub(crate) changes: u64,
    faults: Faults,
    mutation: Option<Mutation>,
    /// For `ForgetsToPromote`.
    forgotten: BTreeSet<RunId>,
    /// For `DebounceKeepsFirst`.
    debounced: BTreeMap<(TriggerId, String), RunId>,
    /// For `DedupForgetsAtRestart`.
    life: u32,
}

/// What a change needs beside itself.
pub(crate) struct Around<'a> {
    pub(crate) dice: &'a mut Dice,
    pub(crate) model: &'a mut Model,
    pub(crate) trace: &'a mut Trace,
}

impl Disk {
    pub(crate) fn new(faults: Faults, mutation: Option<Mutation>) -> Self {
        Self {
            store: MemoryStore::new(Epoch(1)),
            full: false,
            failed: false,
            changes: 0,
            faults,
            mutation,
            forgotten: BTreeSet::new(),
            debounced: BTreeMap::new(),
            life: 0,
        }
    }

    pub(crate) fn calm(&mut self) {
        self.full = false;
        self.faults = Faults {
            crash: 0,
            refuse: 0,
            read: 0,
            worker: 0,
            clock: false,
            full: false,
            unknown: 0,
        };
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.store.epoch()
    }

    pub(crate) fn restart(&mut self, model: &mut Model) {
        self.store = self.store.restart();
        self.failed = false;
        self.life += 1;
        model.restarted();
    }

    /// Applies a transaction, if nothing comes between.
    pub(crate) fn commit(
        &mut self,
        transaction: Transaction,
        around: &mut Around<'_>,
    ) -> Result<Committed, Gone> {
        let Around { dice, trace, .. } = around;
        if self.failed {
            let why = "the disk failed before".to_owned();
            return Err(Gone::Refused(StoreError::Unknown(why)));
        }
        if dice.chance(self.faults.crash) {
            trace.count("crash before a commit");
            return Err(Gone::Crashed);
        }
        if self.full && !(transaction.events.is_empty() && transaction.objects.is_empty()) {
            trace.count("refused: disk full");
            return Err(Gone::Refused(StoreError::DiskFull));
        }
        if dice.chance(self.faults.refuse) {
            trace.count("refused: failed");
            let why = "for once".to_owned();
            return Err(Gone::Refused(StoreError::Failed(why)));
        }
        let unknown = dice.chance(self.faults.unknown);
        if unknown && dice.chance(500) {
            trace.count("disk failed, not applied");
            self.failed = true;
            let why = "fsync: EIO".to_owned();
            return Err(Gone::Refused(StoreError::Unknown(why)));
        }
        let crash = dice.chance(self.faults.crash);
        let reply = self.apply(transaction, around)?;
        if crash {
            around.trace.count("crash after a commit");
            return Err(Gone::Crashed);
        }
        if unknown {
            around.trace.count("disk failed, applied");
            self.failed = true;
            let why = "fsync: EIO".to_owned();
            return Err(Gone::Refused(StoreError::Unknown(why)));
        }
        Ok(reply)
    }

    fn apply(
        &mut self,
        transaction: Transaction,
        around: &mut Around<'_>,
    ) -> Result<Committed, Gone> {
        self.changes += 1;
        let kept = transaction.clone();
        let given = self.mutated(transaction);
        let reply = now(self.store.commit(given)).map_err(Gone::Refused)?;
        self.after_mutation(&kept);
        let epoch = self.store.epoch();
        around.model.committed(&kept, &reply, epoch);
        Ok(reply)
    }

    fn mutated(&mut self, mut transaction: Transaction) -> Transaction {
        match self.mutation {
            Some(Mutation::LimitPlusOne) => {
                for new in &mut transaction.deliveries {
                    new.key_limit = new.key_limit.map(|limit| limit + 1);
                }
                for one in &mut transaction.interventions {
                    if let Intervention::Limit {
                        limit: Some(limit), ..
                    } = one
                    {
                        *limit += 1;
                    }
                }
            }
            Some(Mutation::BlockDoesNotBlock) => {
                for new in &mut transaction.deliveries {
                    new.blocks = false;
                }
            }
            Some(Mutation::DedupForgetsAtRestart) => {
                for new in &mut transaction.deliveries {
                    if let Some(dedup) = &mut new.dedup {
                        dedup.key = format!("{}/{}", self.life, dedup.key);
                    }
                }
            }
            Some(Mutation::SettlesStaleEpoch) => {
                for settlement in &mut transaction.settlements {
                    let present = self.delivery(settlement.claim.run);
                    if let Some(one) = present.filter(|one| one.state == State::Running) {
                        settlement.claim = one.claim(self.store.epoch());
                    }
                }
            }
            Some(Mutation::DebounceKeepsFirst) => {
                let all = std::mem::take(&mut transaction.deliveries);
                transaction.deliveries = all.into_iter().filter(|new| self.is_first(new)).collect();
            }
            _ => {}
        }
        transaction
    }

    /// For `DebounceKeepsFirst`: whether nothing waits for the debounce key of this one.
    fn is_first(&mut self, new: &NewDelivery) -> bool {
        let Some(debounce) = &new.debounce else {
            return true;
        };
        let key = (new.trigger.clone(), debounce.key.clone());
        let before = self.debounced.get(&key).copied();
        let waits = before.and_then(|run| self.delivery(run));
        let first = waits.is_none_or(|one| one.state != State::Queued || one.starts > 0);
        if first {
            self.debounced.insert(key, new.id);
        }
        first
    }

    fn after_mutation(&mut self, given: &Transaction) {
        if self.mutation == Some(Mutation::ForgetsToPromote) {
            for new in &given.deliveries {
                let held = self.delivery(new.id).and_then(|one| one.held);
                if held == Some(Held::Order) {
                    self.forgotten.insert(new.id);
                }
            }
        }
    }

    pub(crate) fn claim(
        &mut self,
        runs: Vec<RunId>,
        at: Timestamp,
        around: &mut Around<'_>,
    ) -> Result<Vec<Delivery>, Gone> {
        let Around { dice, trace, .. } = around;
        if self.failed {
            let why = "the disk failed before".to_owned();
            return Err(Gone::Refused(StoreError::Unknown(why)));
        }
        if dice.chance(self.faults.crash) {
            trace.count("crash before a claim");
            return Err(Gone::Crashed);
        }
        if dice.chance(self.faults.refuse) {
            trace.count("refused: claim");
            let why = "for once".to_owned();
            return Err(Gone::Refused(StoreError::Failed(why)));
        }
        let crash = dice.chance(self.faults.crash);
        self.changes += 1;
        let asked = runs.len();
        let found = now(self.store.claim(runs, at)).map_err(Gone::Refused)?;
        around.model.claimed(&found, self.store.epoch(), at);
        if found.len() < asked {
            around.trace.count("claimed fewer than asked");
        }
        if crash {
            around.trace.count("crash after a claim");
            return Err(Gone::Crashed);
        }
        Ok(found)
    }

    pub(crate) fn ready(
        &self,
        query: ReadyQuery,
        around: &mut Around<'_>,
    ) -> Result<Vec<Delivery>, StoreError> {
        if around.dice.chance(self.faults.read) {
            around.trace.count("read error");
            return Err(StoreError::Failed("a reader".to_owned()));
        }
        let mut heads = now(self.store.ready(query))?;
        heads.retain(|head| !self.forgotten.contains(&head.id));
        Ok(heads)
    }

    /// As the store has it, without faults.
    pub(crate) fn delivery(&self, run: RunId) -> Option<Delivery> {
        now(self.store.delivery(run)).ok().flatten()
    }

    /// Settles with a claim of an earlier life: nothing may come of it.
    pub(crate) fn haunt(&mut self, transaction: Transaction, around: &mut Around<'_>) {
        around.trace.count("settlement of an earlier life");
        if let Ok(reply) = self.apply(transaction, around) {
            let stale = reply.settled.iter().all(|one| *one == Settled::Stale);
            around.model.require(stale, || {
                "a settlement of an earlier life was applied".to_owned()
            });
        }
    }
}

/// The answer of a store that never waits.
pub(crate) fn now<T, E>(mut reply: Reply<T, E>) -> Result<T, E> {
    let mut context = Context::from_waker(Waker::noop());
    match reply.as_mut().poll(&mut context) {
        Poll::Ready(answer) => answer,
        Poll::Pending => unreachable!("the store in memory answers at once"),
    }
}
