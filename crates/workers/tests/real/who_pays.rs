//! Each row of the table "who pays" (docs/guarantees.md): what happens to the attempt that is
//! to blame, and to its neighbours on the same worker.

use std::time::{Duration, Instant};

use wakeful_core::{delivery::Charge, run::LogStream};
use wakeful_workers::{Call, Ended, FailureKind, Pool, Reserve, ReserveError, WorkerEvent};

use crate::support::*;

/// Handlers by index; the ways in which functions go wrong.
const HANDLERS: [&str; 14] = [
    "ok",
    "slow",
    "sync",
    "rejects",
    "hangs",
    "spins",
    "eats",
    "exits",
    "aborts",
    "uncaught",
    "unhandled",
    "missing",
    "never",
    "pid",
];
const OK: u16 = 0;
const SLOW: u16 = 1;
const SYNC: u16 = 2;
const REJECTS: u16 = 3;
const HANGS: u16 = 4;
const SPINS: u16 = 5;
const EATS: u16 = 6;
const EXITS: u16 = 7;
const ABORTS: u16 = 8;
const UNCAUGHT: u16 = 9;
const UNHANDLED: u16 = 10;
const MISSING: u16 = 11;
const NEVER: u16 = 12;
const PID: u16 = 13;

const CODE: &str = r"
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
exports.ok = async () => 'fine';
exports.slow = async (event) => { await sleep(event.data.ms ?? 300); return 'slow but fine'; };
exports.sync = () => { throw new TypeError('at once'); };
exports.rejects = async () => { await sleep(1); throw new RangeError('later'); };
exports.hangs = (event, context) => new Promise((done) => {
  const busy = setInterval(() => {}, 1000);
  if (event.data.polite) context.signal.addEventListener('abort', () => { clearInterval(busy); done('aborted'); });
});
exports.spins = () => { for (;;); };
exports.eats = async () => {
  const kept = [];
  for (;;) { for (let i = 0; i < 100; i++) kept.push(new Array(10000).fill(kept.length)); await sleep(0); }
};
exports.exits = async () => { await sleep(5); process.exit(3); };
exports.aborts = async () => { await sleep(5); process.abort(); };
exports.uncaught = () => new Promise(() => { setTimeout(() => { throw new Error('nobody caught this'); }, 5); });
exports.unhandled = () => new Promise(() => { setTimeout(() => { Promise.reject(new Error('nobody handled this')); }, 5); });
exports.never = () => new Promise(() => {});
exports.pid = async () => process.pid;
";

fn pool_on(bench: &Bench) -> Pool {
    bench.pool(CODE, &HANDLERS)
}

/// A neighbour on the same worker that takes that long.
async fn neighbour(pool: &Pool, ms: u64) -> Call {
    start(pool, event_with(SLOW, &format!(r#"{{"ms":{ms}}}"#))).await
}

async fn same_worker(pool: &Pool, pid: u32) {
    let call = start(pool, event(PID)).await;
    assert_eq!(
        answer(call).await.unwrap(),
        pid.to_string(),
        "the worker goes on"
    );
}

/// What goes wrong within one attempt leaves its neighbours and its worker alone.
async fn check_harmless(handler: u16, expected: FailureKind, name: &str, says: &str) {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let beside = neighbour(&pool, 300).await;
    let pid = beside.worker().pid;
    let call = start(&pool, event(handler)).await;
    let run = call.worker().pid;
    assert_eq!(run, pid);
    let failed = failure(call).await;
    assert_eq!(failed.kind, expected, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    assert!(
        failed.name.contains(name) && failed.message.contains(says),
        "{failed:?}"
    );
    assert_eq!(answer(beside).await.unwrap(), r#""slow but fine""#);
    same_worker(&pool, pid).await;
    bench.close().await;
}

#[tokio::test]
async fn a_synchronous_throw_is_a_user_error() {
    check_harmless(SYNC, FailureKind::UserError, "TypeError", "at once").await;
}

#[tokio::test]
async fn a_rejection_is_a_user_error() {
    check_harmless(REJECTS, FailureKind::UserError, "RangeError", "later").await;
}

#[tokio::test]
async fn an_unhandled_rejection_is_a_user_error_of_its_attempt() {
    check_harmless(
        UNHANDLED,
        FailureKind::UserError,
        "Error",
        "nobody handled this",
    )
    .await;
}

#[tokio::test]
async fn a_promise_that_nothing_can_resolve_is_a_missing_response() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let failed = failure(start(&pool, event(NEVER)).await).await;
    assert_eq!(failed.kind, FailureKind::MissingResponse, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    bench.close().await;
}

#[tokio::test]
async fn a_timeout_answers_in_time_and_harms_nobody() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let beside = neighbour(&pool, 900).await;
    let pid = beside.worker().pid;
    for polite in [false, true] {
        let hang = event_with(HANGS, &format!(r#"{{"polite":{polite}}}"#));
        let call = start(&pool, timed(hang, 200)).await;
        let started = Instant::now();
        let result = answer(call).await;
        let took = started.elapsed();
        if polite {
            assert_eq!(
                result.unwrap(),
                r#""aborted""#,
                "code that heeds the signal may answer"
            );
        } else {
            let failed = result.unwrap_err();
            assert_eq!(failed.kind, FailureKind::Timeout, "{failed:?}");
            assert_eq!(failed.kind.charge(), Charge::Charged);
            assert!(failed.message.contains("200ms"), "{failed:?}");
            assert!(took >= Duration::from_millis(200), "{took:?}");
        }
        assert!(
            took < Duration::from_millis(1000),
            "the caller waited {took:?}"
        );
    }
    assert_eq!(answer(beside).await.unwrap(), r#""slow but fine""#);
    same_worker(&pool, pid).await;
    bench.close().await;
}

#[tokio::test]
async fn code_that_breaks_off_at_its_timeout_has_timed_out() {
    let bench = Bench::new();
    let pool = bench.pool(
        "const fetch = (signal) => new Promise((done, fail) => {
            const busy = setInterval(() => {}, 1000);
            signal.addEventListener('abort', () => { clearInterval(busy); fail(signal.reason); });
        });
        exports.handler = (event, context) => fetch(context.signal);",
        &["handler"],
    );
    let failed = failure(start(&pool, timed(event(0), 200)).await).await;
    assert_eq!(failed.kind, FailureKind::Timeout, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    assert!(failed.message.contains("broke off"), "{failed:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_worker_with_nothing_but_an_attempt_that_never_ends_is_replaced() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let call = start(&pool, timed(event(HANGS), 100)).await;
    let pid = call.worker().pid;
    assert_eq!(kind(call).await, FailureKind::Timeout);
    until("the stuck worker ends", || !is_alive(pid)).await;
    until("its end is told", || {
        let ended = |event: &WorkerEvent| {
            matches!(event, WorkerEvent::Ended { pid: of, how: Ended::Stuck, .. } if *of == pid)
        };
        bench.events().iter().any(ended)
    })
    .await;
    assert_eq!(
        answer(start(&pool, event(OK)).await).await.unwrap(),
        r#""fine""#
    );
    assert_eq!(pool.spec().limit.used(), 0, "its place is free again");
    bench.close().await;
}

#[tokio::test]
async fn an_endless_loop_is_a_blocked_loop() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let call = start(&pool, timed(event(SPINS), 200)).await;
    let pid = call.worker().pid;
    let started = Instant::now();
    let failed = failure(call).await;
    assert_eq!(failed.kind, FailureKind::BlockedLoop, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    assert!(
        started.elapsed() < Duration::from_secs(3),
        "{:?}",
        started.elapsed()
    );
    until("the blocked worker ends", || !is_alive(pid)).await;
    assert_eq!(
        answer(start(&pool, event(OK)).await).await.unwrap(),
        r#""fine""#
    );
    bench.close().await;
}

#[tokio::test]
async fn who_blocks_the_loop_is_found_among_several() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let before = neighbour(&pool, 5000).await;
    let culprit = start(&pool, timed(event(SPINS), 200)).await;
    let after = neighbour(&pool, 5000).await;
    assert_eq!(culprit.worker().pid, before.worker().pid);
    let failed = failure(culprit).await;
    assert_eq!(failed.kind, FailureKind::BlockedLoop, "{failed:?}");
    for call in [before, after] {
        let failed = failure(call).await;
        assert_eq!(failed.kind, FailureKind::Bystander, "{failed:?}");
        assert_eq!(failed.kind.charge(), Charge::Free);
        assert!(
            failed.message.contains("may have taken effect"),
            "{failed:?}"
        );
    }
    let inspector = |line: &str| line.contains("Debugger") || line.contains("inspector");
    let lines = bench.lines();
    let said: Vec<&str> = lines.iter().map(|line| line.text.as_str()).collect();
    assert!(
        !said.iter().any(|line| inspector(line)),
        "our tools are not the user's: {said:?}"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_full_heap_is_out_of_memory() {
    let bench = Bench::new();
    let mut spec = bench.spec(CODE, &HANDLERS);
    spec.memory = 64 << 20;
    let pool = bench.workers.pool(spec);
    let failed = failure(start(&pool, event(EATS)).await).await;
    assert_eq!(failed.kind, FailureKind::OutOfMemory, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    assert!(failed.message.contains("64 MiB"), "{failed:?}");
    assert_eq!(
        answer(start(&pool, event(OK)).await).await.unwrap(),
        r#""fine""#
    );
    bench.close().await;
}

#[tokio::test]
async fn memory_outside_of_the_heap_counts_too() {
    let bench = Bench::new();
    let code = "exports.handler = async () => { const kept = [];
        for (;;) { kept.push(Buffer.alloc(8 << 20, 1)); await new Promise((f) => setTimeout(f, 10)); } };";
    let mut spec = bench.spec(code, &[]);
    spec.memory = 64 << 20;
    let pool = bench.workers.pool(spec);
    let failed = failure(start(&pool, event(0)).await).await;
    assert_eq!(failed.kind, FailureKind::OutOfMemory, "{failed:?}");
    assert!(
        failed.message.contains("256 MiB"),
        "64 and Node's own: {failed:?}"
    );
    bench.close().await;
}

#[tokio::test]
async fn what_grows_while_nothing_runs_is_out_of_memory_too() {
    let bench = Bench::with(|options| options.memory_polling = Duration::from_millis(20));
    let code = "const kept = [];
        exports.handler = async () => { setTimeout(() => setInterval(() => {
            if (kept.length < 60) kept.push(Buffer.alloc(8 << 20, 1)); }, 10), 1500); };";
    let mut spec = bench.spec(code, &[]);
    spec.memory = 64 << 20;
    let pool = bench.workers.pool(spec);
    let call = start(&pool, event(0)).await;
    let pid = call.worker().pid;
    answer(call).await.unwrap();
    until("its end is told", || {
        let ended = |event: &WorkerEvent| {
            matches!(event, WorkerEvent::Ended { pid: of, how: Ended::OutOfMemory, .. } if *of == pid)
        };
        bench.events().iter().any(ended)
    })
    .await;
    bench.close().await;
}

#[tokio::test]
async fn nobody_is_sent_to_a_worker_that_has_ended() {
    let bench = Bench::new();
    // What it started holds its output and its socket open, which delays the account of its end.
    let code = "const { spawn } = require('node:child_process');
        exports.dies = async () => {
            spawn('sleep', ['2'], { detached: true, stdio: [0, 1, 2, 3] });
            await new Promise((done) => setTimeout(done, 50));
            process.abort();
        };
        exports.pid = async () => process.pid;";
    let pool = bench.pool(code, &["dies", "pid"]);
    let place = slot(&pool).await;
    let mut culprit = start(&pool, event(0)).await;
    let pid = culprit.worker().pid;
    assert_eq!(place.info().pid, pid);
    tokio::select! {
        biased;
        ended = culprit.finished() => panic!("it was given out until its account: {ended:?}"),
        () = until("it is not given out", || pool.stats().serving == 0) => {}
    }
    let refused = failure(place.start(event(1))).await;
    assert_eq!(refused.kind, FailureKind::NotStarted, "{refused:?}");
    assert_eq!(refused.kind.charge(), Charge::Free);
    let elsewhere = answer(start(&pool, event(1)).await).await.unwrap();
    assert_ne!(elsewhere, pid.to_string());
    let failed = failure(culprit).await;
    assert_eq!(failed.kind, FailureKind::Crash, "{failed:?}");
    bench.close().await;
}

/// A process that ends: the culprit pays, the neighbour does not; they run again elsewhere.
async fn check_end(handler: u16, culprit: FailureKind, beside: FailureKind, says: &str) {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let neighbour = neighbour(&pool, 10_000).await;
    let call = start(&pool, event(handler)).await;
    let pid = call.worker().pid;
    assert_eq!(pid, neighbour.worker().pid);
    let failed = failure(call).await;
    assert_eq!(failed.kind, culprit, "{failed:?}");
    assert!(failed.message.contains(says), "{failed:?}");
    let innocent = failure(neighbour).await;
    assert_eq!(innocent.kind, beside, "{innocent:?}");
    assert_ne!(innocent.kind.charge(), Charge::Charged);
    assert!(
        innocent.message.contains("may have taken effect"),
        "{innocent:?}"
    );
    until("the process is gone", || !is_alive(pid)).await;
    assert_eq!(
        answer(start(&pool, event(OK)).await).await.unwrap(),
        r#""fine""#
    );
    assert_eq!(pool.spec().limit.used(), 0);
    assert_eq!(
        bench.host.ended.lock().unwrap().len(),
        3,
        "each attempt is reported ended once"
    );
    bench.close().await;
}

#[tokio::test]
async fn process_exit_names_its_caller() {
    let says = "process.exit(3)";
    check_end(EXITS, FailureKind::Crash, FailureKind::Bystander, says).await;
}

#[tokio::test]
async fn an_uncaught_exception_names_its_attempt() {
    let says = "nobody caught this";
    check_end(UNCAUGHT, FailureKind::Crash, FailureKind::Bystander, says).await;
}

#[tokio::test]
async fn what_an_attempt_left_behind_is_not_blamed_on_its_neighbours() {
    let bench = Bench::new();
    let code = "exports.leaves = async (event) => { setTimeout(() => { throw new Error('left behind'); }, 100); };
        exports.slow = () => new Promise((done) => setTimeout(done, 10000));";
    let pool = bench.pool(code, &["leaves", "slow"]);
    let beside = start(&pool, event(1)).await;
    let call = start(&pool, event(0)).await;
    assert_eq!(call.worker().pid, beside.worker().pid);
    assert_eq!(answer(call).await.unwrap(), "", "it answered before");
    let innocent = failure(beside).await;
    assert_eq!(innocent.kind, FailureKind::Bystander, "{innocent:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_crash_without_a_word_makes_suspects() {
    let suspect = FailureKind::Suspect;
    check_end(ABORTS, suspect, suspect, "which of 2 attempts").await;
}

#[tokio::test]
async fn a_suspect_that_runs_alone_is_found_out() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let beside = neighbour(&pool, 3000).await;
    let place = within(pool.reserve(Reserve::Alone)).await.unwrap();
    assert_ne!(place.info().pid, beside.worker().pid, "alone means alone");
    assert!(
        pool.try_reserve()
            .is_some_and(|slot| slot.info().pid == beside.worker().pid)
    );
    let failed = failure(place.start(event(ABORTS))).await;
    assert_eq!(failed.kind, FailureKind::Crash, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::Charged);
    assert!(failed.message.contains("signal 6"), "{failed:?}");
    drop(beside);
    bench.close().await;
}

/// Code that does not load: no attempt is charged, and it is not tried again and again.
async fn check_load(code: &str, says: &[&str]) {
    let bench = Bench::new();
    let pool = bench.pool(code, &[]);
    for _ in 0..2 {
        let refused = within(pool.reserve(Reserve::Shared)).await.unwrap_err();
        let ReserveError::Load(failed) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(failed.kind.charge(), Charge::HeldForVersion);
        for word in says {
            assert!(failed.message.contains(word), "`{word}` in {failed:?}");
        }
    }
    assert!(matches!(
        within(pool.load()).await,
        Err(ReserveError::Load(_))
    ));
    let loads = bench.events();
    let loads = loads
        .iter()
        .filter(|e| matches!(e, WorkerEvent::LoadFailed { .. }));
    assert_eq!(loads.count(), 1, "it is loaded once");
    bench.close().await;
}

#[tokio::test]
async fn a_missing_dependency_is_a_load_failure() {
    check_load("require('no-such-package');", &["no-such-package"]).await;
}

#[tokio::test]
async fn a_syntax_error_is_a_load_failure_with_its_place() {
    let code = "exports.handler = async () => {\n  const = 1;\n};";
    check_load(code, &["index.js:2", "const = 1"]).await;
}

#[tokio::test]
async fn a_throw_at_import_is_a_load_failure() {
    check_load(
        "throw new Error('not today');",
        &["not today", "index.js:1"],
    )
    .await;
}

#[tokio::test]
async fn ending_the_process_at_import_is_a_load_failure() {
    check_load("process.exit(0);", &["process.exit"]).await;
    check_load("process.abort();", &["signal 6"]).await;
}

#[tokio::test]
async fn an_endless_import_is_a_load_failure() {
    let bench = Bench::with(|options| options.load_timeout = Duration::from_millis(300));
    let pool = bench.pool("for (;;);", &[]);
    let refused = within(pool.reserve(Reserve::Shared)).await.unwrap_err();
    assert!(matches!(refused, ReserveError::Load(_)), "{refused:?}");
    until("the worker is ended", || bench.pids_of(&pool).is_empty()).await;
    bench.close().await;
}

#[tokio::test]
async fn a_missing_export_fails_its_trigger_only() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let info = within(pool.load()).await.unwrap();
    assert_eq!(info.missing, [Some("missing".parse().unwrap())]);
    assert!(info.exports.iter().any(|name| name == "slow"));
    let failed = failure(start(&pool, event(MISSING)).await).await;
    assert_eq!(failed.kind, FailureKind::Load, "{failed:?}");
    assert_eq!(failed.kind.charge(), Charge::HeldForVersion);
    assert!(failed.message.contains("missing"), "{failed:?}");
    assert_eq!(
        answer(start(&pool, event(OK)).await).await.unwrap(),
        r#""fine""#
    );
    bench.close().await;
}

#[tokio::test]
async fn a_worker_that_cannot_start_charges_nobody() {
    let bench = Bench::new();
    let mut spec = bench.spec(CODE, &HANDLERS);
    spec.node = bench.folder.path().join("no-such-node");
    let pool = bench.workers.pool(spec);
    let refused = within(pool.reserve(Reserve::Shared)).await.unwrap_err();
    let ReserveError::NotStarted(failed) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(failed.kind.charge(), Charge::Free);
    assert!(failed.message.contains("no-such-node"), "{failed:?}");
    bench.close().await;
}

#[tokio::test]
async fn a_caller_that_goes_away_sends_the_abort_signal() {
    let bench = Bench::new();
    let code = "exports.handler = (event, context) => new Promise((done) => {
        context.signal.addEventListener('abort', () => { console.warn('heard it', context.signal.reason.name); done(); }); });";
    let pool = bench.pool(code, &[]);
    let call = start(&pool, event(0)).await;
    let pid = call.worker().pid;
    drop(call);
    until("the signal is heard", || {
        bench
            .lines()
            .iter()
            .any(|line| line.text == "heard it AbortError")
    })
    .await;
    until("its place is free", || pool.spec().limit.used() == 0).await;
    assert!(is_alive(pid), "the worker goes on");
    let line = bench.lines().remove(0);
    assert_eq!((line.stream, line.worker), (LogStream::Console, pid));
    assert_eq!(line.run, Some(bench.host.ended.lock().unwrap()[0].0));
    bench.close().await;
}
