//! What must hold, told by somebody who knows none of the code that is tested.
//!
//! The model is told facts: what the disk was given and replied, which code was started and how
//! it ended, what was acknowledged, what people did. From these it works out by simple means of
//! its own what may come next, and notes the first thing that may not. It never looks into a gate,
//! and reads the store only to compare it with what it expects (`audit`).

mod commit;
mod pace;
mod start;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use wakeful_core::{
    delivery::{DeadReason, FailureKind, State},
    id::RunId,
    port::{Delivery, Epoch, Keys},
    retry::RetryPolicy,
    time::Timestamp,
};

pub(crate) use pace::Rules;

/// The model of everything that is owed.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) runs: BTreeMap<RunId, Owed>,
    /// Ordering keys, by trigger: who stands there, in the order of the commits.
    lanes: BTreeMap<(usize, String), Vec<RunId>>,
    /// How many may run at once per concurrency key of a trigger.
    limits: BTreeMap<usize, Option<u32>>,
    /// Until when a key is remembered, and by whom it was used.
    dedup: BTreeMap<(usize, String), (Timestamp, RunId)>,
    /// Who waits for a debounce key, and since when the first one did.
    debounced: BTreeMap<(usize, String), (RunId, Timestamp)>,
    rules: Vec<Rules>,
    paused: BTreeSet<(usize, Option<String>)>,
    pub(crate) broken: Option<String>,
    /// The latest that the clock on the wall ever said.
    pub(crate) latest: Timestamp,
}

/// What the model knows of one delivery.
#[derive(Debug, Clone)]
pub(crate) struct Owed {
    /// In the order of the commits, for people.
    pub(crate) number: usize,
    pub(crate) trigger: usize,
    pub(crate) keys: Keys,
    pub(crate) stands: Stands,
    /// Charged ends since it came or was redriven.
    pub(crate) charged: u32,
    pub(crate) starts: u32,
    pub(crate) acknowledged: bool,
    pub(crate) blocks: bool,
    hold_unknown: bool,
    /// It left its lane and came back: its place is not known.
    loose: bool,
    expires_at: Timestamp,
    code: Code,
    /// The policy of the present attempt.
    retry: Option<Arc<RetryPolicy>>,
    /// The greatest limit of its concurrency key since it came.
    seats: u32,
}

/// Where a delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stands {
    Queued,
    Claimed(Epoch, u32),
    Dead(DeadReason),
    Succeeded,
    Discarded,
    Superseded,
}

/// What user code did in the present claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Code {
    No,
    Runs,
    Ended(Result<(), FailureKind>),
}

/// Failures that count: written down here once more, from the guarantees.
const CHARGED: [FailureKind; 6] = [
    FailureKind::UserError,
    FailureKind::Timeout,
    FailureKind::MissingResponse,
    FailureKind::BlockedLoop,
    FailureKind::OutOfMemory,
    FailureKind::Crash,
];

/// Failures after which nobody knows how far it came.
const UNKNOWN: [FailureKind; 6] = [
    FailureKind::BlockedLoop,
    FailureKind::OutOfMemory,
    FailureKind::Crash,
    FailureKind::Suspect,
    FailureKind::Bystander,
    FailureKind::Interrupted,
];

impl Owed {
    pub(crate) const fn has_ended(&self) -> bool {
        matches!(
            self.stands,
            Stands::Succeeded | Stands::Discarded | Stands::Superseded
        )
    }

    pub(crate) const fn is_owed(&self) -> bool {
        matches!(self.stands, Stands::Queued | Stands::Claimed(..))
    }
}

impl Model {
    pub(crate) fn new(rules: Vec<Rules>) -> Self {
        Self {
            runs: BTreeMap::new(),
            lanes: BTreeMap::new(),
            limits: BTreeMap::new(),
            dedup: BTreeMap::new(),
            debounced: BTreeMap::new(),
            rules,
            paused: BTreeSet::new(),
            broken: None,
            latest: Timestamp::from_millis(0),
        }
    }

    /// Notes the first thing that must not be.
    pub(crate) fn require(&mut self, holds: bool, what: impl FnOnce() -> String) -> bool {
        if !holds && self.broken.is_none() {
            self.broken = Some(what());
        }
        holds
    }

    /// How a delivery is called in traces.
    pub(crate) fn name(&self, run: RunId) -> String {
        match self.runs.get(&run) {
            Some(owed) => format!("#{}", owed.number),
            None => format!("an unknown one ({run})"),
        }
    }

    /// A source was told that these are on disk.
    pub(crate) fn acknowledged(&mut self, runs: &[RunId]) {
        for run in runs {
            let known = match self.runs.get_mut(run) {
                Some(owed) => {
                    owed.acknowledged = true;
                    true
                }
                None => false,
            };
            self.require(known, || {
                format!("{run} was acknowledged, but it is not on disk")
            });
        }
    }

    /// The server died and started again: what ran is queued, or held for a person.
    pub(crate) fn restarted(&mut self) {
        let mut died = Vec::new();
        for (run, owed) in &mut self.runs {
            if let Stands::Claimed(..) = owed.stands {
                owed.code = Code::No;
                owed.stands = if owed.hold_unknown {
                    died.push(*run);
                    Stands::Dead(DeadReason::OutcomeUnknown)
                } else {
                    Stands::Queued
                };
            }
        }
        for run in died {
            self.left_lane(run);
        }
        for rules in &mut self.rules {
            rules.forget();
        }
    }

    /// How many still wait or run.
    pub(crate) fn outstanding(&self) -> usize {
        self.runs.values().filter(|owed| owed.is_owed()).count()
    }

    /// Compares with the store: `found` is what it has under each id.
    pub(crate) fn audit(&mut self, mut found: impl FnMut(RunId) -> Option<Delivery>) {
        let fault = self.runs.iter().find_map(|(run, owed)| {
            let fault = difference(owed, found(*run).as_ref())?;
            Some(format!("#{}: {fault}", owed.number))
        });
        self.require(fault.is_none(), || fault.unwrap_or_default());
    }

    /// A delivery that ended or died makes way for the next of its lane, unless it blocks.
    fn left_lane(&mut self, run: RunId) {
        let Some(owed) = self.runs.get_mut(&run) else {
            return;
        };
        let stays = matches!(owed.stands, Stands::Dead(_)) && owed.blocks;
        let Some(key) = owed.keys.ordering.clone() else {
            return;
        };
        if stays {
            return;
        }
        owed.loose = true;
        if let Some(lane) = self.lanes.get_mut(&(owed.trigger, key)) {
            lane.retain(|other| *other != run);
        }
    }
}

/// What the store has otherwise than it should be.
fn difference(owed: &Owed, found: Option<&Delivery>) -> Option<String> {
    let stands = owed.stands;
    let Some(delivery) = found else {
        let lost = || format!("it is lost: it is {stands:?}, and not in the store");
        return (!owed.has_ended()).then(lost);
    };
    let same = match stands {
        Stands::Queued => delivery.state == State::Queued,
        Stands::Claimed(..) => delivery.state == State::Running,
        Stands::Dead(reason) => delivery.dead.is_some_and(|(found, _)| found == reason),
        Stands::Succeeded | Stands::Discarded | Stands::Superseded => false,
    };
    if !same {
        let (state, dead) = (delivery.state, delivery.dead);
        return Some(format!(
            "it should be {stands:?}, the store has it as {state:?}, dead {dead:?}"
        ));
    }
    let running = u32::from(matches!(stands, Stands::Claimed(..)));
    let (attempts, charged) = (delivery.attempts, owed.charged);
    (owed.is_owed() && attempts != charged + running).then(|| {
        format!("it has {attempts} attempts, but {charged} were charged, and {running} run")
    })
}
