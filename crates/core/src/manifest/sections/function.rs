//! The keys of a function.

use super::{AUTHS, RETRY, ROUTE, TRIGGER, flow};
use crate::{
    limits,
    manifest::keys::{Section, Shape, key},
};

/// `[function.NAME]`.
pub(in crate::manifest) static FUNCTION: Section = Section {
    id: "function",
    keys: &[
        key(
            "code",
            Shape::Text(&["functions/thumbnail.js", "functions/thumbnail"]),
            "Its file (`.js`, `.mjs`, `.cjs`) or folder, in the project's folder. By default the folder `functions/NAME`, or `functions/NAME.js`, `.mjs` or `.cjs`.",
        ),
        key(
            "style",
            Shape::OneOf(&["lambda", "web", "native", "spica", "cloudevents"]),
            "How its handlers are called. By default found out from what the code exports.",
        ),
        key(
            "node",
            Shape::NodeMajor,
            "The major version of Node it runs on. By default the project's.",
        ),
        key(
            "timeout",
            Shape::Duration,
            "How long one attempt may take: 100ms to 1d.",
        )
        .default("30s"),
        key(
            "memory",
            Shape::Size,
            "The V8 heap of one worker: 64MiB to 64GiB.",
        )
        .default("256MiB"),
        key(
            "max_body",
            Shape::Size,
            "The largest body of an HTTP request that it takes: 1KiB to 5GiB.",
        )
        .default("6MiB"),
        key(
            "env",
            Shape::Settings,
            "Its environment variables: text, or `{ env = \"NAME\" }` or `{ secret = \"NAME\" }`, both read at start.",
        ),
        key(
            "access",
            Shape::Table(&ACCESS),
            "What it may touch of the project's resources; nothing by default.",
        ),
        key(
            "retry",
            Shape::Table(&RETRY),
            "How its failed deliveries are tried again.",
        ),
        flow::ORDERING_KEY,
        flow::CONCURRENCY_KEY,
        flow::RATE_KEY,
        flow::PRIORITY_KEY,
        flow::BREAKER_KEY,
        flow::ON_UNKNOWN_KEY,
        flow::ON_SUCCESS_KEY,
        flow::ON_FAILURE_KEY,
        key(
            "concurrency",
            Shape::Count {
                least: 1,
                most: limits::MOST_CONCURRENCY,
            },
            "Attempts that may run at once, over all its workers.",
        )
        .default("1000"),
        key(
            "per_worker",
            Shape::Count {
                least: 1,
                most: limits::MOST_PER_WORKER,
            },
            "Attempts that may share one worker: by default 1 in style `lambda`, 100 in the others.",
        ),
        key(
            "scale_down_after",
            Shape::Duration,
            "A worker that had nothing to do for this long is ended: 1s to 1d.",
        )
        .default("5m"),
        key(
            "auth",
            Shape::OneOf(AUTHS),
            "Who may call its HTTP endpoints: anyone, or callers that send a key. Must be said outside `dev`.",
        ),
        key(
            "routes",
            Shape::TextOrNamed(&ROUTE),
            "HTTP endpoints: \"GET /books/{id}\" = \"getBook\".",
        ),
        key(
            "on",
            Shape::Tables(&TRIGGER),
            "What wakes it: one `[[function.NAME.on]]` for each trigger.",
        ),
    ],
    later: &["allow_scripts", "network", "files"],
    one_of: &[],
    place: "to the function, in `[function.NAME]`",
    neighbours: &[&TRIGGER],
    meanings: &[
        (
            "handler",
            "`handler` belongs to a trigger: `[[function.NAME.on]]`",
        ),
        ("runtime", "did you mean `node`? Write node = \"24\""),
        ("source", "did you mean `code`?"),
        ("file", "did you mean `code`?"),
        ("path", "did you mean `code`?"),
        ("environment", "did you mean `env`?"),
        (
            "trigger",
            "did you mean `on`? Each trigger is written `[[function.NAME.on]]`",
        ),
        (
            "triggers",
            "did you mean `on`? Each trigger is written `[[function.NAME.on]]`",
        ),
        ("max_attempts", "write retry = { max_attempts = … }"),
        ("backoff", "write retry = { backoff = [\"1s\", \"5m\"] }"),
        ("max_age", "write retry = { max_age = \"6h\" }"),
    ],
};

/// `access` of a function.
pub(in crate::manifest) static ACCESS: Section = Section {
    id: "access",
    keys: &[
        key(
            "bucket",
            Shape::Levels,
            "Buckets: `read` for get and list, `write` also for put and delete.",
        ),
        key(
            "database",
            Shape::Levels,
            "Databases: `read` for SELECT, `write` for any SQL.",
        ),
        key(
            "topic",
            Shape::Texts(&["orders.*"]),
            "Topics that it may publish.",
        ),
        key(
            "function",
            Shape::Texts(&["thumbnail"]),
            "Functions that it may invoke.",
        ),
        key(
            "net",
            Shape::Texts(&["api.example.com:443"]),
            "Hosts and ports it may reach. Not enforced yet by this version.",
        ),
    ],
    later: &[
        "secret", "redis", "rabbitmq", "nats", "kafka", "mqtt", "files",
    ],
    one_of: &[],
    place: "to the access of a function",
    neighbours: &[],
    meanings: &[
        ("buckets", "did you mean `bucket`?"),
        ("databases", "did you mean `database`?"),
        ("topics", "did you mean `topic`?"),
        ("publish", "did you mean `topic`?"),
        ("functions", "did you mean `function`?"),
        ("invoke", "did you mean `function`?"),
        ("db", "did you mean `database`?"),
    ],
};
