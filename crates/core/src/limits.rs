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
/// How long the id of an outside event is remembered, so that its repetition is recognised.
pub const DEDUP_WINDOW: Duration = Duration::from_secs(24 * 3600);

/// The largest body of a buffered HTTP request or asynchronous event, bytes: Lambda's own limit.
pub const MAX_BODY: u64 = 6 * MIB;
/// All header fields of a request together, bytes.
pub const MAX_HEADERS: usize = 32 * 1024;
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
/// Free bytes below which new work is refused while settlements still go through.
pub const DISK_RESERVE: u64 = 64 * MIB;
/// How long an event is kept after nothing is owed for it any more, for `explain`.
pub const EVENT_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// How long the history of runs and logs is kept.
pub const HISTORY_RETENTION: Duration = Duration::from_secs(14 * 24 * 3600);
/// How large that history may grow, bytes.
pub const HISTORY_BYTES: u64 = 1024 * MIB;
/// Dead letters in `dev` are dropped after this; elsewhere they stay until someone acts.
pub const DEV_DEAD_LETTERS: Duration = Duration::from_secs(30 * 24 * 3600);

/// One part of a multipart upload, bytes, as S3 has it: 5 GiB.
pub const MAX_OBJECT_PART: u64 = 5 * 1024 * MIB;
/// Rows that one query of the `wakeful` module's `db` may return; the rest needs LIMIT.
pub const MAX_QUERY_ROWS: usize = 100_000;
/// Bytes that one query of the `wakeful` module's `db` may return.
pub const MAX_QUERY_BYTES: usize = 64 * 1024 * 1024;

/// The shortest distance between two ticks of a schedule: the resolution of cron.
pub const MIN_EVERY: Duration = Duration::from_secs(1);
/// The longest distance between two ticks of a schedule.
pub const MAX_EVERY: Duration = Duration::from_secs(366 * 24 * 3600);
