//! The keys that say how deliveries flow, for functions, triggers and routes alike. Each of them
//! can be `false`: then what the function says does not hold for the trigger.

use crate::{
    limits,
    manifest::keys::{Key, Section, Shape, Short, key},
};

pub(in crate::manifest) const ORDERING_KEY: Key = key(
    "ordering_key",
    Shape::Rule(Short::Key, &ORDERING),
    "Events with the same key run one after the other, in the order in which they came.",
);
pub(in crate::manifest) const CONCURRENCY_KEY: Key = key(
    "concurrency_key",
    Shape::Rule(Short::None, &CONCURRENCY),
    "Of the events with the same key at most `limit` run at once.",
);
pub(in crate::manifest) const RATE_KEY: Key = key(
    "rate",
    Shape::Rule(Short::Text(&["10/s", "100/1m"]), &RATE),
    "At most so many starts in a time; what exceeds it is held, never dropped.",
);
pub(in crate::manifest) const DEBOUNCE_KEY: Key = key(
    "debounce",
    Shape::Rule(Short::Duration, &DEBOUNCE),
    "Of several events only the last one runs, once it was quiet for so long.",
);
pub(in crate::manifest) const BATCH_KEY: Key = key(
    "batch",
    Shape::Rule(Short::None, &BATCH),
    "Several events to one attempt.",
);
pub(in crate::manifest) const PRIORITY_KEY: Key = key(
    "priority",
    Shape::Rule(Short::Duration, &PRIORITY),
    "A head start over what else waits for the trigger: 1ms to 1h.",
);
pub(in crate::manifest) const DEDUP_KEY: Key = key(
    "dedup",
    Shape::Rule(Short::Key, &DEDUP),
    "An event whose key was seen a short time ago is left out.",
);
pub(in crate::manifest) const BREAKER_KEY: Key = key(
    "breaker",
    Shape::Rule(Short::Default, &BREAKER),
    "After many failures in a row the rest is held, and one is tried from time to time.",
)
.default("true");
pub(in crate::manifest) const ON_UNKNOWN_KEY: Key = key(
    "on_unknown",
    Shape::OneOf(&["retry", "hold"]),
    "When the worker or the server died in mid-attempt: run again, or hold it for a person. On `http` it holds for requests with an `Idempotency-Key`.",
)
.default("retry");
pub(in crate::manifest) const ON_SUCCESS_KEY: Key = key(
    "on_success",
    Shape::Rule(Short::None, &DESTINATION),
    "Where results go.",
);
pub(in crate::manifest) const ON_FAILURE_KEY: Key = key(
    "on_failure",
    Shape::Rule(Short::None, &DESTINATION),
    "Where dead letters are told of.",
);

/// `key` of a rule.
const fn path(about: &'static str) -> Key {
    key("key", Shape::Key, about)
}

/// `ordering_key` as a table.
pub(in crate::manifest) static ORDERING: Section = Section {
    id: "ordering-key",
    keys: &[
        path("Where in the event the key is found.").required(),
        key(
            "on_exhausted",
            Shape::OneOf(&["step_aside", "block"]),
            "What a dead letter does to those behind it: steps aside for the next one, or blocks its key until someone acts.",
        )
        .default("step_aside"),
    ],
    later: &[],
    one_of: &[],
    place: "to `ordering_key`",
    neighbours: &[],
    meanings: KEY_WORDS,
};

const KEY_WORDS: &[(&str, &str)] = &[
    ("path", "did you mean `key`?"),
    ("by", "did you mean `key`?"),
    ("field", "did you mean `key`?"),
];

/// `concurrency_key`.
pub(in crate::manifest) static CONCURRENCY: Section = Section {
    id: "concurrency-key",
    keys: &[
        path("Where in the event the key is found.").required(),
        key(
            "limit",
            Shape::Count {
                least: 1,
                most: limits::MOST_CONCURRENCY,
            },
            "How many events with one key run at once.",
        )
        .required(),
    ],
    later: &[],
    one_of: &[],
    place: "to `concurrency_key`",
    neighbours: &[],
    meanings: &[
        ("path", "did you mean `key`?"),
        ("max", "did you mean `limit`?"),
        ("concurrency", "did you mean `limit`?"),
    ],
};

/// `rate` as a table.
pub(in crate::manifest) static RATE: Section = Section {
    id: "rate",
    keys: &[
        key(
            "limit",
            Shape::Count {
                least: 1,
                most: limits::MOST_RATE,
            },
            "How many starts.",
        )
        .required(),
        key("per", Shape::Duration, "In which time: 1s to 1d.").required(),
        key(
            "burst",
            Shape::Count {
                least: 1,
                most: limits::MOST_RATE,
            },
            "Starts that may come together; by default those of a tenth of a second, at least one.",
        ),
        path("Each key has a rate of its own; by default the trigger has one."),
    ],
    later: &[],
    one_of: &[],
    place: "to `rate`",
    neighbours: &[],
    meanings: &[
        ("count", "did you mean `limit`?"),
        ("max", "did you mean `limit`?"),
        ("period", "did you mean `per`?"),
        ("window", "did you mean `per`?"),
        ("every", "did you mean `per`?"),
    ],
};

/// `debounce` as a table.
pub(in crate::manifest) static DEBOUNCE: Section = Section {
    id: "debounce",
    keys: &[
        key(
            "wait",
            Shape::Duration,
            "How long it must be quiet: 10ms to 1h.",
        )
        .required(),
        key(
            "most",
            Shape::Duration,
            "The longest wait, counted from the first event: at most 1d, by default ten times `wait`.",
        ),
        path("Each key is waited for by itself; by default all events of the trigger together."),
    ],
    later: &[],
    one_of: &[],
    place: "to `debounce`",
    neighbours: &[],
    meanings: &[
        ("max", "did you mean `most`?"),
        ("max_wait", "did you mean `most`?"),
        ("window", "did you mean `wait`?"),
        ("delay", "did you mean `wait`?"),
    ],
};

/// `batch`.
pub(in crate::manifest) static BATCH: Section = Section {
    id: "batch",
    keys: &[
        key(
            "size",
            Shape::Count {
                least: limits::LEAST_BATCH,
                most: limits::MOST_BATCH,
            },
            "How many events an attempt gets at most.",
        )
        .required(),
        key(
            "window",
            Shape::Duration,
            "How long the first event waits for company: 0s to 5m.",
        )
        .default("1s"),
    ],
    later: &[],
    one_of: &[],
    place: "to `batch`",
    neighbours: &[],
    meanings: &[
        ("max", "did you mean `size`?"),
        ("count", "did you mean `size`?"),
        ("wait", "did you mean `window`?"),
        ("timeout", "did you mean `window`?"),
    ],
};

/// `priority` as a table.
pub(in crate::manifest) static PRIORITY: Section = Section {
    id: "priority",
    keys: &[
        path("Where in the event the head start is found, a number of seconds; no number is none, and an hour is the most.")
            .required(),
    ],
    later: &[],
    one_of: &[],
    place: "to `priority`",
    neighbours: &[],
    meanings: KEY_WORDS,
};

/// `dedup` as a table.
pub(in crate::manifest) static DEDUP: Section = Section {
    id: "dedup",
    keys: &[
        path("Where in the event the key is found.").required(),
        key(
            "window",
            Shape::Duration,
            "How long a key is remembered: 1s to 30d.",
        )
        .default("1d"),
    ],
    later: &[],
    one_of: &[],
    place: "to `dedup`",
    neighbours: &[],
    meanings: &[
        ("path", "did you mean `key`?"),
        ("ttl", "did you mean `window`?"),
        ("for", "did you mean `window`?"),
    ],
};

/// `breaker` as a table.
pub(in crate::manifest) static BREAKER: Section = Section {
    id: "breaker",
    keys: &[
        key(
            "failures",
            Shape::Count {
                least: 1,
                most: limits::MOST_BREAKER_FAILURES,
            },
            "After so many different deliveries that failed in a row it holds the others.",
        )
        .default("10"),
        key(
            "retry_after",
            Shape::Duration,
            "How long it holds them before one is tried: 100ms to 1d.",
        )
        .default("30s"),
        key(
            "retry_most",
            Shape::Duration,
            "The wait doubles up to this: 100ms to 1d.",
        )
        .default("10m"),
        path("Each key has a breaker of its own; by default the trigger has one."),
    ],
    later: &[],
    one_of: &[],
    place: "to `breaker`",
    neighbours: &[],
    meanings: &[
        ("threshold", "did you mean `failures`?"),
        ("errors", "did you mean `failures`?"),
        ("cooldown", "did you mean `retry_after`?"),
        ("reset", "did you mean `retry_after`?"),
        ("enabled", "write breaker = true or breaker = false"),
    ],
};

/// `on_success` and `on_failure`.
pub(in crate::manifest) static DESTINATION: Section = Section {
    id: "destination",
    keys: &[
        key(
            "topic",
            Shape::Text(&["orders.failed"]),
            "Published under this topic.",
        ),
        key(
            "function",
            Shape::Text(&["report"]),
            "This function is called with it.",
        ),
        key(
            "handler",
            Shape::Text(&["failed"]),
            "The export of that function; by default the style's.",
        ),
        key(
            "http",
            Shape::Text(&["https://example.com/hook"]),
            "Sent to this address with POST, as a CloudEvent.",
        ),
        key(
            "mode",
            Shape::OneOf(&["binary", "structured"]),
            "How it is sent over HTTP: attributes as header fields, or all in one JSON document.",
        )
        .default("binary"),
    ],
    later: &[],
    one_of: &["topic", "function", "http"],
    place: "to a destination",
    neighbours: &[],
    meanings: &[
        ("url", "did you mean `http`?"),
        ("https", "did you mean `http`?"),
        ("webhook", "did you mean `http`?"),
        ("queue", "did you mean `topic`?"),
        ("publish", "did you mean `topic`?"),
        ("invoke", "did you mean `function`?"),
        ("format", "did you mean `mode`?"),
    ],
};
