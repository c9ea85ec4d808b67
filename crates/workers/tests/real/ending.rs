//! How workers end: retired, at a stop, whatever they do against it, and with their server.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use wakeful_core::delivery::Charge;
use wakeful_workers::{Ended, Failure, FailureKind, Pool, Reserve, ReserveError, WorkerEvent};

use crate::support::*;

/// Does not want to end.
const STUBBORN: &str = "process.on('SIGTERM', () => console.log('no'));
    process.on('exit', () => { for (;;); });
    setInterval(() => {}, 1000);
    exports.handler = async (event) => { await new Promise((f) => setTimeout(f, event.data.ms ?? 0)); return 'done'; };";

fn ends(bench: &Bench, pid: u32) -> Vec<Ended> {
    let ended = |event| match event {
        WorkerEvent::Ended { pid: of, how, .. } if of == pid => Some(how),
        _ => None,
    };
    bench.events().into_iter().filter_map(ended).collect()
}

fn wait_of(ms: u64) -> wakeful_workers::Invocation {
    event_with(0, &format!(r#"{{"ms":{ms}}}"#))
}

#[tokio::test]
async fn a_retired_version_finishes_what_runs() {
    let bench = Bench::new();
    let pool = bench.pool(STUBBORN, &["handler"]);
    let call = start(&pool, wait_of(400)).await;
    let pid = call.worker().pid;
    let limit = std::sync::Arc::clone(&pool.spec().limit);
    pool.retire();
    assert!(pool.try_reserve().is_none());
    assert_eq!(
        pool.reserve(Reserve::Shared).await.unwrap_err(),
        ReserveError::Retired
    );
    assert_eq!(answer(call).await.unwrap(), r#""done""#);
    until("its worker ends", || ends(&bench, pid) == [Ended::Retired]).await;
    assert_eq!(limit.used(), 0);
    bench.close().await;
}

#[tokio::test]
async fn who_has_a_place_may_start_after_the_version_was_retired() {
    let bench = Bench::new();
    let pool = bench.pool(STUBBORN, &["handler"]);
    let place = slot(&pool).await;
    let pid = place.info().pid;
    pool.retire();
    // Long enough for a worker that was told to end to have done so.
    let other = bench.pool(STUBBORN, &["handler"]);
    answer(start(&other, wait_of(300)).await).await.unwrap();
    assert!(is_alive(pid));
    assert_eq!(answer(place.start(wait_of(0))).await.unwrap(), r#""done""#);
    until("its worker ends", || ends(&bench, pid) == [Ended::Retired]).await;
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_under_load_drops_nothing() {
    let bench = Bench::new();
    let live = std::sync::Arc::new(std::sync::Mutex::new(bench.pool(STUBBORN, &["handler"])));
    let callers = (0..20).map(|_| {
        let live = std::sync::Arc::clone(&live);
        tokio::spawn(async move {
            for _ in 0..60 {
                let place = loop {
                    let pool = live.lock().unwrap().clone();
                    match within(pool.reserve(Reserve::Shared)).await {
                        Ok(place) => break place,
                        Err(error) => assert_eq!(error, ReserveError::Retired),
                    }
                };
                answer(place.start(wait_of(2))).await.unwrap();
            }
        })
    });
    let callers: Vec<_> = callers.collect();
    let mut versions = 0;
    while !callers.iter().all(tokio::task::JoinHandle::is_finished) {
        let next = bench.pool(STUBBORN, &["handler"]);
        within(next.load()).await.unwrap();
        let old = std::mem::replace(&mut *live.lock().unwrap(), next);
        old.retire();
        versions += 1;
    }
    for caller in callers {
        within(caller).await.unwrap();
    }
    assert!(versions > 1, "{versions}");
    bench.close().await;
}

#[tokio::test]
async fn those_who_wait_for_a_retired_version_are_told() {
    let bench = Bench::new();
    let mut spec = bench.spec(STUBBORN, &["handler"]);
    spec.limit = wakeful_workers::Limit::new(1);
    let pool = bench.workers.pool(spec);
    let held = slot(&pool).await;
    let waiting = tokio::spawn({
        let pool = pool.clone();
        async move { pool.reserve(Reserve::Shared).await.map(|_| ()) }
    });
    until("it waits", || pool.stats().waiting == 1).await;
    pool.retire();
    assert_eq!(within(waiting).await.unwrap(), Err(ReserveError::Retired));
    drop(held);
    bench.close().await;
}

#[tokio::test]
async fn a_stop_waits_for_what_runs() {
    let bench = Bench::new();
    let pool = bench.pool(STUBBORN, &["handler"]);
    let call = start(&pool, wait_of(500)).await;
    let waiting = tokio::spawn(answer(call));
    within(bench.workers.shutdown(Duration::from_secs(20))).await;
    assert_eq!(within(waiting).await.unwrap().unwrap(), r#""done""#);
    assert!(bench.workers.snapshot().is_empty());
}

/// Code that heeds the abort signal of a stop in its own way does not pay for it.
async fn check_heeding(heeds: &str) {
    let bench = Bench::new();
    let code = format!(
        "exports.handler = (event, context) => new Promise((done, fail) => {{
            setInterval(() => {{}}, 1000);
            context.signal.addEventListener('abort', () => {{ {heeds} }});
        }});"
    );
    let pool = bench.pool(&code, &["handler"]);
    let waiting = tokio::spawn(answer(start(&pool, event(0)).await));
    within(bench.workers.shutdown(Duration::from_millis(100))).await;
    let failed: Failure = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Interrupted, "{heeds}: {failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Free);
}

#[tokio::test]
async fn code_that_breaks_off_at_a_stop_is_interrupted() {
    for heeds in [
        "fail(context.signal.reason);",
        "fail(new Error('told to stop'));",
        "process.exit(0);",
    ] {
        check_heeding(heeds).await;
    }
}

/// What a stop does with an attempt that goes on and a worker that ignores SIGTERM.
async fn check_stop(code: &str) {
    let bench = Bench::new();
    let pool = bench.pool(code, &["handler"]);
    let call = start(&pool, wait_of(60_000)).await;
    let pid = call.worker().pid;
    let waiting = tokio::spawn(answer(call));
    let begun = Instant::now();
    within(bench.workers.shutdown(Duration::from_millis(100))).await;
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "{:?}",
        begun.elapsed()
    );
    assert!(!is_alive(pid), "SIGKILL is not to be ignored");
    let failed: Failure = within(waiting).await.unwrap().unwrap_err();
    assert_eq!(failed.kind, FailureKind::Interrupted, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Free);
    assert_eq!(bench.host.ended.lock().unwrap().len(), 1);
    let late = bench.workers.pool(bench.spec(code, &["handler"]));
    assert_eq!(
        late.reserve(Reserve::Shared).await.unwrap_err(),
        ReserveError::Retired
    );
    assert!(bench.workers.snapshot().is_empty());
}

#[tokio::test]
async fn a_stop_ends_workers_that_ignore_sigterm() {
    check_stop(STUBBORN).await;
}

#[tokio::test]
async fn a_stop_ends_workers_whose_loop_is_blocked() {
    check_stop("exports.handler = async () => { for (;;); };").await;
}

#[tokio::test]
async fn what_a_worker_started_ends_with_it() {
    let bench = Bench::new();
    let code = "const { spawn } = require('node:child_process');
        exports.handler = async () => spawn('sleep', ['1000'], { stdio: 'inherit' }).pid;";
    let pool = bench.pool(code, &["handler"]);
    let child: u32 = answer(start(&pool, wait_of(0)).await)
        .await
        .unwrap()
        .parse()
        .unwrap();
    assert!(is_alive(child));
    pool.retire();
    until("the worker ends", || bench.pids_of(&pool).is_empty()).await;
    until("its child ends", || !is_alive(child)).await;
    bench.close().await;
}

#[tokio::test]
async fn a_worker_sees_nothing_of_the_server() {
    let bench = Bench::new();
    let code = "const fs = require('node:fs');
        exports.handler = async () => ({ env: process.env,
            files: fs.readdirSync('/proc/self/fd').map((fd) => { try { return fs.readlinkSync('/proc/self/fd/' + fd); } catch { return ''; } }),
            group: Number(fs.readFileSync('/proc/self/stat', 'utf8').split(') ')[1].split(' ')[2]) === process.pid,
            heap: require('node:v8').getHeapStatistics().heap_size_limit, cwd: process.cwd() });";
    let secret = bench.folder.path().join("a-secret-of-the-server");
    std::fs::write(&secret, "x").unwrap();
    let open = std::fs::File::open(&secret).unwrap();
    rustix::io::fcntl_setfd(&open, rustix::io::FdFlags::empty()).unwrap();
    let mut spec = bench.spec(code, &["handler"]);
    spec.env.insert("OWN".into(), "yes".into());
    let root = spec.root.clone();
    let pool = bench.workers.pool(spec);
    let text = answer(start(&pool, event(0)).await).await.unwrap();
    let seen: serde_json::Value = serde_json::from_str(&text).unwrap();
    let env = seen["env"].as_object().unwrap();
    assert_eq!(env["OWN"], "yes");
    assert!(env.contains_key("PATH"));
    assert!(!env.keys().any(|name| name.starts_with("CARGO")), "{env:?}");
    assert!(
        !text.contains("a-secret-of-the-server"),
        "{}",
        seen["files"]
    );
    assert_eq!(seen["group"], true);
    assert_eq!(seen["cwd"].as_str().unwrap(), root.to_str().unwrap());
    let heap = seen["heap"].as_u64().unwrap() >> 20;
    assert!((128..=160).contains(&heap), "{heap} MiB");
    drop(open);
    bench.close().await;
}

const AS_SERVER: &str = "WAKEFUL_TEST_AS_SERVER";

/// Plays the server for the test below, in a process of its own; does nothing otherwise.
#[tokio::test]
async fn a_server_with_a_worker() {
    if std::env::var_os(AS_SERVER).is_none() {
        return;
    }
    let bench = Bench::new();
    let pool: Pool = bench.pool("exports.handler = async () => { for (;;); };", &["handler"]);
    let call = start(&pool, wait_of(0)).await;
    let blank = || {
        bench
            .workers
            .snapshot()
            .iter()
            .find(|w| w.function.is_none())
            .map(|w| w.pid)
    };
    until("a blank worker is there", || blank().is_some()).await;
    // The parent kills this process while the worker spins.
    println!("\nworkers {} {}", call.worker().pid, blank().unwrap());
    std::future::pending::<()>().await;
}

#[test]
fn workers_die_with_a_server_that_is_killed() {
    let mut server = Command::new(std::env::current_exe().unwrap())
        .args(["ending::a_server_with_a_worker", "--exact", "--nocapture"])
        .env(AS_SERVER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let pids: Vec<u32> = lines
        .map_while(Result::ok)
        .find_map(|line| {
            let pids = line.strip_prefix("workers ")?.split(' ');
            Some(pids.map(|pid| pid.parse().unwrap()).collect())
        })
        .expect("the server says which workers it has");
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    server.kill().unwrap();
    server.wait().unwrap();
    let begun = Instant::now();
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(begun.elapsed() < PATIENCE, "orphans: {pids:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
