//! Attempts that serve several events, and what handlers say about trying again.

use bytes::Bytes;
use wakeful_core::{delivery::RetryAdvice, id::RunId, limits};
use wakeful_workers::{Batched, FailureKind, Pool};

use crate::support::*;

const HANDLERS: [&str; 6] = ["keys", "some", "throws", "never", "later", "publishes"];
const KEYS: u16 = 0;
const SOME: u16 = 1;
const THROWS: u16 = 2;
const NEVER: u16 = 3;
const LATER: u16 = 4;
const PUBLISHES: u16 = 5;

const CODE: &str = r"
const { NonRetriableError, RetryAfterError, publish } = require('wakeful');
exports.keys = (events, context) => events.map((event) => [event.id, event.data, context.keyOf(event), context.attemptOf(event)]);
exports.some = (events, context) => context.each((event) => { if (event.data > 1) throw new Error('no'); });
exports.throws = async () => { throw new TypeError('all of them'); };
exports.never = async () => { throw new NonRetriableError('of no use'); };
exports.later = async () => { throw new RetryAfterError('busy', '5m'); };
exports.publishes = async () => { await publish('a', 'x'.repeat(3_000_000)); return 'done'; };
";

fn pool_on(bench: &Bench) -> Pool {
    bench.pool(CODE, &HANDLERS)
}

fn batched(run: i64, attempt: u32, data: &str) -> Batched {
    Batched {
        run: RunId::from_raw(run),
        attempt,
        json: cloud_event(&format!("e{run}"), data),
    }
}

#[tokio::test]
async fn a_batch_reaches_its_handler_with_a_key_for_each_event() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let events = vec![batched(5, 1, "1"), batched(6, 4, r#""\u00fc""#)];
    let call = start(&pool, batch(KEYS, events)).await;
    let expected = format!(
        r#"[["e5",1,"{}",1],["e6","ü","{}",4]]"#,
        RunId::from_raw(5),
        RunId::from_raw(6)
    );
    assert_eq!(answer(call).await.unwrap(), expected);
    bench.close().await;
}

#[tokio::test]
async fn ten_thousand_events_fit_into_one_attempt() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let most = i64::from(limits::MOST_BATCH);
    let events = (1..=most)
        .map(|run| batched(run, 1, if run == most { "2" } else { "1" }))
        .collect();
    let call = start(&pool, batch(SOME, events)).await;
    let result: serde_json::Value = serde_json::from_str(&answer(call).await.unwrap()).unwrap();
    let failures = result["batchItemFailures"].as_array().unwrap();
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0]["itemIdentifier"], format!("e{most}"));
    assert_eq!(failures[0]["error"]["message"], "no");
    bench.close().await;
}

#[tokio::test]
async fn a_batch_that_throws_and_one_that_is_too_large_fail_as_a_whole() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let failed = failure(start(&pool, batch(THROWS, vec![batched(1, 1, "1")])).await).await;
    assert_eq!(
        (failed.kind, &*failed.name, failed.advice),
        (FailureKind::UserError, "TypeError", None)
    );
    let half = Batched {
        json: Bytes::from(vec![b' '; limits::MAX_FRAME / 2]),
        ..batched(1, 1, "1")
    };
    let failed = failure(start(&pool, batch(KEYS, vec![half.clone(), half])).await).await;
    assert_eq!(failed.kind, FailureKind::UserError);
    assert!(
        failed
            .message
            .contains("the events of the batch are together larger than"),
        "{failed:?}"
    );
    bench.close().await;
}

#[tokio::test]
async fn what_a_handler_says_about_trying_again_arrives() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let failed = failure(start(&pool, event(NEVER)).await).await;
    assert_eq!(failed.kind, FailureKind::UserError);
    assert_eq!(failed.advice, Some(RetryAdvice::Never));
    let failed = failure(start(&pool, event(LATER)).await).await;
    let Some(RetryAdvice::AfterMs(wait)) = failed.advice else {
        panic!("{failed:?}");
    };
    assert!((240_000..=300_000).contains(&wait), "{wait}");
    bench.close().await;
}

#[tokio::test]
async fn what_is_published_reaches_the_host_as_one_body() {
    let bench = Bench::new();
    let pool = pool_on(&bench);
    let call = start(&pool, event(PUBLISHES)).await;
    assert_eq!(answer(call).await.unwrap(), r#""done""#);
    let published = bench.host.published.lock().unwrap().clone();
    let params: serde_json::Value = serde_json::from_slice(&published[0].0).unwrap();
    assert_eq!(params["events"][0]["topic"], "a");
    assert_eq!(params["events"][0]["length"], 3_000_002);
    assert_eq!(published[0].1.len(), 3_000_002);
    bench.close().await;
}
