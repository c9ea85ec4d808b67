//! The routes.

use axum::body::Body;
use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use wakeful_core::run::{BatchPlace, LogLevel, RunState};
use wakeful_server::admin;

use crate::rig::{Rig, whole};

/// Every route of the document: method, path, whether it needs a key.
fn documented() -> Vec<(Method, String, bool)> {
    let document = serde_json::to_value(admin::document()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase().parse().unwrap();
            // `security: [{}]` says that none is needed.
            let open = operation["security"][0]
                .as_object()
                .is_some_and(|list| list.is_empty());
            routes.push((method, path.clone(), !open));
        }
    }
    routes
}

/// A path with something plausible in place of its parameters.
fn filled(path: &str) -> String {
    let id = match path {
        path if path.starts_with("/v1/events") => "evt_0000000000000",
        _ => "run_0000000000000",
    };
    path.replace("{id}", id)
        .replace("{topic}", "orders.paid")
        .replace("{name}", "hello")
        .replace("{bucket}", "photos")
        .replace("{key}", "a/b.jpg")
}

#[test]
fn the_routes_are_these() {
    let lines = documented().into_iter().map(|(method, path, key)| {
        let key = if key { "" } else { "  (open)" };
        format!("{method} {path}{key}")
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"));
}

/// What OpenAPI 3.1 demands beyond what the types can promise: a description of every response,
/// and an id of its own for every operation. A summary is what it is listed by.
#[test]
fn every_operation_is_described() {
    let mut ids = std::collections::BTreeSet::new();
    let document = serde_json::to_value(admin::document()).unwrap();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path}");
            assert!(
                ids.insert(operation["operationId"].to_string()),
                "{method} {path}"
            );
            for (status, response) in operation["responses"].as_object().unwrap() {
                let text = response["description"].as_str().unwrap_or_default();
                assert!(!text.is_empty(), "{method} {path} {status}");
            }
        }
    }
}

#[test]
fn every_reference_of_the_document_leads_somewhere() {
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                found.extend(map.get("$ref").and_then(Value::as_str).map(str::to_owned));
                map.values().for_each(|value| references(value, found));
            }
            Value::Array(list) => list.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }
    let document = serde_json::to_value(admin::document()).unwrap();
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(found.len() > 40, "{}", found.len());
    for reference in found {
        let pointer = reference.trim_start_matches('#');
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

/// Every route exists as it is documented, and none of them answers without a key.
#[tokio::test]
async fn every_route_exists_and_wants_a_key() {
    let rig = Rig::new();
    for (method, path, needs_key) in documented() {
        let path = filled(&path);
        let (status, _) = rig.ask(method.clone(), &path, Body::empty()).await;
        assert!(status != StatusCode::METHOD_NOT_ALLOWED, "{method} {path}");
        if status == StatusCode::NOT_FOUND && method != Method::HEAD {
            let (_, code) = rig.refusal(method.clone(), &path, "").await;
            assert_eq!(code, "not_found", "{method} {path}");
        }
        for key in [
            None,
            Some("Bearer wrong"),
            Some("Bearer "),
            Some("Basic d3JvbmcK"),
        ] {
            let request = Request::builder().method(method.clone()).uri(&path);
            let mut request = request.header(header::HOST, "localhost:8081");
            if let Some(key) = key {
                request = request.header(header::AUTHORIZATION, key);
            }
            let (status, body) = whole(rig.send(request.body(Body::empty()).unwrap()).await).await;
            assert_eq!(
                status == StatusCode::UNAUTHORIZED,
                needs_key,
                "{method} {path} {key:?}"
            );
            if needs_key && method != Method::HEAD {
                let body: Value = serde_json::from_slice(&body).unwrap();
                assert_eq!(body["error"]["code"], "unauthorized");
                let known = key.is_some_and(|key| key.starts_with("Bearer "));
                let said = body["error"]["message"].as_str().unwrap();
                assert_eq!(said.contains("is not known"), known, "{said}");
            }
        }
    }
}

#[tokio::test]
async fn a_web_page_cannot_rebind_its_name_to_us() {
    let rig = Rig::new();
    for (host, expected) in [
        (Some("127.0.0.1:8081"), 200),
        (Some("[::1]:8081"), 200),
        (Some("localhost"), 200),
        (Some("wakeful.example.com"), 200),
        (Some("evil.example.com:8081"), 421),
        (Some("not a host"), 400),
        (None, 400),
    ] {
        for path in ["/v1/functions", "/healthz"] {
            let request = Request::builder().uri(path);
            let mut request = request.header(header::AUTHORIZATION, format!("Bearer {}", rig.key));
            if let Some(host) = host {
                request = request.header(header::HOST, host);
            }
            let response = rig.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status(), expected, "{host:?} {path}");
            assert!(
                !response
                    .headers()
                    .contains_key("access-control-allow-origin")
            );
        }
    }
}

#[tokio::test]
async fn what_is_not_there_is_refused_as_json() {
    let rig = Rig::new();
    for (method, path, body, expected) in [
        (Method::GET, "/v1/nothing", "", (404, "no_such_route")),
        (Method::GET, "/", "", (404, "no_such_route")),
        (
            Method::DELETE,
            "/v1/functions",
            "",
            (405, "method_not_allowed"),
        ),
        (Method::GET, "/v1/functions/nobody", "", (404, "not_found")),
        (Method::GET, "/v1/functions/9", "", (400, "invalid_request")),
        (Method::GET, "/v1/runs/run_0", "", (400, "invalid_request")),
        (
            Method::GET,
            "/v1/runs/run_0000000000000",
            "",
            (404, "not_found"),
        ),
        (
            Method::GET,
            "/v1/runs?limit=0",
            "",
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/runs?limit=1001",
            "",
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/runs?state=asleep",
            "",
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/runs?colour=red",
            "",
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/runs?since=yesterday",
            "",
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/events/evt_0000000000000",
            "",
            (404, "not_found"),
        ),
        (
            Method::GET,
            "/v1/dead/run_0000000000000",
            "",
            (404, "not_found"),
        ),
        (
            Method::POST,
            "/v1/dead/redrive",
            "{",
            (400, "invalid_request"),
        ),
        (
            Method::POST,
            "/v1/dead/redrive",
            "{}",
            (400, "invalid_request"),
        ),
        (
            Method::POST,
            "/v1/dead/redrive",
            r#"{"all":false}"#,
            (400, "invalid_request"),
        ),
        (
            Method::POST,
            "/v1/dead/discard",
            r#"{"all":true,"runs":[]}"#,
            (400, "invalid_request"),
        ),
        (
            Method::GET,
            "/v1/buckets/nowhere/objects",
            "",
            (404, "not_found"),
        ),
        (
            Method::GET,
            "/v1/buckets/photos/objects/none",
            "",
            (404, "not_found"),
        ),
        (
            Method::DELETE,
            "/v1/buckets/photos/objects/none",
            "",
            (404, "not_found"),
        ),
        (Method::DELETE, "/v1/secrets/NONE", "", (404, "not_found")),
        (
            Method::PUT,
            "/v1/secrets/TOKEN",
            r#"{"value":""}"#,
            (400, "invalid_request"),
        ),
        (
            Method::PUT,
            "/v1/secrets/TOKEN",
            r#"{"val":"x"}"#,
            (400, "invalid_request"),
        ),
        (Method::DELETE, "/v1/keys/none", "", (404, "not_found")),
    ] {
        let (status, code) = rig.refusal(method.clone(), path, body).await;
        assert_eq!((status, code.as_str()), expected, "{method} {path} {body}");
    }
    let large = "x".repeat(wakeful_core::limits::MAX_ADMIN_BODY + 1);
    let refused = rig.refusal(Method::PUT, "/v1/secrets/TOKEN", &large).await;
    assert_eq!(refused, (413, "too_large".to_owned()));
}

#[tokio::test]
async fn functions_and_invocations() {
    let rig = Rig::new();
    let list = rig.get("/v1/functions").await;
    insta::assert_json_snapshot!(list["functions"][1]);
    assert_eq!(list["functions"][0]["state"], "broken");
    assert_eq!(list["functions"][0]["failure"]["name"], "TypeError");
    assert_eq!(rig.get("/v1/functions/hello").await, list["functions"][1]);
    let health = rig.get("/v1/health").await;
    assert_eq!(
        (&health["status"], &health["broken"]),
        (&json!("degraded"), &json!(["broken"]))
    );

    let invoke = |name: &str| format!("/v1/functions/{name}/invocations");
    let (status, body) = rig.ask(Method::POST, &invoke("hello"), "[1.50]").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(body["result"].to_string(), "[1.5]");
    assert!(body["run"].as_str().unwrap().starts_with("run_"));
    // Nothing at all is an empty object; nothing returned is no result.
    let (_, body) = rig.ask(Method::POST, &invoke("hello"), "").await;
    assert_eq!(body["result"], json!({}));
    let (status, body) = rig.ask(Method::POST, &invoke("nothing"), "1").await;
    assert_eq!(
        (status, body.get("result"), body.get("failure")),
        (StatusCode::OK, None, None)
    );
    let (status, body) = rig.ask(Method::POST, &invoke("fails"), "1").await;
    assert_eq!(
        (status, &body["failure"]["kind"]),
        (StatusCode::OK, &json!("user_error"))
    );
    assert_eq!(body["failure"]["may_have_taken_effect"], true);
    let (status, body) = rig
        .ask(
            Method::POST,
            &format!("{}?wait=false", invoke("hello")),
            "1",
        )
        .await;
    assert_eq!(status, StatusCode::ACCEPTED);
    assert!(body["event"].as_str().unwrap().starts_with("evt_"));
    for (path, expected) in [
        (invoke("nobody"), (404, "not_found")),
        (invoke("busy"), (503, "overloaded")),
        (format!("{}?wait=false", invoke("full")), (507, "disk_full")),
        (
            format!("{}?handler=a-b", invoke("hello")),
            (400, "invalid_request"),
        ),
    ] {
        let (status, code) = rig.refusal(Method::POST, &path, "{}").await;
        assert_eq!((status, code.as_str()), expected, "{path}");
    }
    let large = "1".repeat(usize::try_from(wakeful_core::limits::MAX_BODY).unwrap() + 1);
    let (status, code) = rig.refusal(Method::POST, &invoke("hello"), &large).await;
    assert_eq!((status, code.as_str()), (413, "too_large"));
}

#[tokio::test]
async fn runs_page_by_page_and_filtered() {
    let rig = Rig::new();
    let mut ids = Vec::new();
    for n in 0..5 {
        let state = if n % 2 == 0 {
            RunState::Succeeded
        } else {
            RunState::Failed
        };
        ids.push(
            rig.record(if n < 3 { "hello" } else { "other" }, state, None)
                .to_string(),
        );
    }
    let listed = |body: &Value| -> Vec<String> {
        let runs = body["runs"].as_array().unwrap().iter();
        runs.map(|run| run["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let newest_first: Vec<_> = ids.iter().rev().cloned().collect();
    assert_eq!(listed(&rig.get("/v1/runs").await), newest_first);
    let first = rig.get("/v1/runs?limit=2").await;
    assert_eq!(listed(&first), newest_first[..2]);
    let next = first["next"].as_str().unwrap();
    let second = rig.get(&format!("/v1/runs?limit=2&before={next}")).await;
    assert_eq!(listed(&second), newest_first[2..4]);
    let by = rig.get("/v1/runs?function=hello&state=failed").await;
    assert_eq!(listed(&by), [ids[1].clone()]);
    let none = rig.get("/v1/runs?since=2100-01-01T00:00:00Z").await;
    assert_eq!(none["runs"], json!([]));
}

#[tokio::test]
async fn a_run_with_everything() {
    let rig = Rig::new();
    let (dead, event) = rig.die("hello").await;
    rig.record_as(dead, "hello", RunState::Dead, Some(event));
    rig.log("hello", Some(dead), LogLevel::Warn, "about to fail");
    let body = rig.get(&format!("/v1/runs/{dead}")).await;
    assert_eq!(body["run"]["state"], "dead");
    assert_eq!(body["attempts"][0]["took_us"], 30_000);
    assert_eq!(body["logs"][0]["text"], "about to fail");
    assert_eq!(body["event"]["data"]["size"], 7);
    assert_eq!(body["delivery"]["dead"]["reason"], "attempts_exhausted");

    let shown = rig.get(&format!("/v1/events/{event}")).await;
    assert_eq!(shown["origin"], "bucket:photos");
    assert_eq!(shown["event"]["type"], "wakeful.bucket.created");
    assert_eq!(shown["deliveries"][0]["id"], dead.to_string());
    assert_eq!(shown["runs"][0]["id"], dead.to_string());

    // The history may be lost without losing the run.
    let (unrecorded, its_event) = rig.die("hello").await;
    let shown = rig.get(&format!("/v1/events/{its_event}")).await;
    assert_eq!(shown["runs"][0]["id"], unrecorded.to_string());
    let body = rig.get(&format!("/v1/runs/{unrecorded}")).await;
    assert_eq!(body["run"]["state"], "dead");
    assert_eq!(body["run"]["failure"]["name"], "TypeError");
    assert_eq!(body["attempts"], json!([]));
}

/// The lines of a batch are shown with each of its runs.
#[tokio::test]
async fn a_run_that_was_served_in_a_batch() {
    let rig = Rig::new();
    let (first, second) = (
        rig.record("hello", RunState::Succeeded, None),
        rig.record("hello", RunState::Succeeded, None),
    );
    let recorded = rig.control.history.clone();
    recorded.flush().await.unwrap();
    for (run, number) in [(first, 1), (second, 1)] {
        let mut attempt = recorded.run(run).await.unwrap().unwrap().attempts.remove(0);
        attempt.batch = Some(BatchPlace {
            first,
            number,
            size: 2,
        });
        recorded.record_attempt(attempt);
    }
    rig.log("hello", Some(first), LogLevel::Info, "two at once");
    let body = rig.get(&format!("/v1/runs/{second}")).await;
    assert_eq!(body["logs"][0]["text"], "two at once");
    let batch = json!({ "first": first, "size": 2 });
    assert_eq!(body["attempts"][0]["batch"], batch);
    let body = rig.get(&format!("/v1/runs/{first}")).await;
    assert_eq!(body["logs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn dead_letters_are_redriven_and_discarded() {
    let rig = Rig::new();
    let mut runs = Vec::new();
    for function in ["a", "a", "b", "b", "b"] {
        runs.push(rig.die(function).await.0.to_string());
    }
    let count = async |path: &str| rig.get(path).await["dead"].as_array().unwrap().len();
    assert_eq!(count("/v1/dead").await, 5);
    assert_eq!(count("/v1/dead?function=a").await, 2);
    let page = rig.get("/v1/dead?limit=2").await;
    assert_eq!(page["dead"][0]["run"], runs[4]);
    assert_eq!(page["next"], runs[3]);
    let one = rig.get(&format!("/v1/dead/{}", runs[0])).await;
    assert_eq!(one["dead"]["failure"]["name"], "TypeError");
    assert_eq!(one["event"]["subject"], "cat.jpg");

    let act = async |verb: &str, body: Value| {
        let (status, body) = rig
            .ask(Method::POST, &format!("/v1/dead/{verb}"), body.to_string())
            .await;
        assert_eq!(status, StatusCode::OK, "{body}");
        (body["count"].as_u64().unwrap(), body["runs"].clone())
    };
    assert_eq!(
        act("redrive", json!({ "runs": [runs[0]] })).await,
        (1, json!([runs[0]]))
    );
    // It is queued now, no dead letter any more.
    assert_eq!(
        act("redrive", json!({ "runs": [runs[0]] })).await,
        (0, json!([]))
    );
    assert_eq!(act("discard", json!({ "function": "b" })).await.0, 3);
    assert_eq!(count("/v1/dead").await, 1);
    assert_eq!(act("redrive", json!({ "all": true })).await.0, 1);
    assert_eq!(count("/v1/dead").await, 0);
    let stats = rig.get("/v1/stats").await;
    assert_eq!(
        (&stats["store"]["queued"], &stats["store"]["dead"]),
        (&json!(2), &json!(0))
    );
}
