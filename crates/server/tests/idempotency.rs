//! `Idempotency-Key` on endpoints whose callers wait.

mod support;

use std::{fs, process::Stdio};

use support::{Answer, Project, Server};

const MANIFEST: &str = r#"
name = "shop"

[function.pay]
auth = "none"
timeout = "20s"
env = { SEEN = "SEEN_FILE" }
HOLD
[function.pay.routes]
"POST /pay" = "pay"
"GET /pay" = "pay"
"POST /slow" = "slow"
"POST /status/{status}" = "status"
"POST /throws" = "throws"
"POST /throws-again" = { handler = "throws", on_unknown = "retry" }
"POST /exits" = "exits"
"POST /large" = "large"
"POST /stream" = "stream"
"POST /flood" = "flood"
"POST /never" = { handler = "pay", idempotency = false }

[function.private]
code = "functions/pay.js"
auth = "key"
env = { SEEN = "SEEN_FILE" }
[function.private.routes]
"POST /private" = "pay"
"#;

const PAY: &str = r#"
const fs = require('node:fs');
const note = (what) => fs.appendFileSync(process.env.SEEN, what + '\n');
const count = () => fs.readFileSync(process.env.SEEN, 'utf8').split('\n').length - 1;
exports.pay = (req, res) => {
  note('pay');
  res.status(201).set('x-mine', 'ü').append('set-cookie', 'a=1').append('set-cookie', 'b=2')
    .json({ nth: count(), body: req.body ?? null });
};
exports.slow = async (req, res) => {
  note('slow begins');
  const { file } = req.query;
  while (!fs.existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 10));
  note('slow ends');
  res.send(`slow ${count()}`);
};
exports.status = (req, res) => { note('status'); res.status(Number(req.params.status)).send(`${count()}`); };
exports.throws = () => { note('throws'); throw new Error('not today'); };
exports.exits = () => { note('exits'); process.exit(3); };
exports.large = (req, res) => { note('large'); res.send('x'.repeat(1024 * 1024 + 1)); };
exports.flood = async (req, res) => {
  note('flood');
  const piece = Buffer.alloc(65536, 'x');
  for (let i = 0; i < 48; i++) if (!res.write(piece)) await new Promise((go) => res.once('drain', go));
  res.end('end');
};
exports.stream = async (req, res) => {
  note('stream');
  for (let i = 0; i < 3; i++) { res.write(`line ${i} of ${count()}\n`); await null; }
  res.end();
};
"#;

fn project_with(hold: &str) -> Project {
    let project = Project::of(&[("functions/pay.js", PAY), ("seen", "")]);
    let seen = project.path().join("seen");
    let manifest = MANIFEST.replace("SEEN_FILE", seen.to_str().unwrap());
    project.write("wakeful.toml", &manifest.replace("HOLD", hold));
    project
}

fn project() -> Project {
    project_with("")
}

/// How often a handler was started.
fn starts(project: &Project, what: &str) -> usize {
    let text = fs::read_to_string(project.path().join("seen")).unwrap();
    text.lines().filter(|line| *line == what).count()
}

fn post(server: &Server<'_>, path: &str, key: &str, more: &[&str]) -> Answer {
    let field = format!("idempotency-key: {key}");
    let mut arguments = vec!["-X", "POST", "-H", &field];
    arguments.extend(more);
    server.ask(path, &arguments)
}

/// Whether an answer is that of an earlier request.
fn is_replayed(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == "true"
}

#[test]
fn the_first_answer_is_given_again_also_after_a_restart() {
    let project = project();
    let server = project.dev();
    let body = ["-H", "content-type: application/json", "-d", r#"{"a": 1}"#];
    let first = post(&server, "/pay?x=1", "one", &body);
    assert_eq!(
        (first.status, is_replayed(&first)),
        (201, false),
        "{first:?}"
    );
    assert_eq!(first.body, r#"{"nth":1,"body":{"a":1}}"#);
    let same = |again: &Answer| {
        assert!(is_replayed(again), "{again:?}");
        assert_eq!((again.status, &again.body), (first.status, &first.body));
        for name in ["x-mine", "set-cookie", "content-type", "x-wakeful-run"] {
            let of = |answer: &Answer| {
                let fields = answer.headers.iter().filter(|(found, _)| found == name);
                fields.cloned().collect::<Vec<_>>()
            };
            assert_eq!(of(again), of(&first), "{name}");
        }
    };
    same(&post(&server, "/pay?x=1", "one", &body));
    same(&post(&server, "/pay?x=1", "\"one\"", &body));
    server.end("-9");
    let server = project.dev();
    same(&post(&server, "/pay?x=1", "one", &body));
    assert_eq!(starts(&project, "pay"), 1);

    let other = post(&server, "/pay?x=1", "two", &body);
    assert_eq!((other.status, is_replayed(&other)), (201, false));
    for (path, body) in [
        ("/pay?x=2", body),
        ("/pay?x=1", ["-H", body[1], "-d", "{}"]),
    ] {
        let mismatch = post(&server, path, "one", &body);
        assert_eq!(
            (mismatch.status, mismatch.code().as_str()),
            (422, "idempotency_key_reused")
        );
        let run = first.header("x-wakeful-run");
        assert_eq!(mismatch.json()["error"]["run"], run, "{mismatch:?}");
    }
    assert_eq!(starts(&project, "pay"), 2);
}

#[test]
fn requests_without_effect_on_the_key_run_each_time() {
    let project = project();
    let server = project.dev();
    for _ in 0..2 {
        assert_eq!(server.ask("/pay", &["-X", "POST"]).status, 201);
        assert_eq!(
            server.ask("/pay", &["-H", "idempotency-key: one"]).status,
            201
        );
        assert!(!is_replayed(&post(&server, "/never", "one", &[])));
    }
    assert_eq!(starts(&project, "pay"), 6);
    let wrong = post(&server, "/pay", &"x".repeat(300), &[]);
    assert_eq!((wrong.status, wrong.code().as_str()), (400, "bad_header"));
}

#[test]
fn of_two_that_race_one_runs_and_both_get_its_answer() {
    let project = project();
    let server = project.dev();
    let file = project.path().join("go");
    let path = format!("/slow?file={}", file.display());
    let racing = || {
        let arguments = ["-X", "POST", "-H", "idempotency-key: race"];
        let mut command = server.asking(&path, &arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let racers = [racing(), racing(), racing()];
    server.until("one has begun", || {
        (starts(&project, "slow begins") > 0).then_some(())
    });
    fs::write(&file, "").unwrap();
    let answers = racers.map(|racer| Answer::of(&racer.wait_with_output().unwrap()));
    for answer in &answers {
        assert_eq!(
            (answer.status, &answer.body),
            (200, &answers[0].body),
            "{answer:?}"
        );
    }
    let replayed = answers.iter().filter(|answer| is_replayed(answer)).count();
    assert_eq!((replayed, starts(&project, "slow begins")), (2, 1));
}

#[test]
fn an_answer_is_kept_although_its_caller_left() {
    let project = project();
    let server = project.dev();
    let file = project.path().join("go");
    let path = format!("/slow?file={}", file.display());
    let mut command = server.asking(&path, &["-X", "POST", "-H", "idempotency-key: left"]);
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    server.until("it has begun", || {
        (starts(&project, "slow begins") > 0).then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    fs::write(&file, "").unwrap();
    let answer = post(&server, &path, "left", &[]);
    assert_eq!(
        (answer.status, is_replayed(&answer)),
        (200, true),
        "{answer:?}"
    );
    assert_eq!(starts(&project, "slow begins"), 1);
}

#[test]
fn what_stays_depends_on_what_is_known() {
    let project = project();
    let server = project.dev();
    let check = |path: &str, what: &str, status: u16, runs: usize| {
        for _ in 0..2 {
            let answer = post(&server, path, path, &[]);
            assert_eq!(answer.status, status, "{path}: {answer:?}");
        }
        assert_eq!(starts(&project, what), runs, "{path}");
    };
    // What user code answers itself is kept, whatever it says; what failed runs again.
    check("/status/404", "status", 404, 1);
    check("/status/503", "status", 503, 2);
    check("/status/204", "status", 204, 3);
    check("/stream", "stream", 200, 1);
    check("/throws", "throws", 500, 2);
    check("/exits", "exits", 502, 2);
    check("/large", "large", 200, 2);
    check("/flood", "flood", 200, 2);
    let flood = post(&server, "/flood", "other", &[]);
    assert_eq!(flood.body.len(), 48 * 65_536 + 3);
    assert!(flood.body.ends_with("xend") && !is_replayed(&flood));
}

#[test]
fn with_hold_what_failed_does_not_run_again() {
    let project = project_with("on_unknown = \"hold\"");
    let server = project.dev();
    let first = post(&server, "/exits", "key", &[]);
    assert_eq!((first.status, first.code().as_str()), (502, "crash"));
    let run = first.header("x-wakeful-run").to_owned();
    let again = post(&server, "/exits", "key", &[]);
    assert_eq!(
        (again.status, again.code().as_str()),
        (409, "outcome_unknown"),
        "{again:?}"
    );
    assert!(again.body.contains(&run), "{again:?}");
    for _ in 0..2 {
        assert_eq!(post(&server, "/throws", "key", &[]).status, 500);
    }
    assert_eq!(
        (starts(&project, "exits"), starts(&project, "throws")),
        (1, 1)
    );
}

#[test]
fn nobody_knows_what_a_dead_server_did() {
    for (hold, expected) in [("", 200), ("on_unknown = \"hold\"", 409)] {
        let project = project_with(hold);
        let server = project.dev();
        let file = project.path().join("go");
        let path = format!("/slow?file={}", file.display());
        let mut command = server.asking(&path, &["-X", "POST", "-H", "idempotency-key: k"]);
        let mut child = command.stdout(Stdio::null()).spawn().unwrap();
        server.until("it has begun", || {
            (starts(&project, "slow begins") > 0).then_some(())
        });
        server.end("-9");
        child.wait().unwrap();
        fs::write(&file, "").unwrap();
        let server = project.dev();
        let answer = post(&server, &path, "k", &[]);
        assert_eq!(
            (answer.status, is_replayed(&answer)),
            (expected, false),
            "{answer:?}"
        );
    }
}

#[test]
fn a_key_belongs_to_its_caller() {
    let project = project();
    let server = project.dev();
    let key = |name: &str| {
        let made = server.json(&["key", "create", name]);
        format!("x-api-key: {}", made["key"].as_str().unwrap())
    };
    let (one, two) = (key("one"), key("two"));
    let ask = |caller: &str| post(&server, "/private", "same", &["-H", caller]);
    assert!(!is_replayed(&ask(&one)));
    assert!(!is_replayed(&ask(&two)));
    assert!(is_replayed(&ask(&one)) && is_replayed(&ask(&two)));
    assert_eq!(starts(&project, "pay"), 2);
}
