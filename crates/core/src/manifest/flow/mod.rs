//! What a function, a trigger or a route says about how deliveries flow.
//!
//! `order` reads what goes by a key, `pace` what goes by time, `destination` where outcomes go,
//! `key` the expressions in all of them; `conflict` refuses what can never work together, and `shape`
//! knows what there is to be found in the events of our own sources.

mod conflict;
mod destination;
mod key;
mod order;
mod pace;
mod shape;

pub(super) use self::conflict::{check_defaults, check_trigger, warn_of_idle_defaults};
use super::{
    project::Scene,
    reader::{Fields, Item, Words},
};
use crate::flow::{BreakerRule, Flow, OnUnknown};

/// Reads the rules that a function can say for all its triggers, over `base`, which holds for
/// what is not said. Each rule is taken whole; `false` leaves it out.
pub(super) fn read_defaults(fields: &Fields<'_>, base: &Flow, scene: &Scene<'_>) -> Flow {
    let destination = |item: Item<'_>| destination::read(item, scene);
    Flow {
        ordering: rule(fields, "ordering_key", &base.ordering, order::ordering),
        concurrency: rule(
            fields,
            "concurrency_key",
            &base.concurrency,
            order::concurrency,
        ),
        rate: rule(fields, "rate", &base.rate, pace::rate),
        priority: rule(fields, "priority", &base.priority, pace::priority),
        breaker: rule(fields, "breaker", &base.breaker, breaker),
        on_unknown: (fields.get("on_unknown"))
            .and_then(|item| item.word(&ON_UNKNOWN))
            .unwrap_or(base.on_unknown),
        on_success: rule(fields, "on_success", &base.on_success, destination),
        on_failure: rule(fields, "on_failure", &base.on_failure, destination),
        debounce: base.debounce.clone(),
        batch: base.batch,
        dedup: base.dedup.clone(),
    }
}

/// Reads all rules of a trigger or route.
pub(super) fn read(fields: &Fields<'_>, base: &Flow, scene: &Scene<'_>) -> Flow {
    Flow {
        debounce: rule(fields, "debounce", &base.debounce, pace::debounce),
        batch: rule(fields, "batch", &base.batch, pace::batch),
        dedup: rule(fields, "dedup", &base.dedup, order::dedup),
        ..read_defaults(fields, base, scene)
    }
}

fn rule<T: Clone>(
    fields: &Fields<'_>,
    name: &'static str,
    base: &Option<T>,
    read: impl FnOnce(Item<'_>) -> Option<T>,
) -> Option<T> {
    match fields.get(name) {
        None => base.clone(),
        Some(item) if item.as_boolean() == Some(false) => None,
        Some(item) => read(item),
    }
}

fn breaker(item: Item<'_>) -> Option<BreakerRule> {
    match item.as_boolean() {
        Some(_) => Some(BreakerRule::default()),
        None => pace::breaker(item),
    }
}

const ON_UNKNOWN: Words<'static, OnUnknown> = Words {
    known: &[("retry", OnUnknown::Retry), ("hold", OnUnknown::Hold)],
    meanings: &[
        ("again", "retry"),
        ("repeat", "retry"),
        ("rerun", "retry"),
        ("dead", "hold"),
        ("fail", "hold"),
        ("wait", "hold"),
        ("manual", "hold"),
    ],
    later: &[],
};
