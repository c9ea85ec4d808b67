//! What happens to deliveries: they come, are claimed and settled, and people intervene.

use wakeful_core::{
    delivery::{DeadReason, Failure},
    flow::OnUnknown,
    id::RunId,
    limits,
    name::{FunctionName, Scope},
    port::{
        Claim, Committed, Delivery, End, Ended, Ending, Epoch, Held, Intervention, NewDebounce,
        NewDelivery, Parked, Settled, Settlement, StoreStats,
    },
    time::Timestamp,
};

use super::{
    rows::{Row, Rows},
    state::State,
};
use crate::{
    debounce,
    lanes::{self, Member, Place},
};

impl State {
    /// Begins the next epoch.
    pub(super) fn restart(&mut self, now: Timestamp) -> Epoch {
        self.epoch = Epoch(self.epoch.0 + 1);
        self.stats = StoreStats::default();
        let running: Vec<RunId> = self.rows.running.iter().copied().collect();
        for run in running {
            let rule = self.rows.get(run).map(|row| row.delivery.on_unknown);
            if rule == Some(OnUnknown::Hold) {
                self.bury(run, (DeadReason::OutcomeUnknown, now), None);
                continue;
            }
            let queued = self.rows.change(run, |row| {
                row.stand(Place::Queued);
                row.delivery.attempts -= 1;
            });
            self.requeued(queued);
        }
        self.rows.released.clear();
        self.epoch
    }

    pub(super) fn enqueue(&mut self, new: NewDelivery, committed: &mut Committed) {
        self.remember(&new);
        let trigger = self.rows.intern(&new.scope, &new.trigger);
        let mut row = self.row_of(&new, trigger);
        if let Some(reason) = new.dead {
            row.stand(Place::Dead);
            row.aside = true;
            row.delivery.dead = Some((reason, new.id.drawn_at()));
            self.rows.insert(row);
            return;
        }
        if new.keys.concurrency.is_some() && new.key_limit.is_some() {
            self.set_limit(trigger, new.key_limit);
        }
        if let Some(rule) = &new.debounce {
            let first = self.supersede(&new, rule, trigger, committed);
            row.debounce = Some((rule.key.clone(), first.unwrap_or(new.ready_at)));
            row.delivery.ready_at = debounce::ready_at(rule, new.ready_at, first);
        }
        let Ok(mut place) = lanes::enter(&mut self.rows, &row.member());
        if new.claimed {
            if place == Place::Queued && new.debounce.is_none() {
                place = Place::Running;
                (row.delivery.starts, row.delivery.attempts) = (1, 1);
            } else {
                committed.unclaimed.push(new.id);
            }
        }
        row.stand(place);
        self.rows.insert(row);
    }

    fn row_of(&self, new: &NewDelivery, trigger: i64) -> Row {
        Row {
            delivery: new.clone().queued(),
            trigger,
            place: Place::Queued,
            aside: false,
            claimed_by: self.epoch,
            debounce: None,
            parked_for: None,
        }
    }

    fn supersede(
        &mut self,
        new: &NewDelivery,
        rule: &NewDebounce,
        trigger: i64,
        committed: &mut Committed,
    ) -> Option<Timestamp> {
        let run = *self.rows.trigger(trigger).debounced.get(&rule.key)?;
        let old = self.rows.remove(run)?;
        self.end(Ending {
            event: old.delivery.event,
            run,
            trigger: new.trigger.clone(),
            at: new.id.drawn_at(),
            how: Ended::Superseded(new.id),
        });
        committed.superseded.push((run, new.id));
        self.left(&old.member(), old.place);
        old.debounce.map(|(_, since)| since)
    }

    fn left(&mut self, gone: &Member, from: Place) {
        let Ok(()) = lanes::left(&mut self.rows, gone, from);
    }

    fn requeued(&mut self, queued: Option<Member>) {
        if let Some(queued) = queued {
            let Ok(()) = lanes::requeued(&mut self.rows, &queued);
        }
    }

    fn set_limit(&mut self, trigger: i64, limit: Option<u32>) {
        let known = &mut self.rows.triggers[trigger as usize].limit;
        if *known == limit {
            return;
        }
        *known = limit;
        let mut from = Some(String::new());
        while let Some(key) = from {
            let Ok(next) = lanes::fill_rooms(&mut self.rows, trigger, &key, limits::RELEASE_STEP);
            from = next;
        }
    }

    pub(super) fn holds(&self, claim: Claim) -> bool {
        self.rows.get(claim.run).is_some_and(|row| {
            row.place == Place::Running
                && row.claimed_by == claim.epoch
                && row.delivery.starts == claim.start
        })
    }

    pub(super) fn settle(&mut self, settlement: Settlement) -> Settled {
        if !self.holds(settlement.claim) {
            self.stats.stale += 1;
            return Settled::Stale;
        }
        let run = settlement.claim.run;
        match settlement.end {
            End::Succeeded => {
                if let Some(gone) = self.rows.remove(run) {
                    self.left(&gone.member(), Place::Running);
                }
            }
            End::Retry {
                at,
                charged,
                alone,
                failure,
            } => {
                let queued = self.rows.change(run, |row| {
                    row.stand(Place::Queued);
                    let delivery = &mut row.delivery;
                    delivery.ready_at = at;
                    delivery.attempts -= u32::from(!charged);
                    delivery.alone = alone;
                    delivery.failure = failure.or(delivery.failure.take());
                });
                self.requeued(queued);
            }
            End::HeldForVersion { version, failure } => {
                let held = self.rows.change(run, |row| {
                    row.stand(Place::Version);
                    row.delivery.held = Some(Held::Version(version));
                    row.delivery.attempts -= 1;
                    row.delivery.failure = Some(failure);
                });
                if let Some(held) = held {
                    let Ok(()) = lanes::stands_still(&mut self.rows, &held);
                }
            }
            End::Dead {
                reason,
                at,
                failure,
            } => {
                self.bury(run, (reason, at), failure);
            }
        }
        Settled::Applied
    }

    /// Makes a dead letter of a delivery that is none.
    fn bury(
        &mut self,
        run: RunId,
        why: (DeadReason, Timestamp),
        failure: Option<Failure>,
    ) -> Option<()> {
        let from = self.rows.get(run)?.place;
        let dead = self.rows.change(run, |row| {
            row.stand(Place::Dead);
            row.delivery.dead = Some(why);
            row.delivery.failure = failure.or(row.delivery.failure.take());
        })?;
        self.left(&dead, from);
        Some(())
    }

    pub(super) fn claim(&mut self, runs: &[RunId], now: Timestamp) -> Vec<Delivery> {
        let epoch = self.epoch;
        let mut claimed = Vec::new();
        for run in runs {
            let claimable = self
                .rows
                .get(*run)
                .is_some_and(|row| row.place.is_claimable() && row.delivery.expires_at > now);
            if !claimable {
                continue;
            }
            self.rows.change(*run, |row| {
                row.stand(Place::Running);
                row.delivery.starts += 1;
                row.delivery.attempts += 1;
                row.claimed_by = epoch;
                claimed.push(row.delivery.clone());
            });
        }
        self.stats.syncs += 1;
        claimed
    }

    pub(super) fn intervene(
        &mut self,
        intervention: Intervention,
        changed: &mut Vec<RunId>,
        ignored: &mut usize,
    ) {
        let (run, done) = match intervention {
            Intervention::Redrive {
                run,
                now,
                expires_at,
            } => (run, self.redrive(run, now, expires_at)),
            Intervention::Discard { run, at, why } => (run, self.discard(run, at, why)),
            Intervention::Expire { run, at } => (run, self.expire(run, at)),
            other => return self.hold_or_release(other, changed),
        };
        match done {
            Some(()) => changed.push(run),
            None => *ignored += 1,
        }
    }

    fn hold_or_release(&mut self, intervention: Intervention, changed: &mut Vec<RunId>) {
        match intervention {
            Intervention::Defer { run, until } => {
                changed.extend(self.defer(run, until).map(|()| run));
            }
            Intervention::Park { run, why, key } => {
                changed.extend(self.park(run, why, key).map(|()| run));
            }
            Intervention::Unpark {
                scope,
                trigger,
                why,
                key,
                now,
                most,
            } => {
                if let Some(number) = self.rows.number(&scope, &trigger) {
                    let mut runs = self.parked(number, Place::from(why), key.as_deref());
                    runs.truncate(most.unwrap_or(usize::MAX));
                    self.make_ready(runs, now, changed);
                }
            }
            Intervention::Limit {
                scope,
                trigger,
                limit,
            } => {
                let number = self.rows.intern(&scope, &trigger);
                self.set_limit(number, limit);
            }
            Intervention::ReleaseHeld {
                scope,
                function,
                live,
                now,
            } => {
                let runs = self.held_for_other_versions(&scope, &function, &live);
                self.make_ready(runs, now, changed);
            }
            _ => {}
        }
    }

    fn parked(&self, trigger: i64, place: Place, key: Option<&str>) -> Vec<RunId> {
        let fits = |run: &RunId| {
            let row = self.rows.get(*run);
            let parked_for = row.and_then(|row| row.parked_for.as_deref());
            key.is_none() || key == parked_for
        };
        let parked = self.rows.trigger(trigger).parked.iter();
        let parked = parked.filter(|(parked, _)| *parked == place);
        parked.map(|(_, run)| *run).filter(fits).collect()
    }

    fn held_for_other_versions(
        &self,
        scope: &Scope,
        function: &FunctionName,
        live: &str,
    ) -> Vec<RunId> {
        let held = |run: &&RunId| {
            self.rows.get(**run).is_some_and(|row| {
                let delivery = &row.delivery;
                let other = matches!(&delivery.held, Some(Held::Version(held)) if held != live);
                other && delivery.scope == *scope && delivery.function == *function
            })
        };
        self.rows.for_version.iter().filter(held).copied().collect()
    }

    fn make_ready(&mut self, runs: Vec<RunId>, now: Timestamp, changed: &mut Vec<RunId>) {
        for run in runs {
            let ready = self.rows.change(run, |row| {
                row.stand(Place::Queued);
                row.delivery.ready_at = now;
            });
            self.requeued(ready);
            changed.push(run);
        }
    }

    fn standing(&self, run: RunId, place: Place) -> Option<&Row> {
        self.rows.get(run).filter(|row| row.place == place)
    }

    fn redrive(&mut self, run: RunId, now: Timestamp, expires_at: Timestamp) -> Option<()> {
        let mut back = self.standing(run, Place::Dead)?.member();
        back.ready_at = now;
        let Ok(place) = lanes::enter(&mut self.rows, &back);
        self.rows.change(run, |row| {
            row.stand(place);
            row.aside = false;
            row.debounce = None;
            let delivery = &mut row.delivery;
            delivery.attempts = 0;
            delivery.ready_at = now;
            delivery.expires_at = expires_at;
            delivery.dead = None;
        });
        Some(())
    }

    fn discard(&mut self, run: RunId, at: Timestamp, why: String) -> Option<()> {
        self.standing(run, Place::Dead)?;
        let gone = self.rows.remove(run)?;
        self.end(Ending {
            event: gone.delivery.event,
            run,
            trigger: gone.delivery.trigger.clone(),
            at,
            how: Ended::Discarded(why),
        });
        self.left(&gone.member(), Place::Dead);
        Some(())
    }

    fn expire(&mut self, run: RunId, at: Timestamp) -> Option<()> {
        match self.rows.get(run)?.place {
            Place::Dead | Place::Running => None,
            _ => self.bury(run, (DeadReason::TooOld, at), None),
        }
    }

    fn defer(&mut self, run: RunId, until: Timestamp) -> Option<()> {
        self.standing(run, Place::Queued)?;
        let later = self.rows.change(run, |row| row.delivery.ready_at = until);
        self.requeued(later);
        Some(())
    }

    fn park(&mut self, run: RunId, why: Parked, key: String) -> Option<()> {
        self.standing(run, Place::Queued)?;
        self.rows.change(run, |row| {
            row.stand(Place::from(why));
            row.parked_for = Some(key);
        });
        Some(())
    }

    pub(super) fn sweep_dead(&mut self, before: Timestamp) {
        let is_old = |rows: &Rows, run: RunId| {
            let dead = rows.get(run).and_then(|row| row.delivery.dead);
            dead.is_some_and(|(_, since)| since < before)
        };
        let dead = self.rows.dead.iter().copied();
        let old: Vec<RunId> = dead.filter(|run| is_old(&self.rows, *run)).collect();
        let gone: Vec<Row> = old
            .into_iter()
            .filter_map(|run| self.rows.remove(run))
            .collect();
        for row in gone {
            self.left(&row.member(), Place::Dead);
        }
        self.rows.released.clear();
    }
}
