//! `retry` of a function or trigger.

use std::time::Duration;

use super::{duration, problem::Problem, reader::Item, sections::RETRY};
use crate::{limits, retry::RetryPolicy};

/// Reads `retry` over `base`, which holds for what is not said.
pub(super) fn read(item: Item<'_>, base: &RetryPolicy) -> RetryPolicy {
    let mut policy = base.clone();
    let Some(fields) = item.fields(&RETRY, "`retry`") else {
        return policy;
    };
    if let Some(count) = fields
        .get("max_attempts")
        .and_then(|item| item.count(1..=limits::MOST_ATTEMPTS))
    {
        policy.max_attempts = count;
    }
    if let Some((first, most)) = fields.get("backoff").and_then(backoff) {
        policy.backoff_first = first;
        policy.backoff_most = most;
    }
    if let Some(age) = fields
        .get("max_age")
        .and_then(|item| duration::read(item, limits::MIN_MAX_AGE..=limits::MOST_MAX_AGE))
    {
        policy.max_age = age;
    }
    policy
}

fn backoff(item: Item<'_>) -> Option<(Duration, Duration)> {
    let expected = "two durations: [\"1s\", \"5m\"], the bound of the first wait and of every wait";
    let items: Vec<_> = item.array(expected)?.collect();
    let [first, most] = items.as_slice() else {
        let count = items.len();
        item.refuse(
            format!("`backoff` has {count} entries"),
            format!("expected {expected}"),
        );
        return None;
    };
    let bounds = limits::MIN_BACKOFF..=limits::MOST_BACKOFF;
    // Both are read before either may end this: each may be wrong.
    let (first_wait, most_wait) = (
        duration::read(*first, bounds.clone()),
        duration::read(*most, bounds),
    );
    let (first_wait, most_wait) = (first_wait?, most_wait?);
    if first_wait > most_wait {
        item.report.problem(
            Problem::at(
                item.span(),
                "the first wait of `backoff` is longer than the longest",
            )
            .help("write the shorter one first"),
        );
        return None;
    }
    Some((first_wait, most_wait))
}
