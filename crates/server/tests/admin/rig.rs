//! A server without sources and workers.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind},
    event::{Event, Extensions, Lineage, Origin},
    flow::{Hold, OnUnknown},
    id::{EventId, IdSource, RunId},
    manifest::{self, Found, Source},
    name::{FunctionName, TriggerId},
    port::{
        Claim, Clock, End, Epoch, Keys, NewDelivery, Receipt, Reply, Settlement, Sink, Store,
        Submission, SubmitError, Transaction,
    },
    project::Project,
    run::{Attempt, LogLevel, LogLine, LogStream, Run, RunKind, RunState},
    time::Timestamp,
};
use wakeful_objects::Buckets;
use wakeful_server::{
    admin::{self, AdminOptions},
    control::Control,
    vault::Vault,
};
use wakeful_store::{History, HistoryOptions, MemoryStore};
use wakeful_workers::{
    Host, HostCall, HostError, HostErrorCode, Observer, WorkerEvent, Workers, install_runtime,
};

use crate::made_up::MadeUp;

/// Moves on by a millisecond with each look.
struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

/// Writes object changes down; nobody listens to their events.
struct ObjectSink(MemoryStore);

impl Sink for ObjectSink {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let store = self.0.clone();
        Box::pin(async move {
            let objects = submission.objects;
            store
                .commit(Transaction {
                    objects,
                    ..Transaction::default()
                })
                .await?;
            Ok(Receipt::default())
        })
    }
}

struct NoHost;

impl Host for NoHost {
    fn call(&self, _: HostCall) -> wakeful_workers::HostFuture {
        Box::pin(async {
            Err(HostError {
                code: HostErrorCode::NotFound,
                message: "nothing is here".into(),
            })
        })
    }

    fn ended(&self, _: &wakeful_core::name::Scope, _: &FunctionName, _: RunId, _: u32) {}
}

struct NoObserver;

impl Observer for NoObserver {
    fn log(&self, _: &wakeful_core::name::Scope, _: LogLine) {}
    fn worker(&self, _: WorkerEvent) {}
}

/// A delivery without any rules.
pub fn new_delivery(
    project: &Project,
    id: RunId,
    event: EventId,
    function: FunctionName,
    trigger: TriggerId,
    now: Timestamp,
) -> NewDelivery {
    NewDelivery {
        id,
        scope: project.scope(),
        event,
        trigger,
        function,
        keys: Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: OnUnknown::Retry,
        debounce: None,
        ready_at: now,
        expires_at: now.plus(Duration::from_secs(3600)),
        claimed: false,
        dead: None,
        dedup: None,
    }
}

pub fn failure() -> Failure {
    Failure {
        kind: FailureKind::UserError,
        name: "TypeError".into(),
        message: "no such thing \x1b[31m".into(),
        stack: Some(
            "TypeError: no such thing \x1b[31m\n    at greet (functions/hello.js:3:9)".into(),
        ),
        advice: None,
    }
}

/// A server without sources and workers, and its key.
pub struct Rig {
    _folder: TempDir,
    pub control: Control,
    pub store: MemoryStore,
    pub key: String,
    pub stop: CancellationToken,
    pub router: Router,
    pub holds: Arc<Mutex<Vec<Hold>>>,
}

impl Rig {
    /// To be called within a runtime.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path();
        let clock: Arc<dyn Clock> = Arc::new(TestClock(AtomicI64::new(1_800_000_000_000)));
        let ids = Arc::new(IdSource::after(0));
        let store = MemoryStore::new(Epoch(1));
        let project = project();
        let scope = project.scope();
        let options = wakeful_objects::Options {
            folder: data.join("objects"),
            scope: scope.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let sink = Arc::new(ObjectSink(store.clone()));
        let buckets = Buckets::open(options, Arc::new(store.clone()), sink).unwrap();
        buckets.set_buckets(["photos".parse().unwrap()].into());
        let vault = Arc::new(Vault::open(&data.join("vault")).unwrap());
        let key = vault.session_key().unwrap();
        let bootstrap = install_runtime(data).unwrap();
        let workers = wakeful_workers::Options::new(bootstrap, clock.clone());
        let control = Control {
            sampling: Arc::default(),
            scope,
            project: watch::channel(Arc::new(project)).1,
            store: Arc::new(store.clone()),
            history: History::open(HistoryOptions::new(data, clock.clone())).unwrap(),
            buckets,
            vault,
            workers: Workers::new(workers, Arc::new(NoHost), Arc::new(NoObserver)),
            logs: broadcast::channel(16).0,
            runs: broadcast::channel(16).0,
            clock: clock.clone(),
            ids: ids.clone(),
        };
        let holds = Arc::default();
        let operations = Arc::new(MadeUp {
            store: store.clone(),
            clock,
            ids,
            project: control.project.clone(),
            holds: Arc::clone(&holds),
        });
        let stop = CancellationToken::new();
        let options = AdminOptions {
            hosts: vec!["wakeful.example.com".into()],
            stop: stop.clone(),
            ..AdminOptions::default()
        };
        let router = admin::router(control.clone(), operations, options);
        Self {
            _folder: folder,
            control,
            store,
            key,
            stop,
            router,
            holds,
        }
    }

    /// A request as the command line would send it.
    pub fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "127.0.0.1:8081")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
    }

    pub async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// Status and JSON body (null for none) of a request.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Value) {
        let request = self.request(method, path).body(body.into()).unwrap();
        let (status, body) = whole(self.send(request).await).await;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        (status, body)
    }

    /// The JSON body of a GET that succeeds.
    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask(Method::GET, path, Body::empty()).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    /// A refusal's status and code.
    pub async fn refusal(&self, method: Method, path: &str, body: &str) -> (u16, String) {
        let (status, answer) = self.ask(method, path, body.to_owned()).await;
        let code = answer["error"]["code"]
            .as_str()
            .unwrap_or_else(|| panic!("{path}: {status} {answer}"));
        assert!(answer["error"]["message"].is_string(), "{answer}");
        (status.as_u16(), code.to_owned())
    }

    /// A run in the history; of a delivery when an event is given.
    pub fn record(&self, function: &str, state: RunState, event: Option<EventId>) -> RunId {
        let now = self.control.clock.now();
        let id = self.control.ids.run(now);
        self.record_as(id, function, state, event);
        id
    }

    pub fn record_as(&self, id: RunId, function: &str, state: RunState, event: Option<EventId>) {
        let now = self.control.clock.now();
        let failed = matches!(state, RunState::Failed | RunState::Dead);
        self.control.history.record_run(Run {
            id,
            kind: if event.is_some() {
                RunKind::Delivery
            } else {
                RunKind::Invoke
            },
            function: function.parse().unwrap(),
            trigger: None,
            event,
            about: "photos/cat.jpg created".into(),
            state,
            accepted_at: now,
            ended_at: Some(now.plus(std::time::Duration::from_millis(1500))),
            attempts: 1,
            status: None,
            failure: failed.then(failure),
        });
        self.control.history.record_attempt(Attempt {
            run: id,
            number: 1,
            version: "v1".into(),
            worker: 42,
            cold: true,
            started_at: now,
            waited_us: 1_200,
            took_us: 30_000,
            result: (!failed).then(|| "{\"ok\":true}".into()),
            failure: failed.then(failure),
            charged: failed,
            batch: None,
        });
    }

    pub fn log(&self, function: &str, run: Option<RunId>, level: LogLevel, text: &str) {
        let line = LogLine {
            at: self.control.clock.now(),
            function: function.parse().unwrap(),
            run,
            attempt: run.map(|_| 1),
            worker: 42,
            level,
            stream: LogStream::Console,
            text: text.into(),
            fields: None,
        };
        self.control.history.record_log(line.clone());
        let _ = self.control.logs.send(line);
    }

    /// A dead letter in the store.
    pub async fn die(&self, function: &str) -> (RunId, EventId) {
        self.die_of(function, DeadReason::AttemptsExhausted, None)
            .await
    }

    /// A dead letter that died for a reason; with a key it blocks that.
    pub async fn die_of(
        &self,
        function: &str,
        reason: DeadReason,
        key: Option<&str>,
    ) -> (RunId, EventId) {
        let (id, event) = self.owe(function, key, true).await;
        let settlement = Settlement {
            claim: Claim {
                run: id,
                epoch: self.store.epoch(),
                start: 1,
            },
            end: End::Dead {
                reason,
                at: self.control.clock.now(),
                failure: Some(failure()),
            },
        };
        let death = Transaction {
            settlements: vec![settlement],
            ..Transaction::default()
        };
        self.store.commit(death).await.unwrap();
        (id, event)
    }

    /// A delivery of the event that `photos/cat.jpg` was created, claimed or not; with a key it
    /// is ordered by that.
    pub async fn owe(&self, function: &str, key: Option<&str>, claimed: bool) -> (RunId, EventId) {
        let event = self.photo("cat.jpg");
        let (now, event_id) = (self.control.clock.now(), event.key);
        let function: FunctionName = function.parse().unwrap();
        let trigger = TriggerId::new(&function, "bucket.photos.default");
        let id = self.control.ids.run(now);
        let project = self.control.project.borrow().clone();
        let mut delivery = new_delivery(&project, id, event_id, function, trigger, now);
        delivery.claimed = claimed;
        delivery.keys.ordering = key.map(str::to_owned);
        delivery.blocks = key.is_some();
        let arrival = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        self.store.commit(arrival).await.unwrap();
        (id, event_id)
    }

    /// The event that an object of `photos` was created.
    pub fn photo(&self, key: &str) -> Event {
        let now = self.control.clock.now();
        Event {
            key: self.control.ids.event(now),
            origin: Origin::Bucket("photos".parse().unwrap()),
            id: "1".into(),
            source: "/photos/dev/bucket/photos".into(),
            kind: "wakeful.bucket.created".into(),
            subject: Some(key.into()),
            time: now,
            content_type: "application/json".into(),
            data: Bytes::from_static(b"{\"size\":7}"),
            extensions: Extensions::new(),
            lineage: Lineage::default(),
        }
    }

    /// Keeps an event to which nothing is owed.
    pub async fn keep(&self, event: Event) -> EventId {
        let id = event.key;
        let transaction = Transaction {
            events: vec![event],
            ..Transaction::default()
        };
        self.store.commit(transaction).await.unwrap();
        id
    }

    /// Serves on a free port of this machine until the rig's runtime ends.
    pub async fn listen(&self) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }
}

/// Two functions that listen to photos and orders, and three that only their names are known of.
const MANIFEST: &str = r#"
name = "photos"

[bucket.photos]

[topic."orders.*"]

[function.hello]
code = "hello.js"
[[function.hello.on]]
bucket = "photos"

[function.resize]
code = "resize.js"
[[function.resize.on]]
bucket = "photos"
events = ["created"]
key = "*.png"
name = "pictures"
concurrency_key = { key = "data.lane", limit = 5 }
[[function.resize.on]]
topic = "orders.paid"
name = "paid"
[function.resize.on.filter]
data.total = [{ numeric = [">", 100] }]

[function.broken]
code = "broken.js"
[[function.broken.on]]
http = "GET /broken"
name = "asked"
"#;

fn project() -> Project {
    let source = Source {
        name: "wakeful.toml".into(),
        text: MANIFEST.into(),
    };
    let environment = "dev".parse().unwrap();
    manifest::load(&source, &environment, &|_: &std::path::Path| Found::File)
        .unwrap()
        .project
}

/// The whole of an answer.
pub async fn whole(response: Response<Body>) -> (StatusCode, Bytes) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, body)
}
