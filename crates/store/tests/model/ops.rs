//! What is done: random steps, and parts of transactions.

use super::*;

/// One step; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    Commit(Vec<Part>, Condition),
    Work(usize),
    Answer {
        key: usize,
        print: u8,
        again: OnUnknown,
        window: u64,
    },
    Finish {
        key: usize,
        forget: bool,
    },
    Claim(Vec<usize>),
    Sweep {
        events: u64,
        dead: Option<u64>,
    },
    Pass(u64),
    Restart,
}

/// A part of a transaction.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    Event,
    EventAgain(usize),
    Delivery {
        event: usize,
        trigger: usize,
        claimed: bool,
        ready: u64,
        dedup: Option<usize>,
        rules: Rules,
    },
    DeliveryAgain(usize),
    Pause(usize, bool),
    Checkpoint(usize, u8),
    Settle {
        run: usize,
        stale: bool,
        end: usize,
    },
    Redrive(usize),
    Discard(usize),
    Expire(usize),
    Defer(usize, u64),
    Park {
        run: usize,
        why: Parked,
    },
    Unpark {
        trigger: usize,
        why: Parked,
        key: Option<usize>,
        most: Option<usize>,
    },
    Limit(usize, Option<u32>),
    Release {
        function: usize,
        live: usize,
    },
    Put {
        key: usize,
        right: bool,
        completes: Option<usize>,
        blob: usize,
    },
    Delete {
        key: usize,
        right: bool,
    },
    Begin(usize),
    Piece {
        upload: usize,
        number: u16,
        blob: usize,
    },
    Abort(usize),
}

/// What the rules of its trigger say about a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) ordering: Option<usize>,
    pub(crate) concurrency: Option<usize>,
    pub(crate) debounce: Option<usize>,
    pub(crate) key_limit: Option<u32>,
    pub(crate) blocks: bool,
    pub(crate) hold: bool,
    pub(crate) dead: bool,
}

/// Things meet only where there are few of them.
fn mostly_first(count: usize) -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0), 1 => 0..count]
}

pub(crate) fn rules() -> impl Strategy<Value = Rules> {
    let key = || proptest::option::weighted(0.7, mostly_first(2));
    let rare = |weight| prop::bool::weighted(weight);
    let limit = proptest::option::weighted(0.3, 1..3u32);
    let debounce = proptest::option::weighted(0.2, mostly_first(2));
    (
        key(),
        key(),
        debounce,
        limit,
        rare(0.4),
        rare(0.3),
        rare(0.05),
    )
        .prop_map(
            |(ordering, concurrency, debounce, key_limit, blocks, hold, dead)| Rules {
                ordering,
                concurrency,
                debounce,
                key_limit,
                blocks,
                hold,
                dead,
            },
        )
}

pub(crate) fn parked() -> impl Strategy<Value = Parked> {
    prop_oneof![Just(Parked::Pause), Just(Parked::Breaker)]
}

pub(crate) fn part() -> impl Strategy<Value = Part> {
    let place = 0..64usize;
    prop_oneof![
        4 => Just(Part::Event),
        1 => place.clone().prop_map(Part::EventAgain),
        24 => (
            (place.clone(), mostly_first(TRIGGERS), any::<bool>(), 0..100u64),
            proptest::option::weighted(0.2, 0..4usize),
            rules(),
        )
            .prop_map(|((event, trigger, claimed, ready), dedup, rules)| Part::Delivery {
                event, trigger, claimed, ready, dedup, rules
            }),
        1 => (0..3usize, any::<bool>()).prop_map(|(what, begins)| Part::Pause(what, begins)),
        1 => (place.clone(), 0..20u64).prop_map(|(run, until)| Part::Defer(run, until)),
        2 => (place.clone(), parked()).prop_map(|(run, why)| Part::Park { run, why }),
        2 => (
            0..TRIGGERS,
            parked(),
            proptest::option::of(0..2usize),
            proptest::option::of(1..3usize),
        )
            .prop_map(|(trigger, why, key, most)| Part::Unpark { trigger, why, key, most }),
        1 => (0..TRIGGERS, proptest::option::weighted(0.8, 0..4u32))
            .prop_map(|(trigger, limit)| Part::Limit(trigger, limit)),
        1 => place.clone().prop_map(Part::DeliveryAgain),
        1 => (0..3usize, any::<u8>()).prop_map(|(key, value)| Part::Checkpoint(key, value)),
        8 => (place.clone(), prop::bool::weighted(0.2), 0..6usize)
            .prop_map(|(run, stale, end)| Part::Settle { run, stale, end }),
        2 => place.clone().prop_map(Part::Redrive),
        1 => place.clone().prop_map(Part::Discard),
        1 => place.clone().prop_map(Part::Expire),
        2 => (0..TRIGGERS, 0..3usize).prop_map(|(function, live)| Part::Release { function, live }),
        3 => (0..KEYS, prop::bool::weighted(0.9), proptest::option::of(place.clone()), 0..8usize)
            .prop_map(|(key, right, completes, blob)| Part::Put { key, right, completes, blob }),
        1 => (0..KEYS, prop::bool::weighted(0.9))
            .prop_map(|(key, right)| Part::Delete { key, right }),
        1 => (0..KEYS).prop_map(Part::Begin),
        2 => (place.clone(), 1..4u16, 0..8usize)
            .prop_map(|(upload, number, blob)| Part::Piece { upload, number, blob }),
        1 => place.prop_map(Part::Abort),
    ]
}

pub(crate) fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => (proptest::collection::vec(part(), 0..6), prop::bool::weighted(0.2)).prop_map(
            |(parts, condition)| Op::Commit(parts, match condition {
                true => Condition::IfApplied,
                false => Condition::Always,
            })
        ),
        4 => (0..6usize).prop_map(Op::Work),
        1 => (0..3usize, 0..2u8, any::<bool>(), 0..60u64).prop_map(|(key, print, hold, window)| {
            let again = if hold { OnUnknown::Hold } else { OnUnknown::Retry };
            Op::Answer { key, print, again, window }
        }),
        1 => (0..3usize, any::<bool>()).prop_map(|(key, forget)| Op::Finish { key, forget }),
        6 => proptest::collection::vec(0..64usize, 1..8).prop_map(Op::Claim),
        1 => (0..200u64, proptest::option::of(0..200u64))
            .prop_map(|(events, dead)| Op::Sweep { events, dead }),
        3 => (1..40u64).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}
