//! A server without sources and workers.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{broadcast, watch};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind},
    event::{Event, Origin},
    id::{EventId, IdSource, RunId},
    name::{FunctionName, TriggerId},
    port::{
        Claim, Clock, End, Epoch, Intervention, NewDelivery, Receipt, Reply, Settlement, Sink,
        Store, StoreError, Submission, SubmitError, Transaction,
    },
    project::{NodeMajor, Project, Style},
    run::{Attempt, LogLevel, LogLine, LogStream, Run, RunKind, RunState},
    time::Timestamp,
};
use wakeful_objects::Buckets;
use wakeful_server::{
    addresses::Addresses,
    admin::{self, AdminOptions},
    control::{
        Control, FunctionState, FunctionStatus, Invocation, InvokeError, Invoked, Operations,
    },
    vault::Vault,
};
use wakeful_store::{History, HistoryOptions, MemoryStore};
use wakeful_workers::{
    Host, HostCall, HostError, HostErrorCode, Observer, WorkerEvent, Workers, install_runtime,
};

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

/// Answers by the name of the function.
struct MadeUp {
    store: MemoryStore,
    clock: Arc<dyn Clock>,
    ids: Arc<IdSource>,
}

impl MadeUp {
    fn intervene(
        &self,
        act: impl Fn(RunId, Timestamp) -> Intervention,
        runs: &[RunId],
    ) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let now = self.clock.now();
        let interventions = runs.iter().map(|run| act(*run, now)).collect();
        let committed = self.store.commit(Transaction {
            interventions,
            ..Transaction::default()
        });
        Box::pin(async move { Ok(committed.await?.intervened) })
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
    }
}

impl Operations for MadeUp {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invoked, InvokeError>> {
        let run = self.ids.run(self.clock.now());
        let function = invocation.function.clone();
        let result = match function.as_str() {
            "hello" => Ok(invocation.payload),
            "nothing" => Ok(Bytes::new()),
            "fails" => Err(failure()),
            "busy" => return Box::pin(async { Err(InvokeError::Overloaded(function)) }),
            _ => return Box::pin(async { Err(InvokeError::NoSuchFunction(function)) }),
        };
        Box::pin(async move { Ok(Invoked { run, result }) })
    }

    fn invoke_async(
        &self,
        invocation: Invocation,
    ) -> BoxFuture<'static, Result<EventId, InvokeError>> {
        let event = self.ids.event(self.clock.now());
        Box::pin(async move {
            match invocation.function.as_str() {
                "full" => Err(InvokeError::Store(StoreError::DiskFull)),
                _ => Ok(event),
            }
        })
    }

    fn redrive(&self, runs: Vec<RunId>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let act = |run, now: Timestamp| Intervention::Redrive {
            run,
            now,
            expires_at: now.plus(std::time::Duration::from_secs(60)),
        };
        self.intervene(act, &runs)
    }

    fn discard(&self, runs: Vec<RunId>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        self.intervene(|run, _| Intervention::Discard { run }, &runs)
    }

    fn functions(&self) -> BoxFuture<'static, Vec<FunctionStatus>> {
        let status = |name: &str, state| FunctionStatus {
            name: name.parse().unwrap(),
            style: Some(Style::Native),
            version: Some("v1".into()),
            state,
            workers: 1,
            in_flight: 0,
            queued: 2,
            wakes: vec!["GET /hello/{name}".into(), "every 1m".into()],
            endpoints: vec!["GET http://127.0.0.1:8080/hello/{name}".into()],
        };
        let all = vec![
            status("broken", FunctionState::Broken(failure())),
            status("hello", FunctionState::Live),
        ];
        Box::pin(async move { all })
    }

    fn addresses(&self) -> Addresses {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Addresses {
            http: address,
            admin: address,
            aws: address,
        }
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
        let operations = Arc::new(MadeUp {
            store: store.clone(),
            clock,
            ids,
        });
        let stop = CancellationToken::new();
        let options = AdminOptions {
            hosts: vec!["wakeful.example.com".into()],
            stop: stop.clone(),
        };
        let router = admin::router(control.clone(), operations, options);
        Self {
            _folder: folder,
            control,
            store,
            key,
            stop,
            router,
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
        let now = self.control.clock.now();
        let function: FunctionName = function.parse().unwrap();
        let event = Event {
            key: self.control.ids.event(now),
            origin: Origin::Bucket("photos".parse().unwrap()),
            id: "1".into(),
            source: "/photos/dev/bucket/photos".into(),
            kind: "wakeful.bucket.created".into(),
            subject: Some("cat.jpg".into()),
            time: now,
            content_type: "application/json".into(),
            data: Bytes::from_static(b"{\"size\":7}"),
        };
        let (id, key) = (self.control.ids.run(now), event.key);
        let delivery = NewDelivery {
            id,
            scope: self.control.scope.clone(),
            event: key,
            trigger: TriggerId::new(&function, "bucket.photos.default"),
            function,
            ordering_key: None,
            ready_at: now,
            expires_at: now.plus(std::time::Duration::from_secs(60)),
            claimed: true,
            dedup: None,
        };
        let settlement = Settlement {
            claim: Claim {
                run: id,
                epoch: self.store.epoch(),
                start: 1,
            },
            end: End::Dead {
                reason: DeadReason::AttemptsExhausted,
                at: now,
                failure: Some(failure()),
            },
        };
        let arrival = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        self.store.commit(arrival).await.unwrap();
        let death = Transaction {
            settlements: vec![settlement],
            ..Transaction::default()
        };
        self.store.commit(death).await.unwrap();
        (id, key)
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

fn project() -> Project {
    Project {
        name: "photos".parse().unwrap(),
        environment: "dev".parse().unwrap(),
        node: NodeMajor::V24,
        buckets: Default::default(),
        databases: Default::default(),
        functions: Default::default(),
    }
}

/// The whole of an answer.
pub async fn whole(response: Response<Body>) -> (StatusCode, Bytes) {
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, body)
}
