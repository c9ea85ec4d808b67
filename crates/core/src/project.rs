//! A project as its manifest describes it, after every name, duration and reference was checked.
//!
//! `manifest` makes these values; everybody else only reads them.

use std::{collections::BTreeMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{
    event::{ObjectVerb, Origin, RowVerb},
    filter::Pattern,
    flow::Flow,
    limits,
    name::{
        BucketName, DatabaseName, EnvironmentName, FunctionName, HandlerName, ProjectName, Scope,
        SecretName, TableName, TopicPattern, TriggerId,
    },
    retry::RetryPolicy,
};

/// Everything one manifest describes, for one environment.
#[derive(Debug, Clone, PartialEq)]
pub struct Project {
    /// Its name.
    pub name: ProjectName,
    /// The environment whose settings were merged in.
    pub environment: EnvironmentName,
    /// The Node version for functions that name none.
    pub node: NodeMajor,
    /// The buckets it declares.
    pub buckets: BTreeMap<BucketName, Bucket>,
    /// The databases it declares.
    pub databases: BTreeMap<DatabaseName, Database>,
    /// The topics it declares.
    pub topics: BTreeMap<TopicPattern, Topic>,
    /// `POST /events`, when it is opened.
    pub events: Option<EventsEndpoint>,
    /// How long events are kept after nothing is owed for them any more.
    pub keep_events: Duration,
    /// Its functions.
    pub functions: BTreeMap<FunctionName, Function>,
}

impl Project {
    /// The scope in which all its identities live.
    pub fn scope(&self) -> Scope {
        Scope {
            project: self.name.clone(),
            environment: self.environment.clone(),
        }
    }

    /// All triggers, by function and in the order of the manifest.
    pub fn triggers(&self) -> impl Iterator<Item = &Trigger> {
        self.functions
            .values()
            .flat_map(|function| &function.triggers)
    }
}

/// An embedded, S3-compatible bucket.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bucket {}

/// Topics that may be published: `[topic."orders.*"]`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topic {}

/// `[events]`: where CloudEvents are taken in over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventsEndpoint {
    /// The path, `/events` by default; `PATH/{topic}` takes events for that topic.
    pub path: String,
    /// Who may send.
    pub auth: Auth,
}

/// A database that functions use and whose changes wake them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Database {
    /// Where it is, such as `sqlite:data/shop.db` (relative to the project's folder).
    pub url: Setting,
}

/// A value of the manifest that may stand elsewhere. Read at start, never baked into a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// The value itself.
    Literal(String),
    /// An environment variable of the server (in `dev` also from `.env`).
    Env(String),
    /// A secret from the vault.
    Secret(SecretName),
}

/// A major version of Node that we support.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeMajor {
    /// Node 20: works, but starts three times slower.
    V20,
    /// Node 22.
    V22,
    /// Node 24, the default.
    V24,
    /// Node 26.
    V26,
}

impl NodeMajor {
    /// All of them, oldest first.
    pub const ALL: &'static [Self] = &[Self::V20, Self::V22, Self::V24, Self::V26];

    /// The number: 24.
    pub const fn number(self) -> u32 {
        match self {
            Self::V20 => 20,
            Self::V22 => 22,
            Self::V24 => 24,
            Self::V26 => 26,
        }
    }
}

impl fmt::Display for NodeMajor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// A function: user code and what wakes it.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    /// Its name.
    pub name: FunctionName,
    /// Its file or folder, relative to the project's folder.
    pub code: PathBuf,
    /// How its handlers are called; `None` is found out from the exports.
    pub style: Option<Style>,
    /// The Node version it runs on.
    pub node: NodeMajor,
    /// How long one attempt may take.
    pub timeout: Duration,
    /// V8 heap of one worker, bytes.
    pub memory: u64,
    /// The largest HTTP request body it takes, bytes (`max_body` in the manifest, such as
    /// "64MiB"; `limits::MAX_BODY` by default, at most `limits::MOST_MAX_BODY`).
    pub max_body: u64,
    /// Its environment variables.
    pub env: BTreeMap<String, Setting>,
    /// What of ours it may touch.
    pub access: Access,
    /// Attempts that may run at once, over all its workers.
    pub concurrency: u32,
    /// Attempts that may share one worker; `None` follows from the style.
    pub per_worker: Option<u32>,
    /// A worker that had nothing to do for this long is ended.
    pub scale_down_after: Duration,
    /// How its deliveries are tried again where no trigger says otherwise: also those that it was
    /// invoked for by name.
    pub retry: RetryPolicy,
    /// How they flow, likewise.
    pub flow: Arc<Flow>,
    /// What wakes it.
    pub triggers: Vec<Trigger>,
}

/// How handlers are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Style {
    /// `handler(event, context[, callback])` with the event shapes of AWS.
    Lambda,
    /// A default export with `fetch(request, env, ctx)`.
    Web,
    /// `(req, res)` for HTTP, `(event, context)` for everything else.
    Native,
    /// The arguments that Spica gives, by the source.
    Spica,
    /// Functions registered through the functions-framework.
    Cloudevents,
}

/// What of ours a function may touch. Nothing is allowed that does not stand here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Access {
    /// Buckets.
    pub buckets: BTreeMap<BucketName, Level>,
    /// Databases.
    pub databases: BTreeMap<DatabaseName, Level>,
    /// Topics that it may publish.
    pub topics: Vec<TopicPattern>,
    /// Functions that it may invoke.
    pub functions: Vec<FunctionName>,
}

/// How much access: each level includes the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Get and list; SELECT.
    Read,
    /// Also put and delete; any SQL.
    Write,
}

/// A source plus what of it matters, attached to a function.
#[derive(Debug, Clone, PartialEq)]
pub struct Trigger {
    /// Its stable identity.
    pub id: TriggerId,
    /// The function it wakes.
    pub function: FunctionName,
    /// The export it calls; `None` is the style's default.
    pub handler: Option<HandlerName>,
    /// What it listens to.
    pub on: On,
    /// How failing deliveries are tried again.
    pub retry: RetryPolicy,
    /// Which of the events it wants; `None` for all. Http triggers have none.
    pub filter: Option<Arc<Pattern>>,
    /// How its deliveries flow. Synchronous http triggers have the default, but for `on_unknown`,
    /// which there says what a repeated request gets.
    pub flow: Arc<Flow>,
}

/// What a trigger listens to.
#[derive(Debug, Clone, PartialEq)]
pub enum On {
    /// HTTP requests.
    Http(HttpTrigger),
    /// Objects of a bucket.
    Bucket(BucketTrigger),
    /// Rows of a table.
    Database(DatabaseTrigger),
    /// A clock.
    Schedule(ScheduleTrigger),
    /// Events that somebody published under one of these topics.
    Topic(TopicPattern),
    /// Deliveries of other functions that died.
    DeadLetters,
}

impl Trigger {
    /// The one origin of the events it listens to; `None` when it listens to several topics.
    pub fn origin(&self) -> Option<Origin> {
        let origin = match &self.on {
            On::Http(_) => Origin::Http(self.id.clone()),
            On::Bucket(on) => Origin::Bucket(on.bucket.clone()),
            On::Database(on) => Origin::Table(on.database.clone(), on.table.clone()),
            On::Schedule(_) => Origin::Schedule(self.id.clone()),
            On::DeadLetters => Origin::DeadLetter,
            On::Topic(pattern) => return pattern.exact().map(Origin::Topic),
        };
        Some(origin)
    }
}

/// One HTTP endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpTrigger {
    /// The method, upper case; `None` for all of them.
    pub method: Option<String>,
    /// The path in matchit's syntax: `/photos/{name}`, `/files/{*rest}`.
    pub path: String,
    /// Who may call it.
    pub auth: Auth,
    /// Whether callers wait for the answer.
    pub answer: Answer,
}

/// Whether the callers of an endpoint wait for its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// They get what the function answers. For a request with an `Idempotency-Key` the answer is
    /// kept for `idempotency`; zero: such a header means nothing.
    Waits {
        /// How long an answer is kept.
        idempotency: Duration,
    },
    /// `async = true`: they get 202 once the request is on disk, as an event owed to the function.
    Async,
}

impl Default for Answer {
    fn default() -> Self {
        Self::Waits {
            idempotency: limits::IDEMPOTENCY_WINDOW,
        }
    }
}

/// Who may call an HTTP endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// Anyone.
    None,
    /// Callers that send a function key (`Authorization: Bearer` or `x-api-key`).
    Key,
}

/// Changes of objects in a bucket.
#[derive(Debug, Clone)]
pub struct BucketTrigger {
    /// The bucket.
    pub bucket: BucketName,
    /// The kinds that matter; never empty.
    pub events: Vec<ObjectVerb>,
    /// Keys that matter; `None` for all.
    pub key: Option<KeyPattern>,
}

impl PartialEq for BucketTrigger {
    fn eq(&self, other: &Self) -> bool {
        let pattern = |on: &Self| on.key.as_ref().map(|key| key.text().to_owned());
        (&self.bucket, &self.events, pattern(self))
            == (&other.bucket, &other.events, pattern(other))
    }
}

/// A glob over object keys: `*` and `?` stop at `/`, `**` does not, `{a,b}` and `[a-z]` choose.
#[derive(Clone)]
pub struct KeyPattern {
    text: String,
    matcher: globset::GlobMatcher,
}

impl fmt::Debug for KeyPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeyPattern").field(&self.text).finish()
    }
}

impl KeyPattern {
    /// Compiles a pattern; the error says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, globset::Error> {
        let glob = globset::GlobBuilder::new(text)
            .literal_separator(true)
            .build()?;
        Ok(Self {
            text: text.to_owned(),
            matcher: glob.compile_matcher(),
        })
    }

    /// Whether `key` matches.
    pub fn matches(&self, key: &str) -> bool {
        self.matcher.is_match(key)
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Changes of rows in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTrigger {
    /// The database.
    pub database: DatabaseName,
    /// The table.
    pub table: TableName,
    /// The kinds that matter; never empty.
    pub events: Vec<RowVerb>,
}

/// Ticks of a clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleTrigger {
    /// When it ticks.
    pub when: When,
    /// The time zone in which a cron expression is read (IANA name); UTC by default.
    pub timezone: String,
}

/// When a schedule ticks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum When {
    /// A cron expression of 5 fields, or 6 with seconds first; known to be valid.
    Cron(String),
    /// A fixed distance, counted from the Unix epoch so that a restart does not move the ticks.
    Every(Duration),
}
