//! What the list of keys says is what the reader does.

use std::time::Duration;

use super::{
    duration,
    keys::{Key, Section},
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
    let backoff = the_key(&RETRY, "backoff").about;
    let (first, most) = (limits::BACKOFF_FIRST, limits::BACKOFF_MOST);
    let default = format!(
        "[\"{}\", \"{}\"]",
        duration::show(first),
        duration::show(most)
    );
    assert!(backoff.contains(&default), "{default}");
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
    ] {
        for later in section.later {
            assert!(!section.knows(later), "{later} in {}", section.id);
        }
    }
}
