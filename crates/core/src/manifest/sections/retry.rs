//! The keys of `retry`.

use crate::{
    limits,
    manifest::keys::{Key, Section, Shape, key},
};

/// `retry` of a function or trigger.
pub(in crate::manifest) static RETRY: Section = Section {
    id: "retry",
    keys: &[
        key(
            "max_attempts",
            Shape::Count {
                least: 1,
                most: limits::MOST_ATTEMPTS,
            },
            "How often user code is started for one delivery, the first time included.",
        )
        .default("5"),
        key(
            "backoff",
            Shape::Durations,
            "The bound of the first wait, and of every wait; in between it doubles. 1ms to 1d, [\"1s\", \"5m\"] by default.",
        ),
        key(
            "jitter",
            Shape::OneOf(&["full", "equal", "none"]),
            "How waits are spread: `full` between zero and the bound, `equal` between half of it and the bound, `none` is the bound.",
        )
        .default("full"),
        key(
            "on",
            Shape::Table(&RETRY_ON),
            "What is different for one kind of failure: on = { timeout = { max_attempts = 2 } }.",
        ),
        key(
            "max_age",
            Shape::Duration,
            "A delivery older than this is not started any more: 1s to 30d.",
        )
        .default("24h"),
    ],
    later: &[],
    one_of: &[],
    place: "to `retry`",
    neighbours: &[],
    meanings: WORDS,
};

const WORDS: &[(&str, &str)] = &[
    (
        "attempts",
        "did you mean `max_attempts`? The first one counts",
    ),
    (
        "retries",
        "did you mean `max_attempts`? The first one counts",
    ),
    (
        "max_retries",
        "did you mean `max_attempts`? The first one counts",
    ),
    ("ttl", "did you mean `max_age`?"),
    ("delay", "did you mean `backoff`?"),
    (
        "timeout",
        "`timeout` belongs to the function, in `[function.NAME]`; what it does when it runs out, write on = { timeout = { … } }",
    ),
];

const ONE_KIND: Shape = Shape::Table(&RETRY_KIND);

/// `on` of `retry`: one key for each kind of failure that counts.
pub(in crate::manifest) static RETRY_ON: Section = Section {
    id: "retry-on",
    keys: &[
        kind("error", "The handler threw or rejected."),
        kind("user_error", "The same as `error`, as run records call it."),
        kind("timeout", "It took longer than the function's `timeout`."),
        kind("missing_response", "It ended without an answer."),
        kind("blocked_loop", "It held the event loop."),
        kind("out_of_memory", "Its process ran out of memory."),
        kind("crash", "It called `process.exit`, or its process crashed."),
    ],
    later: &[],
    one_of: &[],
    place: "to `on` of `retry`",
    neighbours: &[&RETRY],
    meanings: &[
        ("errors", "did you mean `error`?"),
        ("exception", "did you mean `error`?"),
        ("oom", "did you mean `out_of_memory`?"),
        ("memory", "did you mean `out_of_memory`?"),
        ("exit", "did you mean `crash`?"),
        ("suspect", NOT_CHARGED),
        ("bystander", NOT_CHARGED),
        ("not_started", NOT_CHARGED),
        ("interrupted", NOT_CHARGED),
        (
            "load",
            "code that cannot be loaded is not tried again: what waits for it is held for a new version",
        ),
    ],
};

const NOT_CHARGED: &str =
    "it is not the fault of the delivery: it does not count, and is tried again at once";

const fn kind(name: &'static str, about: &'static str) -> Key {
    key(name, ONE_KIND, about)
}

/// One kind of failure in `on` of `retry`.
pub(in crate::manifest) static RETRY_KIND: Section = Section {
    id: "retry-kind",
    keys: &[
        key(
            "max_attempts",
            Shape::Count {
                least: 1,
                most: limits::MOST_ATTEMPTS,
            },
            "A delivery whose last failure was of this kind is dead once it was started so often.",
        ),
        key(
            "backoff",
            Shape::Durations,
            "The bounds of the first wait and of every wait after such a failure.",
        ),
    ],
    later: &[],
    one_of: &[],
    place: "to a kind of failure in `retry`",
    neighbours: &[],
    meanings: WORDS,
};
