//! Events over HTTP, as curl and the official SDKs of CloudEvents send them, and outcomes as those
//! receive them.

#[path = "support/brought.rs"]
mod brought;
#[path = "support/sdk.rs"]
mod sdk;
mod support;

use std::{fs, process::Command};

use sdk::{Receiver, Sdk};
use serde_json::{Value, json};
use support::{Project, Server};

const MANIFEST: &str = r#"
name = "shop"

[topic."orders.*"]
[topic."files.>"]

[events]
auth = "none"

[function.orders]
env = { SEEN = "SEEN_FILE" }
[[function.orders.on]]
topic = "orders.paid"
[[function.orders.on]]
name = "files"
topic = "files.>"
"#;

const ORDERS: &str = r#"
const fs = require('node:fs');
module.exports = (event) => {
  const at = Date.now();
  const seen = { ...event, data: undefined, at };
  seen.data = event.data instanceof Uint8Array ? [...event.data] : event.data;
  fs.appendFileSync(process.env.SEEN, JSON.stringify(seen) + '\n');
};
"#;

/// A project whose function writes down what it is woken with.
fn project(manifest: &str) -> Project {
    let project = Project::of(&[("functions/orders.js", ORDERS)]);
    let seen = project.path().join("seen");
    project.write(
        "wakeful.toml",
        &manifest.replace("SEEN_FILE", seen.to_str().unwrap()),
    );
    project
}

/// Waits until events with these ids were seen; in this order of ids.
fn wait_for(server: &Server<'_>, project: &Project, ids: &[&str]) -> Vec<Value> {
    server.until(&format!("events {ids:?}"), || {
        let seen = project.seen();
        let find = |id: &&str| seen.iter().find(|event| event["id"] == **id).cloned();
        ids.iter().map(find).collect()
    })
}

const JSON: &str = "content-type: application/json";
const STRUCTURED: &str = "content-type: application/cloudevents+json";
const BATCH: &str = "content-type: application/cloudevents-batch+json";

fn cloud_event(id: &str, kind: &str) -> String {
    let source = "/curl";
    json!({ "specversion": "1.0", "id": id, "source": source, "type": kind, "data": { "id": id } })
        .to_string()
}

#[test]
fn events_come_in_in_every_mode() {
    let project = project(MANIFEST);
    let server = project.dev();
    let accepted = |path: &str, arguments: &[&str], ids: usize, duplicates: usize| {
        let answer = server.ask(path, arguments);
        assert_eq!(answer.status, 202, "{answer:?}");
        let body = answer.json();
        assert_eq!(body["duplicates"], duplicates, "{answer:?}");
        let found = body["ids"].as_array().unwrap().clone();
        assert_eq!(found.len(), ids, "{answer:?}");
        assert!(
            found
                .iter()
                .all(|id| id.as_str().unwrap().starts_with("evt_")),
            "{answer:?}"
        );
        found
    };
    let binary = [
        "-H",
        "ce-specversion: 1.0",
        "-H",
        "ce-id: b 1",
        "-H",
        "ce-source: /curl",
        "-H",
        "ce-type: orders.paid",
        "-H",
        "ce-subject: Gr%C3%B6%C3%9Fe",
        "-H",
        "ce-tenant: acme",
        "-H",
        "ce-time: 2026-11-20T13:00:00+01:00",
        "-H",
        JSON,
        "-d",
        r#"{"total": 7}"#,
    ];
    accepted("/events", &binary, 1, 0);
    accepted("/events", &binary, 1, 1);
    let one = cloud_event("s1", "orders.paid");
    accepted("/events", &["-H", STRUCTURED, "-d", &one], 1, 0);
    let many = format!(
        "[{},{},{one}]",
        cloud_event("m1", "orders.paid"),
        cloud_event("m2", "files.a.b")
    );
    accepted("/events", &["-H", BATCH, "-d", &many], 3, 1);
    accepted("/events", &["-H", BATCH, "-d", "[]"], 0, 0);

    let events = wait_for(&server, &project, &["b 1", "s1", "m1", "m2"]);
    let first = &events[0];
    let expected = json!({
        "specversion": "1.0", "id": "b 1", "source": "/curl", "type": "orders.paid",
        "subject": "Größe", "tenant": "acme", "time": "2026-11-20T12:00:00.000Z",
        "datacontenttype": "application/json", "data": { "total": 7 }, "at": first["at"],
    });
    assert_eq!(first, &expected);
    assert_eq!(events[3]["type"], "files.a.b");
    assert_eq!(
        project.seen().len(),
        4,
        "a repetition ran: {:?}",
        project.seen()
    );

    let plain = accepted(
        "/events/orders.paid",
        &["-H", JSON, "-d", r#"{"plain": true}"#],
        1,
        0,
    );
    let id = plain[0].as_str().unwrap();
    let event = &wait_for(&server, &project, &[id])[0];
    assert_eq!(
        (&event["type"], &event["data"]),
        (&json!("orders.paid"), &json!({"plain": true}))
    );
    let word = [
        "-H",
        "x-wakeful-dedup: 7",
        "-H",
        "content-type: text/plain",
        "-d",
        "hello",
    ];
    let file = accepted("/events/files.new", &word, 1, 0);
    accepted("/events/files.new", &word, 1, 1);
    let event = &wait_for(&server, &project, &[file[0].as_str().unwrap()])[0];
    assert_eq!(event["datacontenttype"], "text/plain");
}

#[test]
fn what_is_refused_says_why_and_nothing_of_it_is_kept() {
    let project = project(MANIFEST);
    let server = project.dev();
    let check = |path: &str, arguments: &[&str], status: u16, code: &str, part: &str| {
        let mut all = vec!["-X", "POST"];
        all.extend(arguments);
        let answer = server.ask(path, &all);
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{path}: {answer:?}"
        );
        assert!(
            answer.body.contains(part),
            "{path}: `{part}` is not in {}",
            answer.body
        );
    };
    let good = cloud_event("1", "orders.paid");
    let structured = |body: &str, status, code, part: &str| {
        check(
            "/events",
            &["-H", STRUCTURED, "-d", body],
            status,
            code,
            part,
        );
    };
    structured(
        &cloud_event("1", "orders"),
        404,
        "no_such_topic",
        "`orders`",
    );
    structured(
        r#"{"specversion":"0.3"}"#,
        400,
        "bad_event",
        "must be `1.0`, not `0.3`",
    );
    structured(
        r#"{"specversion":"1.0","id":"1"}"#,
        400,
        "bad_event",
        r#""attribute":"source""#,
    );
    structured("{", 400, "bad_body", "no JSON");
    let batch = format!("[{good},{}]", cloud_event("2", "unknown"));
    check(
        "/events",
        &["-H", BATCH, "-d", &batch],
        404,
        "no_such_topic",
        "there is no topic `unknown` (event 1 of the batch): ",
    );
    let batch = format!("[{good},{{}}]");
    check(
        "/events",
        &["-H", BATCH, "-d", &batch],
        400,
        "bad_event",
        r#""event":1"#,
    );
    check(
        "/events",
        &["-H", JSON, "-d", "{}"],
        400,
        "no_event",
        "carries no CloudEvent",
    );
    let avro = "content-type: application/cloudevents+avro";
    check(
        "/events",
        &["-H", avro, "-d", "x"],
        415,
        "unsupported_format",
        "send `application/cloudevents+json`",
    );
    check(
        "/events/orders.paid",
        &["-H", STRUCTURED, "-d", &good],
        415,
        "unsupported_format",
        "events endpoint itself",
    );
    check(
        "/events/unknown",
        &["-d", "x"],
        404,
        "no_such_topic",
        "`unknown`",
    );
    check(
        "/events/orders.paid",
        &["-H", JSON, "-d", "{"],
        400,
        "bad_event",
        "must be JSON",
    );
    check(
        "/events/orders.paid",
        &["-H", "x-wakeful-delay: soon", "-H", "x-wakeful-key;"],
        400,
        "bad_header",
        "x-wakeful-delay",
    );
    check("/events/a/b", &[], 404, "not_found", "");
    check(
        "/events",
        &["-X", "PUT"],
        405,
        "method_not_allowed",
        "OPTIONS, POST",
    );

    let large = project.path().join("large");
    fs::write(&large, vec![b'x'; (6 << 20) + 1]).unwrap();
    let large = format!("@{}", large.display());
    check(
        "/events/orders.paid",
        &["--data-binary", &large],
        413,
        "body_too_large",
        "6 MiB",
    );

    let chunked = ["-H", "transfer-encoding: chunked", "--data-binary", &large];
    check(
        "/events/orders.paid",
        &chunked,
        413,
        "body_too_large",
        "6 MiB",
    );

    // Whatever was accepted before this would have been seen before it.
    let last = ["-H", STRUCTURED, "-d", &cloud_event("last", "orders.paid")];
    assert_eq!(server.ask("/events", &last).status, 202);
    wait_for(&server, &project, &["last"]);
    assert_eq!(project.seen().len(), 1, "{:?}", project.seen());
}

#[test]
fn senders_need_a_key_where_the_manifest_says_so_and_may_shake_hands() {
    let project = project(&MANIFEST.replace(r#"auth = "none""#, r#"auth = "key""#));
    let server = project.dev();
    let made = server.json(&["key", "create", "sender"]);
    let key = made["key"].as_str().unwrap();
    let body = cloud_event("1", "orders.paid");
    let send = |more: &[&str]| {
        let mut arguments = vec!["-H", STRUCTURED, "-d", &body];
        arguments.extend(more);
        server.ask("/events", &arguments).status
    };
    assert_eq!(send(&[]), 401);
    assert_eq!(send(&["-H", "x-api-key: wk_wrong"]), 403);
    assert_eq!(send(&["-H", &format!("authorization: Bearer {key}")]), 202);
    assert_eq!(server.ask("/events/orders.paid", &["-d", "x"]).status, 401);

    let shake = [
        "-X",
        "OPTIONS",
        "-H",
        "WebHook-Request-Origin: eventemitter.example.com",
        "-H",
        "WebHook-Request-Rate: 120",
    ];
    let answer = server.ask("/events", &shake);
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.header("webhook-allowed-origin"),
        "eventemitter.example.com"
    );
    assert_eq!(answer.header("webhook-allowed-rate"), "*");
    assert_eq!(answer.header("allow"), "POST, OPTIONS");
    let answer = server.ask("/events", &["-X", "OPTIONS"]);
    assert_eq!(
        (answer.status, answer.header("webhook-allowed-origin")),
        (204, "")
    );
}

#[test]
fn a_project_that_opens_nothing_takes_nothing() {
    let project = project(&MANIFEST.replace("[events]\nauth = \"none\"\n", ""));
    let server = project.dev();
    let body = cloud_event("1", "orders.paid");
    let answer = server.ask("/events", &["-H", STRUCTURED, "-d", &body]);
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

#[test]
fn what_was_acknowledged_survives_kill_9_and_a_delay_is_kept_to() {
    let project = project(MANIFEST);
    let server = project.dev();
    let began = std::time::SystemTime::UNIX_EPOCH;
    let sent = began.elapsed().unwrap().as_millis();
    let body = cloud_event("late", "orders.paid");
    let delay = ["-H", STRUCTURED, "-H", "x-wakeful-delay: 3s", "-d", &body];
    assert_eq!(server.ask("/events", &delay).status, 202);
    assert_eq!(project.seen().len(), 0);
    server.end("-9");

    let server = project.dev();
    let event = &wait_for(&server, &project, &["late"])[0];
    let ran = u128::from(event["at"].as_u64().unwrap());
    assert!(
        ran >= sent + 3000,
        "it ran {} ms after it was sent",
        ran - sent
    );
}

/// What a client of an SDK printed: an answer for each request.
fn answers(mut client: Command) -> Vec<Value> {
    let output = client.output().unwrap();
    assert!(output.status.success(), "{client:?}: {output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answers = text.lines().map(|line| serde_json::from_str(line).unwrap());
    answers.collect()
}

#[test]
fn the_official_sdks_are_understood() {
    let project = project(MANIFEST);
    let server = project.dev();
    let url = format!("http://{}/events", server.address("http"));
    let send = |sdk: Sdk| {
        let mut client = sdk.program("client");
        client.arg(&url);
        let answers = answers(client);
        assert!(
            answers.iter().all(|answer| answer["status"] == 202),
            "{sdk:?}: {answers:?}"
        );
        answers
    };
    let sent = send(Sdk::JavaScript);
    assert_eq!(sent.last().unwrap()["body"]["duplicates"], 1, "{sent:?}");
    let ids = [
        "js-json",
        "js-structured",
        "js-bytes",
        "js-batch-1",
        "js-batch-2",
    ];
    let events = wait_for(&server, &project, &ids);
    let expected = json!({
        "specversion": "1.0", "id": "js-json", "source": "/sdk/js", "type": "orders.paid",
        "subject": "100% cotton", "time": "2026-11-20T12:00:00.123Z",
        "datacontenttype": "application/json", "dataschema": "https://example.com/order",
        "tenant": "acme", "partitionkey": "k1", "data": { "total": 7, "name": "Größe 😀" },
    });
    for (place, id) in [(0, "js-json"), (1, "js-structured"), (3, "js-batch-1")] {
        let mut event = events[place].clone();
        event.as_object_mut().unwrap().remove("at");
        let mut expected = expected.clone();
        expected["id"] = id.into();
        assert_eq!(event, expected);
    }

    send(Sdk::Python);
    let ids = [
        "py-json",
        "py-structured",
        "py-bytes",
        "py-batch-1",
        "py-batch-2",
    ];
    let events = wait_for(&server, &project, &ids);
    for event in &events {
        assert_eq!(event["subject"], "Euro € 😀 100% \"quoted\"");
        assert_eq!(event["time"], "2026-11-20T12:00:00.123Z");
    }
    let order = json!({ "total": 7, "name": "Größe 😀" });
    for place in [0, 1, 3] {
        assert_eq!(events[place]["data"], order);
        assert_eq!(events[place]["tenant"], "acme");
    }
    assert_eq!(events[2]["datacontenttype"], "application/octet-stream");
}

#[test]
fn outcomes_are_sent_as_the_official_sdks_take_them_in() {
    let handler = r#"
exports.default = (event) => {
  if (event.data.fails) throw new TypeError('no such order');
  return { paid: event.data.total };
};
"#;
    for sdk in [Sdk::JavaScript, Sdk::Python] {
        let receiver = Receiver::start(sdk);
        let manifest = format!(
            r#"
name = "shop"
[topic."orders.*"]
[events]
auth = "none"
[function.orders]
retry = {{ max_attempts = 1 }}
on_success = {{ http = "{url}", mode = "structured" }}
on_failure = {{ http = "{url}" }}
[[function.orders.on]]
topic = "orders.*"
"#,
            url = receiver.url()
        );
        let project = Project::of(&[
            ("wakeful.toml", &manifest),
            ("functions/orders.js", handler),
        ]);
        let server = project.dev();
        let send = |body: &str| {
            let answer = server.ask("/events/orders.paid", &["-H", JSON, "-d", body]);
            assert_eq!(answer.status, 202, "{answer:?}");
        };
        let told = |mode: &str, kind: &str| {
            let next = receiver.next();
            assert_eq!(
                (&next["mode"], &next["event"]["type"]),
                (&json!(mode), &json!(kind)),
                "{next}"
            );
            assert_eq!(
                next["event"]["subject"], next["event"]["data"]["run"],
                "{next}"
            );
            next["event"]["data"].clone()
        };
        send(r#"{"total": 7}"#);
        let data = told("structured", "wakeful.run.succeeded");
        assert_eq!(data["result"], json!({ "paid": 7 }), "{sdk:?}: {data}");
        assert_eq!(data["event"]["data"]["total"], 7, "{sdk:?}: {data}");
        send(r#"{"fails": true}"#);
        let data = told("binary", "wakeful.run.dead");
        assert_eq!(
            data["failure"]["message"], "no such order",
            "{sdk:?}: {data}"
        );
        assert_eq!(data["reason"], "attempts_exhausted", "{sdk:?}: {data}");
    }
}

/// A project whose outcomes go to an address.
fn telling(url: &str) -> Project {
    let manifest = format!(
        r#"
name = "shop"
[topic.orders]
[events]
[function.orders]
retry = {{ backoff = ["10ms", "50ms"] }}
on_success = {{ http = "{url}" }}
[[function.orders.on]]
topic = "orders"
"#
    );
    let handler = "module.exports = (event) => event.data;";
    Project::of(&[
        ("wakeful.toml", &manifest),
        ("functions/orders.js", handler),
    ])
}

fn send_order(server: &Server<'_>) {
    let answer = server.ask("/events/orders", &["-H", JSON, "-d", "7"]);
    assert_eq!(answer.status, 202, "{answer:?}");
}

#[test]
fn an_address_that_refuses_is_tried_again_with_the_same_event() {
    let receiver = Receiver::refusing(2);
    let project = telling(&receiver.url());
    let server = project.dev();
    send_order(&server);
    let told = [(); 3].map(|()| receiver.next()["event"].clone());
    assert_eq!(told[0]["data"]["result"], 7, "{told:?}");
    assert!(told.iter().all(|event| *event == told[0]), "{told:?}");
}

#[test]
fn certificates_of_the_system_are_trusted_and_no_others() {
    let folder = tempfile::tempdir().unwrap();
    let (receiver, certificate) = Receiver::secure(folder.path());
    let project = telling(&receiver.url());
    // The variable that OpenSSL knows says where the system's certificates are.
    let server = project.dev_with("SSL_CERT_FILE", &certificate);
    send_order(&server);
    assert_eq!(receiver.next()["event"]["data"]["result"], 7);
    server.end("-TERM");

    let server = project.dev();
    send_order(&server);
    server.until("the certificate is refused", || {
        let failed = |kind: &str| {
            let runs = server.runs("orders", kind);
            runs.iter()
                .any(|run| run.to_string().contains("certificate"))
        };
        (failed("retrying") || failed("dead")).then_some(())
    });
}
