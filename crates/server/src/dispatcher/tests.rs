//! The dispatcher on a store in memory that can be told to wait and to fail. Pools are real, but
//! their Node does not exist: nothing is ever started.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Semaphore;
use wakeful_core::{
    delivery::{Failure, FailureKind, State},
    event::Origin,
    flow::{Flow, OnUnknown},
    id::IdSource,
    port::{Arrival, End, Epoch, Held, Keys, NewDelivery, Sink, Submission, SubmitError},
    project::Project,
    run::RunState,
};
use wakeful_store::{History, HistoryOptions, MemoryStore};
use wakeful_workers::{
    Host, HostCall, HostError, HostErrorCode, HostFuture, Limit, Options, ReserveError,
    VersionSpec, Workers,
};

use super::{moody::Moody, submit::Prepared, *};
use crate::{
    clock::SystemClock,
    control::{Invocation, Redrive},
    internal::invoke_trigger,
    live::{Live, Version},
    vault::Vault,
};

const PATIENCE: Duration = Duration::from_secs(20);

struct NoHost;

impl Host for NoHost {
    fn call(&self, call: HostCall) -> HostFuture {
        let error = HostError {
            code: HostErrorCode::Denied,
            message: call.op,
        };
        Box::pin(std::future::ready(Err(error)))
    }

    fn ended(&self, _: &Scope, _: &FunctionName, _: RunId, _: u32) {}
}

pub(super) struct Bench {
    pub(super) store: Arc<Moody>,
    history: History,
    live: LiveCell,
    project: Project,
    pub(super) dispatcher: Dispatcher,
    pub(super) workers: Workers,
    pub(super) ids: Arc<IdSource>,
    pub(super) folder: tempfile::TempDir,
}

const MANIFEST: &str = "name = \"bench\"\n[bucket.notes]\n[function.reader]\n\
                        [[function.reader.on]]\nbucket = \"notes\"\nevents = [\"created\"]\n";

impl Bench {
    /// With as many commits as are ever made.
    pub(super) fn new() -> Self {
        Self::with_commits(1000)
    }

    fn with_commits(commits: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("functions")).unwrap();
        std::fs::write(folder.path().join("wakeful.toml"), MANIFEST).unwrap();
        std::fs::write(folder.path().join("functions/reader.js"), "").unwrap();
        let environment = "dev".parse().unwrap();
        let project = match crate::deploy::read(folder.path(), &environment) {
            Ok(loaded) => loaded.project,
            Err(error) => panic!("{error}"),
        };
        let store = Arc::new(Moody {
            store: MemoryStore::new(Epoch(1)),
            gate: Arc::new(Semaphore::new(commits)),
            refusals: Arc::default(),
            commits: AtomicUsize::new(0),
            looks: Arc::default(),
        });
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let history = HistoryOptions::new(folder.path(), Arc::clone(&clock));
        let history = History::open(history).unwrap();
        let vault = Arc::new(Vault::open(folder.path()).unwrap());
        let recorder = Recorder::new(history.clone(), vault);
        let live = LiveCell::new(Live::new(project.clone(), Vec::new()));
        let ids = Arc::new(IdSource::after(0));
        let dispatcher = Dispatcher::new(Parts {
            scope: project.scope(),
            store: Arc::clone(&store) as Arc<dyn Store>,
            live: live.clone(),
            recorder: recorder.clone(),
            attempts: Attempts::default(),
            ids: Arc::clone(&ids),
            clock: Arc::clone(&clock),
            runtime: Handle::current(),
        });
        let options = Options::new(PathBuf::from("/nonexistent/bootstrap.js"), clock);
        let workers = Workers::new(options, Arc::new(NoHost), Arc::new(recorder));
        Self {
            store,
            history,
            live,
            project,
            dispatcher,
            workers,
            ids,
            folder,
        }
    }

    pub(super) fn inner(&self) -> &Arc<Inner> {
        &self.dispatcher.inner
    }

    /// A version of the function whose workers never come up.
    pub(super) fn version(&self, id: &str) -> Arc<Version> {
        let function = self.project.functions.values().next().unwrap().clone();
        let pool = self.workers.pool(VersionSpec {
            scope: self.project.scope(),
            function: function.name.clone(),
            version: id.to_owned(),
            node: PathBuf::from("/nonexistent/node"),
            root: PathBuf::from("/nonexistent"),
            entry: PathBuf::from("/nonexistent/index.js"),
            shown_root: PathBuf::from("functions"),
            style: None,
            handlers: vec![None],
            env: BTreeMap::new(),
            timeout: function.timeout,
            memory: function.memory,
            body_limit: function.max_body,
            limit: Limit::new(1),
            per_worker: None,
            scale_down_after: function.scale_down_after,
            max_waiting: 10,
        });
        Arc::new(Version::new(function, id.to_owned(), pool))
    }

    /// The rules of all triggers and of invocations from now on.
    pub(super) fn set_flow(&mut self, flow: Flow) {
        let flow = Arc::new(flow);
        for function in self.project.functions.values_mut() {
            function.flow = Arc::clone(&flow);
            for trigger in &mut function.triggers {
                trigger.flow = Arc::clone(&flow);
            }
        }
    }

    /// No function is live.
    pub(super) fn go_dark(&self) {
        let nothing = Project {
            functions: BTreeMap::new(),
            ..self.project.clone()
        };
        self.live.swap(Live::new(nothing, Vec::new()));
    }

    pub(super) fn go_live(&self, version: &Arc<Version>) {
        let versions = vec![Arc::clone(version)];
        self.live.swap(Live::new(self.project.clone(), versions));
    }

    pub(super) fn arrival(&self) -> Submission {
        Submission {
            arrivals: vec![Arrival {
                subject: Some("a.txt".into()),
                ..Arrival::new(
                    Origin::Bucket("notes".parse().unwrap()),
                    "created",
                    self.inner().now(),
                    Bytes::from_static(b"{}"),
                )
            }],
            ..Submission::default()
        }
    }

    /// A delivery in the store, changed by `change`, without the dispatcher having a hand in it.
    pub(super) async fn stored(&self, change: impl FnOnce(&mut NewDelivery)) -> Delivery {
        let inner = self.inner();
        let arrival = self.arrival().arrivals.remove(0);
        let event = inner.event(arrival);
        let trigger = self.project.triggers().next().unwrap();
        let now = inner.now();
        let mut new = NewDelivery {
            id: self.ids.run(now),
            scope: self.project.scope(),
            event: event.key,
            trigger: trigger.id.clone(),
            function: trigger.function.clone(),
            keys: Keys::default(),
            key_limit: None,
            blocks: false,
            on_unknown: OnUnknown::Retry,
            debounce: None,
            dead: None,
            ready_at: now,
            expires_at: now.plus(Duration::from_secs(3600)),
            claimed: false,
            dedup: None,
        };
        change(&mut new);
        let id = new.id;
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![new],
            ..Transaction::default()
        };
        self.store.store.commit(transaction).await.unwrap();
        self.store.delivery(id).await.unwrap().unwrap()
    }

    async fn state(&self, run: RunId) -> Option<RunState> {
        self.history.flush().await.unwrap();
        let detail = self.history.run(run).await.unwrap();
        detail.map(|detail| detail.run.state)
    }

    pub(super) fn looks(&self) -> Vec<Instant> {
        self.store.looks.lock().clone()
    }

    pub(super) fn commits(&self) -> usize {
        self.store.commits.load(Ordering::SeqCst)
    }
}

pub(super) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < PATIENCE, "this never came: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn held_for(version: &str) -> End {
    End::HeldForVersion {
        version: version.to_owned(),
        failure: Failure::ours(FailureKind::Load, "broken"),
    }
}

#[tokio::test]
async fn a_submission_goes_on_when_its_caller_leaves() {
    let bench = Bench::with_commits(0);
    bench.go_live(&bench.version("v1"));
    let mut submitted = bench.dispatcher.submit(bench.arrival());
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut submitted).await;
    assert!(waited.is_err(), "the store is still busy with it");
    assert_eq!(bench.commits(), 1);
    drop(submitted);
    bench.store.gate.add_permits(1);
    until("a feeder looks at the queue", || !bench.looks().is_empty()).await;
    let owed = bench.store.backlog().await.unwrap();
    assert_eq!(owed[0].queued, 1);
    let looked = bench.dispatcher.backlog().await.unwrap();
    assert_eq!(looked[&owed[0].trigger], 1);
}

#[tokio::test]
async fn a_redrive_goes_on_when_its_caller_leaves() {
    let bench = Bench::with_commits(0);
    bench.go_live(&bench.version("v1"));
    let claimed = bench.stored(|new| new.claimed = true).await;
    let end = End::Dead {
        reason: wakeful_core::delivery::DeadReason::AttemptsExhausted,
        at: bench.inner().now(),
        failure: None,
    };
    bench.store.gate.add_permits(1);
    assert!(
        bench
            .inner()
            .settle_with(&claimed, end, Prepared::default())
            .await
    );
    let at = bench.inner().now();
    let mut redriven = Box::pin(bench.dispatcher.redrive(vec![Redrive {
        run: claimed.id,
        at,
    }]));
    let waited = tokio::time::timeout(Duration::from_millis(20), &mut redriven).await;
    assert!(waited.is_err(), "the store is still busy with it");
    drop(redriven);
    bench.store.gate.add_permits(1);
    until("a feeder looks at the queue", || !bench.looks().is_empty()).await;
    let fresh = bench.store.delivery(claimed.id).await.unwrap().unwrap();
    assert_eq!((fresh.state, fresh.attempts), (State::Queued, 0));
}

#[tokio::test]
async fn a_settlement_is_tried_again_until_there_is_room() {
    let bench = Bench::new();
    let claimed = bench.stored(|new| new.claimed = true).await;
    *bench.store.refusals.lock() = vec![
        StoreError::Failed("odd".into()),
        StoreError::ReadOnly("for now".into()),
        StoreError::DiskFull,
    ];
    assert!(
        bench
            .inner()
            .settle_with(&claimed, End::Succeeded, Prepared::default())
            .await
    );
    assert_eq!(bench.commits(), 4);
    assert_eq!(bench.store.delivery(claimed.id).await.unwrap(), None);
}

#[tokio::test]
async fn a_settlement_is_given_up_when_only_a_restart_helps() {
    for error in [StoreError::Closed, StoreError::Unknown("fsync".into())] {
        let bench = Bench::new();
        let claimed = bench.stored(|new| new.claimed = true).await;
        *bench.store.refusals.lock() = vec![error];
        assert!(
            !bench
                .inner()
                .settle_with(&claimed, End::Succeeded, Prepared::default())
                .await
        );
        assert_eq!(bench.commits(), 1);
    }
}

#[tokio::test]
async fn what_is_damaged_is_called_dead_only_when_it_is() {
    let bench = Bench::new();
    let claimed = bench.stored(|new| new.claimed = true).await;
    let mut stale = claimed.clone();
    stale.starts += 1;
    bench.inner().bury(stale).await;
    assert_eq!(bench.state(claimed.id).await, None);
    bench.inner().bury(claimed.clone()).await;
    assert_eq!(bench.state(claimed.id).await, Some(RunState::Dead));
}

#[tokio::test]
async fn what_grew_too_old_is_dead_whether_queued_or_held() {
    let bench = Bench::new();
    let now = bench.inner().now();
    let soon = now.plus(Duration::from_millis(1));
    let queued = bench.stored(|new| new.expires_at = soon).await;
    let held = bench
        .stored(|new| {
            new.claimed = true;
            new.expires_at = soon;
        })
        .await;
    assert!(
        bench
            .inner()
            .settle_with(&held, held_for("v1"), Prepared::default())
            .await
    );
    let fresh = bench.stored(|_| ()).await;
    until("the time has come", || bench.inner().now() > soon).await;
    bench.dispatcher.expire().await.unwrap();
    for run in [queued.id, held.id] {
        let found = bench.store.delivery(run).await.unwrap().unwrap();
        assert_eq!(found.state, State::Dead);
        assert_eq!(bench.state(run).await, Some(RunState::Dead));
    }
    let found = bench.store.delivery(fresh.id).await.unwrap().unwrap();
    assert_eq!(found.state, State::Queued);
}

#[tokio::test]
async fn a_feeder_that_cannot_expire_its_heads_pauses() {
    let bench = Bench::new();
    bench.go_live(&bench.version("v1"));
    bench.dispatcher.wake_all().await.unwrap();
    let now = bench.inner().now();
    let old = bench.stored(|new| new.expires_at = now).await;
    *bench.store.refusals.lock() = vec![StoreError::Failed("odd".into())];
    bench.inner().feed(&old.trigger);
    until("it looks again", || bench.looks().len() >= 2).await;
    let looks = bench.looks();
    assert!(
        looks[1] - looks[0] >= Duration::from_millis(900),
        "{looks:?}"
    );
    until("its feeder is done", || {
        !bench.inner().has_feeder(&old.trigger)
    })
    .await;
    let found = bench.store.delivery(old.id).await.unwrap().unwrap();
    assert_eq!(found.state, State::Dead);
}

#[tokio::test]
async fn what_is_held_for_a_version_that_is_gone_is_released() {
    let bench = Bench::new();
    let claimed = bench.stored(|new| new.claimed = true).await;
    let function = claimed.function.clone();
    assert!(
        bench
            .inner()
            .settle_with(&claimed, held_for("a"), Prepared::default())
            .await
    );
    let a = bench.version("a");
    bench.go_live(&a);
    assert!(!bench.inner().release_if_replaced(&function, "a").await);
    let held = bench.store.delivery(claimed.id).await.unwrap().unwrap();
    assert_eq!(held.held, Some(Held::Version("a".to_owned())));
    bench.go_live(&bench.version("b"));
    assert!(bench.inner().release_if_replaced(&function, "a").await);
    let released = bench.store.delivery(claimed.id).await.unwrap().unwrap();
    assert_eq!(released.held, None);
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn an_invocation_follows_to_the_version_that_took_over() {
    let bench = Bench::new();
    let (a, b) = (bench.version("a"), bench.version("b"));
    bench.go_live(&a);
    let invocation = Invocation {
        function: a.function.name.clone(),
        handler: None,
        payload: Bytes::from_static(b"{}"),
    };
    let target = bench.inner().target(&invocation).unwrap();
    bench.go_live(&b);
    a.pool.retire();
    match bench.inner().callee_place(&invocation, target, None).await {
        // That its workers do not come up shows that it was asked.
        Err(ReserveError::NotStarted(_)) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    b.pool.retire();
    let target = bench.inner().target(&invocation).unwrap();
    let stopped = bench.inner().callee_place(&invocation, target, None).await;
    assert_eq!(stopped.map(|_| ()), Err(ReserveError::Retired));
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn the_default_handler_has_a_name() {
    let bench = Bench::new();
    let mut function = bench.project.functions.values().next().unwrap().clone();
    let mut other = function.triggers.first().unwrap().clone();
    other.handler = Some("other".parse().unwrap());
    function.triggers.push(other);
    let pool = bench.version("a").pool.clone();
    let version = Arc::new(Version::new(function, "b".to_owned(), pool));
    bench.go_live(&version);
    let name = &version.function.name;
    let target = |handler: Option<&str>| {
        bench.inner().target(&Invocation {
            function: name.clone(),
            handler: handler.map(|handler| handler.parse().unwrap()),
            payload: Bytes::from_static(b"{}"),
        })
    };
    let default = target(Some("default")).unwrap();
    assert_eq!(default.trigger, crate::internal::invoke_trigger(name, None));
    assert_eq!(default.handler, version.handler(None).unwrap());
    let other = target(Some("other")).unwrap();
    assert_ne!(other.handler, default.handler);
    for refused in [None, Some("nope")] {
        let error = target(refused).err().unwrap().to_string();
        let expected =
            format!("say which handler of `{name}` to call, with `--handler NAME`: default, other");
        assert_eq!(error, expected);
    }
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn while_stopping_what_happens_is_written_down_and_not_started() {
    let bench = Bench::new();
    bench.dispatcher.stop_feeding();
    let receipt = bench.dispatcher.submit(bench.arrival()).await.unwrap();
    let written = bench.store.delivery(receipt.runs[0]).await.unwrap();
    assert_eq!(written.unwrap().state, State::Queued);
    bench.dispatcher.wake_all().await.unwrap();
    bench.dispatcher.drain().await;
    assert!(bench.looks().is_empty(), "no feeder was started");
    let refused = bench.dispatcher.submit(bench.arrival()).await;
    assert!(matches!(refused, Err(SubmitError::Stopping)), "{refused:?}");
}

#[tokio::test]
async fn the_backlog_is_that_of_the_scope() {
    let bench = Bench::new();
    let ours = bench.stored(|_| ()).await;
    bench
        .stored(|new| new.scope.environment = "production".parse().unwrap())
        .await;
    bench
        .stored(|new| new.trigger = invoke_trigger(&new.function, None))
        .await;
    let backlog = bench.dispatcher.backlog().await.unwrap();
    assert_eq!(backlog.len(), 2, "{backlog:?}");
    assert_eq!(backlog[&ours.trigger], 1);
}
