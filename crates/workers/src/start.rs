//! Bringing a worker up for a pool: a blank one if there is, else a new process, else room is
//! made; then the code is loaded.

use std::{
    path::Path,
    pin::pin,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use wakeful_core::{
    name::{HandlerName, Scope},
    project::Style,
};

use crate::{
    Ended, Failure, FailureKind, LoadedInfo, VersionSpec, WorkerEvent,
    blame::{Cause, Verdict},
    blank::Fill,
    orders::Order,
    seating::PoolShared,
    worker::Worker,
};

/// How often a start that finds no room looks whether it is still of use, and for room.
const ROOM_POLLING: Duration = Duration::from_millis(50);
/// Loading code counts as coming up for so long; code may take much longer over it.
const TURN_OF_LOADING: Duration = Duration::from_secs(1);

/// Brings one worker up for `pool`, which has counted it as a queued start.
pub(crate) async fn bring_up(pool: Arc<PoolShared>) {
    let Some(source) = find_source(&pool).await else {
        return;
    };
    let Ok(turn) = pool.shared.starting.acquire().await else {
        pool.start_called_off();
        return;
    };
    if !pool.begin_start() {
        if let Source::Blank(worker) = source {
            pool.shared.give_blank_back(worker);
        }
        return;
    }
    let worker = match source {
        Source::Blank(worker) => {
            pool.shared.fill_shelf(&pool.class, Fill::Soon);
            worker
        }
        Source::New(permit) => {
            match Worker::launch(&pool.shared, pool.class.clone(), permit).await {
                Ok(worker) => worker,
                Err(failure) => {
                    let event = WorkerEvent::NotStarted {
                        failure: failure.clone(),
                    };
                    pool.shared.observer.worker(event);
                    return pool.start_failed(failure);
                }
            }
        }
    };
    let mut loading = pin!(load(&pool, worker));
    if timeout(TURN_OF_LOADING, loading.as_mut()).await.is_err() {
        // It waits for something, or is in nobody's way: the others need not wait for it.
        drop(turn);
        loading.await;
    }
}

enum Source {
    Blank(Arc<Worker>),
    New(OwnedSemaphorePermit),
}

/// Waits for a blank worker or for room for a new one; `None` when the start was called off.
async fn find_source(pool: &Arc<PoolShared>) -> Option<Source> {
    let shared = &pool.shared;
    let mut evicted: Option<Weak<Worker>> = None;
    loop {
        if !pool.keeps_start() {
            return None;
        }
        if shared.stop.is_cancelled() {
            pool.start_called_off();
            return None;
        }
        if let Some(blank) = shared.take_blank(&pool.class) {
            return Some(Source::Blank(blank));
        }
        let claim = shared.fleet.lock().blanks.claim(&pool.class);
        if let Some(coming) = claim {
            if let Ok(worker) = coming.await {
                return Some(Source::Blank(worker));
            }
            continue;
        }
        if let Ok(permit) = Arc::clone(&shared.capacity).try_acquire_owned() {
            return Some(Source::New(permit));
        }
        pool.crowded();
        let leaving = evicted.as_ref().and_then(Weak::upgrade);
        if leaving.is_none_or(|worker| worker.gone.is_cancelled()) {
            evicted = shared.make_room(pool).as_ref().map(Arc::downgrade);
        }
        let room = Arc::clone(&shared.capacity).acquire_owned();
        if let Ok(Ok(permit)) = timeout(ROOM_POLLING, room).await {
            return Some(Source::New(permit));
        }
    }
}

/// Loads the code and tells the pool what came of it.
async fn load(pool: &Arc<PoolShared>, worker: Arc<Worker>) {
    let asked = Instant::now();
    let spec = &pool.spec;
    let order = match load_order(spec) {
        Ok(order) => order,
        Err(failure) => {
            worker.leave();
            return load_failed(pool, &worker, failure);
        }
    };
    let Some(loaded) = worker.assign(pool, &order) else {
        let message = "the worker ended before it was sent the code";
        return pool.start_failed(Failure::ours(FailureKind::NotStarted, message));
    };
    match timeout(pool.shared.options.load_timeout, loaded).await {
        Ok(Ok(json)) => match read_report(&json) {
            Ok(info) => {
                pool.shared.observer.worker(WorkerEvent::Loaded {
                    pid: worker.pid,
                    scope: spec.scope.clone(),
                    function: spec.function.clone(),
                    version: spec.version.clone(),
                    took: asked.elapsed(),
                });
                pool.joined(&worker, info);
            }
            Err(failure) => {
                worker.leave();
                load_failed(pool, &worker, failure);
            }
        },
        Ok(Err(_)) => {
            worker.gone.cancelled().await;
            ended_while_loading(pool, &worker);
        }
        Err(_) => {
            let verdict = Verdict::unknown(Cause::Stopping);
            worker.orders.give(Order::Kill(Ended::Stuck, verdict));
            let limit = pool.shared.options.load_timeout;
            let message = format!(
                "the code had not loaded after {limit:?}: a top-level await or a loop that does not end?"
            );
            load_failed(pool, &worker, Failure::ours(FailureKind::Load, message));
        }
    }
}

fn load_failed(pool: &Arc<PoolShared>, worker: &Worker, failure: Failure) {
    pool.shared.observer.worker(WorkerEvent::LoadFailed {
        pid: worker.pid,
        scope: pool.spec.scope.clone(),
        function: pool.spec.function.clone(),
        version: pool.spec.version.clone(),
        failure: failure.clone(),
    });
    pool.load_failed(failure);
}

/// The process ended before it said anything: the code's doing, unless we or someone with
/// SIGKILL ended it.
fn ended_while_loading(pool: &Arc<PoolShared>, worker: &Worker) {
    let how = worker.obituary.get().map_or("ended", String::as_str);
    if worker.orders.wants_end() || how.starts_with("was ended by signal 9") {
        let message = format!("the worker {how} while it loaded the code");
        return pool.start_failed(Failure::ours(FailureKind::NotStarted, message));
    }
    let message = if worker.last_words.tell_of_full_heap() {
        let heap = worker.class.heap_mib;
        format!("loading the code takes more than its {heap} MiB (`memory`)")
    } else {
        format!("the worker {how} while it loaded the code")
    };
    load_failed(pool, worker, Failure::ours(FailureKind::Load, message));
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LoadOrder<'a> {
    function: &'a str,
    version: &'a str,
    entry: &'a Path,
    root: &'a Path,
    shown_root: &'a Path,
    style: Option<Style>,
    handlers: &'a [Option<HandlerName>],
    env: &'a std::collections::BTreeMap<String, String>,
    timeout_ms: u64,
    memory: u64,
    body_limit: u64,
    scope: &'a Scope,
}

fn load_order(spec: &VersionSpec) -> Result<Vec<u8>, Failure> {
    let order = LoadOrder {
        function: spec.function.as_str(),
        version: &spec.version,
        entry: &spec.entry,
        root: &spec.root,
        shown_root: &spec.shown_root,
        style: spec.style,
        handlers: &spec.handlers,
        env: &spec.env,
        timeout_ms: u64::try_from(spec.timeout.as_millis()).unwrap_or(u64::MAX),
        memory: spec.memory,
        body_limit: spec.body_limit,
        scope: &spec.scope,
    };
    serde_json::to_vec(&order).map_err(|error| {
        let message = format!("the path of the code cannot be handed to a worker: {error}");
        Failure::ours(FailureKind::Load, message)
    })
}

fn read_report(json: &Bytes) -> Result<LoadedInfo, Failure> {
    #[derive(Deserialize)]
    struct Report {
        ok: bool,
        style: Option<Style>,
        #[serde(default)]
        exports: Vec<String>,
        #[serde(default)]
        missing: Vec<Option<String>>,
        error: Option<LoadError>,
    }
    let unreadable = |what: String| {
        Failure::ours(
            FailureKind::Load,
            format!("the worker's report on loading: {what}"),
        )
    };
    let report: Report =
        serde_json::from_slice(json).map_err(|error| unreadable(error.to_string()))?;
    match (report.ok, report.style, report.error) {
        (true, Some(style), _) => Ok(LoadedInfo {
            style,
            exports: report.exports,
            missing: report
                .missing
                .into_iter()
                .map(|name| name.and_then(|name| name.parse().ok()))
                .collect(),
        }),
        (false, _, Some(error)) => Err(error.into()),
        _ => Err(unreadable(
            "it says neither what was loaded nor why not".into(),
        )),
    }
}

#[derive(Deserialize)]
struct LoadError {
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
    stack: Option<String>,
    file: Option<String>,
    line: Option<u64>,
    column: Option<u64>,
    excerpt: Option<String>,
}

impl From<LoadError> for Failure {
    /// The place and the excerpt stand below the message.
    fn from(error: LoadError) -> Self {
        let mut message = error.message;
        if let Some(file) = error.file {
            message += "\n  at ";
            message += &file;
            for number in [error.line, error.column].into_iter().flatten() {
                message += &format!(":{number}");
            }
        }
        if let Some(excerpt) = error.excerpt.filter(|excerpt| !excerpt.is_empty()) {
            message += "\n";
            message += &excerpt;
        }
        Self {
            kind: FailureKind::Load,
            name: error.name,
            message,
            stack: error.stack.filter(|stack| !stack.is_empty()),
            advice: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_read() {
        let report = |json: &'static str| read_report(&Bytes::from_static(json.as_bytes()));
        let good = r#"{"ok":true,"style":"native","exports":["a"],"missing":["b",null]}"#;
        let expected = LoadedInfo {
            style: Style::Native,
            exports: vec!["a".into()],
            missing: vec![Some("b".parse().unwrap()), None],
        };
        assert_eq!(report(good), Ok(expected));
        let bad = r#"{"ok":false,"error":{"name":"SyntaxError","message":"m","stack":"",
            "file":"functions/f.js","line":2,"column":5,"excerpt":"2 | oops"}}"#;
        let failure = report(bad).unwrap_err();
        assert_eq!(failure.kind, FailureKind::Load);
        assert_eq!(failure.message, "m\n  at functions/f.js:2:5\n2 | oops");
        assert_eq!(failure.stack, None);
        for wrong in ["", "{}", r#"{"ok":true}"#, r#"{"ok":false}"#] {
            assert_eq!(
                report(wrong).unwrap_err().kind,
                FailureKind::Load,
                "{wrong}"
            );
        }
    }
}
