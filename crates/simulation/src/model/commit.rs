//! What the disk was given, and what it replied.

use wakeful_core::{
    delivery::{DeadReason, FailureKind},
    flow::OnUnknown,
    id::RunId,
    port::{
        Claim, Committed, Condition, Delivery, End, Epoch, Intervention, NewDelivery, Settled,
        Settlement, Transaction,
    },
    retry::RetryPolicy,
    time::Timestamp,
};

use super::{CHARGED, Code, Model, Owed, Stands, UNKNOWN};

impl Model {
    /// A transaction was applied by this epoch.
    pub(crate) fn committed(&mut self, transaction: &Transaction, reply: &Committed, epoch: Epoch) {
        self.settled(transaction, reply);
        let conditional = transaction.condition == Condition::IfApplied;
        if conditional && reply.settled.contains(&Settled::Stale) {
            return;
        }
        let single = transaction.interventions.iter().filter_map(run_of);
        if conditional
            && single
                .into_iter()
                .any(|run| !reply.intervened.contains(&run))
        {
            return;
        }
        for new in &transaction.deliveries {
            let trigger = self.rules.iter().position(|one| one.trigger == new.trigger);
            if let Some(trigger) = trigger {
                self.admitted(new, reply, epoch, trigger);
            }
        }
        for intervention in &transaction.interventions {
            self.intervened(intervention, reply);
        }
        for (pause, begins) in &transaction.pauses {
            let at = self
                .rules
                .iter()
                .position(|rules| Some(&rules.trigger) == pause.trigger.as_ref());
            if let (Some(at), false) = (at, *begins) {
                self.paused.remove(&(at, pause.key.clone()));
            }
        }
        for (new, _) in &reply.superseded {
            let told = transaction.deliveries.iter().any(|one| {
                reply
                    .superseded
                    .iter()
                    .any(|(old, by)| old == new && one.id == *by)
            });
            self.require(told, || format!("{new} was superseded by nothing"));
        }
    }

    fn admitted(&mut self, new: &NewDelivery, reply: &Committed, epoch: Epoch, trigger: usize) {
        if self.is_duplicate(new, reply, trigger) {
            return;
        }
        if new.keys.concurrency.is_some() {
            self.limit(trigger, new.key_limit);
        }
        let number = self.runs.len();
        let name = format!("#{number}");
        self.supersedes(new, reply, trigger, &name);
        let claimed = new.claimed && !reply.unclaimed.contains(&new.id);
        let owed = Owed {
            number,
            trigger,
            keys: new.keys.clone(),
            stands: match new.dead {
                Some(reason) => Stands::Dead(reason),
                None => Stands::Queued,
            },
            charged: 0,
            starts: 0,
            acknowledged: false,
            blocks: new.blocks,
            hold_unknown: new.on_unknown == OnUnknown::Hold,
            loose: new.dead.is_some(),
            expires_at: new.expires_at,
            code: Code::No,
            retry: None,
            seats: self
                .limits
                .get(&trigger)
                .copied()
                .flatten()
                .unwrap_or(u32::MAX),
        };
        let again = self.runs.insert(new.id, owed).is_some();
        self.require(!again, || format!("{name} was committed twice"));
        if let (Some(key), None) = (&new.keys.ordering, new.dead) {
            let lane = self.lanes.entry((trigger, key.clone())).or_default();
            lane.push(new.id);
        }
        if claimed {
            self.claim(new.id, epoch, 1);
        }
    }

    fn is_duplicate(&mut self, new: &NewDelivery, reply: &Committed, trigger: usize) -> bool {
        let said = reply.duplicates.iter().find(|(run, _)| *run == new.id);
        let Some(dedup) = &new.dedup else {
            self.require(said.is_none(), || {
                "what has no dedup key was taken for a repetition".to_owned()
            });
            return false;
        };
        let at = (trigger, dedup.key.clone());
        let now = new.id.drawn_at();
        let known = self.dedup.get(&at).copied();
        if let Some((until, by)) = known
            && until > now
        {
            let original = said.map(|(_, original)| *original);
            let name = self.name(by);
            self.require(original == Some(by), || {
                format!(
                    "a repetition of {name}, key {:?}, was not recognised",
                    dedup.key
                )
            });
        }
        if said.is_some() {
            self.require(known.is_some(), || {
                format!(
                    "key {:?} was never seen, but taken for a repetition",
                    dedup.key
                )
            });
            return true;
        }
        self.dedup.insert(at, (now.plus(dedup.window), new.id));
        false
    }

    /// The one that waits for the same debounce key must go, and no other.
    fn supersedes(&mut self, new: &NewDelivery, reply: &Committed, trigger: usize, name: &str) {
        let said = reply.superseded.iter().find(|(_, by)| *by == new.id);
        let Some(debounce) = &new.debounce else {
            self.require(said.is_none(), || {
                format!("{name} is not debounced, but took the place of another one")
            });
            return;
        };
        let at = (trigger, debounce.key.clone());
        let waits = self.debounced.get(&at).copied().filter(|(run, _)| {
            let owed = self.runs.get(run);
            owed.is_some_and(|owed| owed.stands == Stands::Queued && owed.starts == 0)
        });
        let expected = waits.map(|(run, _)| run);
        let found = said.map(|(old, _)| *old);
        self.require(found == expected, || {
            format!("{name} should take the place of {expected:?}, and took that of {found:?}")
        });
        let first = waits.map_or(new.ready_at, |(_, first)| first);
        self.debounced.insert(at, (new.id, first));
        if let Some(owed) = found.and_then(|old| self.runs.get_mut(&old)) {
            owed.stands = Stands::Superseded;
        }
    }

    fn settled(&mut self, transaction: &Transaction, reply: &Committed) {
        let same = transaction.settlements.len() == reply.settled.len();
        self.require(same, || "not every settlement was answered".to_owned());
        let conditional = transaction.condition == Condition::IfApplied;
        let holds: Vec<bool> = transaction
            .settlements
            .iter()
            .map(|settlement| self.is_present(settlement.claim))
            .collect();
        let all = holds.iter().all(|holds| *holds);
        for ((settlement, said), holds) in transaction
            .settlements
            .iter()
            .zip(&reply.settled)
            .zip(holds)
        {
            let expected = if holds && (all || !conditional) {
                Settled::Applied
            } else {
                Settled::Stale
            };
            let name = self.name(settlement.claim.run);
            let ignored = conditional && *said == Settled::Stale;
            self.require(*said == expected || ignored, || {
                format!(
                    "the settlement of {name} (epoch {}, start {}) was {said:?} instead of {expected:?}",
                    settlement.claim.epoch.0, settlement.claim.start
                )
            });
            if *said == Settled::Applied {
                self.end(settlement);
            }
        }
    }

    fn is_present(&self, claim: Claim) -> bool {
        let owed = self.runs.get(&claim.run);
        owed.is_some_and(|owed| owed.stands == Stands::Claimed(claim.epoch, claim.start))
    }

    /// Holds an end against what user code did.
    fn end(&mut self, settlement: &Settlement) {
        let run = settlement.claim.run;
        let Some(mut owed) = self.runs.get(&run).cloned() else {
            return;
        };
        let name = format!("#{}", owed.number);
        let (retry, code) = (owed.retry.take(), owed.code);
        let limits = |kind| retry.as_ref().map_or(0, |retry| limit_of(retry, kind));
        let fault = match (&settlement.end, code) {
            (End::Succeeded, Code::Ended(Ok(()))) => {
                owed.stands = Stands::Succeeded;
                None
            }
            (End::Retry { charged, .. }, Code::Ended(Err(kind))) => {
                let counts = CHARGED.contains(&kind);
                owed.charged += u32::from(*charged);
                owed.stands = Stands::Queued;
                let limit = limits(kind);
                if *charged != counts {
                    Some(format!("it was charged: {charged} after {kind:?}"))
                } else if counts && owed.charged >= limit {
                    Some(format!(
                        "it is tried again after {} of {limit}",
                        owed.charged
                    ))
                } else if owed.hold_unknown && UNKNOWN.contains(&kind) {
                    Some(format!("it is tried again after {kind:?}"))
                } else {
                    None
                }
            }
            // A claim that led to no start.
            (End::Retry { charged: false, .. }, Code::No) => {
                owed.stands = Stands::Queued;
                None
            }
            (End::HeldForVersion { .. }, Code::Ended(Err(FailureKind::Load))) => {
                owed.stands = Stands::Queued;
                None
            }
            (End::Dead { reason, .. }, Code::Ended(Err(kind))) => {
                let counts = CHARGED.contains(&kind);
                owed.charged += u32::from(counts);
                owed.stands = Stands::Dead(*reason);
                let right = match reason {
                    DeadReason::AttemptsExhausted => counts && owed.charged >= limits(kind),
                    DeadReason::OutcomeUnknown => owed.hold_unknown && UNKNOWN.contains(&kind),
                    DeadReason::NotRetriable => kind == FailureKind::UserError,
                    DeadReason::TooOld => true,
                    _ => false,
                };
                (!right).then(|| format!("it died as {reason:?} after {kind:?}"))
            }
            (end, code) => Some(format!(
                "its code was {code:?}, and it was settled as {end:?}"
            )),
        };
        owed.code = Code::No;
        self.runs.insert(run, owed);
        self.require(fault.is_none(), || {
            format!("{name}: {}", fault.unwrap_or_default())
        });
        let stays = self.runs.get(&run).is_none_or(Owed::is_owed);
        if !stays {
            self.left_lane(run);
        }
    }

    /// Claims were replied.
    pub(crate) fn claimed(&mut self, found: &[Delivery], epoch: Epoch, now: Timestamp) {
        for delivery in found {
            self.claim(delivery.id, epoch, delivery.starts);
            let Some(owed) = self.runs.get(&delivery.id).cloned() else {
                continue;
            };
            let name = format!("#{}", owed.number);
            self.require(owed.expires_at > now, || {
                format!("{name} was claimed although it is too old")
            });
            self.require(delivery.attempts == owed.charged + 1, || {
                format!(
                    "{name} is claimed with {} attempts, {} were charged",
                    delivery.attempts, owed.charged
                )
            });
        }
    }

    fn claim(&mut self, run: RunId, epoch: Epoch, start: u32) {
        let name = self.name(run);
        let Some(mut owed) = self.runs.get(&run).cloned() else {
            self.require(false, || format!("{name} was claimed"));
            return;
        };
        let stood = owed.stands;
        self.require(stood == Stands::Queued, || {
            format!("{name} was claimed while it was {stood:?}")
        });
        self.in_turn(&owed, run, &name);
        owed.stands = Stands::Claimed(epoch, start);
        owed.starts += 1;
        owed.code = Code::No;
        let (starts, trigger, limit) = (owed.starts, owed.trigger, owed.seats);
        let key = owed.keys.concurrency.clone();
        self.runs.insert(run, owed);
        self.require(starts == start, || {
            format!("{name} is at start {starts}, the store says {start}")
        });
        let Some(key) = key else { return };
        let running = self.runs.values().filter(|other| {
            other.trigger == trigger
                && other.keys.concurrency.as_ref() == Some(&key)
                && matches!(other.stands, Stands::Claimed(..))
        });
        let running = running.count();
        self.require(running <= limit as usize, || {
            format!("{name} makes {running} of concurrency key {key:?}, {limit} are allowed")
        });
    }

    /// Another limit holds for those that come; those that were there may have got a seat under
    /// the one before.
    fn limit(&mut self, trigger: usize, limit: Option<u32>) {
        self.limits.insert(trigger, limit);
        let seats = limit.unwrap_or(u32::MAX);
        for owed in self.runs.values_mut().filter(|one| one.trigger == trigger) {
            owed.seats = owed.seats.max(seats);
        }
    }

    /// Whether it is its turn in its lane.
    fn in_turn(&mut self, owed: &Owed, run: RunId, name: &str) {
        let Some(key) = &owed.keys.ordering else {
            return;
        };
        let beside = self.runs.iter().find(|(other, one)| {
            **other != run
                && one.trigger == owed.trigger
                && one.keys.ordering.as_ref() == Some(key)
                && matches!(one.stands, Stands::Claimed(..))
        });
        let beside = beside.map(|(_, one)| one.number);
        self.require(beside.is_none(), || {
            format!(
                "{name} is claimed while #{} of its ordering key runs",
                beside.unwrap_or(0)
            )
        });
        if owed.loose {
            return;
        }
        // Of two that were handed in at the same time either may be the first: ids are drawn when
        // something is handed in, and commits may overtake each other.
        let lane = self.lanes.get(&(owed.trigger, key.clone()));
        let before = lane.and_then(|lane| {
            let earlier = lane.iter().take_while(|other| **other != run);
            earlier.copied().find(|other| *other < run)
        });
        let before = before.map(|first| self.name(first));
        self.require(before.is_none(), || {
            format!(
                "{name} is claimed before {} of its ordering key",
                before.unwrap_or_default()
            )
        });
    }

    fn intervened(&mut self, intervention: &Intervention, reply: &Committed) {
        if let Intervention::Limit { trigger, limit, .. } = intervention {
            let at = self
                .rules
                .iter()
                .position(|rules| rules.trigger == *trigger);
            if let Some(at) = at {
                self.limit(at, *limit);
            }
            return;
        }
        let Some(run) = run_of(intervention).filter(|run| reply.intervened.contains(run)) else {
            return;
        };
        let name = self.name(run);
        let Some(mut owed) = self.runs.get(&run).cloned() else {
            self.require(false, || format!("{name} was changed"));
            return;
        };
        let stood = owed.stands;
        let (right, becomes) = match intervention {
            Intervention::Redrive { expires_at, .. } => {
                owed.charged = 0;
                owed.expires_at = *expires_at;
                (matches!(stood, Stands::Dead(_)), Stands::Queued)
            }
            Intervention::Discard { .. } => (matches!(stood, Stands::Dead(_)), Stands::Discarded),
            Intervention::Expire { at, .. } => {
                // The clock may have been set back since it was found to be too old.
                let old = stood == Stands::Queued && owed.expires_at <= self.latest.max(*at);
                (old, Stands::Dead(DeadReason::TooOld))
            }
            _ => (stood == Stands::Queued, stood),
        };
        owed.stands = becomes;
        self.runs.insert(run, owed);
        if matches!(intervention, Intervention::Redrive { .. }) {
            // A person wants just this one: no later event takes its place.
            self.debounced.retain(|_, (waits, _)| *waits != run);
        }
        self.require(right, || {
            format!("{name} was {stood:?} when it was changed to {becomes:?}")
        });
        if !matches!(becomes, Stands::Queued) {
            self.left_lane(run);
        }
    }
}

/// The one delivery that an intervention is about.
fn run_of(intervention: &Intervention) -> Option<RunId> {
    match intervention {
        Intervention::Redrive { run, .. }
        | Intervention::Discard { run, .. }
        | Intervention::Expire { run, .. }
        | Intervention::Defer { run, .. }
        | Intervention::Park { run, .. } => Some(*run),
        _ => None,
    }
}

/// How often a delivery may be tried when it failed like this.
fn limit_of(retry: &RetryPolicy, kind: FailureKind) -> u32 {
    let own = retry.kinds.iter().find(|rule| rule.kind == kind);
    own.and_then(|rule| rule.max_attempts)
        .unwrap_or(retry.max_attempts)
}
