//! Every default and limit, each with its unit and the reason for its value.
//! A number that bounds something stands here or is configured; nowhere else.

use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// How long one attempt may take. Lambda's default is 3 s, too short for a cold image library;
/// 30 s is what HTTP gateways commonly wait.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// The longest timeout a manifest may ask for.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Memory of one worker, bytes of V8 heap: twice Lambda's least, since Node needs 40 MiB by itself.
pub const MEMORY: u64 = 256 * MIB;
/// The least memory a worker may be given, bytes: below it Node does not start reliably.
pub const MIN_MEMORY: u64 = 64 * MIB;
/// The most memory a worker may be given, bytes.
pub const MAX_MEMORY: u64 = 64 * 1024 * MIB;

/// How often user code is started for one delivery, the first time included.
pub const MAX_ATTEMPTS: u32 = 5;
/// The wait before the second attempt is drawn from zero to this.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(1);
/// No wait between attempts is longer than this.
pub const BACKOFF_MOST: Duration = Duration::from_secs(300);
/// A delivery older than this is not started any more.
pub const MAX_AGE: Duration = Duration::from_secs(24 * 3600);
/// Different deliveries that fail in a row before the breaker of their trigger opens.
pub const BREAKER_FAILURES: u32 = 10;
/// How long an open breaker waits before it lets one delivery through.
pub const BREAKER_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The longest wait between such probes.
pub const BREAKER_RETRY_MOST: Duration = Duration::from_secs(600);
/// The largest batch of events that one attempt gets: Lambda's limit for standard SQS queues.
pub const MOST_BATCH: u32 = 10_000;
/// The data of all events of a batch together, bytes; Lambda's limit for an invocation.
pub const MAX_BATCH_BYTES: usize = 6 * 1024 * 1024;
/// The longest time that a batch may wait for company: Lambda's limit.
pub const MOST_BATCH_WINDOW: Duration = Duration::from_secs(300);
/// The largest head start that `priority` gives.
pub const MOST_PRIORITY: Duration = Duration::from_secs(3600);
/// A key found in an event, bytes; a longer one is cut and ends in its hash.
pub const MAX_KEY: usize = 256;
/// Paths of one key expression.
pub const MAX_KEY_PATHS: usize = 8;
/// One path of a key expression, bytes.
pub const MAX_KEY_PATH: usize = 512;
/// The name of an extension attribute, bytes; CloudEvents ask for 20.
pub const MAX_EXTENSION_NAME: usize = 64;
/// The most that `rate` may count in its time.
pub const MOST_RATE: u32 = 1_000_000;
/// The shortest time that `rate` counts in: less is what a burst is for.
pub const MIN_RATE_PER: Duration = Duration::from_secs(1);
/// The longest time that `rate` counts in.
pub const MAX_RATE_PER: Duration = Duration::from_secs(24 * 3600);
/// The shortest time that must be quiet for `debounce`.
pub const MIN_DEBOUNCE: Duration = Duration::from_millis(10);
/// The longest time that must be quiet for `debounce`.
pub const MAX_DEBOUNCE: Duration = Duration::from_secs(3600);
/// The longest time that `debounce` may hold an event.
pub const MOST_DEBOUNCE: Duration = Duration::from_secs(24 * 3600);
/// `debounce` holds an event at most so many times its `wait`, if nothing else is said.
pub const DEBOUNCE_FACTOR: u32 = 10;
/// The smallest batch: with less there is none.
pub const LEAST_BATCH: u32 = 2;
/// How long a batch waits for company, if nothing else is said.
pub const BATCH_WINDOW: Duration = Duration::from_secs(1);
/// The smallest head start that `priority` gives.
pub const LEAST_PRIORITY: Duration = Duration::from_millis(1);
/// The shortest window of `dedup` and `idempotency`.
pub const MIN_DEDUP_WINDOW: Duration = Duration::from_secs(1);
/// The longest window of `dedup` and `idempotency`: each key in it is a row on disk.
pub const MAX_DEDUP_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);
/// The most failures in a row that a breaker may be told to wait for.
pub const MOST_BREAKER_FAILURES: u32 = 10_000;
/// The shortest wait of a breaker before a probe.
pub const MIN_BREAKER_WAIT: Duration = Duration::from_millis(100);
/// The longest wait of a breaker before a probe.
pub const MAX_BREAKER_WAIT: Duration = Duration::from_secs(24 * 3600);
/// The shortest time that `archive` keeps events.
pub const MIN_KEEP_EVENTS: Duration = Duration::from_secs(60);
/// The longest time that `archive` keeps events.
pub const MAX_KEEP_EVENTS: Duration = Duration::from_secs(3650 * 24 * 3600);
/// The longest URL of a destination, bytes: what servers commonly take.
pub const MAX_URL: usize = 2048;
/// How long a chain of events may be, each caused by a run for the one before: as Lambda stops a
/// loop after about 16.
pub const MAX_CHAIN: u16 = 16;
/// How long the answer to a request with an `Idempotency-Key` is kept, if nothing else is said.
pub const IDEMPOTENCY_WINDOW: Duration = Duration::from_secs(24 * 3600);
/// The largest answer that is kept for an `Idempotency-Key`, bytes.
pub const MAX_KEPT_ANSWER: usize = 1024 * 1024;
/// The longest delay that may be asked for when an event is published.
pub const MOST_DELAY: Duration = Duration::from_secs(30 * 24 * 3600);
/// Events in one batch of CloudEvents, and in one `publish`.
pub const MAX_EVENT_BATCH: usize = 1000;
/// Effects that one attempt may gather for its success: they are one transaction.
pub const MAX_ONCE_EFFECTS: usize = 1000;
/// The name of a gathering of effects, characters.
pub const MAX_ONCE_NAME: usize = 128;
/// What a gathering comes to, bytes: it may be kept in a row of the user's database.
pub const MAX_ONCE_RESULT: usize = 256 * 1024;
/// How long a settlement waits for commits of gatherings in databases that are under way: longer
/// than a query waits for its turn and a thread.
pub const ONCE_PATIENCE: Duration = Duration::from_secs(30);
/// Memories of gatherings that one further gathering may clear away.
pub const ONCE_CLEARING: u32 = 8;
/// How old such a memory is at least, before it is asked whether its delivery is owed still.
pub const ONCE_MEMORY: Duration = Duration::from_secs(3600);
/// The body of a request that brings CloudEvents, bytes: the largest event as base64, or a batch of
/// smaller ones.
pub const MAX_EVENTS_BODY: u64 = 16 * MIB;
/// Bodies of requests that are held in memory at once, bytes: events, requests that are kept for
/// later, and those with an idempotency key. What exceeds it is refused with 503.
pub const INTAKE_BYTES: usize = 128 * MIB as usize;
/// How long the id of an outside event is remembered, so that its repetition is recognised.
pub const DEDUP_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The largest body of an HTTP request or asynchronous event, bytes: Lambda's own limit. A
/// function that streams may ask for more with `max_body`.
pub const MAX_BODY: u64 = 6 * MIB;
/// The most that `max_body` may ask for, bytes: what S3 takes in one put.
pub const MOST_MAX_BODY: u64 = 5 * 1024 * MIB;
/// All header fields of a request together, bytes.
pub const MAX_HEADERS: usize = 32 * 1024;
/// The largest result of an event's handler, bytes: Lambda's limit for a response.
pub const MAX_RESULT: usize = 6 * 1024 * 1024;
/// The largest result of an attempt that is kept in its run record, bytes.
pub const MAX_RECORDED_RESULT: usize = 64 * 1024;
/// One log line, bytes; the rest is cut and the cut is marked.
pub const MAX_LOG_LINE: usize = 64 * 1024;

/// Attempts of one function that may run at once, over all its workers: Lambda's account default.
pub const CONCURRENCY: u32 = 1000;
/// Attempts that share a worker, for the styles whose code may assume it is alone.
pub const PER_WORKER_ALONE: u32 = 1;
/// Attempts that share a worker, for the other styles.
pub const PER_WORKER_SHARED: u32 = 100;
/// A worker that had nothing to do for this long is ended.
pub const SCALE_DOWN_AFTER: Duration = Duration::from_secs(300);
/// Synchronous calls of one function that may wait for a worker; the next gets 503.
pub const MAX_WAITING_CALLS: usize = 10_000;
/// Workers at once, over all functions, for each processor the machine has.
pub const WORKERS_PER_CPU: usize = 32;
/// Blank workers kept ready for each pair of Node version and memory class in use.
pub const BLANK_WORKERS: usize = 1;
/// How long a worker may take to load a function's code before it is given up.
pub const LOAD_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a worker process may take to come up: Node 20 needs 73 ms alone on a core, and a
/// busy machine multiplies that.
pub const START_TIMEOUT: Duration = Duration::from_secs(20);
/// An attempt that still runs this long after its caller was told of the timeout marks its
/// worker to be replaced.
pub const STRAGGLER_GRACE: Duration = Duration::from_secs(2);
/// How often the memory of a busy worker is looked at: it cannot grow much in between.
pub const MEMORY_POLLING: Duration = Duration::from_millis(250);
/// What a worker process may hold beside its V8 heap (Node itself, buffers, code), bytes.
pub const WORKER_OVERHEAD: u64 = 192 * MIB;
/// One semi-space of a worker's young heap, bytes, for large workers; V8 holds three of them
/// beside the heap that `memory` means. Node 24 alone would take 64 MiB each.
pub const MAX_SEMI_SPACE: u64 = 16 * MIB;
/// A small worker's semi-space is this part of its `memory`.
pub const SEMI_SPACE_SHARE: u64 = 16;
/// Blank workers of a class that no function uses any more are ended after this.
pub const BLANK_LINGER: Duration = Duration::from_secs(60);
/// An event loop that answers later than this gets no new attempts while another can take them.
pub const HIGH_LAG: Duration = Duration::from_millis(100);
/// Calls of the `wakeful` module that one worker may have open; the next is refused.
pub const MAX_HOST_CALLS: usize = 1024;
/// After the abort signal, how long code may tidy up before its caller is answered.
pub const ABORT_GRACE: Duration = Duration::from_millis(50);
/// A worker whose loop has not turned for this long past a timeout is taken for blocked.
pub const BLOCKED_AFTER: Duration = Duration::from_millis(500);
/// Between SIGTERM and SIGKILL.
pub const KILL_GRACE: Duration = Duration::from_secs(2);
/// How long a stopping server waits for attempts that run.
pub const DRAIN: Duration = Duration::from_secs(30);
/// Bytes of a streamed body that may be under way without having been read by the other side.
pub const STREAM_WINDOW: u32 = 256 * 1024;
/// The largest single frame between server and worker, bytes of payload.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// Heads of one trigger's queue that are held in memory; the rest of it waits on disk.
pub const QUEUE_HEADS: usize = 1024;
/// Changes that may wait for the store's writer; the next submitter waits.
pub const COMMIT_QUEUE: usize = 8192;
/// Bytes that may wait for the store's writer.
pub const COMMIT_QUEUE_BYTES: u64 = 64 * MIB;
/// Changes that one disk write of the store makes durable together: more only add latency.
pub const COMMIT_GROUP: usize = 2048;
/// Bytes of new payload in one such write; a single larger change goes alone.
pub const COMMIT_GROUP_BYTES: u64 = 8 * MIB;
/// Threads that read the store, each with a connection of its own: two keep up with the writer.
pub const STORE_READERS: usize = 2;
/// Reads that may wait for one of them; the next reader waits.
pub const STORE_READ_QUEUE: usize = 4096;
/// Rows that one read of the store returns at most, whatever it asked for.
pub const STORE_READ_ROWS: usize = 10_000;
/// The write-ahead log of the store is copied into its file from this size on, bytes: larger
/// saves writes of the same page, smaller keeps the pause and the recovery short.
pub const STORE_WAL: u64 = 16 * MIB;
/// Held deliveries that one commit of a release makes ready; the next ones follow in further ones.
pub const RELEASE_STEP: usize = 1000;
/// Dead letters that block their ordering key, of which a census of a trigger names so many.
pub const CENSUS_BLOCKING: usize = 10;
/// Events, dead letters or free pages that one step of a sweep looks at, between other commits.
pub const SWEEP_STEP: usize = 256;
/// Deliveries that one look for those that grew too old goes through: some milliseconds.
pub const EXPIRY_STEP: usize = 2048;
/// Free bytes below which new work is refused while settlements still go through.
pub const DISK_RESERVE: u64 = 64 * MIB;
/// How long an event is kept after nothing is owed for it any more, for `explain`.
pub const EVENT_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long the history of runs and logs is kept.
pub const HISTORY_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);
/// How large that history may grow, bytes.
pub const HISTORY_BYTES: u64 = 1024 * MIB;
/// Records that may wait for the history's writer; further ones are dropped and counted.
pub const HISTORY_QUEUE: usize = 100_000;
/// Bytes that may wait for the history's writer; further records are dropped and counted.
pub const HISTORY_QUEUE_BYTES: u64 = 64 * MIB;
/// Records that the history writes together.
pub const HISTORY_BATCH: usize = 8192;
/// Lines that a run is shown with; all of them are found by a query for its logs.
pub const HISTORY_RUN_LOGS: usize = 1000;
/// Rows that one query of the history looks at, so that a rare match never costs a long read.
pub const HISTORY_SCAN: usize = 500_000;
/// Dead letters in `dev` are dropped after this; elsewhere they stay until someone acts.
pub const DEV_DEAD_LETTERS: Duration = Duration::from_secs(30 * 24 * 3600);

/// One part of a multipart upload, bytes, as S3 has it: 5 GiB.
pub const MAX_OBJECT_PART: u64 = 5 * 1024 * MIB;
/// The least size of every part of a multipart upload but the last, bytes, as S3 has it.
pub const MIN_OBJECT_PART: u64 = 5 * MIB;
/// Parts of one multipart upload, as S3 has it.
pub const MAX_OBJECT_PARTS: u16 = 10_000;
/// An object's key, bytes of UTF-8, as S3 has it.
pub const MAX_OBJECT_KEY: usize = 1024;
/// User metadata of one object, names and values together, bytes, as S3 has it.
pub const MAX_OBJECT_METADATA: usize = 2 * 1024;
/// Objects in one page of a listing, as S3 has it.
pub const MAX_OBJECT_PAGE: usize = 1000;
/// Bodies up to this are gathered in memory and written at once, bytes.
pub const SMALL_OBJECT: usize = 256 * 1024;
/// Bytes of an object's body that are written or read at once; an upload has two of them in
/// memory, a download one.
pub const OBJECT_CHUNK: usize = 256 * 1024;
/// An upload whose sender is silent for this long is given up.
pub const OBJECT_IDLE: Duration = Duration::from_secs(60);
/// What is left of a refused upload is read and dropped up to this many bytes, so that its sender
/// gets to read why; a larger rest is cut off.
pub const OBJECT_DRAIN: u64 = 16 * MIB;
/// The same, in time.
pub const OBJECT_DRAIN_TIME: Duration = Duration::from_secs(5);
/// An HTML form upload, which cannot be streamed, bytes.
pub const MAX_OBJECT_FORM: u64 = 16 * MIB;
/// HTML form uploads at once: each is held in memory.
pub const OBJECT_FORMS: usize = 4;
/// The XML of one S3 request, bytes: 1,000 keys to delete, escaped, or 10,000 parts.
pub const MAX_OBJECT_XML: usize = 8 * 1024 * 1024;
/// Connections of the AWS-compatible endpoint at once; the next waits to be accepted.
pub const AWS_CONNECTIONS: usize = 1024;
/// How long a client may take to send the head of a request.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a write of one key is tried again when another writer was faster.
pub const OBJECT_CONFLICTS: u32 = 16;

/// Rows that one query of the `wakeful` module's `db` may return; the rest needs LIMIT.
pub const MAX_QUERY_ROWS: usize = 100_000;
/// Bytes of JSON that one query of the `wakeful` module's `db` may return: it travels in one frame.
pub const MAX_QUERY_BYTES: usize = 8 * 1024 * 1024;

/// The shortest distance between two ticks of a schedule: the resolution of cron.
pub const MIN_EVERY: Duration = Duration::from_secs(1);
/// The longest distance between two ticks of a schedule.
pub const MAX_EVERY: Duration = Duration::from_secs(366 * 24 * 3600);

/// The value of one secret, bytes: what AWS Secrets Manager allows.
pub const MAX_SECRET: usize = 64 * 1024;
/// Secrets, and likewise keys, in one vault: it is written whole with each change.
pub const MAX_VAULT_ENTRIES: usize = 1000;

/// The largest JSON body of an admin request other than an invocation, bytes.
pub const MAX_ADMIN_BODY: usize = 256 * 1024;
/// How long an admin request may take that neither runs user code nor streams.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Entries of one page of an admin list, if the caller does not say.
pub const ADMIN_PAGE: usize = 100;
/// The most entries of one page of an admin list.
pub const MAX_ADMIN_PAGE: usize = 1000;
/// Quick, successful requests that are recorded in one second; above it a record would cost more
/// than 5 % of the throughput. The rest is counted.
pub const RECORDED_PER_SECOND: u64 = 1000;
/// A request that took this long is recorded however many there are.
pub const SLOW_REQUEST: Duration = Duration::from_secs(1);
/// How long a client may be silent in the middle of a request's body.
pub const BODY_IDLE: Duration = Duration::from_secs(30);
/// How long a body may take altogether that is held in memory until it is whole.
pub const BODY_TOTAL: Duration = Duration::from_secs(300);
/// How long the rest of a body that was refused is read, so that its sender hears why.
pub const LINGER: Duration = Duration::from_secs(5);
/// How much of it, bytes.
pub const LINGER_BYTES: u64 = 64 * MIB;
/// Log streams that may be followed at once over the admin API.
pub const LOG_FOLLOWERS: usize = 64;

/// The longest manifest that is read, bytes: a thousand functions need a tenth of it.
pub const MAX_MANIFEST: usize = 1024 * 1024;
/// Environments that one manifest may declare: each is read as a manifest of its own.
pub const MAX_ENVIRONMENTS: usize = 100;
/// Mistakes of one manifest that are reported; with more, something else is wrong.
pub const MAX_PROBLEMS: usize = 1000;
/// Mistakes up to which it is worked out, for each, what may have been meant.
pub const MAX_SUGGESTIONS: usize = 100;
/// Objects of a filter that may stand in each other: more than data of any use has levels.
pub const MAX_FILTER_DEPTH: usize = 32;
/// Conditions of one filter: EventBridge's whole patterns have 4 KiB.
pub const MAX_FILTER_CONDITIONS: usize = 250;
/// Values that all conditions of one filter want together.
pub const MAX_FILTER_VALUES: usize = 5000;
/// Conditions of one filter once its `$or`s are multiplied out: each may be checked for each event.
pub const MAX_FILTER_STEPS: usize = 4000;
/// The longest path of a route, bytes.
pub const MAX_ROUTE: usize = 1024;
/// The least that `max_body` may ask for, bytes.
pub const LEAST_MAX_BODY: u64 = KIB;
/// The shortest timeout a manifest may ask for: less than a cold start leaves no time for work.
pub const MIN_TIMEOUT: Duration = Duration::from_millis(100);
/// The most attempts a manifest may ask for; with the default backoff they take three days.
pub const MOST_ATTEMPTS: u32 = 1000;
/// The shortest bound of a wait between attempts.
pub const MIN_BACKOFF: Duration = Duration::from_millis(1);
/// The longest bound of a wait between attempts.
pub const MOST_BACKOFF: Duration = Duration::from_secs(24 * 3600);
/// The shortest `max_age` of a delivery.
pub const MIN_MAX_AGE: Duration = Duration::from_secs(1);
/// The longest `max_age` of a delivery.
pub const MOST_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// The largest `concurrency` of a function.
pub const MOST_CONCURRENCY: u32 = 100_000;
/// The largest `per_worker` of a function.
pub const MOST_PER_WORKER: u32 = 10_000;
/// The shortest `scale_down_after` of a function.
pub const MIN_SCALE_DOWN_AFTER: Duration = Duration::from_secs(1);
/// The longest `scale_down_after` of a function.
pub const MAX_SCALE_DOWN_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Reading queries of one database at once, beside its one writer.
pub const DATABASE_READERS: usize = 4;
/// Queries of functions at once, over all databases: each holds a thread while it runs.
pub const DATABASE_THREADS: usize = 32;
/// How long a query waits for its turn and for locks of other processes.
pub const DATABASE_PATIENCE: Duration = Duration::from_secs(10);
/// How long one query may run: as long as a whole transaction may be open.
pub const DATABASE_STATEMENT: Duration = Duration::from_secs(60);
/// A transaction in which nothing was asked for this long is rolled back: others wait for it.
pub const TRANSACTION_IDLE: Duration = Duration::from_secs(10);
/// A transaction older than this is rolled back.
pub const TRANSACTION_TOTAL: Duration = Duration::from_secs(60);
/// How often a captured database is looked at when nothing told of a change.
pub const CAPTURE_POLL: Duration = Duration::from_millis(500);
/// Rows of an outbox that are read, submitted and removed at once.
pub const CAPTURE_BATCH_ROWS: u32 = 500;
/// Bytes of events after which a batch of changes is submitted.
pub const CAPTURE_BATCH_BYTES: usize = MIB as usize;
/// A single value of a row longer than this (bytes, or characters of text) is left out of its
/// change event, which then says how long it is: events end at `MAX_BODY` anyway.
pub const MAX_CAPTURED_VALUE: u64 = 4 * MIB;
