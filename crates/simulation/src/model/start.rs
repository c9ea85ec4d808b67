//! Starts and ends of user code, and what people forbid.

use std::sync::Arc;

use wakeful_core::{
    delivery::FailureKind,
    flow::Flow,
    id::RunId,
    port::{Delivery, Epoch},
    retry::RetryPolicy,
    time::Timestamp,
};

use super::{CHARGED, Code, Model, Stands};

impl Model {
    /// Somebody decided to start these now, together. `now` by the clock on the wall, `steady` by
    /// one that never goes back.
    pub(crate) fn decided(
        &mut self,
        trigger: usize,
        heads: &[&Delivery],
        alone: bool,
        now: Timestamp,
        steady: i64,
    ) {
        let names: Vec<String> = heads.iter().map(|head| self.name(head.id)).collect();
        let names = names.join(", ");
        for head in heads {
            let keys = &head.keys;
            let all = [&keys.ordering, &keys.concurrency, &keys.rate, &keys.breaker];
            let key = all
                .into_iter()
                .flatten()
                .find(|key| self.paused.contains(&(trigger, Some((*key).clone()))));
            let paused = self.paused.contains(&(trigger, None)) || key.is_some();
            self.require(!paused, || format!("{names} start, but are paused"));
            self.require(head.ready_at <= now, || {
                format!("{names} start before their time, {}", head.ready_at)
            });
        }
        let runs: Vec<_> = heads
            .iter()
            .map(|head| (head.id, head.keys.clone()))
            .collect();
        let fault = self.rules[trigger].decided(&runs, steady);
        self.require(fault.is_none(), || {
            format!("{names} start: {}", fault.unwrap_or_default())
        });
        self.company(trigger, heads, alone, now, &names);
    }

    /// Batches are of the right size, or have waited.
    fn company(
        &mut self,
        trigger: usize,
        heads: &[&Delivery],
        alone: bool,
        now: Timestamp,
        names: &str,
    ) {
        let Some(batch) = self.rules[trigger].flow.batch else {
            self.require(heads.len() == 1, || format!("{names} are no batch"));
            return;
        };
        let size = batch.size as usize;
        self.require(heads.len() <= size, || {
            format!("{names} are {} in a batch of {size}", heads.len())
        });
        let probe = heads
            .iter()
            .any(|head| self.rules[trigger].is_probe(head.id));
        let waited = heads
            .iter()
            .any(|head| head.ready_at.plus(batch.window) <= now);
        self.require(heads.len() == size || alone || probe || waited, || {
            format!(
                "{names} start as a batch of {} before its time",
                heads.len()
            )
        });
    }

    /// What was decided did not come about.
    pub(crate) fn undone(&mut self, trigger: usize, run: RunId) {
        self.rules[trigger].undone(run);
    }

    /// User code began for a delivery.
    pub(crate) fn code_began(
        &mut self,
        run: RunId,
        epoch: Epoch,
        start: u32,
        retry: &Arc<RetryPolicy>,
    ) {
        let name = self.name(run);
        let Some(owed) = self.runs.get_mut(&run) else {
            self.require(false, || format!("code ran for {name}"));
            return;
        };
        let (stands, code) = (owed.stands, owed.code);
        owed.code = Code::Runs;
        owed.retry = Some(Arc::clone(retry));
        self.require(stands == Stands::Claimed(epoch, start), || {
            format!(
                "code ran for {name} (epoch {}, start {start}), which is {stands:?}",
                epoch.0
            )
        });
        self.require(code == Code::No, || {
            format!("code of {name} began twice in one claim")
        });
    }

    /// User code ended, well or not.
    pub(crate) fn code_ended(
        &mut self,
        run: RunId,
        epoch: Epoch,
        start: u32,
        how: Result<(), FailureKind>,
    ) {
        let Some(owed) = self.runs.get_mut(&run) else {
            return;
        };
        if owed.stands == Stands::Claimed(epoch, start) && owed.code == Code::Runs {
            owed.code = Code::Ended(how);
        }
    }

    /// The rules were told how it ended, `steady` milliseconds in.
    pub(crate) fn told(&mut self, run: RunId, how: Option<FailureKind>, stale: bool, steady: i64) {
        let Some(owed) = self.runs.get(&run) else {
            return;
        };
        let well = match how {
            _ if stale => None,
            None => Some(true),
            Some(kind) if CHARGED.contains(&kind) => Some(false),
            Some(_) => None,
        };
        let (trigger, keys) = (owed.trigger, owed.keys.clone());
        self.rules[trigger].ended(run, &keys, well, steady);
    }

    /// Someone paused a trigger or one of its keys, or resumed it, and was told that it holds.
    pub(crate) fn paused(&mut self, trigger: usize, key: Option<String>, begins: bool) {
        if begins {
            self.paused.insert((trigger, key));
        } else {
            self.paused.remove(&(trigger, key));
        }
    }

    /// The rules of a trigger were replaced.
    pub(crate) fn reloaded(&mut self, trigger: usize, flow: Arc<Flow>) {
        self.rules[trigger].reload(flow);
    }
}
