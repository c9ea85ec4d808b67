//! `retry` of a function or trigger.

use std::time::Duration;

use super::{
    duration,
    problem::Problem,
    reader::{Fields, Item, Words},
    sections::{RETRY, RETRY_KIND, RETRY_ON},
};
use crate::{
    delivery::FailureKind,
    limits,
    retry::{Jitter, KindRule, RetryPolicy},
};

const JITTERS: Words<'static, Jitter> = Words {
    known: &[
        ("full", Jitter::Full),
        ("equal", Jitter::Equal),
        ("none", Jitter::None),
    ],
    meanings: &[
        ("half", "equal"),
        ("off", "none"),
        ("no", "none"),
        ("decorrelated", "full"),
    ],
    later: &[],
};

/// The kinds of failures that are charged, by the words that manifests use.
const KINDS: [(&str, FailureKind); 7] = [
    ("error", FailureKind::UserError),
    ("user_error", FailureKind::UserError),
    ("timeout", FailureKind::Timeout),
    ("missing_response", FailureKind::MissingResponse),
    ("blocked_loop", FailureKind::BlockedLoop),
    ("out_of_memory", FailureKind::OutOfMemory),
    ("crash", FailureKind::Crash),
];

/// Reads `retry` over `base`, which holds for what is not said.
pub(super) fn read(item: Item<'_>, base: &RetryPolicy) -> RetryPolicy {
    let mut policy = base.clone();
    let Some(fields) = item.fields(&RETRY, "`retry`") else {
        return policy;
    };
    if let Some(count) = fields.get("max_attempts").and_then(attempts) {
        policy.max_attempts = count;
    }
    if let Some((first, most)) = fields.get("backoff").and_then(backoff) {
        policy.backoff_first = first;
        policy.backoff_most = most;
    }
    if let Some(jitter) = (fields.get("jitter")).and_then(|item| item.word(&JITTERS)) {
        policy.jitter = jitter;
    }
    if let Some(age) = fields
        .get("max_age")
        .and_then(|item| duration::read(item, limits::MIN_MAX_AGE..=limits::MOST_MAX_AGE))
    {
        policy.max_age = age;
    }
    if let Some(on) = fields.get("on") {
        for rule in kinds(on) {
            policy.kinds.retain(|it| it.kind != rule.kind);
            policy.kinds.push(rule);
        }
    }
    policy
}

fn attempts(item: Item<'_>) -> Option<u32> {
    item.count(1..=limits::MOST_ATTEMPTS)
}

/// Reads `on`: what is different for some kinds of failure.
fn kinds(item: Item<'_>) -> Vec<KindRule> {
    let Some(fields) = item.fields(&RETRY_ON, "`on` of `retry`") else {
        return Vec::new();
    };
    let (error, synonym) = (fields.get("error"), fields.get("user_error"));
    if let (Some(error), Some(synonym)) = (error, synonym) {
        let message = "`error` and `user_error` are the same kind of failure";
        fields.report.problem(
            Problem::at(synonym.key_span(), message)
                .also(error.key_span(), "the other one")
                .help("leave one of them out"),
        );
    }
    (KINDS.iter())
        .filter_map(|(name, kind)| rule(&fields, name, *kind))
        .collect()
}

fn rule(fields: &Fields<'_>, name: &'static str, kind: FailureKind) -> Option<KindRule> {
    let item = fields.get(name)?;
    let inner = item.fields(&RETRY_KIND, format!("`{name}` in `on` of `retry`"))?;
    if inner.keys(|_| true).next().is_none() {
        item.refuse(
            format!("{} says nothing", item.title()),
            "write { max_attempts = 2 }, { backoff = [\"10s\", \"5m\"] } or both",
        );
        return None;
    }
    Some(KindRule {
        kind,
        max_attempts: inner.get("max_attempts").and_then(attempts),
        backoff: inner.get("backoff").and_then(backoff),
    })
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
