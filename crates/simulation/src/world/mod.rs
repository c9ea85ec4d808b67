//! The simulated world: a clock, a queue of things to happen, and a server that lives and dies.
//!
//! The server's part (`submit`, `feeder`, `attempt`, `operate`) follows the dispatcher of
//! `wakeful-server` step by step: where that one waits for the store, a worker or a timer, this one
//! returns to the queue, and anything may happen in between. All decisions are those of
//! `wakeful-core`.

mod attempt;
mod commits;
mod feeder;
mod lives;
mod operate;
mod places;
mod submit;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use wakeful_core::{
    delivery::DeadReason,
    flow::{Gate, Plan, Turn, Unpark},
    id::{IdSource, RunId},
    port::{Committed, Delivery, Held, Intervention, Parked, Store, StoreError, Transaction},
    time::Timestamp,
};

use crate::{
    dice::Dice,
    disk::{Around, Disk, Gone, now},
    model::{Model, Rules},
    mutation::Mutation,
    scenario::{Scenario, Spec},
    trace::Trace,
};
use attempt::Attempt;
use feeder::Feeder;
use places::Pool;

/// The time at which every simulation begins.
const BEGIN: i64 = 1_700_000_000_000;
/// Happenings after which a simulation that has not come to rest never will.
const MOST_STEPS: u64 = 150_000;
/// The longest a simulation may take to come to rest, milliseconds: what waits may wait for a day
/// that the clock was set back by, and then for its age.
const MOST_TIME: i64 = 5 * 24 * 3_600_000;
/// The same when the clock was never set.
const MOST_STEADY_TIME: i64 = 6 * 3_600_000;
/// How often the model is compared with the store, in changes of the store.
const AUDIT_EVERY: u64 = 40;

/// Something that will happen.
#[derive(Debug)]
enum Happening {
    /// A source hands in something.
    Arrive,
    /// Sources hand in again what they were not told to be on disk.
    Again,
    /// The submission is at the disk.
    Submit(Box<submit::Submission>),
    /// A feeder goes on.
    Feed { trigger: usize, token: u64 },
    /// What a feeder puts aside is at the disk.
    Tidy(usize, Box<Plan>),
    /// A feeder's claim is at the disk.
    Claim(Box<feeder::Claiming>),
    /// User code ends.
    End { attempt: u64 },
    /// A settlement is at the disk.
    Settle { attempt: u64, pause: i64 },
    /// A change that must be made is tried again.
    Insist(Box<Transaction>, usize, i64),
    /// A worker process dies.
    WorkerDies,
    /// Somebody does something.
    Operate,
    /// Somebody ends a pause.
    Resume(usize, Option<String>),
    /// A version that loads takes over.
    Deploy(usize),
    /// Somebody discards what blocks others.
    Tend,
    /// The clock is set.
    SetClock,
    /// The disk fills, or gets space back.
    Disk,
    /// The server is killed.
    Kill,
    /// It starts again.
    Start,
    /// What grew too old is looked for.
    Expire,
    /// A settlement of an earlier life arrives.
    Haunt(Box<Transaction>),
    /// Faults and arrivals are over.
    Calm,
}

/// The server while it lives.
struct Server {
    gates: Vec<Gate>,
    feeders: BTreeMap<usize, Feeder>,
    pools: Vec<Pool>,
    attempts: BTreeMap<u64, Attempt>,
}

/// One simulation.
pub(crate) struct World {
    dice: Dice,
    scenario: Scenario,
    mutation: Option<Mutation>,
    disk: Disk,
    pub(crate) model: Model,
    pub(crate) trace: Trace,
    server: Option<Server>,
    /// Counts the lives of the server: happenings of an earlier one are void.
    life: u32,
    queue: BTreeMap<(i64, u64), (Option<u32>, Happening)>,
    sequence: u64,
    /// Milliseconds since the beginning, as a stopwatch would count them.
    clock: i64,
    /// How far the clock on the wall is ahead.
    ahead: i64,
    /// Milliseconds that the clock on the wall went forward, in all.
    steady: i64,
    calm: bool,
    clock_was_set: bool,
    /// The code of a trigger's function cannot be loaded.
    broken_code: Vec<bool>,
    versions: Vec<u64>,
    pauses: BTreeSet<(usize, Option<String>)>,
    /// Events that a source has not been told are on disk: it hands them in again.
    unsure: Vec<submit::Sent>,
    sent: u64,
    /// How many changes of the store there had been when it was last compared with the model.
    audited: u64,
    ids: IdSource,
}

impl World {
    pub(crate) fn new(seed: u64, keep: bool, mutation: Option<Mutation>) -> Self {
        let mut dice = Dice::new(seed);
        let scenario = Scenario::draw(&mut dice);
        let rules = scenario.specs.iter();
        let rules = rules.map(|spec| Rules::new(spec.trigger.clone(), Arc::clone(&spec.flow)));
        let model = Model::new(rules.collect());
        let triggers = scenario.specs.len();
        let mut world = Self {
            disk: Disk::new(scenario.faults, mutation),
            model,
            trace: Trace::new(keep),
            dice,
            mutation,
            server: None,
            life: 0,
            queue: BTreeMap::new(),
            sequence: 0,
            clock: 0,
            ahead: 0,
            steady: 0,
            calm: false,
            clock_was_set: false,
            broken_code: vec![false; triggers],
            versions: vec![1; triggers],
            pauses: BTreeSet::new(),
            unsure: Vec::new(),
            sent: 0,
            audited: 0,
            ids: IdSource::after(0),
            scenario,
        };
        for spec in &world.scenario.specs {
            let (flow, retry) = (&spec.flow, &spec.retry);
            let line = format!("{} {flow:?} {retry:?}", spec.trigger);
            world.trace.write(0, format_args!("trigger {line}"));
        }
        world.schedule();
        world
    }

    /// What is known from the beginning.
    fn schedule(&mut self) {
        self.later(0, Happening::Start);
        let calm = self.scenario.calm;
        for _ in 0..self.scenario.arrivals {
            let at = self.moment_before(calm);
            self.later(at, Happening::Arrive);
        }
        for _ in 0..self.dice.below(12) {
            let at = self.moment_before(calm);
            self.later(at, Happening::Operate);
        }
        let faults = self.scenario.faults;
        let kills = if faults.crash > 0 {
            self.dice.below(3)
        } else {
            0
        };
        for _ in 0..kills {
            let at = self.moment_before(calm);
            self.later(at, Happening::Kill);
        }
        let deaths = if faults.worker > 0 {
            self.dice.below(5)
        } else {
            0
        };
        for _ in 0..deaths {
            let at = self.moment_before(calm);
            self.later(at, Happening::WorkerDies);
        }
        let sets = if faults.clock {
            self.dice.between(1, 3)
        } else {
            0
        };
        for _ in 0..sets {
            let at = self.moment_before(calm);
            self.later(at, Happening::SetClock);
        }
        let fills = if faults.full {
            2 * self.dice.between(1, 3)
        } else {
            0
        };
        for _ in 0..fills {
            let at = self.moment_before(calm);
            self.later(at, Happening::Disk);
        }
        self.later(calm, Happening::Calm);
        self.later(10_000, Happening::Expire);
    }

    fn moment_before(&mut self, end: i64) -> i64 {
        let end = u64::try_from(end).unwrap_or(1).max(1);
        i64::try_from(self.dice.below(end)).unwrap_or_default()
    }

    /// Runs to rest, or to the first thing that must not be.
    pub(crate) fn run(&mut self) {
        let mut steps = 0;
        while self.model.broken.is_none() {
            let Some((&(at, _), _)) = self.queue.first_key_value() else {
                break;
            };
            let Some((_, (life, happening))) = self.queue.pop_first() else {
                break;
            };
            if life.is_some_and(|life| life != self.life || self.server.is_none()) {
                if let Happening::Submit(submission) = happening
                    && self.dice.chance(700)
                {
                    self.keep(submission.sent);
                }
                continue;
            }
            self.pass(at - self.clock);
            steps += 1;
            self.happen(happening);
            if self.disk.changes >= self.audited + AUDIT_EVERY {
                self.audit();
            }
            if self.is_at_rest() {
                break;
            }
            let clock = self.clock;
            let most = if self.clock_was_set {
                MOST_TIME
            } else {
                MOST_STEADY_TIME
            };
            let ends = steps < MOST_STEPS && clock < self.scenario.calm + most;
            if !ends {
                let waiting = self.waiting();
                self.model.require(false, || {
                    format!("after {steps} steps and {clock} ms these still wait: {waiting}")
                });
            }
        }
        self.audit();
        let waiting = self.waiting();
        self.model.require(waiting.is_empty(), || {
            format!("nothing happens any more, and these wait: {waiting}")
        });
        let end = self
            .model
            .broken
            .clone()
            .unwrap_or_else(|| "at rest".to_owned());
        self.line(format_args!("{end} after {steps} steps"));
    }

    /// The first few of those that wait or run.
    fn waiting(&self) -> String {
        let waiting = self.model.runs.iter().filter(|(_, owed)| owed.is_owed());
        let waiting = waiting.take(5).map(|(run, owed)| {
            let found = self.disk.delivery(*run);
            let held = found.as_ref().and_then(|one| one.held.clone());
            let ready = found.map(|one| one.ready_at.as_millis() - BEGIN);
            let (number, trigger, stands) = (owed.number, owed.trigger, owed.stands);
            format!("#{number} of {trigger} {stands:?} held {held:?} ready {ready:?}")
        });
        waiting.collect::<Vec<_>>().join(", ")
    }

    fn is_at_rest(&self) -> bool {
        let sources = self.unsure.is_empty();
        self.calm && sources && self.server.is_some() && self.model.outstanding() == 0
    }

    fn audit(&mut self) {
        self.audited = self.disk.changes;
        let (disk, trace) = (&self.disk, &mut self.trace);
        self.model.audit(|run| {
            let found = disk.delivery(run);
            if let Some(found) = &found {
                count_standing(trace, found);
            }
            found
        });
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Arrive => self.arrive(),
            Happening::Again => self.submit_again(),
            Happening::Submit(submission) => self.submit(*submission),
            Happening::Feed { trigger, token } => self.feeder_goes_on(trigger, token),
            Happening::Tidy(trigger, plan) => self.tidied(trigger, *plan),
            Happening::Claim(claiming) => self.claim(*claiming),
            Happening::End { attempt } => self.code_ends(attempt),
            Happening::Settle { attempt, pause } => self.settle(attempt, pause),
            Happening::Insist(transaction, trigger, pause) => {
                self.insist(*transaction, trigger, pause);
            }
            Happening::WorkerDies => self.worker_dies(),
            Happening::Operate => self.operate(),
            Happening::Resume(trigger, key) => self.pause((trigger, key), false),
            Happening::Deploy(trigger) => self.deploy(trigger),
            Happening::Tend => {
                self.tend();
                self.later(30_000, Happening::Tend);
            }
            Happening::SetClock => self.set_clock(),
            Happening::Disk => {
                self.disk.full = !self.disk.full && !self.calm;
                let full = self.disk.full;
                self.line(format_args!("disk full: {full}"));
            }
            Happening::Kill => self.crash("killed"),
            Happening::Start => self.start(),
            Happening::Expire => self.expire_all(),
            Happening::Haunt(_) if self.server.is_none() => self.later(500, happening),
            Happening::Haunt(transaction) => {
                let mut around = Around {
                    dice: &mut self.dice,
                    model: &mut self.model,
                    trace: &mut self.trace,
                };
                self.disk.haunt(*transaction, &mut around);
            }
            Happening::Calm => self.become_calm(),
        }
    }

    // Time.

    fn pass(&mut self, ms: i64) {
        self.clock += ms;
        self.steady += ms;
        self.model.latest = self.model.latest.max(self.wall());
    }

    /// The clock on the wall.
    fn wall(&self) -> Timestamp {
        Timestamp::from_millis(BEGIN + self.clock + self.ahead)
    }

    fn set_clock(&mut self) {
        if self.calm {
            return;
        }
        let by = *self.dice.pick(&[
            -86_400_000,
            -3_600_000,
            -60_000,
            -900,
            900,
            60_000,
            3_600_000,
            86_400_000,
        ]);
        self.clock_was_set = true;
        self.ahead += by;
        self.steady += by.max(0);
        self.trace.count(if by < 0 {
            "clock set back"
        } else {
            "clock set forward"
        });
        self.line(format_args!("the clock is set by {by} ms"));
    }

    fn later(&mut self, after: i64, happening: Happening) {
        self.sequence += 1;
        let at = (self.clock + after.max(0), self.sequence);
        self.queue.insert(at, (None, happening));
    }

    /// The same, unless the server dies before.
    fn soon(&mut self, after: i64, happening: Happening) {
        self.sequence += 1;
        let at = (self.clock + after.max(0), self.sequence);
        self.queue.insert(at, (Some(self.life), happening));
    }

    /// A short while, as it takes to reach the disk.
    fn hop(&mut self) -> i64 {
        let slow = !self.calm && self.dice.chance(30);
        let most = if slow { 1500 } else { 4 };
        i64::try_from(self.dice.below(most)).unwrap_or_default()
    }

    fn line(&mut self, what: std::fmt::Arguments<'_>) {
        self.trace.write(self.clock, what);
    }

    // Life and death.

    fn spec(&self, trigger: usize) -> &Spec {
        &self.scenario.specs[trigger]
    }

    fn gate(&mut self, trigger: usize) -> Option<&mut Gate> {
        self.server
            .as_mut()
            .map(|server| &mut server.gates[trigger])
    }

    fn limit(&self, trigger: usize) -> Intervention {
        let spec = self.spec(trigger);
        Intervention::Limit {
            scope: self.scenario.scope.clone(),
            trigger: spec.trigger.clone(),
            limit: spec.flow.concurrency.as_ref().map(|rule| rule.limit),
        }
    }

    fn release(&self, trigger: usize) -> Intervention {
        Intervention::ReleaseHeld {
            scope: self.scenario.scope.clone(),
            function: self.spec(trigger).function.clone(),
            live: self.version(trigger),
            now: self.wall(),
        }
    }

    fn version(&self, trigger: usize) -> String {
        format!("v{}", self.versions[trigger])
    }

    fn unpark(&self, trigger: usize, unpark: Unpark) -> Intervention {
        let scope = self.scenario.scope.clone();
        unpark.intervention(scope, self.spec(trigger).trigger.clone(), self.wall())
    }

    /// Does what follows when a gate opens or closes.
    fn turn(&mut self, trigger: usize, turns: Vec<Turn>) {
        for turn in turns {
            match turn {
                Turn::Opened { key, failures, .. } => {
                    self.trace.count("breaker opened");
                    self.line(format_args!(
                        "breaker {trigger} {key:?} opens, {failures} failed"
                    ));
                }
                Turn::Closed { key } => {
                    self.trace.count("breaker closed");
                    self.line(format_args!("breaker {trigger} {key:?} closes"));
                    self.feed(trigger);
                }
                Turn::Unpark(unpark) => {
                    let transaction = Transaction {
                        interventions: vec![self.unpark(trigger, unpark)],
                        ..Transaction::default()
                    };
                    self.insist(transaction, trigger, 100);
                }
            }
        }
    }

    fn names(&self, runs: &[RunId]) -> String {
        let names: Vec<String> = runs.iter().map(|run| self.model.name(*run)).collect();
        names.join(" ")
    }
}

/// Why it waits, or died.
fn count_standing(trace: &mut Trace, delivery: &Delivery) {
    let held = delivery.held.as_ref().map(|held| match held {
        Held::Version(_) => "held: Version",
        Held::Order => "held: Order",
        Held::Concurrency => "held: Concurrency",
        Held::Paused => "held: Paused",
        Held::Breaker => "held: Breaker",
    });
    let dead = delivery.dead.map(|(reason, _)| match reason {
        DeadReason::AttemptsExhausted => "dead: AttemptsExhausted",
        DeadReason::TooOld => "dead: TooOld",
        DeadReason::NotRetriable => "dead: NotRetriable",
        DeadReason::OutcomeUnknown => "dead: OutcomeUnknown",
        _ => "dead: otherwise",
    });
    for what in [held, dead].into_iter().flatten() {
        trace.count(what);
    }
}

/// Milliseconds.
fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
