//! Pace: how many starts per time, by the generic cell rate algorithm (ITU-T I.371).
//!
//! A meter knows, for each key, when the next start would be due if all came evenly (`due`). A
//! start may come up to `burst - 1` gaps before that. Starts that are due but a little late (less
//! than one gap) are counted when they were due, so that a queue that is served with small delays
//! keeps its pace. Together: never more than `limit + burst` starts in any `per`, and `limit` per
//! `per` on average.
//!
//! Deliveries over the rate of their key are deferred to slots of their own, one gap apart, in
//! the order in which they came: they stand in a *line*. When the line falls behind (its trigger
//! was paused, its workers busy), those that come due meanwhile are moved behind one another
//! again, in the same order; `front` is where that has got to.

use std::{collections::BTreeMap, time::Duration};

use super::{Rate, moment::Moment};
use crate::id::RunId;

/// Keys that one meter remembers. Beyond it the keys that are due first are forgotten, and all
/// unknown keys count as used up until these would have been due: rates are never exceeded, but a
/// key may wait as long as one `per` before its first start.
const MOST_KEYS: usize = 50_000;

/// The pace of one trigger.
#[derive(Debug)]
pub(super) struct Meter {
    rule: Rate,
    gap: Duration,
    tolerance: Duration,
    /// What `due` is for keys that are not remembered.
    floor: Moment,
    keys: BTreeMap<String, Used>,
}

/// What is known of one key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Used {
    /// When the next start would be due if all came evenly.
    due: Moment,
    /// When the last one was taken.
    taken: Moment,
    /// The last one that was deferred, and to when.
    line: Place,
    /// The last one that was deferred again.
    front: Place,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    slot: Moment,
    run: RunId,
}

impl Place {
    const NONE: Self = Self {
        slot: Moment::PAST,
        run: RunId::from_raw(0),
    };

    fn stands(self, now: Moment) -> bool {
        self.slot > now
    }
}

/// Whether something may be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    Start,
    /// Not before this.
    At(Moment),
}

impl Meter {
    /// A meter of which everything was used up at `began`.
    pub(super) fn new(rule: Rate, began: Moment) -> Self {
        let limit = u128::from(rule.limit.max(1));
        let gap = rule.per.as_nanos().div_ceil(limit).max(1);
        let gap = Duration::from_nanos(u64::try_from(gap).unwrap_or(u64::MAX));
        let burst = rule.burst.clamp(1, rule.limit.max(1));
        Self {
            tolerance: gap.saturating_mul(burst - 1),
            floor: began.plus(gap.saturating_mul(burst)),
            gap,
            rule,
            keys: BTreeMap::new(),
        }
    }

    pub(super) const fn is_keyed(&self) -> bool {
        self.rule.key.is_some()
    }

    /// What is known of a key.
    pub(super) fn used(&self, key: &str) -> Used {
        self.keys.get(key).copied().unwrap_or(Used {
            due: self.floor,
            taken: Moment::PAST,
            line: Place::NONE,
            front: Place::NONE,
        })
    }

    /// When the next one may start.
    pub(super) fn free_at(&self, used: &Used) -> Moment {
        used.due.minus(self.tolerance)
    }

    /// Counts a start.
    pub(super) fn count(&self, used: &mut Used, now: Moment) {
        let late = used.due < now && used.due > now.minus(self.gap);
        let from = if late { used.due } else { used.due.max(now) };
        used.due = from.plus(self.gap);
        used.taken = now;
    }

    /// Judges the next one of a key, and gives it its place in the line when it must wait.
    pub(super) fn judge(&self, used: &mut Used, run: RunId, now: Moment) -> Pass {
        let free = self.free_at(used);
        let token = free <= now;
        let waiting = used.line.stands(now) || used.front.stands(now);
        if run > used.line.run || !waiting {
            if token && !waiting {
                self.count(used, now);
                return Pass::Start;
            }
            let slot = [used.line, used.front]
                .into_iter()
                .filter(|place| place.stands(now))
                .map(|place| place.slot.plus(self.gap))
                .fold(free, Moment::max);
            used.line = Place { slot, run };
            return Pass::At(slot);
        }
        let behind = used.front.stands(now) && run > used.front.run;
        if token && !behind {
            self.count(used, now);
            return Pass::Start;
        }
        let slot = if behind {
            free.max(used.front.slot.plus(self.gap))
        } else {
            free
        };
        used.front = Place { slot, run };
        Pass::At(slot)
    }

    /// Judges a batch, which has no one place in a line: whenever a start is to be had the batch
    /// whose time has come gets it, otherwise it goes behind all.
    pub(super) fn judge_batch(&self, used: &mut Used, last: RunId, now: Moment) -> Pass {
        let free = self.free_at(used);
        if free <= now {
            self.count(used, now);
            return Pass::Start;
        }
        let slot = if used.line.stands(now) {
            free.max(used.line.slot.plus(self.gap))
        } else {
            free
        };
        used.line = Place { slot, run: last };
        Pass::At(slot)
    }

    /// Judges one start without giving places: whoever must wait stays at the head of its queue.
    pub(super) fn pass(&self, used: &mut Used, now: Moment) -> Pass {
        let free = self.free_at(used);
        if free > now {
            return Pass::At(free);
        }
        self.count(used, now);
        Pass::Start
    }

    /// Whether one that nobody deferred may start at once.
    pub(super) fn is_free(&self, key: &str, now: Moment) -> bool {
        let used = self.used(key);
        self.free_at(&used) <= now && !used.line.stands(now) && !used.front.stands(now)
    }

    /// Counts a start, if there is one to be had.
    pub(super) fn take(&mut self, key: &str, now: Moment) -> bool {
        let mut used = self.used(key);
        if self.free_at(&used) > now {
            return false;
        }
        self.count(&mut used, now);
        self.put(key, used, now);
        true
    }

    /// Undoes a start that was counted at `taken`. Only what was taken last can be given back
    /// without giving too much; what is not costs its key a wait of one gap.
    pub(super) fn give_back(&mut self, key: &str, taken: Moment) {
        if let Some(used) = self.keys.get_mut(key)
            && used.taken == taken
        {
            used.due = used.due.minus(self.gap);
        }
    }

    /// Remembers places in the line; starts that a plan only proposed are not counted.
    pub(super) fn keep_line(&mut self, key: &str, planned: &Used, now: Moment) {
        let mut used = self.used(key);
        used.line = planned.line;
        used.front = planned.front;
        self.put(key, used, now);
    }

    fn put(&mut self, key: &str, used: Used, now: Moment) {
        if let Some(known) = self.keys.get_mut(key) {
            *known = used;
            return;
        }
        if self.keys.len() >= MOST_KEYS {
            self.forget(now);
        }
        self.keys.insert(key.to_owned(), used);
    }

    /// Drops what says nothing any more; when that is not enough, the tenth that is due first.
    fn forget(&mut self, now: Moment) {
        if self.floor <= now {
            self.keys.retain(|_, used| {
                used.due > now || used.line.stands(now) || used.front.stands(now)
            });
        }
        if self.keys.len() < MOST_KEYS {
            return;
        }
        let mut dues: Vec<Moment> = self.keys.values().map(|used| used.due).collect();
        let (_, &mut bound, _) = dues.select_nth_unstable(MOST_KEYS / 10);
        self.keys.retain(|_, used| used.due > bound);
        self.floor = self.floor.max(bound);
    }

    /// Keys whose rate is used up now, and until when; at most `most`.
    pub(super) fn used_up(&self, now: Moment, most: usize) -> Vec<(String, Moment)> {
        let until = |used: &Used| self.free_at(used).max(used.line.slot).max(used.front.slot);
        let known = (self.keys.iter()).map(|(key, used)| (key.clone(), until(used)));
        // Of the one rate of a trigger something is to be said before its first start, too.
        let unknown = !self.is_keyed() && self.keys.is_empty();
        let unknown = unknown.then(|| (String::new(), until(&self.used(""))));
        (known.chain(unknown))
            .filter(|(_, until)| *until > now)
            .take(most)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::moment::Pulse, time::Timestamp};
    use proptest::prelude::*;

    fn rule(limit: u32, per_ms: u64, burst: u32) -> Rate {
        Rate {
            limit,
            per: Duration::from_millis(per_ms),
            burst,
            key: None,
        }
    }

    fn moment(ms: i64) -> Moment {
        Pulse::new(Timestamp::from_millis(0)).beat(Timestamp::from_millis(ms))
    }

    #[test]
    fn what_came_before_a_restart_counts() {
        let mut meter = Meter::new(rule(10, 1000, 3), moment(0));
        assert!(!meter.take("", moment(99)));
        assert!(meter.take("", moment(100)));
        assert!(!meter.take("", moment(199)));
        let later: Vec<bool> = (0..4).map(|_| meter.take("", moment(5000))).collect();
        assert_eq!(later, [true, true, true, false]);
    }

    #[test]
    fn a_line_keeps_its_order_and_its_gaps_also_when_it_falls_behind() {
        let meter = Meter::new(rule(10, 1000, 1), moment(-10_000).min(moment(0)));
        let mut used = meter.used("");
        let run = RunId::from_raw;
        let slots = |used: &mut Used, runs: std::ops::Range<i64>, now| -> Vec<Pass> {
            runs.map(|n| meter.judge(used, run(n), now)).collect()
        };
        let now = moment(1000);
        let at = |ms| Pass::At(moment(ms));
        let first = slots(&mut used, 1..5, now);
        assert_eq!(first, [Pass::Start, at(1100), at(1200), at(1300)]);
        // Nobody served them for a while: 2 is started, 3 and 4 follow it, and 5 comes behind 4.
        let late = slots(&mut used, 2..6, moment(1250));
        assert_eq!(late[0], Pass::Start);
        assert_eq!(late[1..3], [at(1350), at(1450)]);
        assert!(late[3] > at(1450) || late[3] == at(1550), "{late:?}");
        let on_time = slots(&mut used, 3..4, moment(1350));
        assert_eq!(on_time, [Pass::Start]);
    }

    impl PartialOrd for Pass {
        fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
            match (self, other) {
                (Self::At(one), Self::At(two)) => one.partial_cmp(two),
                _ => None,
            }
        }
    }

    #[test]
    fn memory_is_bounded_and_forgetting_never_gives_more() {
        let mut meter = Meter::new(rule(1, 3_600_000, 1), moment(0));
        let start = 3_600_000;
        let most = MOST_KEYS as i64;
        for n in 0..most {
            assert!(meter.take(&n.to_string(), moment(start + n)), "{n}");
        }
        // The one too many drives out a tenth; further unknown keys wait until those were due.
        assert!(meter.take("more", moment(start + most)));
        assert!(meter.keys.len() < MOST_KEYS);
        for n in ["0", "unknown"] {
            assert!(!meter.is_free(n, moment(start + most + 1)), "{n}");
            assert!(meter.is_free(n, moment(2 * start + most)), "{n}");
        }
    }

    proptest! {
        #[test]
        fn no_window_has_more_than_limit_and_burst(
            limit in 1u32..20,
            burst in 1u32..20,
            steps in proptest::collection::vec(0i64..400, 1..300),
        ) {
            let mut meter = Meter::new(rule(limit, 1000, burst.min(limit)), moment(0));
            let (mut now, mut starts) = (0, Vec::new());
            for step in steps {
                now += step;
                while meter.take("", moment(now)) {
                    starts.push(now);
                }
            }
            for (n, from) in starts.iter().enumerate() {
                let within = starts[n..].iter().take_while(|at| **at < from + 1000).count();
                prop_assert!(within as u32 <= limit + burst.min(limit), "{within} from {from}");
            }
        }
    }
}
