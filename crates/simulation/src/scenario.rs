//! What a seed is about: triggers with rules, workers, and how much goes wrong.

use std::{sync::Arc, time::Duration};

use wakeful_core::{
    delivery::FailureKind,
    flow::{
        Batch, BreakerRule, Debounce, DedupRule, Flow, KeyConcurrency, KeyExpression, OnExhausted,
        OnUnknown, Ordering, Priority, Rate,
    },
    name::{FunctionName, Scope, TriggerId},
    retry::{Jitter, KindRule, RetryPolicy},
};

use crate::dice::Dice;

/// One trigger, with a function of its own.
#[derive(Debug, Clone)]
pub(crate) struct Spec {
    pub(crate) trigger: TriggerId,
    pub(crate) function: FunctionName,
    pub(crate) flow: Arc<Flow>,
    pub(crate) retry: Arc<RetryPolicy>,
    pub(crate) workers: usize,
    pub(crate) per_worker: usize,
    /// How often user code fails, per mille.
    pub(crate) fails: u64,
    /// The longest it takes, milliseconds.
    pub(crate) slow: u64,
    /// Events are sent with ids by which repetitions are recognised.
    pub(crate) sends_ids: bool,
    /// The trigger that is told of outcomes.
    pub(crate) tells: Option<usize>,
}

/// How much goes wrong, per mille of the occasions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Faults {
    pub(crate) crash: u64,
    pub(crate) refuse: u64,
    pub(crate) read: u64,
    pub(crate) worker: u64,
    pub(crate) clock: bool,
    pub(crate) full: bool,
    pub(crate) unknown: u64,
}

/// Everything a seed decides at its beginning.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) scope: Scope,
    pub(crate) specs: Vec<Spec>,
    pub(crate) faults: Faults,
    /// When faults and arrivals end, milliseconds.
    pub(crate) calm: i64,
    pub(crate) arrivals: u64,
    pub(crate) keys: u64,
}

fn key(path: &str) -> KeyExpression {
    match KeyExpression::parse(&[path]) {
        Ok(key) => key,
        Err(mistake) => panic!("{path} is a key expression: {mistake}"),
    }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

impl Scenario {
    pub(crate) fn draw(dice: &mut Dice) -> Self {
        let scope = Scope {
            project: "simulated".parse().unwrap_or_else(|_| panic!("a name")),
            environment: "test".parse().unwrap_or_else(|_| panic!("a name")),
        };
        let count = dice.between(1, 3);
        let wild = dice.chance(700);
        let mut faults = |most: u64| if wild { dice.below(most + 1) } else { 0 };
        let faults = Faults {
            crash: faults(12),
            refuse: faults(40),
            read: faults(30),
            worker: faults(150),
            unknown: faults(3),
            clock: faults(2) == 1,
            full: faults(2) == 1,
        };
        let specs = (0..count).map(|n| Spec::draw(dice, n, count)).collect();
        Self {
            scope,
            specs,
            faults,
            calm: i64::try_from(dice.between(5_000, 120_000)).unwrap_or(5_000),
            arrivals: dice.between(5, 40),
            keys: dice.between(1, 5),
        }
    }
}

impl Spec {
    fn draw(dice: &mut Dice, n: u64, of: u64) -> Self {
        let function: FunctionName = format!("f{n}").parse().unwrap_or_else(|_| panic!("a name"));
        let tells = dice.chance(200).then(|| dice.below(of));
        Self {
            trigger: TriggerId::new(&function, "on"),
            function,
            flow: Arc::new(draw_flow(dice)),
            retry: Arc::new(draw_retry(dice)),
            workers: usize::try_from(dice.between(1, 3)).unwrap_or(1),
            per_worker: usize::try_from(dice.between(1, 4)).unwrap_or(1),
            fails: *dice.pick(&[0, 100, 300, 600]),
            slow: *dice.pick(&[20, 500, 4000]),
            sends_ids: dice.chance(300),
            tells: tells.and_then(|other| usize::try_from(other).ok()),
        }
    }
}

/// Rules that the manifest would take.
pub(crate) fn draw_flow(dice: &mut Dice) -> Flow {
    let debounce = dice.chance(120).then(|| {
        let wait = dice.between(100, 3000);
        Debounce {
            key: dice.chance(700).then(|| key("data.d")),
            wait: ms(wait),
            most: ms(wait * dice.between(1, 4)),
        }
    });
    let alone = debounce.is_none();
    Flow {
        ordering: (alone && dice.chance(350)).then(|| Ordering {
            key: key("data.o"),
            on_exhausted: *dice.pick(&[OnExhausted::StepAside, OnExhausted::Block]),
        }),
        concurrency: dice.chance(300).then(|| KeyConcurrency {
            key: key("data.c"),
            limit: u32::try_from(dice.between(1, 3)).unwrap_or(1),
        }),
        rate: dice.chance(350).then(|| draw_rate(dice)),
        batch: (alone && dice.chance(250)).then(|| Batch {
            size: u32::try_from(dice.between(2, 5)).unwrap_or(2),
            window: ms(dice.between(50, 4000)),
        }),
        priority: dice
            .chance(150)
            .then(|| Priority::Fixed(ms(dice.between(100, 5000)))),
        dedup: (alone && dice.chance(200)).then(|| DedupRule {
            key: key("data.u"),
            window: ms(dice.between(1000, 60_000)),
        }),
        breaker: dice.chance(600).then(|| draw_breaker(dice)),
        on_unknown: *dice.pick(&[OnUnknown::Retry, OnUnknown::Retry, OnUnknown::Hold]),
        debounce,
        on_success: None,
        on_failure: None,
    }
}

fn draw_rate(dice: &mut Dice) -> Rate {
    let limit = u32::try_from(dice.between(3, 9)).unwrap_or(3);
    let burst = u32::try_from(dice.between(1, u64::from(limit))).unwrap_or(1);
    Rate {
        limit,
        per: ms(*dice.pick(&[300, 1000, 7000, 30_000])),
        burst,
        key: dice.chance(600).then(|| key("data.r")),
    }
}

fn draw_breaker(dice: &mut Dice) -> BreakerRule {
    let after = dice.between(100, 5000);
    BreakerRule {
        failures: u32::try_from(dice.between(1, 4)).unwrap_or(1),
        retry_after: ms(after),
        retry_most: ms(after * dice.between(1, 6)),
        key: dice.chance(600).then(|| key("data.b")),
    }
}

pub(crate) fn draw_retry(dice: &mut Dice) -> RetryPolicy {
    let first = dice.between(1, 3000);
    let own = dice.chance(300).then(|| KindRule {
        kind: *dice.pick(&[
            FailureKind::UserError,
            FailureKind::Timeout,
            FailureKind::Crash,
        ]),
        max_attempts: dice
            .chance(700)
            .then(|| u32::try_from(dice.between(1, 3)).unwrap_or(1)),
        backoff: dice.chance(500).then(|| (ms(10), ms(200))),
    });
    RetryPolicy {
        max_attempts: u32::try_from(dice.between(1, 5)).unwrap_or(1),
        backoff_first: ms(first),
        backoff_most: ms(first * dice.between(1, 16)),
        jitter: *dice.pick(&[Jitter::Full, Jitter::Equal, Jitter::None]),
        max_age: ms(*dice.pick(&[20_000, 600_000, 86_400_000, 86_400_000])),
        kinds: own.into_iter().collect(),
    }
}
