//! The keys of a trigger, and of the routes that are short for one.

use super::{AUTHS, FUNCTION, RETRY, flow};
use crate::manifest::{
    keys::{Key, Section, Shape, key},
    routes,
};

/// One trigger: `[[function.NAME.on]]`.
pub(in crate::manifest) static TRIGGER: Section = Section {
    id: "trigger",
    keys: &[
        key(
            "http",
            Shape::TextOr(&ENDPOINT),
            "An HTTP endpoint: \"GET /photos/{name}\", or a path alone for all methods.",
        ),
        key(
            "bucket",
            Shape::Text(&["photos"]),
            "Changes of objects in this bucket.",
        ),
        key(
            "database",
            Shape::Text(&["shop"]),
            "Changes of rows in a table of this database.",
        ),
        key(
            "schedule",
            Shape::Text(&["every 5m", "0 3 * * *"]),
            "A clock: cron of 5 fields, or 6 with seconds first, or `every` and a duration.",
        ),
        key(
            "topic",
            Shape::Text(&["orders.paid", "orders.*", "orders.>"]),
            "Events that somebody published: `*` stands for any one word, `>` at the end for one or more.",
        ),
        key(
            "system",
            Shape::OneOf(&["dead_letter"]),
            "What happens to deliveries of other functions: `dead_letter` when one dies.",
        ),
        key(
            "events",
            Shape::SomeOf(&[
                "created", "changed", "removed", "insert", "update", "delete",
            ]),
            "The kinds that matter: of a bucket `created`, `changed` (both by default), `removed`; of a database `insert`, `update`, `delete` (all by default).",
        ),
        key(
            "key",
            Shape::Text(&["*.{jpg,png}", "uploads/**"]),
            "A pattern over the keys of a bucket: `*` and `?` stop at `/`, `**` does not, `{a,b}` and `[a-z]` choose.",
        ),
        key(
            "table",
            Shape::Text(&["orders"]),
            "The table of a database.",
        ),
        key(
            "timezone",
            Shape::Text(&["Europe/Berlin"]),
            "The IANA time zone in which a cron expression is read.",
        )
        .default("UTC"),
        key(
            "name",
            Shape::Text(&["on-upload"]),
            "Its identity within the function; by default made of source, resource and handler.",
        ),
        key(
            "handler",
            Shape::Text(&["getBook"]),
            "The export it calls; by default the style's.",
        ),
        key(
            "retry",
            Shape::Table(&RETRY),
            "How its failed deliveries are tried again; what is not said here is as for the function.",
        ),
        key(
            "filter",
            Shape::Filter,
            "Which of its events it wants, as an event pattern in the syntax of Amazon EventBridge.",
        ),
        key(
            "auth",
            Shape::OneOf(AUTHS),
            "Who may call this HTTP endpoint; by default as for the function.",
        ),
        ASYNC,
        IDEMPOTENCY,
        flow::ORDERING_KEY,
        flow::CONCURRENCY_KEY,
        flow::RATE_KEY,
        flow::DEBOUNCE_KEY,
        flow::BATCH_KEY,
        flow::PRIORITY_KEY,
        flow::DEDUP_KEY,
        flow::BREAKER_KEY,
        flow::ON_UNKNOWN_KEY,
        flow::ON_SUCCESS_KEY,
        flow::ON_FAILURE_KEY,
    ],
    later: &[
        "overlap",
        "catch_up",
        "function",
        "rabbitmq",
        "nats",
        "redis",
        "kafka",
        "mqtt",
        "websocket",
        "webhook",
        "folder",
    ],
    one_of: &["http", "bucket", "database", "schedule", "topic", "system"],
    place: "to a trigger: `[[function.NAME.on]]`",
    neighbours: &[&FUNCTION],
    meanings: &[
        ("cron", "did you mean `schedule`?"),
        ("every", "write schedule = \"every 5m\""),
        ("event", "did you mean `events`?"),
        ("pattern", "did you mean `filter`?"),
        ("event_pattern", "did you mean `filter`?"),
        ("where", "did you mean `filter`?"),
        ("topics", "did you mean `topic`?"),
        ("order", "did you mean `ordering_key`?"),
        ("fifo", "did you mean `ordering_key`?"),
        ("group", "did you mean `ordering_key`?"),
        ("message_group_id", "did you mean `ordering_key`?"),
        (
            "throttle",
            "did you mean `rate`? Or `debounce`, for the last one of many",
        ),
        ("rate_limit", "did you mean `rate`?"),
        ("deduplicate", "did you mean `dedup`?"),
        (
            "idempotency_key",
            "did you mean `dedup`? On `http`, callers send an `Idempotency-Key` header",
        ),
        ("batch_size", "write batch = { size = 10 }"),
        (
            "batch_window",
            "write batch = { size = 10, window = \"1s\" }",
        ),
        ("dead_letter", "did you mean `on_failure`?"),
        ("dlq", "did you mean `on_failure`?"),
        ("circuit_breaker", "did you mean `breaker`?"),
        ("await", "did you mean `async`?"),
        ("path", "write http = \"GET /path\""),
        ("method", "write http = \"GET /path\""),
        ("prefix", "write key = \"PREFIX**\""),
        ("suffix", "write key = \"**SUFFIX\""),
    ],
};

const ASYNC: Key = key(
    "async",
    Shape::Boolean,
    "With `true` requests are answered with 202 once they are on disk, and run as events.",
)
.default("false");
const IDEMPOTENCY: Key = key(
    "idempotency",
    Shape::DurationOrBoolean,
    "How long the answer to a request with an `Idempotency-Key` is kept for its repetitions: 1s to 30d, or `false`.",
)
.default("1d");

/// An HTTP endpoint as a table.
pub(in crate::manifest) static ENDPOINT: Section = Section {
    id: "endpoint",
    keys: &[
        key(
            "method",
            Shape::OneOf(routes::METHODS),
            "The method; all of them when it is left out.",
        ),
        key(
            "path",
            Shape::Text(&["/photos/{name}", "/files/{*rest}"]),
            "The path: `{name}` takes one segment, `{*rest}` what remains.",
        )
        .required(),
    ],
    later: &[],
    one_of: &[],
    place: "to `http`",
    neighbours: &[&TRIGGER],
    meanings: &[
        ("route", "did you mean `path`?"),
        ("url", "did you mean `path`?"),
        (
            "methods",
            "did you mean `method`? For all of them leave it out",
        ),
    ],
};

/// One entry of `routes` as a table.
pub(in crate::manifest) static ROUTE: Section = Section {
    id: "route",
    keys: &[
        key(
            "handler",
            Shape::Text(&["getBook"]),
            "The export it calls; by default the style's.",
        ),
        key(
            "name",
            Shape::Text(&["get-book"]),
            "Its identity within the function; by default made of the route and the handler.",
        ),
        key(
            "auth",
            Shape::OneOf(AUTHS),
            "Who may call it; by default as for the function.",
        ),
        key(
            "retry",
            Shape::Table(&RETRY),
            "How its failed deliveries are tried again; what is not said here is as for the function.",
        ),
        key(
            "filter",
            Shape::Filter,
            "Which requests of an `async` route it wants, as an event pattern.",
        ),
        ASYNC,
        IDEMPOTENCY,
        flow::ORDERING_KEY,
        flow::CONCURRENCY_KEY,
        flow::RATE_KEY,
        flow::DEBOUNCE_KEY,
        flow::BATCH_KEY,
        flow::PRIORITY_KEY,
        flow::DEDUP_KEY,
        flow::BREAKER_KEY,
        flow::ON_UNKNOWN_KEY,
        flow::ON_SUCCESS_KEY,
        flow::ON_FAILURE_KEY,
    ],
    later: TRIGGER.later,
    one_of: &[],
    place: "to a route",
    neighbours: &[&TRIGGER, &FUNCTION],
    meanings: &[
        ("path", "the path is the key of the route: \"GET /path\""),
        (
            "method",
            "the method is in the key of the route: \"GET /path\"",
        ),
        ("function", "did you mean `handler`?"),
        ("await", "did you mean `async`?"),
        ("order", "did you mean `ordering_key`?"),
        ("fifo", "did you mean `ordering_key`?"),
        ("throttle", "did you mean `rate`?"),
        ("rate_limit", "did you mean `rate`?"),
        ("deduplicate", "did you mean `dedup`?"),
        (
            "idempotency_key",
            "callers send it, in a header `Idempotency-Key`; `idempotency` says for how long an answer is kept",
        ),
        ("dlq", "did you mean `on_failure`?"),
    ],
};
