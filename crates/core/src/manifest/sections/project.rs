//! The keys of the project, its resources and its environments.

use super::{AUTHS, FUNCTION, TRIGGER};
use crate::manifest::keys::{Key, Section, Shape, key};

/// The whole manifest.
pub(in crate::manifest) static PROJECT: Section = Section {
    id: "project",
    keys: &[
        key("name", Shape::Text(&["photos"]), "The project's name: letters, digits, `-` and `_`, the first a letter; at most 63. Every identity begins with it.").required(),
        NODE,
        BUCKET_TABLES,
        key("database", Shape::Named(&DATABASE), "The databases that functions use and whose changes wake them."),
        TOPICS,
        FUNCTIONS,
        EVENTS_KEY,
        ARCHIVE_KEY,
        key("environment", Shape::Named(&ENVIRONMENT), "Settings that are merged over the rest in one environment: tables key by key, arrays and everything else whole."),
    ],
    later: &["include", "redis", "rabbitmq", "nats", "kafka", "mqtt"],
    one_of: &[],
    place: "at the top of the manifest",
    neighbours: &[&FUNCTION],
    meanings: PLURALS,
};

/// What an environment may say: all but the project's name and further environments.
pub(in crate::manifest) static ENVIRONMENT: Section = Section {
    id: "environment",
    keys: &[
        NODE,
        BUCKET_TABLES,
        key(
            "database",
            Shape::Named(&DATABASE_OVER),
            "Databases of this environment, merged over the others.",
        ),
        TOPICS,
        FUNCTIONS,
        EVENTS_KEY,
        ARCHIVE_KEY,
    ],
    later: PROJECT.later,
    one_of: &[],
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
        "topics",
        "did you mean `topic`? Each one is written `[topic.NAME]`",
    ),
    (
        "event",
        "did you mean `events`? It opens POST /events: `[events]`",
    ),
    ("retention", "write archive = { keep = \"7d\" }"),
    ("keep", "write archive = { keep = \"7d\" }"),
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
const TOPICS: Key = key(
    "topic",
    Shape::Named(&TOPIC),
    "The topics that may be published: `[topic.NAME]`, or `[topic.\"orders.*\"]` for all of a kind.",
);
const EVENTS_KEY: Key = key(
    "events",
    Shape::Table(&EVENTS),
    "Opens POST /events for CloudEvents from outside; closed by default.",
);
const ARCHIVE_KEY: Key = key(
    "archive",
    Shape::Table(&ARCHIVE),
    "How long events are kept to be explained and replayed.",
);
const FUNCTIONS: Key = key(
    "function",
    Shape::Named(&FUNCTION),
    "The functions: `[function.NAME]`.",
);

/// `[bucket.NAME]`.
pub(in crate::manifest) static BUCKET: Section = Section {
    id: "bucket",
    keys: &[],
    later: &[],
    one_of: &[],
    place: "to a bucket",
    neighbours: &[&TRIGGER],
    meanings: &[],
};

/// `[database.NAME]`.
pub(in crate::manifest) static DATABASE: Section = Section {
    id: "database",
    keys: &[key(
        "url",
        Shape::Setting,
        "Where it is: `sqlite:` and a path in the project's folder, or where to read that from.",
    )
    .required()],
    later: &[],
    one_of: &[],
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
    one_of: &[],
    place: DATABASE.place,
    neighbours: DATABASE.neighbours,
    meanings: DATABASE.meanings,
};

/// `[topic.NAME]`.
pub(in crate::manifest) static TOPIC: Section = Section {
    id: "topic",
    keys: &[],
    later: &[],
    one_of: &[],
    place: "to a topic",
    neighbours: &[&TRIGGER],
    meanings: &[],
};

/// `[events]`.
pub(in crate::manifest) static EVENTS: Section = Section {
    id: "events",
    keys: &[
        key(
            "path",
            Shape::Text(&["/events"]),
            "The path that takes CloudEvents; PATH/TOPIC takes events for that topic.",
        )
        .default("/events"),
        key(
            "auth",
            Shape::OneOf(AUTHS),
            "Who may send events: anyone, or callers that send a key. Must be said outside `dev`.",
        ),
    ],
    later: &[],
    one_of: &[],
    place: "to `[events]`",
    neighbours: &[],
    meanings: &[
        ("url", "did you mean `path`?"),
        ("route", "did you mean `path`?"),
        ("http", "write path = \"/events\""),
        ("topic", "topics are declared by themselves: `[topic.NAME]`"),
    ],
};

/// `[archive]`.
pub(in crate::manifest) static ARCHIVE: Section = Section {
    id: "archive",
    keys: &[key(
        "keep",
        Shape::Duration,
        "How long an event is kept after nothing is owed for it any more: 1m to 3650d.",
    )
    .default("1d")],
    later: &[],
    one_of: &[],
    place: "to `[archive]`",
    neighbours: &[],
    meanings: &[
        ("keep_events", "did you mean `keep`?"),
        ("retention", "did you mean `keep`?"),
        ("max_age", "did you mean `keep`?"),
        ("days", "write keep = \"7d\""),
    ],
};

/// A value that stands elsewhere.
pub(in crate::manifest) static REFERENCE: Section = Section {
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
    one_of: &[],
    place: "to a reference",
    neighbours: &[],
    meanings: &[],
};
