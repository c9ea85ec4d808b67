//! Every key of the manifest, once: the reader refuses all others, and the schema that helps
//! editors is made from this list.

use super::{
    keys::{Key, Section, Shape, key},
    routes,
};
use crate::limits;

pub(super) const LEVELS: &[&str] = &["read", "write"];
const AUTHS: &[&str] = &["none", "key"];

/// The whole manifest.
pub(super) static PROJECT: Section = Section {
    id: "project",
    keys: &[
        key("name", Shape::Text(&["photos"]), "The project's name: letters, digits, `-` and `_`, the first a letter; at most 63. Every identity begins with it.").required(),
        NODE,
        BUCKET_TABLES,
        key("database", Shape::Named(&DATABASE), "The databases that functions use and whose changes wake them."),
        FUNCTIONS,
        key("environment", Shape::Named(&ENVIRONMENT), "Settings that are merged over the rest in one environment: tables key by key, arrays and everything else whole."),
    ],
    later: &["include", "topic", "redis", "rabbitmq", "nats", "kafka", "mqtt"],
    place: "at the top of the manifest",
    neighbours: &[&FUNCTION],
    meanings: PLURALS,
};

/// What an environment may say: all but the project's name and further environments.
pub(super) static ENVIRONMENT: Section = Section {
    id: "environment",
    keys: &[
        NODE,
        BUCKET_TABLES,
        key(
            "database",
            Shape::Named(&DATABASE_OVER),
            "Databases of this environment, merged over the others.",
        ),
        FUNCTIONS,
    ],
    later: PROJECT.later,
    place: "in an environment",
    neighbours: &[&PROJECT],
    meanings: PLURALS,
};

const PLURALS: &[(&str, &str)] = &[
    (
        "functions",
        "did you mean `function`? Each one is written `[function.NAME]`",
    ),
    (
        "buckets",
        "did you mean `bucket`? Each one is written `[bucket.NAME]`",
    ),
    (
        "databases",
        "did you mean `database`? Each one is written `[database.NAME]`",
    ),
    (
        "environments",
        "did you mean `environment`? Each one is written `[environment.NAME]`",
    ),
    ("env", "`env` belongs to a function: `[function.NAME]`"),
];

const NODE: Key = key(
    "node",
    Shape::NodeMajor,
    "The major version of Node that functions run on: 20, 22, 24 or 26.",
)
.default("24");
const BUCKET_TABLES: Key = key(
    "bucket",
    Shape::Named(&BUCKET),
    "The embedded, S3-compatible buckets: `[bucket.NAME]`.",
);
const FUNCTIONS: Key = key(
    "function",
    Shape::Named(&FUNCTION),
    "The functions: `[function.NAME]`.",
);

/// `[bucket.NAME]`.
pub(super) static BUCKET: Section = Section {
    id: "bucket",
    keys: &[],
    later: &[],
    place: "to a bucket",
    neighbours: &[&TRIGGER],
    meanings: &[],
};

/// `[database.NAME]`.
pub(super) static DATABASE: Section = Section {
    id: "database",
    keys: &[key(
        "url",
        Shape::Setting,
        "Where it is: `sqlite:` and a path in the project's folder, or where to read that from.",
    )
    .required()],
    later: &[],
    place: "to a database",
    neighbours: &[&TRIGGER],
    meanings: &[
        ("path", "write url = \"sqlite:PATH\""),
        ("file", "write url = \"sqlite:PATH\""),
    ],
};

/// `[environment.NAME.database.NAME]`: the URL may stand in what this is merged over.
static DATABASE_OVER: Section = Section {
    id: "database-in-environment",
    keys: &[key(
        "url",
        Shape::Setting,
        "Where it is in this environment.",
    )],
    later: DATABASE.later,
    place: DATABASE.place,
    neighbours: DATABASE.neighbours,
    meanings: DATABASE.meanings,
};

/// `[function.NAME]`.
pub(super) static FUNCTION: Section = Section {
    id: "function",
    keys: &[
        key(
            "code",
            Shape::Text(&["functions/thumbnail.js", "functions/thumbnail"]),
            "Its file (`.js`, `.mjs`, `.cjs`) or folder, in the project's folder. By default the folder `functions/NAME`, or `functions/NAME.js`, `.mjs` or `.cjs`.",
        ),
        key(
            "style",
            Shape::OneOf(&["lambda", "web", "native"]),
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
    later: &[
        "on_failure",
        "on_success",
        "async",
        "concurrency_key",
        "rate",
        "priority",
        "dedup",
        "allow_scripts",
        "network",
        "files",
    ],
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
pub(super) static ACCESS: Section = Section {
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
            "net",
            Shape::Texts(&["api.example.com:443"]),
            "Hosts and ports it may reach. Not enforced yet by this version.",
        ),
    ],
    later: &[
        "topic", "function", "secret", "redis", "rabbitmq", "nats", "kafka", "mqtt", "files",
    ],
    place: "to the access of a function",
    neighbours: &[],
    meanings: &[
        ("buckets", "did you mean `bucket`?"),
        ("databases", "did you mean `database`?"),
        ("db", "did you mean `database`?"),
    ],
};

/// `retry` of a function or trigger.
pub(super) static RETRY: Section = Section {
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
            "max_age",
            Shape::Duration,
            "A delivery older than this is not started any more: 1s to 30d.",
        )
        .default("24h"),
    ],
    later: &[],
    place: "to `retry`",
    neighbours: &[],
    meanings: &[
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
        (
            "timeout",
            "`timeout` belongs to the function, in `[function.NAME]`",
        ),
    ],
};

/// One trigger: `[[function.NAME.on]]`.
pub(super) static TRIGGER: Section = Section {
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
    ],
    later: &[
        "ordering_key",
        "concurrency_key",
        "rate",
        "debounce",
        "batch",
        "priority",
        "dedup",
        "on_failure",
        "on_success",
        "async",
        "overlap",
        "catch_up",
        "topic",
        "function",
        "system",
        "rabbitmq",
        "nats",
        "redis",
        "kafka",
        "mqtt",
        "websocket",
        "webhook",
        "folder",
    ],
    place: "to a trigger: `[[function.NAME.on]]`",
    neighbours: &[&FUNCTION],
    meanings: &[
        ("cron", "did you mean `schedule`?"),
        ("every", "write schedule = \"every 5m\""),
        ("event", "did you mean `events`?"),
        ("pattern", "did you mean `filter`?"),
        ("event_pattern", "did you mean `filter`?"),
        ("where", "did you mean `filter`?"),
        ("path", "write http = \"GET /path\""),
        ("method", "write http = \"GET /path\""),
        ("prefix", "write key = \"PREFIX**\""),
        ("suffix", "write key = \"**SUFFIX\""),
    ],
};

/// An HTTP endpoint as a table.
pub(super) static ENDPOINT: Section = Section {
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
pub(super) static ROUTE: Section = Section {
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
    ],
    later: TRIGGER.later,
    place: "to a route",
    neighbours: &[&FUNCTION],
    meanings: &[("filter", super::trigger::NO_FILTER)],
};

/// A value that stands elsewhere.
pub(super) static REFERENCE: Section = Section {
    id: "reference",
    keys: &[
        key(
            "env",
            Shape::Text(&["DATABASE_URL"]),
            "An environment variable of the server (in `dev` also from `.env`).",
        ),
        key(
            "secret",
            Shape::Text(&["API_TOKEN"]),
            "A secret of this environment.",
        ),
    ],
    later: &[],
    place: "to a reference",
    neighbours: &[],
    meanings: &[],
};
