//! Workers that break the protocol, and programs that are no Node: user code has the socket in
//! its hands, so none of it may harm the server.

use std::{os::unix::fs::PermissionsExt, time::Duration};

use wakeful_core::{limits, project::Style};
use wakeful_workers::{
    Body, Ended, Failure, FailureKind, LoadedInfo, Pool, Reserve, ReserveError, WorkerEvent,
};

use crate::support::*;

/// A bootstrap that speaks just enough to be handed an attempt, then does something else.
fn bench_with(then: &str) -> (Bench, Pool, tempfile::TempDir) {
    let code = format!(
        "const fs = require('node:fs');
        const frame = (kind, stream, ...parts) => {{
            const payload = Buffer.concat(parts); const head = Buffer.alloc(9);
            head.writeUInt32LE(payload.length + 5, 0); head[4] = kind; head.writeUInt32LE(stream, 5);
            return Buffer.concat([head, payload]); }};
        const socket = new (require('node:net').Socket)({{ fd: 3, readable: true, writable: true }});
        const u32 = (n) => {{ const b = Buffer.alloc(4); b.writeUInt32LE(n); return b; }};
        const json = (value) => Buffer.from(JSON.stringify(value));
        socket.on('data', (bytes) => {{
            if (bytes[4] === 1) socket.write(frame(0x82, 0, json({{ ok: true, style: 'native', exports: [], missing: [] }})));
            if (bytes[4] === 2) invoked(bytes.readUInt32LE(5));
        }});
        socket.write(frame(0x81, 0, json({{ pid: process.pid }})));
        function invoked(stream) {{ {then} }}"
    );
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = folder.path().join("bootstrap.js");
    std::fs::write(&bootstrap, code).unwrap();
    let bench = Bench::with(|options| {
        options.bootstrap = bootstrap;
        options.compile_cache = None;
        options.blank_workers = 0;
    });
    let mut spec = bench.spec("", &["handler"]);
    spec.style = Some(Style::Native);
    let pool = bench.workers.pool(spec);
    (bench, pool, folder)
}

async fn check_violation(then: &str, says: &str) {
    let (bench, pool, _folder) = bench_with(then);
    let call = start(&pool, request(0, "GET", "/", Body::empty())).await;
    let pid = call.worker().pid;
    let mut call = call;
    // The body, if it sends one, is not read.
    let answer = within(call.response()).await;
    let failed: Failure = within(call.finished()).await.unwrap_err();
    assert_eq!(failed.kind, FailureKind::Crash, "{failed:?}");
    assert!(
        failed.message.contains("broke the protocol") && failed.message.contains(says),
        "{failed:?}"
    );
    drop(answer);
    let ended = |event: &WorkerEvent| matches!(event, WorkerEvent::Ended { pid: of, how: Ended::Protocol, .. } if *of == pid);
    until("the worker is ended", || bench.events().iter().any(ended)).await;
    assert!(!is_alive(pid));
    bench.close().await;
}

#[tokio::test]
async fn whoever_breaks_the_protocol_is_ended() {
    check_violation(
        "socket.write('GET / HTTP/1.1');",
        "longer than a frame may be",
    )
    .await;
    check_violation("socket.write(frame(0x42, 0));", "kind 0x42").await;
    check_violation(
        "socket.write(frame(0x83, stream, Buffer.from([1])));",
        "cut short",
    )
    .await;
    let own = "socket.write(frame(0x86, 5, Buffer.from([1]), u32(0), Buffer.from([0]), u32(0)));";
    check_violation(own, "not its own").await;
}

#[tokio::test]
async fn a_body_beyond_its_credit_is_a_violation() {
    let flood = "socket.write(frame(0x83, stream, Buffer.from([0, 200, 0, 0, 0, 0, 0])));
        for (let i = 0; i < 40; i++) socket.write(frame(3, stream, Buffer.alloc(64 * 1024)));";
    check_violation(flood, "credit").await;
}

#[tokio::test]
async fn frames_about_nothing_are_ignored() {
    let (bench, pool, _folder) = bench_with(
        "for (const kind of [3, 4]) socket.write(frame(kind, stream + 65536));
        socket.write(frame(5, 77, u32(10))); socket.write(frame(0x88, 0, u32(12345)));
        socket.write(frame(0x84, 0x80000001, json({ kind: 'user_error' })));
        socket.write(frame(0x83, stream + 65536, Buffer.from([1, 200, 0, 0, 0, 0, 0])));
        socket.write(frame(0x84, stream, Buffer.from('no json')));",
    );
    let failed = failure(start(&pool, event(0)).await).await;
    assert_eq!(
        (failed.kind, failed.message.as_str()),
        (FailureKind::UserError, "no json")
    );
    let again = failure(start(&pool, event(0)).await).await;
    assert_eq!(again.kind, FailureKind::UserError, "the worker goes on");
    assert_eq!(pool.stats().serving, 1);
    bench.close().await;
}

#[tokio::test]
async fn headers_that_http_forbids_are_the_authors_error() {
    let (bench, pool, _folder) = bench_with(
        "const block = Buffer.from('x y\\0z\\0'); const head = Buffer.from([1, 200, 0, block.length, 0, 0, 0]);
        socket.write(frame(0x83, stream, head, block));",
    );
    let failed = failure(start(&pool, request(0, "GET", "/", Body::empty())).await).await;
    assert_eq!(failed.kind, FailureKind::UserError);
    assert!(failed.message.contains("`x y`"), "{failed:?}");
    bench.close().await;
}

#[tokio::test]
async fn credit_without_reading_does_not_make_us_hoard() {
    let (bench, pool, _folder) = bench_with(
        "socket.pause(); setInterval(() => socket.write(frame(5, stream, u32(4000000000))), 5);",
    );
    let taken = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counter = std::sync::Arc::clone(&taken);
    let piece = bytes::Bytes::from(vec![0; 64 * 1024]);
    let endless = futures::stream::repeat_with(move || {
        counter.fetch_add(piece.len(), std::sync::atomic::Ordering::SeqCst);
        Ok(piece.clone())
    });
    let call = start(&pool, request(0, "PUT", "/", Body::from_stream(endless))).await;
    let read = || taken.load(std::sync::atomic::Ordering::SeqCst);
    until("it sends more than the first window", || {
        read() > limits::STREAM_WINDOW as usize
    })
    .await;
    let mut last = 0;
    while read() != last {
        last = read();
        assert!(
            last < 16 << 20,
            "{last} bytes wait for a worker that does not read"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    drop(call);
    bench.close().await;
}

#[tokio::test]
async fn a_start_that_fails_at_first_is_tried_again() {
    let bench = Bench::with(|options| options.blank_workers = 0);
    let fickle = bench.folder.path().join("fickle-node");
    let script = format!(
        "#!/bin/sh\nif mkdir '{0}/once' 2>/dev/null; then echo 'not yet' >&2; exit 9; fi\nexec '{1}' \"$@\"\n",
        bench.folder.path().display(),
        node().display()
    );
    std::fs::write(&fickle, script).unwrap();
    std::fs::set_permissions(&fickle, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = bench.spec("exports.handler = async () => 1;", &["handler"]);
    spec.node = fickle;
    let pool = bench.workers.pool(spec);
    assert_eq!(answer(start(&pool, event(0)).await).await.unwrap(), "1");
    let told = bench.events().into_iter().find_map(|event| match event {
        WorkerEvent::NotStarted { failure } => Some(failure.message),
        _ => None,
    });
    let told = told.expect("the failed start is told");
    assert!(
        told.contains("not yet") && told.contains("code 9"),
        "{told}"
    );
    bench.close().await;
}

#[tokio::test]
async fn a_program_that_never_gets_ready_is_given_up() {
    let bench = Bench::with(|options| {
        options.blank_workers = 0;
        options.start_timeout = Duration::from_millis(100);
    });
    let mute = bench.folder.path().join("mute-node");
    std::fs::write(&mute, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&mute, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut spec = bench.spec("", &["handler"]);
    spec.node = mute;
    let pool = bench.workers.pool(spec);
    let refused = within(pool.reserve(Reserve::Shared)).await.unwrap_err();
    assert!(
        matches!(&refused, ReserveError::NotStarted(f) if f.message.contains("not ready")),
        "{refused:?}"
    );
    let loaded: Result<LoadedInfo, ReserveError> = within(pool.load()).await;
    assert!(
        matches!(loaded, Err(ReserveError::NotStarted(_))),
        "{loaded:?}"
    );
    until("none of them is left", || {
        bench.workers.snapshot().is_empty()
    })
    .await;
    bench.close().await;
}

#[tokio::test]
async fn a_retired_worker_that_is_deaf_to_everything_is_killed() {
    let (bench, _, _folder) = bench_with(
        "process.on('SIGTERM', () => {}); setInterval(() => {}, 1000);
        socket.write(frame(0x83, stream, Buffer.from([1, 0, 0, 0, 0, 0, 0])));",
    );
    let mut spec = bench.spec("", &["handler"]);
    spec.style = Some(Style::Native);
    spec.timeout = Duration::from_millis(100);
    let pool = bench.workers.pool(spec);
    let call = start(&pool, event(0)).await;
    let pid = call.worker().pid;
    answer(call).await.unwrap();
    pool.retire();
    until("it is gone", || !is_alive(pid)).await;
    bench.close().await;
}

/// Whatever is killed and whenever: each attempt is answered, no place is lost, the pool serves
/// again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_at_random_lose_no_place() {
    let bench = Bench::new();
    let code =
        "exports.handler = async () => { await new Promise((f) => setTimeout(f, 3)); return 1; };";
    let mut spec = bench.spec(code, &["handler"]);
    spec.style = Some(Style::Native);
    spec.per_worker = Some(4);
    spec.limit = wakeful_workers::Limit::new(12);
    let pool = bench.workers.pool(spec);
    let stop = tokio_util::sync::CancellationToken::new();
    let callers: Vec<_> = (0..24)
        .map(|_| {
            let (pool, stop) = (pool.clone(), stop.clone());
            tokio::spawn(async move {
                let mut good = 0;
                while !stop.is_cancelled() {
                    let Ok(place) = within(pool.reserve(Reserve::Shared)).await else {
                        continue;
                    };
                    match answer(place.start(event(0))).await {
                        Ok(_) => good += 1,
                        Err(failed) => {
                            assert_ne!(failed.kind, FailureKind::UserError, "{failed:?}")
                        }
                    }
                }
                good
            })
        })
        .collect();
    for _ in 0..8 {
        until("someone serves", || pool.stats().in_flight > 0).await;
        for pid in bench.pids_of(&pool) {
            let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
            // It may have ended since.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        tokio::time::sleep(Duration::from_millis(60)).await;
    }
    stop.cancel();
    let mut good = 0;
    for caller in callers {
        good += within(caller).await.unwrap();
    }
    assert!(good > 0);
    until("no place is lost", || {
        let stats = pool.stats();
        pool.spec().limit.used() + stats.in_flight as u32 + stats.waiting as u32 == 0
    })
    .await;
    assert_eq!(answer(start(&pool, event(0)).await).await.unwrap(), "1");
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_the_middle_of_starts_leaves_nothing() {
    for pause_ms in [0, 5, 30, 80] {
        let bench = Bench::new();
        let waiting: Vec<_> = (0..4)
            .map(|_| {
                let pool = bench.pool("exports.handler = async () => 1;", &["handler"]);
                tokio::spawn(async move { pool.reserve(Reserve::Shared).await.map(|_| ()) })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(pause_ms)).await;
        within(bench.workers.shutdown(Duration::from_secs(5))).await;
        assert!(bench.workers.snapshot().is_empty());
        for caller in waiting {
            let told = within(caller).await.unwrap();
            assert!(
                matches!(told, Ok(()) | Err(ReserveError::Retired)),
                "{told:?}"
            );
        }
    }
}
