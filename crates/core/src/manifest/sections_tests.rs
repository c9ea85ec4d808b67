//! What the list of keys says is what the reader does.

use std::time::Duration;

use super::{
    duration,
    keys::{Key, Section, Shape},
    parse_duration, parse_size,
    sections::*,
    size,
};
use crate::limits;

fn the_key(section: &'static Section, name: &str) -> &'static Key {
    section.keys.iter().find(|key| key.name == name).unwrap()
}

#[test]
fn defaults_and_bounds_are_those_that_hold() {
    let check = |section, name, default: Duration, least, most| {
        let key = the_key(section, name);
        assert_eq!(parse_duration(key.default.unwrap()), Ok(default), "{name}");
        let bounds = format!("{} to {}", duration::show(least), duration::show(most));
        assert!(key.about.contains(&bounds), "{name}: {bounds}");
    };
    check(
        &FUNCTION,
        "timeout",
        limits::TIMEOUT,
        limits::MIN_TIMEOUT,
        limits::MAX_TIMEOUT,
    );
    check(
        &FUNCTION,
        "scale_down_after",
        limits::SCALE_DOWN_AFTER,
        limits::MIN_SCALE_DOWN_AFTER,
        limits::MAX_SCALE_DOWN_AFTER,
    );
    check(
        &RETRY,
        "max_age",
        limits::MAX_AGE,
        limits::MIN_MAX_AGE,
        limits::MOST_MAX_AGE,
    );
    check(
        &flow::DEDUP,
        "window",
        limits::DEDUP_WINDOW,
        limits::MIN_DEDUP_WINDOW,
        limits::MAX_DEDUP_WINDOW,
    );
    check(
        &TRIGGER,
        "idempotency",
        limits::IDEMPOTENCY_WINDOW,
        limits::MIN_DEDUP_WINDOW,
        limits::MAX_DEDUP_WINDOW,
    );
    check(
        &flow::BATCH,
        "window",
        limits::BATCH_WINDOW,
        Duration::ZERO,
        limits::MOST_BATCH_WINDOW,
    );
    check(
        &flow::BREAKER,
        "retry_after",
        limits::BREAKER_RETRY_AFTER,
        limits::MIN_BREAKER_WAIT,
        limits::MAX_BREAKER_WAIT,
    );
    check(
        &flow::BREAKER,
        "retry_most",
        limits::BREAKER_RETRY_MOST,
        limits::MIN_BREAKER_WAIT,
        limits::MAX_BREAKER_WAIT,
    );
    check(
        &ARCHIVE,
        "keep",
        limits::EVENT_RETENTION,
        limits::MIN_KEEP_EVENTS,
        limits::MAX_KEEP_EVENTS,
    );
    let bounds = |section, name, least, most| {
        let bounds = format!("{} to {}", duration::show(least), duration::show(most));
        let about = the_key(section, name).about;
        assert!(about.contains(&bounds), "{name}: {bounds}");
    };
    bounds(
        &flow::RATE,
        "per",
        limits::MIN_RATE_PER,
        limits::MAX_RATE_PER,
    );
    bounds(
        &flow::DEBOUNCE,
        "wait",
        limits::MIN_DEBOUNCE,
        limits::MAX_DEBOUNCE,
    );
    bounds(
        &TRIGGER,
        "priority",
        limits::LEAST_PRIORITY,
        limits::MOST_PRIORITY,
    );
    let most = duration::show(limits::MOST_DEBOUNCE);
    let about = the_key(&flow::DEBOUNCE, "most").about;
    assert!(
        about.contains(&most) && limits::DEBOUNCE_FACTOR == 10,
        "{about}"
    );
    let check = |name, default, least, most| {
        let key = the_key(&FUNCTION, name);
        assert_eq!(parse_size(key.default.unwrap()), Ok(default), "{name}");
        let bounds = format!("{} to {}", size::show(least), size::show(most));
        assert!(key.about.contains(&bounds), "{name}: {bounds}");
    };
    check(
        "memory",
        limits::MEMORY,
        limits::MIN_MEMORY,
        limits::MAX_MEMORY,
    );
    check(
        "max_body",
        limits::MAX_BODY,
        limits::LEAST_MAX_BODY,
        limits::MOST_MAX_BODY,
    );
    let count = |section, name| the_key(section, name).default.unwrap().parse();
    assert_eq!(count(&FUNCTION, "concurrency"), Ok(limits::CONCURRENCY));
    assert_eq!(count(&RETRY, "max_attempts"), Ok(limits::MAX_ATTEMPTS));
    let failures = count(&flow::BREAKER, "failures");
    assert_eq!(failures, Ok(limits::BREAKER_FAILURES));
    let backoff = the_key(&RETRY, "backoff").about;
    let (first, most) = (limits::BACKOFF_FIRST, limits::BACKOFF_MOST);
    let default = format!(
        "[\"{}\", \"{}\"]",
        duration::show(first),
        duration::show(most)
    );
    assert!(backoff.contains(&default), "{default}");
}

/// Whatever a trigger can say of its deliveries a route can say, and a function says nothing of
/// them that its triggers could not say themselves.
#[test]
fn rules_are_the_same_everywhere() {
    let rules = |section: &'static Section| {
        let rules = section.keys.iter();
        let rules = rules.filter(|key| matches!(key.shape, Shape::Rule(..)));
        rules.map(|key| key.name).collect::<Vec<_>>()
    };
    assert_eq!(rules(&TRIGGER), rules(&ROUTE));
    assert!(rules(&FUNCTION).len() >= 7);
    for name in rules(&FUNCTION) {
        assert!(TRIGGER.knows(name), "{name}");
    }
}

/// A key that is known cannot be one that is not supported yet.
#[test]
fn what_is_supported_is_not_announced_for_later() {
    for section in [
        &PROJECT,
        &ENVIRONMENT,
        &FUNCTION,
        &ACCESS,
        &RETRY,
        &TRIGGER,
        &ROUTE,
        &flow::DESTINATION,
    ] {
        for later in section.later {
            assert!(!section.knows(later), "{later} in {}", section.id);
        }
    }
}
