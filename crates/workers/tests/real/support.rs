//! A bench: pools with the real bootstrap and the real `node`, functions written on the spot,
//! and a record of everything that was observed.

use std::{
    collections::BTreeMap,
    future::Future,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicI64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use wakeful_core::{
    id::RunId,
    name::{FunctionName, Scope},
    port::Clock,
    run::LogLine,
    time::Timestamp,
};
use wakeful_workers::{
    Batched, Body, Call, Failure, FailureKind, Host, HostCall, HostError, HostErrorCode,
    HostFuture, HostReply, HttpRequest, Invocation, Limit, Observer, Options, Pool, Reserve, Slot,
    VersionSpec, What, WorkerEvent, Workers,
};

/// Long enough for anything that happens at all on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

struct WallClock;

#[expect(clippy::disallowed_methods, reason = "a clock of its own")]
impl Clock for WallClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

/// Keeps what it is told.
#[derive(Default)]
pub struct Recorder {
    pub lines: Mutex<Vec<LogLine>>,
    pub events: Mutex<Vec<WorkerEvent>>,
}

impl Observer for Recorder {
    fn log(&self, _scope: &Scope, line: LogLine) {
        self.lines.lock().unwrap().push(line);
    }

    fn worker(&self, event: WorkerEvent) {
        self.events.lock().unwrap().push(event);
    }
}

/// A run and its attempt.
pub type Started = (RunId, u32);

/// Answers a few operations and remembers which attempts ended.
#[derive(Default)]
pub struct TestHost {
    pub ended: Mutex<Vec<Started>>,
    pub calls: Mutex<Vec<(String, Option<Started>)>>,
    pub served: AtomicUsize,
    /// Parameters and bodies of `publish`.
    pub published: Arc<Mutex<Vec<(Bytes, Bytes)>>>,
}

pub const STREAMED: usize = 5 * 1024 * 1024;

impl Host for TestHost {
    fn call(&self, call: HostCall) -> HostFuture {
        self.calls.lock().unwrap().push((call.op.clone(), call.run));
        self.served.fetch_add(1, Ordering::SeqCst);
        match call.op.as_str() {
            "bucket.get" => Box::pin(async move {
                let (mut sender, body) = Body::channel();
                tokio::spawn(async move {
                    let piece = Bytes::from(vec![7; 100_000]);
                    let mut left = STREAMED;
                    while left > 0 {
                        let size = left.min(piece.len());
                        if sender.send(piece.slice(..size)).await.is_err() {
                            return;
                        }
                        left -= size;
                    }
                    sender.finish();
                });
                let head = format!(
                    r#"{{"size":{STREAMED},"contentType":"x/y","etag":"e","modified":0,"metadata":{{}}}}"#
                );
                Ok(HostReply {
                    head: head.into(),
                    body,
                })
            }),
            "bucket.put" => Box::pin(async move {
                let size = call
                    .body
                    .collect(64 << 20)
                    .await
                    .ok()
                    .flatten()
                    .map_or(0, |b| b.len());
                Ok(HostReply {
                    head: format!(r#"{{"etag":"e","size":{size}}}"#).into(),
                    body: Body::empty(),
                })
            }),
            "publish" => {
                let published = Arc::clone(&self.published);
                Box::pin(async move {
                    let body = call.body.collect(64 << 20).await.ok().flatten();
                    let kept = (call.params, body.unwrap_or_default());
                    published.lock().unwrap().push(kept);
                    Ok(HostReply {
                        head: r#"{"ids":["1"],"duplicates":0}"#.into(),
                        body: Body::empty(),
                    })
                })
            }
            "db.query" => Box::pin(async {
                let head = r#"{"columns":["n"],"rows":[[41]],"changes":0,"lastInsertRowid":0}"#;
                Ok(HostReply {
                    head: head.into(),
                    body: Body::empty(),
                })
            }),
            _ => Box::pin(async {
                Err(HostError {
                    code: HostErrorCode::Denied,
                    message: "not in access".into(),
                })
            }),
        }
    }

    fn ended(&self, _scope: &Scope, _function: &FunctionName, run: RunId, attempt: u32) {
        self.ended.lock().unwrap().push((run, attempt));
    }
}

pub struct Bench {
    pub workers: Workers,
    pub seen: Arc<Recorder>,
    pub host: Arc<TestHost>,
    pub folder: tempfile::TempDir,
    functions: AtomicUsize,
}

/// Runs are numbered through, so that no two tests share one.
pub fn run_id() -> RunId {
    static NEXT: AtomicI64 = AtomicI64::new(1);
    RunId::from_raw(NEXT.fetch_add(1, Ordering::SeqCst))
}

pub fn node() -> PathBuf {
    static NODE: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let path = std::env::var_os("PATH").expect("a PATH");
        let mut places = std::env::split_paths(&path).map(|folder| folder.join("node"));
        places
            .find(|node| node.is_file())
            .expect("these tests need `node` on the PATH")
    };
    NODE.get_or_init(find).clone()
}

impl Bench {
    pub fn new() -> Self {
        Self::with(|_| ())
    }

    pub fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bootstrap = wakeful_workers::install_runtime(folder.path()).unwrap();
        let mut options = Options::new(bootstrap, Arc::new(WallClock));
        change(&mut options);
        let (seen, host) = (Arc::new(Recorder::default()), Arc::new(TestHost::default()));
        let workers = Workers::new(
            options,
            Arc::clone(&host) as Arc<dyn Host>,
            Arc::clone(&seen) as Arc<dyn Observer>,
        );
        Self {
            workers,
            seen,
            host,
            folder,
            functions: AtomicUsize::new(0),
        }
    }

    /// A version of a new function, its code in one CommonJS file.
    pub fn spec(&self, code: &str, handlers: &[&str]) -> VersionSpec {
        let number = self.functions.fetch_add(1, Ordering::SeqCst);
        let root = self.folder.path().join(format!("f{number}"));
        std::fs::create_dir_all(&root).unwrap();
        std::fs::write(root.join("index.js"), code).unwrap();
        VersionSpec {
            scope: Scope {
                project: "bench".parse().unwrap(),
                environment: "test".parse().unwrap(),
            },
            function: format!("f{number}").parse().unwrap(),
            version: "v1".into(),
            node: node(),
            entry: root.join("index.js"),
            shown_root: Path::new("functions").into(),
            root,
            style: None,
            handlers: if handlers.is_empty() {
                vec![None]
            } else {
                handlers
                    .iter()
                    .map(|name| Some(name.parse().unwrap()))
                    .collect()
            },
            env: BTreeMap::new(),
            timeout: Duration::from_secs(20),
            memory: 128 << 20,
            body_limit: 6 << 20,
            limit: Limit::new(1000),
            per_worker: None,
            scale_down_after: Duration::from_secs(60),
            max_waiting: 1000,
        }
    }

    /// A pool of the native style.
    pub fn pool(&self, code: &str, handlers: &[&str]) -> Pool {
        let mut spec = self.spec(code, handlers);
        spec.style = Some(wakeful_core::project::Style::Native);
        self.workers.pool(spec)
    }

    /// Processes of a function, for people's eyes.
    pub fn pids_of(&self, pool: &Pool) -> Vec<u32> {
        let mine = self.workers.snapshot().into_iter();
        mine.filter(|worker| worker.function.as_ref() == Some(&pool.spec().function))
            .map(|worker| worker.pid)
            .collect()
    }

    pub fn events(&self) -> Vec<WorkerEvent> {
        self.seen.events.lock().unwrap().clone()
    }

    pub fn lines(&self) -> Vec<LogLine> {
        self.seen.lines.lock().unwrap().clone()
    }

    /// Ends all workers and checks that none is left.
    pub async fn close(self) {
        let pids: Vec<u32> = self.workers.snapshot().iter().map(|w| w.pid).collect();
        within(self.workers.shutdown(Duration::ZERO)).await;
        assert!(self.workers.snapshot().is_empty());
        for pid in pids {
            assert!(!is_alive(pid), "the process {pid} is left");
        }
    }
}

/// Waits until a handler without arguments answers what is wanted.
pub async fn until_answer(pool: &Pool, handler: u16, wanted: impl Fn(&str) -> bool) -> String {
    let start = Instant::now();
    loop {
        let text = answer(slot(pool).await.start(event(handler)))
            .await
            .unwrap();
        if wanted(&text) {
            return text;
        }
        assert!(start.elapsed() < PATIENCE, "it still answers {text}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it takes too long")
}

/// Waits until a condition holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "this never came: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Whether a process runs (a zombie does not).
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .unwrap_or("")
            .trim_start()
            .starts_with('Z')
    })
}

/// A CloudEvent with this id and data.
pub fn cloud_event(id: &str, data: &str) -> Bytes {
    Bytes::from(format!(
        r#"{{"specversion":"1.0","id":"{id}","source":"/t","type":"t","datacontenttype":"application/json","data":{data}}}"#
    ))
}

pub fn event_with(handler: u16, json: &str) -> Invocation {
    Invocation {
        run: run_id(),
        attempt: 1,
        handler,
        timeout: None,
        what: What::Event {
            json: cloud_event("1", json),
        },
    }
}

/// Several events at once, each with a run of its own.
pub fn batch(handler: u16, events: Vec<Batched>) -> Invocation {
    Invocation {
        what: What::Batch(events),
        ..event(handler)
    }
}

pub fn event(handler: u16) -> Invocation {
    event_with(handler, "{}")
}

pub fn timed(mut invocation: Invocation, timeout_ms: u64) -> Invocation {
    invocation.timeout = Some(Duration::from_millis(timeout_ms));
    invocation
}

pub fn request(handler: u16, method: &str, target: &str, body: Body) -> Invocation {
    Invocation {
        run: run_id(),
        attempt: 1,
        handler,
        timeout: None,
        what: What::Http(HttpRequest {
            method: method.parse().unwrap(),
            target: target.parse().unwrap(),
            remote: "127.0.0.1".into(),
            params: vec![("id".into(), "ü 7".into())],
            headers: http::HeaderMap::from_iter([
                (http::header::HOST, "x".parse().unwrap()),
                (
                    http::header::CONTENT_TYPE,
                    "application/octet-stream".parse().unwrap(),
                ),
            ]),
            body,
        }),
    }
}

pub async fn slot(pool: &Pool) -> Slot {
    within(pool.reserve(Reserve::Shared)).await.unwrap()
}

/// Starts an attempt on a free place.
pub async fn start(pool: &Pool, invocation: Invocation) -> Call {
    slot(pool).await.start(invocation)
}

/// The whole answer of an attempt, as text.
pub async fn answer(mut call: Call) -> Result<String, Failure> {
    let response = within(call.response()).await?;
    let body = within(response.body.collect(64 << 20))
        .await?
        .expect("a short body");
    within(call.finished()).await?;
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

/// How an attempt failed.
pub async fn failure(call: Call) -> Failure {
    match answer(call).await {
        Err(failure) => failure,
        Ok(text) => panic!("it should have failed, and answered {text}"),
    }
}

pub async fn kind(call: Call) -> FailureKind {
    failure(call).await.kind
}
