//! Requests and responses, whole and streamed, with back-pressure both ways; logs; calls to the
//! host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use wakeful_core::{
    limits,
    run::{LogLevel, LogStream},
};
use wakeful_workers::{Body, BodyStream, FailureKind};

use crate::support::*;

/// What may be under way on one stream beside the two windows: socket buffers, Node's own.
const IN_BETWEEN: usize = 4 << 20;

#[tokio::test]
async fn a_request_arrives_as_it_was_sent() {
    let bench = Bench::new();
    let code = "exports.handler = async (req, res) => {
        const parts = []; for await (const part of req) parts.push(part);
        res.status(201).set('x-answer', 'yes').append('set-cookie', 'a=1').append('set-cookie', 'b=2');
        res.json({ method: req.method, url: req.url, id: req.params.id, host: req.headers.host, body: Buffer.concat(parts).toString() });
    };";
    let pool = bench.pool(code, &["handler"]);
    let body = Body::Full(Bytes::from("hällo"));
    let mut call = start(&pool, request(0, "PUT", "/a/b?c=%20d", body)).await;
    assert!(call.worker().cold, "the worker loaded the code for it");
    let response = within(call.response()).await.unwrap();
    assert_eq!(response.status, 201);
    assert_eq!(response.headers["x-answer"], "yes");
    let cookies: Vec<_> = response.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2"]);
    let json = within(response.body.collect(1000)).await.unwrap().unwrap();
    let seen: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let expected = serde_json::json!({
        "method": "PUT", "url": "/a/b?c=%20d", "id": "ü 7", "host": "x", "body": "hällo",
    });
    assert_eq!(seen, expected);
    within(call.finished()).await.unwrap();
    let again = start(&pool, request(0, "GET", "/", Body::empty())).await;
    assert!(!again.worker().cold, "the second one finds it warm");
    bench.close().await;
}

#[tokio::test]
async fn a_function_says_how_much_of_a_body_it_takes_whole() {
    let bench = Bench::new();
    let code = "exports.handler = async (req, res) => {
        const text = await req.text(); res.json({ size: text.length }); };";
    for (body_limit, fits) in [(900_000, false), (2_000_000, true)] {
        let mut spec = bench.spec(code, &["handler"]);
        spec.style = Some(wakeful_core::project::Style::Native);
        spec.body_limit = body_limit;
        let pool = bench.workers.pool(spec);
        let body = Body::Full(Bytes::from(vec![b'x'; 1_000_000]));
        let outcome = answer(start(&pool, request(0, "POST", "/", body)).await).await;
        match fits {
            true => assert_eq!(outcome.unwrap(), r#"{"size":1000000}"#),
            false => {
                let told = format!("{outcome:?}");
                assert!(told.contains("larger than 900000 bytes"), "{told}");
            }
        }
    }
    bench.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_attempts_are_in_flight_at_once() {
    let bench = Bench::new();
    let code = "exports.handler = async (event) => {
        await new Promise((f) => setTimeout(f, 20)); return event.data.n; };";
    let mut spec = bench.spec(code, &["handler"]);
    spec.style = Some(wakeful_core::project::Style::Native);
    let pool = bench.workers.pool(spec);
    let calls = (0..500).map(|n| {
        let pool = pool.clone();
        tokio::spawn(async move {
            let call = start(&pool, event_with(0, &format!(r#"{{"n":{n}}}"#))).await;
            assert_eq!(answer(call).await.unwrap(), n.to_string());
        })
    });
    for call in calls.collect::<Vec<_>>() {
        within(call).await.unwrap();
    }
    assert_eq!(pool.spec().limit.used(), 0);
    assert_eq!(bench.host.ended.lock().unwrap().len(), 500);
    bench.close().await;
}

fn counted(total: usize, taken: &Arc<AtomicUsize>) -> Body {
    let piece = Bytes::from(vec![b'x'; 64 * 1024]);
    let taken = Arc::clone(taken);
    let pieces = (0..total / piece.len()).map(move |_| {
        taken.fetch_add(piece.len(), Ordering::SeqCst);
        Ok(piece.clone())
    });
    Body::from_stream(futures::stream::iter(pieces))
}

/// Waits until a number has stopped growing, and returns it.
async fn settled(number: &AtomicUsize) -> usize {
    let mut last = (number.load(Ordering::SeqCst), 0);
    while last.1 < 20 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let now = number.load(Ordering::SeqCst);
        last = if now == last.0 && now > 0 {
            (now, last.1 + 1)
        } else {
            (now, 0)
        };
    }
    last.0
}

#[tokio::test]
async fn an_upload_that_is_not_read_waits() {
    let bench = Bench::new();
    let code = "const events = require('node:events'); const gate = new events.EventEmitter();
        exports.open = async () => { gate.emit('open'); };
        exports.handler = async (req, res) => {
            if (!req.url.startsWith('/now')) await events.once(gate, 'open');
            let n = 0; for await (const part of req) n += part.length; res.send(String(n)); };";
    let pool = bench.pool(code, &["handler", "open"]);
    let total = 100 << 20;
    let taken = Arc::new(AtomicUsize::new(0));
    let upload = start(&pool, request(0, "PUT", "/later", counted(total, &taken))).await;
    let held = settled(&taken).await;
    assert!(
        held <= limits::STREAM_WINDOW as usize + IN_BETWEEN,
        "{held} bytes were taken"
    );
    answer(start(&pool, event(1)).await).await.unwrap();
    assert_eq!(answer(upload).await.unwrap(), total.to_string());
    bench.close().await;
}

const FLOOD: &str = "exports.handler = async (req, res) => {
    const piece = Buffer.alloc(64 * 1024, 'y');
    let wake = () => {};
    res.on('drain', () => wake());
    res.on('close', () => { exports.stopped = true; wake(); });
    for (let i = 0; i < 1600 && !exports.stopped; i++) {
        exports.sent += piece.length;
        if (!res.write(piece)) await new Promise((go) => { wake = go; });
    }
    res.end();
};
exports.sent = 0; exports.stopped = false;
exports.progress = async () => ({ sent: exports.sent, stopped: exports.stopped });
";

async fn progress(pool: &wakeful_workers::Pool) -> (usize, bool) {
    let text = answer(start(pool, event(1)).await).await.unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    (
        json["sent"].as_u64().unwrap() as usize,
        json["stopped"].as_bool().unwrap(),
    )
}

#[tokio::test]
async fn a_download_that_is_not_read_does_not_pile_up() {
    let bench = Bench::new();
    let pool = bench.pool(FLOOD, &["handler", "progress"]);
    let mut call = start(&pool, request(0, "GET", "/", Body::empty())).await;
    let response = within(call.response()).await.unwrap();
    let mut last = (0, 0);
    while last.1 < 10 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let (sent, _) = progress(&pool).await;
        last = if sent == last.0 {
            (sent, last.1 + 1)
        } else {
            (sent, 0)
        };
    }
    assert!(
        last.0 <= limits::STREAM_WINDOW as usize + IN_BETWEEN,
        "{} bytes",
        last.0
    );
    let Body::Stream(mut body) = response.body else {
        panic!("100 MiB come as a stream")
    };
    let mut read = 0;
    while let Some(piece) = within(body.next()).await {
        read += piece.unwrap().len();
    }
    assert_eq!(read, 1600 * 64 * 1024);
    within(call.finished()).await.unwrap();
    bench.close().await;
}

#[tokio::test]
async fn a_reader_that_goes_away_stops_the_download() {
    let bench = Bench::new();
    let pool = bench.pool(FLOOD, &["handler", "progress"]);
    let mut call = start(&pool, request(0, "GET", "/", Body::empty())).await;
    let response = within(call.response()).await.unwrap();
    drop(response);
    until_answer(&pool, 1, |text| text.contains(r#""stopped":true"#)).await;
    until("its place is free", || pool.spec().limit.used() == 0).await;
    let (sent, _) = progress(&pool).await;
    assert!(sent < 50 << 20, "it stopped early: {sent}");
    drop(call);
    bench.close().await;
}

#[tokio::test]
async fn a_body_goes_in_and_out_as_it_comes() {
    let bench = Bench::new();
    let code = "exports.handler = (req, res) => { req.pipe(res); };";
    let pool = bench.pool(code, &["handler"]);
    let (mut sender, body) = Body::channel();
    let mut call = start(&pool, request(0, "POST", "/", body)).await;
    within(sender.send("one".into())).await.unwrap();
    let response = within(call.response()).await.unwrap();
    let Body::Stream(mut echo) = response.body else {
        panic!("it is a stream")
    };
    assert_eq!(read_text(&mut echo, 3).await, "one");
    within(sender.send("two".into())).await.unwrap();
    assert_eq!(read_text(&mut echo, 3).await, "two");
    sender.finish();
    assert!(within(echo.next()).await.is_none());
    within(call.finished()).await.unwrap();
    bench.close().await;
}

async fn read_text(body: &mut BodyStream, length: usize) -> String {
    let mut text = Vec::new();
    while text.len() < length {
        text.extend_from_slice(&within(body.next()).await.unwrap().unwrap());
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_an_error_for_its_reader() {
    let bench = Bench::new();
    let code = "exports.handler = async (req, res) => {
        let n = 0;
        try { for await (const part of req) n += part.length; } catch (error) { exports.seen = `${n} then ${error.name}`; return; }
        exports.seen = 'whole'; };
        exports.what = async () => exports.seen ?? null;";
    let pool = bench.pool(code, &["handler", "what"]);
    let (mut sender, body) = Body::channel();
    let call = start(&pool, request(0, "POST", "/", body)).await;
    within(sender.send("half".into())).await.unwrap();
    drop(sender);
    let seen = until_answer(&pool, 1, |seen| seen != "null").await;
    assert!(seen.contains("then AbortError"), "{seen}");
    drop(call);
    bench.close().await;
}

#[tokio::test]
async fn an_answer_that_breaks_off_says_so() {
    let bench = Bench::new();
    let code = "exports.handler = async (req, res) => { res.write('begun'); await new Promise((f) => setTimeout(f, 20)); throw new Error('halfway'); };";
    let pool = bench.pool(code, &["handler"]);
    let mut call = start(&pool, request(0, "GET", "/", Body::empty())).await;
    let response = within(call.response()).await.unwrap();
    let broken = within(response.body.collect(1000)).await.unwrap_err();
    assert_eq!(broken.kind, FailureKind::UserError);
    assert!(broken.message.contains("halfway"), "{broken:?}");
    let outcome = within(call.finished()).await;
    assert_eq!(outcome.unwrap_err(), broken);
    bench.close().await;
}

#[tokio::test]
async fn a_timeout_breaks_a_streamed_answer_off() {
    let bench = Bench::new();
    let code = "exports.handler = (req, res) => { res.write('begun'); setInterval(() => {}, 1000); return new Promise(() => {}); };";
    let pool = bench.pool(code, &["handler"]);
    let slow = timed(request(0, "GET", "/", Body::empty()), 200);
    let mut call = start(&pool, slow).await;
    let response = within(call.response()).await.unwrap();
    let broken = within(response.body.collect(1000)).await.unwrap_err();
    assert_eq!(broken.kind, FailureKind::Timeout, "{broken:?}");
    assert_eq!(
        within(call.finished()).await.unwrap_err().kind,
        FailureKind::Timeout
    );
    bench.close().await;
}

#[tokio::test]
async fn lines_belong_to_their_attempt_or_to_the_worker() {
    let bench = Bench::new();
    let code = "exports.handler = async () => {
        console.log('said'); await new Promise((f) => setTimeout(f, 5)); console.error('shouted');
        process.stdout.write('raw out\\n'); process.stderr.write('raw err\\n'); console.log('x'.repeat(100000)); };";
    let pool = bench.pool(code, &["handler"]);
    let call = event(0);
    let run = call.run;
    answer(start(&pool, call).await).await.unwrap();
    let find = |text: &str| bench.lines().into_iter().find(|line| line.text == text);
    until("all lines came", || {
        ["said", "shouted", "raw out", "raw err"]
            .iter()
            .all(|text| find(text).is_some())
    })
    .await;
    let check = |text: &str, of: Option<_>, level: LogLevel, stream: LogStream| {
        let line = find(text).unwrap();
        assert_eq!(
            (line.run, line.level, line.stream),
            (of, level, stream),
            "{text}"
        );
        assert_eq!(line.attempt, of.map(|_| 1));
    };
    check("said", Some(run), LogLevel::Info, LogStream::Console);
    check("shouted", Some(run), LogLevel::Error, LogStream::Console);
    check("raw out", None, LogLevel::Info, LogStream::Stdout);
    check("raw err", None, LogLevel::Error, LogStream::Stderr);
    let longest = bench
        .lines()
        .iter()
        .map(|line| line.text.len())
        .max()
        .unwrap();
    assert!(
        (60_000..=limits::MAX_LOG_LINE).contains(&longest),
        "{longest}"
    );
    bench.close().await;
}

#[tokio::test]
async fn the_module_reaches_the_host_and_its_bodies_flow() {
    let bench = Bench::new();
    let code = "const { db, bucket } = require('wakeful');
        exports.query = async () => db('shop').query('SELECT 41');
        exports.get = async () => { let n = 0; for await (const part of (await bucket('photos').get('k')).body) n += part.length; return n; };
        exports.put = async () => (await bucket('photos').put('k', Buffer.alloc(3000000))).size;
        exports.denied = async () => { try { await bucket('photos').head('k'); } catch (error) { return error.code; } };";
    let pool = bench.pool(code, &["query", "get", "put", "denied"]);
    let ask = async |handler| answer(start(&pool, event(handler)).await).await.unwrap();
    let rows = ask(0).await;
    assert!(rows.contains("41"), "{rows}");
    assert_eq!(ask(1).await, STREAMED.to_string());
    assert_eq!(ask(2).await, "3000000");
    assert_eq!(ask(3).await, r#""denied""#);
    let calls = bench.host.calls.lock().unwrap().clone();
    let ended = bench.host.ended.lock().unwrap().clone();
    let ops: Vec<&str> = calls.iter().map(|(op, _)| op.as_str()).collect();
    assert_eq!(ops, ["db.query", "bucket.get", "bucket.put", "bucket.head"]);
    let callers: Vec<_> = calls.iter().map(|(_, run)| run.unwrap()).collect();
    assert_eq!(callers, ended, "each call says whose it is");
    bench.close().await;
}
