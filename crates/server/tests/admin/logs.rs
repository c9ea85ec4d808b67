//! Log lines, at once and as they come.

use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use wakeful_core::run::LogLevel;

use crate::rig::Rig;

/// A client that follows.
struct Following {
    body: Body,
    rest: String,
}

impl Following {
    async fn begin(rig: &Rig, query: &str) -> Self {
        let path = format!("/v1/logs?follow=true{query}");
        let request = rig.request(Method::GET, &path).body(Body::empty()).unwrap();
        let response = rig.send(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "application/x-ndjson");
        Self {
            body: response.into_body(),
            rest: String::new(),
        }
    }

    /// The texts of the next lines, signs of life left out; fewer when the stream ends.
    async fn next(&mut self, count: usize) -> Vec<String> {
        let mut texts = Vec::new();
        while texts.len() < count {
            if let Some((line, rest)) = self.rest.split_once('\n') {
                if !line.is_empty() {
                    let line: Value = serde_json::from_str(line).unwrap();
                    texts.push(line["text"].as_str().unwrap().to_owned());
                }
                self.rest = rest.to_owned();
                continue;
            }
            let frame = tokio::time::timeout(Duration::from_secs(20), self.body.frame()).await;
            let Some(frame) = frame.expect("a line or a sign of life within 20 s") else {
                break;
            };
            let bytes = frame.unwrap().into_data().unwrap();
            self.rest.push_str(std::str::from_utf8(&bytes).unwrap());
        }
        texts
    }
}

#[tokio::test]
async fn lines_by_what_is_asked_for() {
    let rig = Rig::new();
    let run = rig.record("hello", wakeful_core::run::RunState::Succeeded, None);
    rig.log("hello", Some(run), LogLevel::Info, "one");
    rig.log("hello", None, LogLevel::Error, "two");
    rig.log("other", None, LogLevel::Debug, "three");
    for (query, expected) in [
        ("", &["one", "two", "three"][..]),
        ("?limit=2", &["two", "three"]),
        ("?function=hello", &["one", "two"]),
        ("?level=info", &["one", "two"]),
        ("?contains=wo", &["two"]),
        (&format!("?run={run}"), &["one"]),
        ("?since=2100-01-01T00:00:00Z", &[]),
    ] {
        let body = rig.get(&format!("/v1/logs{query}")).await;
        let lines = body["lines"].as_array().unwrap().iter();
        let texts: Vec<_> = lines.map(|line| line["text"].as_str().unwrap()).collect();
        assert_eq!(texts, expected, "{query}");
    }
}

/// Lines are written by another task all the while; each arrives once and in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_misses_nothing_and_sees_nothing_twice() {
    const LINES: usize = 3000;
    let rig = std::sync::Arc::new(Rig::new());
    let writer = {
        let rig = rig.clone();
        tokio::spawn(async move {
            for n in 0..LINES {
                rig.log("hello", None, LogLevel::Info, &format!("line {n}"));
                if n % 100 == 0 {
                    tokio::time::sleep(Duration::from_millis(3)).await;
                }
            }
        })
    };
    tokio::time::sleep(Duration::from_millis(10)).await;
    let mut following = Following::begin(&rig, "&limit=0").await;
    let first = following.next(1).await.remove(0);
    let first: usize = first.strip_prefix("line ").unwrap().parse().unwrap();
    let rest = following.next(LINES - first - 1).await;
    let expected: Vec<_> = (first + 1..LINES).map(|n| format!("line {n}")).collect();
    assert_eq!(rest, expected);
    writer.await.unwrap();
}

#[tokio::test]
async fn a_follower_begins_with_what_is_there_and_ends_with_the_server() {
    let rig = Rig::new();
    for n in 0..5 {
        rig.log("hello", None, LogLevel::Info, &format!("old {n}"));
    }
    let mut following = Following::begin(&rig, "&limit=2&contains=o").await;
    assert_eq!(following.next(2).await, ["old 3", "old 4"]);
    rig.log("hello", None, LogLevel::Info, "nix");
    rig.log("hello", None, LogLevel::Info, "more");
    assert_eq!(following.next(1).await, ["more"]);
    rig.stop.cancel();
    assert_eq!(following.next(1).await, Vec::<String>::new());
}

#[tokio::test]
async fn followers_are_bounded() {
    let rig = Rig::new();
    let mut following = Vec::new();
    for _ in 0..wakeful_core::limits::LOG_FOLLOWERS {
        following.push(Following::begin(&rig, "").await);
    }
    let refused = rig.refusal(Method::GET, "/v1/logs?follow=true", "").await;
    assert_eq!(refused, (503, "overloaded".to_owned()));
    following.pop();
    Following::begin(&rig, "").await;
}
