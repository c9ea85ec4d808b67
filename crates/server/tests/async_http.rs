//! Endpoints that answer before they run.

mod support;

use std::fs;

use serde_json::{Value, json};
use support::{Project, Server};

const MANIFEST: &str = r#"
name = "later"

[function.jobs]
auth = "none"
env = { SEEN = "SEEN_FILE" }
retry = { max_attempts = 3, backoff = ["10ms", "50ms"] }
[function.jobs.routes]
"PUT /jobs/{id}" = { handler = "put", async = true }
"POST /raw" = { handler = "raw", async = true }
"POST /answers/{status}" = { handler = "answers", async = true }
"POST /ordered" = { handler = "ordered", async = true, ordering_key = "data.body.customer" }

[function.private]
code = "functions/jobs.js"
auth = "key"
env = { SEEN = "SEEN_FILE" }
[function.private.routes]
"POST /private" = { handler = "put", async = true }
"#;

const JOBS: &str = r#"
const fs = require('node:fs');
const note = (what) => fs.appendFileSync(process.env.SEEN, JSON.stringify({ at: Date.now(), ...what }) + '\n');
exports.put = (req, res) => {
  const { method, url, path, query, params, headers, body } = req;
  note({ method, url, path, query, params, headers, body });
  res.status(201).json({ done: params.id });
};
exports.raw = async (req, res) => {
  note({ raw: (await req.buffer()).toString('hex'), type: req.headers['content-type'] });
  res.end();
};
exports.answers = (req, res) => {
  note({ answers: req.params.status });
  res.status(Number(req.params.status)).send('as you like it');
};
exports.ordered = async (req, res) => {
  note({ begins: req.body.n });
  await new Promise((resolve) => setTimeout(resolve, 20));
  note({ ends: req.body.n });
  res.end();
};
"#;

fn project() -> Project {
    let project = Project::of(&[("functions/jobs.js", JOBS)]);
    let seen = project.path().join("seen");
    project.write(
        "wakeful.toml",
        &MANIFEST.replace("SEEN_FILE", seen.to_str().unwrap()),
    );
    project
}

fn wait_for(server: &Server<'_>, project: &Project, count: usize) -> Vec<Value> {
    server.until(&format!("{count} lines"), || {
        let seen = project.seen();
        (seen.len() >= count).then_some(seen)
    })
}

const JSON: &str = "content-type: application/json";

#[test]
fn a_request_is_kept_and_reaches_its_handler_whole() {
    let project = project();
    let server = project.dev();
    let put = [
        "-X",
        "PUT",
        "-H",
        JSON,
        "-H",
        "x-tenant: acme",
        "-H",
        "cookie: a=1",
        "-d",
        r#"{"name": "Größe", "n": 1}"#,
    ];
    let answer = server.ask("/jobs/a%20b?q=1&q=2&x=%C3%BC", &put);
    assert_eq!(answer.status, 202, "{answer:?}");
    let body = answer.json();
    assert!(
        body["id"].as_str().unwrap().starts_with("evt_"),
        "{answer:?}"
    );
    let run = body["run"].as_str().unwrap();
    assert!(
        run.starts_with("run_") && answer.header("x-wakeful-run") == run,
        "{answer:?}"
    );

    let request = &wait_for(&server, &project, 1)[0];
    assert_eq!(request["method"], "PUT");
    assert_eq!(request["url"], "/jobs/a%20b?q=1&q=2&x=%C3%BC");
    assert_eq!(request["params"], json!({ "id": "a b" }));
    assert_eq!(request["query"]["x"], "ü");
    assert_eq!(request["body"], json!({ "name": "Größe", "n": 1 }));
    assert_eq!(request["headers"]["x-tenant"], "acme");
    assert_eq!(request["headers"]["cookie"], "a=1");

    let shown = server.until("the run has succeeded", || {
        let shown = server.json(&["show", run]);
        shown.to_string().contains("succeeded").then_some(shown)
    });
    assert!(shown.to_string().contains("PUT /jobs/a%20b"), "{shown}");
}

#[test]
fn bodies_come_through_to_the_byte() {
    let project = project();
    let server = project.dev();
    let bodies: [(&str, &[u8]); 4] = [
        (JSON, b" {\"a\": 1.0,  \"a\": 2}\r\n"),
        (
            "content-type: application/x-www-form-urlencoded",
            b"a=1&b=%20",
        ),
        ("content-type: image/png", b"\x89PNG\r\n\x00\xff"),
        (JSON, b""),
    ];
    for (place, (content_type, body)) in bodies.into_iter().enumerate() {
        let file = project.path().join("body");
        fs::write(&file, body).unwrap();
        let file = format!("@{}", file.display());
        let chunked = "transfer-encoding: chunked";
        let arguments = [
            "-X",
            "POST",
            "-H",
            content_type,
            "-H",
            chunked,
            "--data-binary",
            &file,
        ];
        assert_eq!(server.ask("/raw", &arguments).status, 202);
        let seen = wait_for(&server, &project, place + 1);
        let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(seen[place]["raw"], hex, "{content_type}");
    }
}

#[test]
fn the_status_says_whether_it_is_tried_again() {
    let project = project();
    let server = project.dev();
    let check = |status: &str, attempts: usize, state: &str, reason: &str| {
        let path = format!("/answers/{status}");
        let answer = server.ask(&path, &["-X", "POST"]);
        let run = answer.json()["run"].as_str().unwrap().to_owned();
        let shown = server.until(&format!("{status} is {state}"), || {
            let shown = server.json(&["show", &run]).to_string();
            shown
                .contains(&format!("\"state\":\"{state}\""))
                .then_some(shown)
        });
        assert!(shown.contains(reason), "{status}: {shown}");
        let starts = project.seen();
        let starts = starts.iter().filter(|line| line["answers"] == status);
        assert_eq!(starts.count(), attempts, "{status}");
    };
    check("204", 1, "succeeded", "");
    check("302", 1, "succeeded", "");
    check("404", 1, "dead", "404 Not Found: as you like it");
    check("500", 3, "dead", "500 Internal Server Error");
}

#[test]
fn what_is_asked_twice_runs_once() {
    let project = project();
    let server = project.dev();
    let ask = |field: &str| {
        let answer = server.ask("/jobs/1", &["-X", "PUT", "-H", field]);
        assert_eq!(answer.status, 202, "{answer:?}");
        answer.json()
    };
    let first = ask("idempotency-key: \"one\"");
    let again = ask("idempotency-key: one");
    assert_eq!(again["duplicate"], true, "{again}");
    assert_eq!(again["run"], first["run"]);
    let word = ask("x-wakeful-dedup: one");
    assert_eq!(word["duplicate"], true, "{word}");
    let other = ask("idempotency-key: two");
    assert_ne!(other["run"], first["run"]);
    wait_for(&server, &project, 2);
    let wrong = [
        "-X",
        "PUT",
        "-H",
        "idempotency-key: a",
        "-H",
        "x-wakeful-dedup: b",
    ];
    let answer = server.ask("/jobs/1", &wrong);
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_header"));
    assert_eq!(project.seen().len(), 2);
}

#[test]
fn keys_of_ours_are_not_kept() {
    let project = project();
    let server = project.dev();
    let made = server.json(&["key", "create", "caller"]);
    let key = made["key"].as_str().unwrap();
    assert_eq!(server.ask("/private", &["-X", "POST"]).status, 401);
    for field in [
        format!("authorization: Bearer {key}"),
        format!("x-api-key: {key}"),
    ] {
        let answer = server.ask("/private", &["-X", "POST", "-H", &field, "-H", "x-mine: 1"]);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    for request in wait_for(&server, &project, 2) {
        assert_eq!(request["headers"]["x-mine"], "1");
        assert!(!request.to_string().contains(key), "{request}");
    }
}

#[test]
fn a_delay_is_kept_to_across_kill_9() {
    let project = project();
    let server = project.dev();
    let put = ["-X", "PUT", "-H", "x-wakeful-delay: 2s", "-d", "x"];
    assert_eq!(server.ask("/jobs/7", &put).status, 202);
    server.end("-9");
    assert_eq!(project.seen().len(), 0);
    let server = project.dev();
    let seen = wait_for(&server, &project, 1);
    assert_eq!(seen[0]["params"]["id"], "7");
}

#[test]
fn requests_with_one_key_run_one_after_the_other() {
    let project = project();
    let server = project.dev();
    let count = 5;
    for n in 0..count {
        let body = json!({ "customer": "acme", "n": n }).to_string();
        let answer = server.ask("/ordered", &["-X", "POST", "-H", JSON, "-d", &body]);
        assert_eq!(answer.status, 202, "{answer:?}");
    }
    let seen = wait_for(&server, &project, 2 * count);
    let order: Vec<(Value, Value)> = (seen.chunks(2))
        .map(|pair| (pair[0]["begins"].clone(), pair[1]["ends"].clone()))
        .collect();
    let expected: Vec<(Value, Value)> = (0..count).map(|n| (n.into(), n.into())).collect();
    assert_eq!(order, expected);
}
