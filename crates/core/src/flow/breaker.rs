//! Circuit breakers: one per key of a trigger, or one for all of it.
//!
//! Closed: deliveries that fail with a charge are noted until one succeeds. When as many
//! *different* ones failed in a row as the rule says, it opens: nothing is started. When its time
//! has come exactly one delivery is tried; if it succeeds the breaker closes, if it fails the
//! wait doubles, if it ends without a charge the next one is tried.

use std::{collections::BTreeMap, time::Duration};

use super::{BreakerRule, gate::Outcome, moment::Moment};
use crate::id::RunId;

/// Keys that one trigger's breakers remember: those that fail, and those that are open. Beyond
/// it the closed ones that failed longest ago are forgotten and begin to count anew; while that
/// many are open, no further one opens.
const MOST_KEYS: usize = 10_000;

/// The breakers of one trigger.
#[derive(Debug)]
pub(super) struct Breakers {
    rule: BreakerRule,
    keys: BTreeMap<String, Breaker>,
    /// Nothing need be asked for before this; `None`: nothing is parked.
    next_ask: Option<Moment>,
}

#[derive(Debug)]
struct Breaker {
    /// Different deliveries that failed since the last success, at most `failures`.
    failed: Vec<RunId>,
    last: Moment,
    open: Option<Open>,
}

/// A breaker that is open.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open {
    pub(super) since: Moment,
    /// Not even one is tried before this.
    pub(super) until: Moment,
    /// The delivery that is being tried.
    pub(super) probe: Option<RunId>,
    /// Failures in a row, those of probes included.
    pub(super) failures: u32,
    /// How long it was last held.
    wait: Duration,
    /// When to ask for one of the deliveries that are parked because of it; `None`: there are none.
    ask: Option<Moment>,
}

/// What a breaker says of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Says {
    Go,
    /// It may be started, and nothing else with its key.
    Probe,
    /// Not before this; `None`: once the probe has ended.
    Hold(Option<Moment>),
}

/// What the end of an attempt did to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Swung {
    Not,
    Opened { until: Moment, failures: u32 },
    Closed,
}

impl Breakers {
    pub(super) const fn new(rule: BreakerRule) -> Self {
        Self {
            rule,
            keys: BTreeMap::new(),
            next_ask: None,
        }
    }

    pub(super) const fn is_keyed(&self) -> bool {
        self.rule.key.is_some()
    }

    pub(super) fn says(&self, key: &str, now: Moment) -> Says {
        let open = self.keys.get(key).and_then(|breaker| breaker.open);
        match open {
            None => Says::Go,
            Some(Open { probe: Some(_), .. }) => Says::Hold(None),
            Some(open) if open.until > now => Says::Hold(Some(open.until)),
            Some(_) => Says::Probe,
        }
    }

    /// Notes that `run` is the one that is tried.
    pub(super) fn probe(&mut self, key: &str, run: RunId) {
        if let Some(open) = self.open_mut(key) {
            open.probe = Some(run);
        }
    }

    /// Notes that deliveries with this key are parked.
    pub(super) fn parked(&mut self, key: &str) {
        let Some(open) = self.open_mut(key) else {
            return;
        };
        let ask = *open.ask.get_or_insert(open.until);
        self.next_ask = Some(self.next_ask.map_or(ask, |next| next.min(ask)));
    }

    /// Notes that no delivery with this key is parked.
    pub(super) fn none_parked(&mut self, key: &str) {
        if let Some(open) = self.open_mut(key) {
            open.ask = None;
        }
    }

    fn open_mut(&mut self, key: &str) -> Option<&mut Open> {
        let breaker = self.keys.get_mut(key)?;
        breaker.open.as_mut()
    }

    /// Open keys of which one parked delivery is to be tried now, at most `most`; should that
    /// come to nothing, they are named again after a while.
    pub(super) fn ask(&mut self, now: Moment, most: usize) -> Vec<String> {
        let mut asked = Vec::new();
        if self.next_ask.is_none_or(|next| next > now) {
            return asked;
        }
        self.next_ask = None;
        for (key, breaker) in &mut self.keys {
            let Some(open) = breaker.open.as_mut() else {
                continue;
            };
            let Some(at) = open.ask else {
                continue;
            };
            let mut at = at.max(open.until);
            if open.probe.is_some() {
                // Its end decides; should nobody look then, somebody does a little later.
                at = at.max(now.plus(open.wait));
            } else if at <= now && asked.len() < most {
                asked.push(key.clone());
                at = now.plus(open.wait);
                open.ask = Some(at);
            }
            self.next_ask = Some(self.next_ask.map_or(at, |next| next.min(at)));
        }
        asked
    }

    /// When `ask` may have something to say.
    pub(super) const fn next_ask(&self) -> Option<Moment> {
        self.next_ask
    }

    /// An attempt of `run` ended.
    pub(super) fn ended(&mut self, key: &str, run: RunId, how: Outcome, now: Moment) -> Swung {
        let probed = self
            .open_mut(key)
            .map(|open| open.probe.take_if(|probe| *probe == run).is_some());
        match (probed, how) {
            (None, Outcome::Succeeded) => {
                self.keys.remove(key);
                Swung::Not
            }
            (None, Outcome::Failed) => self.note(key, run, now),
            (Some(true), Outcome::Succeeded) => {
                self.keys.remove(key);
                Swung::Closed
            }
            (Some(true), Outcome::Failed) => self.hold_longer(key, now),
            (Some(true), Outcome::Free) => {
                self.ask_at(key, now);
                Swung::Not
            }
            // It was started before the breaker opened: the probe decides.
            (Some(false), _) | (None, Outcome::Free) => Swung::Not,
        }
    }

    fn note(&mut self, key: &str, run: RunId, now: Moment) -> Swung {
        if !self.keys.contains_key(key) && self.keys.len() >= MOST_KEYS && !self.forget() {
            return Swung::Not;
        }
        let breaker = self.keys.entry(key.to_owned()).or_insert(Breaker {
            failed: Vec::new(),
            last: now,
            open: None,
        });
        breaker.last = now;
        if !breaker.failed.contains(&run) {
            breaker.failed.push(run);
        }
        let failures = u32::try_from(breaker.failed.len()).unwrap_or(u32::MAX);
        if failures < self.rule.failures {
            return Swung::Not;
        }
        breaker.failed = Vec::new();
        let until = now.plus(self.rule.retry_after);
        breaker.open = Some(Open {
            since: now,
            until,
            probe: None,
            failures,
            wait: self.rule.retry_after,
            ask: None,
        });
        Swung::Opened { until, failures }
    }

    fn hold_longer(&mut self, key: &str, now: Moment) -> Swung {
        let most = self.rule.retry_most.max(self.rule.retry_after);
        let Some(open) = self.open_mut(key) else {
            return Swung::Not;
        };
        open.wait = open.wait.saturating_mul(2).min(most);
        open.until = now.plus(open.wait);
        open.failures = open.failures.saturating_add(1);
        let (until, failures) = (open.until, open.failures);
        self.ask_at(key, until);
        Swung::Opened { until, failures }
    }

    fn ask_at(&mut self, key: &str, at: Moment) {
        let Some(open) = self.open_mut(key) else {
            return;
        };
        if open.ask.is_some() {
            open.ask = Some(at);
            self.next_ask = Some(self.next_ask.map_or(at, |next| next.min(at)));
        }
    }

    /// The tenth of the closed ones that failed longest ago is forgotten. False: all are open.
    fn forget(&mut self) -> bool {
        let closed = self.keys.values().filter(|breaker| breaker.open.is_none());
        let mut last: Vec<Moment> = closed.map(|breaker| breaker.last).collect();
        if last.is_empty() {
            return false;
        }
        let tenth = last.len() / 10;
        let (_, &mut bound, _) = last.select_nth_unstable(tenth);
        self.keys
            .retain(|_, breaker| breaker.open.is_some() || breaker.last > bound);
        true
    }

    /// What is open, at most `most`.
    pub(super) fn open(&self, most: usize) -> impl Iterator<Item = (&str, &Open)> {
        self.keys
            .iter()
            .filter_map(|(key, breaker)| Some((key.as_str(), breaker.open.as_ref()?)))
            .take(most)
    }

    pub(super) fn is_open(&self, key: &str) -> bool {
        let breaker = self.keys.get(key);
        breaker.is_some_and(|breaker| breaker.open.is_some())
    }

    /// Whether deliveries may be parked because of a breaker.
    pub(super) fn any_open(&self) -> bool {
        self.keys.values().any(|breaker| breaker.open.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{flow::moment::Pulse, time::Timestamp};

    fn moment(ms: i64) -> Moment {
        Pulse::new(Timestamp::from_millis(0)).beat(Timestamp::from_millis(ms))
    }

    fn three() -> Breakers {
        Breakers::new(BreakerRule {
            failures: 3,
            retry_after: Duration::from_secs(10),
            retry_most: Duration::from_secs(25),
            key: None,
        })
    }

    fn fails(breakers: &mut Breakers, runs: &[i64], ms: i64) -> Vec<Swung> {
        runs.iter()
            .map(|run| breakers.ended("", RunId::from_raw(*run), Outcome::Failed, moment(ms)))
            .collect()
    }

    #[test]
    fn different_failures_in_a_row_open_it() {
        let mut breakers = three();
        assert_eq!(fails(&mut breakers, &[1, 1, 1, 1, 2], 0), [Swung::Not; 5]);
        let _ = breakers.ended("", RunId::from_raw(9), Outcome::Succeeded, moment(0));
        assert_eq!(fails(&mut breakers, &[1, 2, 2], 0), [Swung::Not; 3]);
        let opened = Swung::Opened {
            until: moment(10_000),
            failures: 3,
        };
        assert_eq!(fails(&mut breakers, &[3], 0), [opened]);
        assert_eq!(
            breakers.says("", moment(9999)),
            Says::Hold(Some(moment(10_000)))
        );
        assert_eq!(breakers.says("", moment(10_000)), Says::Probe);
    }

    #[test]
    fn one_is_tried_and_decides() {
        let mut breakers = three();
        fails(&mut breakers, &[1, 2, 3], 0);
        let (probe, other) = (RunId::from_raw(1), RunId::from_raw(7));
        breakers.probe("", probe);
        assert_eq!(breakers.says("", moment(10_000)), Says::Hold(None));
        let late = breakers.ended("", other, Outcome::Succeeded, moment(10_000));
        assert_eq!(late, Swung::Not);
        for (wait, from) in [(20_000, 10_000), (25_000, 30_000), (25_000, 55_000)] {
            breakers.probe("", probe);
            let Swung::Opened { until, .. } =
                breakers.ended("", probe, Outcome::Failed, moment(from))
            else {
                panic!("it stays open");
            };
            assert_eq!(until, moment(from + wait));
        }
        breakers.probe("", probe);
        let free = breakers.ended("", probe, Outcome::Free, moment(80_000));
        assert_eq!(
            (free, breakers.says("", moment(80_000))),
            (Swung::Not, Says::Probe)
        );
        breakers.probe("", probe);
        let closed = breakers.ended("", probe, Outcome::Succeeded, moment(80_000));
        assert_eq!(
            (closed, breakers.says("", moment(80_000))),
            (Swung::Closed, Says::Go)
        );
    }

    #[test]
    fn parked_ones_are_asked_for_one_at_a_time() {
        let mut breakers = three();
        fails(&mut breakers, &[1, 2, 3], 0);
        assert_eq!(breakers.next_ask(), None);
        breakers.parked("");
        assert_eq!(breakers.next_ask(), Some(moment(10_000)));
        assert!(breakers.ask(moment(9_000), 10).is_empty());
        assert_eq!(breakers.ask(moment(10_000), 10), [""]);
        assert!(breakers.ask(moment(10_001), 10).is_empty());
        assert_eq!(breakers.ask(moment(20_000), 10), [""]);
    }

    #[test]
    fn memory_is_bounded() {
        let mut breakers = three();
        for n in 0..(3 * MOST_KEYS as i64) {
            let key = n.to_string();
            breakers.ended(&key, RunId::from_raw(n), Outcome::Failed, moment(n));
        }
        assert!(breakers.keys.len() <= MOST_KEYS);
    }
}
