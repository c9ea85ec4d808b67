//! `[[function.NAME.on]]`: what wakes a function.

use std::{collections::HashMap, sync::Arc, time::Duration};

use super::{
    document::Span,
    duration, filter, flow,
    function::AUTHS,
    problem::Problem,
    project::Scene,
    reader::{Fields, Item, Words},
    retry,
    routes::{self, Route},
    schedule,
    sections::TRIGGER,
};
use crate::{
    event::{ObjectVerb, RowVerb},
    filter::Pattern,
    flow::Flow,
    limits,
    name::{FunctionName, HandlerName, TableName, TriggerId, TriggerName},
    project::{Answer, Auth, BucketTrigger, DatabaseTrigger, HttpTrigger, KeyPattern, On, Trigger},
    retry::RetryPolicy,
    suggest,
};

/// What the function says for all its triggers.
pub(super) struct Bases<'a> {
    pub(super) function: &'a FunctionName,
    /// Where it says it.
    pub(super) fields: &'a Fields<'a>,
    pub(super) retry: RetryPolicy,
    pub(super) flow: Flow,
    /// Its `concurrency`.
    pub(super) concurrency: u32,
    /// Its `auth`, when that is valid.
    pub(super) auth: Option<Auth>,
    /// Whether it has an `auth` at all, valid or not.
    pub(super) says_auth: bool,
}

/// A trigger and where it stands.
pub(super) struct Placed {
    pub(super) trigger: Trigger,
    /// Its source: the place that messages about the trigger point at.
    pub(super) at: Span,
    /// Whether nobody said who may call it.
    pub(super) lacks_auth: bool,
}

/// The keys that only go with some of the sources.
const KEYS_OF_SOURCES: [(&str, &[&str]); 7] = [
    ("events", &["bucket", "database"]),
    ("key", &["bucket"]),
    ("table", &["database"]),
    ("timezone", &["schedule"]),
    ("auth", &["http"]),
    ("async", &["http"]),
    ("idempotency", &["http"]),
];

/// Reads `on` of a function.
pub(super) fn read_all(fields: &Fields<'_>, bases: &Bases<'_>, scene: &Scene<'_>) -> Vec<Placed> {
    let Some(on) = fields.get("on") else {
        return Vec::new();
    };
    if on.is_table() {
        on.report.problem(
            Problem::at(
                on.key_span(),
                "`on` is one table, and must be an array of tables",
            )
            .help(format!(
                "write [[function.{}.on]] with two brackets on each side, once for each trigger",
                bases.function
            )),
        );
        return Vec::new();
    }
    let expected = format!(
        "an array of tables: [[function.{}.on]] for each trigger",
        bases.function
    );
    let items = on.array(&expected).into_iter().flatten();
    items.filter_map(|item| read(item, bases, scene)).collect()
}

fn read(item: Item<'_>, bases: &Bases<'_>, scene: &Scene<'_>) -> Option<Placed> {
    let what = format!("a trigger of function `{}`", bases.function);
    let fields = item.fields(&TRIGGER, what)?;
    let common = Common::read(&fields, bases, scene);
    let source = fields.only_one(
        "what wakes it",
        "sources",
        "a trigger has one source; write one [[function.NAME.on]] for each",
    )?;
    refuse_strangers(&fields, source.name);
    let on = match source.name {
        "http" => On::Http(endpoint(source, &common, bases, scene)?),
        "bucket" => On::Bucket(bucket(source, &fields, scene)?),
        "database" => On::Database(database(source, &fields, scene)?),
        "topic" => On::Topic(scene.resources.topics.pattern(source)?),
        "system" => system(source)?,
        _ => On::Schedule(schedule::read(source, &fields)?),
    };
    flow::check_trigger(&fields, &on, &common, bases);
    Some(common.place(on, bases, source.span().clone()))
}

/// What every trigger and route may say.
pub(super) struct Common {
    name: Option<TriggerName>,
    handler: Option<HandlerName>,
    pub(super) retry: RetryPolicy,
    pub(super) flow: Flow,
    filter: Option<Arc<Pattern>>,
    auth: Option<Auth>,
    says_auth: bool,
    /// For http; nothing when what it says is wrong.
    answer: Option<Answer>,
}

impl Common {
    pub(super) fn read(fields: &Fields<'_>, bases: &Bases<'_>, scene: &Scene<'_>) -> Self {
        Self {
            name: (fields.get("name")).and_then(|item| item.name_of("the name of the trigger")),
            handler: (fields.get("handler")).and_then(|item| item.name_of(HANDLER)),
            retry: (fields.get("retry")).map_or_else(
                || bases.retry.clone(),
                |item| retry::read(item, &bases.retry),
            ),
            flow: flow::read(fields, &bases.flow, scene),
            filter: (fields.get("filter")).and_then(filter::read).map(Arc::new),
            auth: fields.get("auth").and_then(|item| item.word(&AUTHS)),
            says_auth: fields.get("auth").is_some(),
            answer: answer(fields),
        }
    }

    /// What `"GET /books" = "getBook"` says.
    pub(super) fn with_handler(handler: Option<HandlerName>, bases: &Bases<'_>) -> Self {
        Self {
            name: None,
            handler,
            retry: bases.retry.clone(),
            flow: bases.flow.clone(),
            filter: None,
            auth: None,
            says_auth: false,
            answer: Some(Answer::default()),
        }
    }

    /// Whether its callers wait for an answer, if it has callers. What it says about that and is
    /// wrong was reported, and is no reason to report more.
    pub(super) fn is_synchronous(&self) -> bool {
        matches!(self.answer, Some(Answer::Waits { .. }))
    }

    /// Whether its callers wait, and cannot ask for the same answer again.
    pub(super) fn keeps_no_answer(&self) -> bool {
        matches!(self.answer, Some(Answer::Waits { idempotency }) if idempotency.is_zero())
    }

    /// The endpoint at `route`. Where nobody said who may call it, the safer one stands until the
    /// project is refused for it; in `dev` it is open.
    pub(super) fn endpoint(
        &self,
        route: Route,
        bases: &Bases<'_>,
        scene: &Scene<'_>,
    ) -> HttpTrigger {
        let unsaid = if scene.is_dev() {
            Auth::None
        } else {
            Auth::Key
        };
        HttpTrigger {
            method: route.method.map(str::to_owned),
            path: route.path,
            auth: self.auth.or(bases.auth).unwrap_or(unsaid),
            answer: self.answer.unwrap_or_default(),
        }
    }

    pub(super) fn place(mut self, on: On, bases: &Bases<'_>, at: Span) -> Placed {
        if matches!(on, On::Http(_)) && self.is_synchronous() {
            self.retry = RetryPolicy::default();
            self.flow = Flow {
                on_unknown: self.flow.on_unknown,
                ..Flow::default()
            };
        }
        let lacks_auth = matches!(on, On::Http(_)) && !self.says_auth && !bases.says_auth;
        let id = match &self.name {
            Some(name) => TriggerId::new(bases.function, name.as_str()),
            None => TriggerId::new(bases.function, &derived(&on, self.handler.as_ref())),
        };
        let trigger = Trigger {
            id,
            function: bases.function.clone(),
            handler: self.handler,
            on,
            retry: self.retry,
            filter: self.filter,
            flow: Arc::new(self.flow),
        };
        Placed {
            trigger,
            at,
            lacks_auth,
        }
    }
}

/// `async` and `idempotency` of an HTTP endpoint.
fn answer(fields: &Fields<'_>) -> Option<Answer> {
    let (later, kept) = (fields.get("async"), fields.get("idempotency"));
    let window = kept.map(idempotency);
    let is_async = later.map_or(Some(false), Item::boolean)?;
    if !is_async {
        return match window {
            None => Some(Answer::default()),
            Some(window) => window.map(|idempotency| Answer::Waits { idempotency }),
        };
    }
    if let (Some(later), Some(kept)) = (later, kept) {
        fields.report.problem(
            Problem::at(
                kept.key_span(),
                "`idempotency` means nothing with `async = true`",
            )
            .also(later.key_span(), "nobody waits for an answer here")
            .help(
                "there is no answer that could be kept; a request with an `Idempotency-Key` that \
                 was taken before is left out anyway, and dedup = \"PATH\" goes by what is in it",
            ),
        );
    }
    Some(Answer::Async)
}

fn idempotency(item: Item<'_>) -> Option<Duration> {
    match item.as_boolean() {
        Some(true) => Some(limits::IDEMPOTENCY_WINDOW),
        Some(false) => Some(Duration::ZERO),
        None => duration::read(item, limits::MIN_DEDUP_WINDOW..=limits::MAX_DEDUP_WINDOW),
    }
}

/// `system = "dead_letter"`.
fn system(item: Item<'_>) -> Option<On> {
    let words = Words {
        known: &[("dead_letter", ())],
        meanings: &[
            ("dead", "dead_letter"),
            ("dead_letters", "dead_letter"),
            ("deadletter", "dead_letter"),
            ("dlq", "dead_letter"),
            ("failure", "dead_letter"),
            ("failed", "dead_letter"),
        ],
        later: &["ready"],
    };
    item.word(&words).map(|()| On::DeadLetters)
}

pub(super) const HANDLER: &str = "the name of an export, such as \"getBook\"";

/// The identity of a trigger without a name: source, resource and handler. It holds a dot, which a
/// name cannot, so that the two never meet.
fn derived(on: &On, handler: Option<&HandlerName>) -> String {
    let handler = handler.map_or("default", HandlerName::as_str);
    match on {
        On::Http(on) => {
            let method = on.method.as_deref().unwrap_or("*");
            format!("http.{method}.{}.{handler}", on.path)
        }
        On::Bucket(on) => format!("bucket.{}.{handler}", on.bucket),
        On::Database(on) => format!("database.{}.{}.{handler}", on.database, on.table),
        On::Schedule(_) => format!("schedule.{handler}"),
        On::Topic(pattern) => format!("topic.{pattern}.{handler}"),
        On::DeadLetters => format!("system.dead.{handler}"),
    }
}

/// Refuses keys that do not go with the source.
fn refuse_strangers(fields: &Fields<'_>, source: &str) {
    for (key, sources) in KEYS_OF_SOURCES {
        if let Some(item) = fields.get(key)
            && !sources.contains(&source)
        {
            let message = format!("`{key}` means nothing to a trigger on `{source}`");
            let help = format!("it goes with {}", suggest::one_of(sources.iter().copied()));
            (fields.report).problem(Problem::at(item.key_span(), message).help(help));
        }
    }
}

fn endpoint(
    source: Item<'_>,
    common: &Common,
    bases: &Bases<'_>,
    scene: &Scene<'_>,
) -> Option<HttpTrigger> {
    let route = routes::read(source)?;
    Some(common.endpoint(route, bases, scene))
}

fn bucket(source: Item<'_>, fields: &Fields<'_>, scene: &Scene<'_>) -> Option<BucketTrigger> {
    let name = source
        .text("the name of a bucket")
        .and_then(|name| (scene.resources.buckets).resolve(name, source.span(), source.report));
    let events = fields.get("events").map_or_else(
        || Some(vec![ObjectVerb::Created, ObjectVerb::Changed]),
        |item| events(item, &OBJECT_EVENTS),
    );
    let key = fields.get("key").map(key_pattern);
    Some(BucketTrigger {
        bucket: name?,
        events: events?,
        key: match key {
            None => None,
            Some(parsed) => Some(parsed?),
        },
    })
}

fn key_pattern(item: Item<'_>) -> Option<KeyPattern> {
    let text = item.text("a pattern over keys, such as \"*.{jpg,png}\"")?;
    if text.is_empty() {
        item.refuse(
            "`key` is empty, and no key is",
            "leave it out to be woken by every key",
        );
        return None;
    }
    KeyPattern::parse(text)
        .map_err(|error| {
            item.refuse(
                format!("`key` is no pattern: {}", error.kind()),
                "`*` and `?` stop at `/`, `**` does not, `{a,b}` and `[a-z]` choose; \
                 a `\\` takes the next character as it is",
            );
        })
        .ok()
}

fn database(source: Item<'_>, fields: &Fields<'_>, scene: &Scene<'_>) -> Option<DatabaseTrigger> {
    let name = source
        .text("the name of a database")
        .and_then(|name| (scene.resources.databases).resolve(name, source.span(), source.report));
    let table = fields
        .required("table", "table = \"NAME\"")
        .and_then(|item| item.name_of::<TableName>("the name of a table"));
    let events = fields.get("events").map_or_else(
        || Some(RowVerb::ALL.to_vec()),
        |item| events(item, &ROW_EVENTS),
    );
    Some(DatabaseTrigger {
        database: name?,
        table: table?,
        events: events?,
    })
}

const OBJECT_EVENTS: Words<'static, ObjectVerb> = Words {
    known: &[
        ("created", ObjectVerb::Created),
        ("changed", ObjectVerb::Changed),
        ("removed", ObjectVerb::Removed),
    ],
    meanings: &[
        ("create", "created"),
        ("insert", "created"),
        ("put", "created"),
        ("s3:objectcreated:*", "created"),
        ("s3:objectcreated:put", "created"),
        ("update", "changed"),
        ("updated", "changed"),
        ("overwritten", "changed"),
        ("modified", "changed"),
        ("delete", "removed"),
        ("deleted", "removed"),
        ("s3:objectremoved:*", "removed"),
        ("s3:objectremoved:delete", "removed"),
    ],
    later: &[],
};

const ROW_EVENTS: Words<'static, RowVerb> = Words {
    known: &[
        ("insert", RowVerb::Insert),
        ("update", RowVerb::Update),
        ("delete", RowVerb::Delete),
    ],
    meanings: &[
        ("inserted", "insert"),
        ("create", "insert"),
        ("created", "insert"),
        ("updated", "update"),
        ("changed", "update"),
        ("replace", "update"),
        ("deleted", "delete"),
        ("removed", "delete"),
    ],
    later: &[],
};

fn events<T: Copy + PartialEq>(item: Item<'_>, words: &Words<'_, T>) -> Option<Vec<T>> {
    let known = suggest::one_of(words.known.iter().map(|(word, _)| *word));
    let items = item.array(&format!("an array with some of {known}"))?;
    if items.len() == 0 {
        item.refuse(
            "`events` is empty: nothing would ever wake this trigger",
            format!("expected some of {known}"),
        );
        return None;
    }
    let mut found: Vec<T> = Vec::new();
    let mut all_valid = true;
    for item in items {
        match item.word(words) {
            Some(verb) if found.contains(&verb) => {
                item.refuse("`events` says this twice", "leave one of them out");
                all_valid = false;
            }
            Some(verb) => found.push(verb),
            None => all_valid = false,
        }
    }
    all_valid.then_some(found)
}

/// Refuses two triggers of one function with the same identity.
pub(super) fn refuse_twins(triggers: &[Placed], fields: &Fields<'_>) {
    let mut seen: HashMap<&TriggerId, &Placed> = HashMap::new();
    for placed in triggers {
        let Some(first) = seen.insert(&placed.trigger.id, placed) else {
            continue;
        };
        fields.report.problem(
            Problem::at(
                &placed.at,
                format!("{} has two triggers that are the same thing: `{}`", fields.what, placed.trigger.id),
            )
            .also(&first.at, "the first one")
            .help("give one of them a name = \"…\" of its own: what is pending, paused or counted hangs on it"),
        );
    }
}

/// Outside `dev`, who may call an endpoint must be said.
pub(super) fn demand_auth(
    triggers: &[Placed],
    fields: &Fields<'_>,
    bases: &Bases<'_>,
    scene: &Scene<'_>,
) {
    let Some(open) = triggers.iter().find(|placed| placed.lacks_auth) else {
        return;
    };
    if scene.is_dev() {
        return;
    }
    fields.report.problem(
        Problem::at(
            fields.at,
            format!("function `{}` does not say who may call it over HTTP", bases.function),
        )
        .also(&open.at, "an endpoint of it")
        .help("add auth = \"key\" for callers with a key, or auth = \"none\" for anyone; only in `dev` is this optional"),
    );
}
