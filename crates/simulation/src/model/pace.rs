//! The rules of one trigger, as the model understands them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wakeful_core::{flow::Flow, id::RunId, name::TriggerId, port::Keys};

/// Rules, and what was seen of what they count.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) trigger: TriggerId,
    pub(crate) flow: Arc<Flow>,
    /// Starts of each rate key, milliseconds of steady time.
    starts: BTreeMap<String, Vec<(i64, RunId)>>,
    breakers: BTreeMap<String, Breaker>,
}

/// What is known of one breaker.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failed: BTreeSet<RunId>,
    /// Until when, and how long it waited.
    open: Option<(i64, i64)>,
    probe: Option<RunId>,
}

impl Rules {
    pub(crate) fn new(trigger: TriggerId, flow: Arc<Flow>) -> Self {
        Self {
            trigger,
            flow,
            starts: BTreeMap::new(),
            breakers: BTreeMap::new(),
        }
    }

    /// New rules; what is counted for those that changed begins anew.
    pub(crate) fn reload(&mut self, flow: Arc<Flow>) {
        if flow.rate != self.flow.rate {
            self.starts.clear();
        }
        if flow.breaker != self.flow.breaker {
            self.breakers.clear();
        }
        self.flow = flow;
    }

    /// A restart: breakers close, rates do not.
    pub(super) fn forget(&mut self) {
        self.breakers.clear();
    }

    fn breaker_key(&self, keys: &Keys) -> Option<String> {
        let rule = self.flow.breaker.as_ref()?;
        let key = rule.key.as_ref().and(keys.breaker.clone());
        Some(key.unwrap_or_default())
    }

    fn rate_key(&self, keys: &Keys) -> Option<String> {
        let rule = self.flow.rate.as_ref()?;
        let key = rule.key.as_ref().and(keys.rate.clone());
        Some(key.unwrap_or_default())
    }

    /// One start of these was decided at `now`. Says what is wrong with it.
    pub(super) fn decided(&mut self, runs: &[(RunId, Keys)], now: i64) -> Option<String> {
        for (run, keys) in runs {
            if let Some(fault) = self.breaker_lets(*run, keys, now) {
                return Some(fault);
            }
        }
        let (first, keys) = runs.first()?;
        let key = self.rate_key(keys)?;
        let rule = self.flow.rate.clone()?;
        let starts = self.starts.entry(key.clone()).or_default();
        starts.push((now, *first));
        let per = i64::try_from(rule.per.as_millis()).unwrap_or(i64::MAX);
        let within = starts.iter().filter(|(at, _)| *at > now - per).count();
        let most = (rule.limit + rule.burst) as usize;
        (within > most).then(|| {
            format!("{within} starts of rate key {key:?} in {per} ms, {most} are the most")
        })
    }

    fn breaker_lets(&mut self, run: RunId, keys: &Keys, now: i64) -> Option<String> {
        let key = self.breaker_key(keys)?;
        let breaker = self.breakers.entry(key.clone()).or_default();
        let (until, _) = breaker.open?;
        if now < until {
            return Some(format!(
                "breaker {key:?} is open for {} ms more",
                until - now
            ));
        }
        if let Some(probe) = breaker.probe {
            return Some(format!("breaker {key:?} tries {probe} already"));
        }
        breaker.probe = Some(run);
        None
    }

    /// Whether a start is the probe of a breaker: then it is alone whatever its batch says.
    pub(super) fn is_probe(&self, run: RunId) -> bool {
        self.breakers.values().any(|one| one.probe == Some(run))
    }

    /// A decided start came to nothing.
    pub(super) fn undone(&mut self, run: RunId) {
        for starts in self.starts.values_mut() {
            starts.retain(|(_, other)| *other != run);
        }
        for breaker in self.breakers.values_mut() {
            breaker.probe.take_if(|probe| *probe == run);
        }
    }

    /// An attempt ended: `charged` says how; `None` when it says nothing about the code.
    pub(super) fn ended(&mut self, run: RunId, keys: &Keys, well: Option<bool>, now: i64) {
        let (Some(key), Some(rule)) = (self.breaker_key(keys), self.flow.breaker.clone()) else {
            return;
        };
        let ms = |time: std::time::Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
        let breaker = self.breakers.entry(key).or_default();
        let probed = breaker.probe.take_if(|probe| *probe == run).is_some();
        match (breaker.open, well) {
            (None, Some(true)) => breaker.failed.clear(),
            (None, Some(false)) => {
                breaker.failed.insert(run);
                if breaker.failed.len() >= rule.failures as usize {
                    breaker.failed.clear();
                    let wait = ms(rule.retry_after);
                    breaker.open = Some((now + wait, wait));
                }
            }
            (Some(_), Some(true)) if probed => *breaker = Breaker::default(),
            (Some((_, wait)), Some(false)) if probed => {
                let wait = (wait * 2).min(ms(rule.retry_most.max(rule.retry_after)));
                breaker.open = Some((now + wait, wait));
            }
            _ => {}
        }
    }
}
