//! What functions may touch, secrets, and what must not leak.

mod support;

use std::{
    io::Write,
    process::{Command, Stdio},
};

use support::{Project, WAKEFUL};

const MANIFEST: &str = r#"
name = "access"

[bucket.notes]

[function.writer]
auth = "none"
env = { TOKEN = { secret = "API_TOKEN" }, FROM_FILE = { env = "FROM_FILE" } }

[function.writer.routes]
"GET /write" = "write"
"GET /token" = "token"
"GET /quotes" = "quotes"
"#;

const WRITER: &str = r#"
const { bucket } = require('wakeful');
exports.write = async (req, res) => {
  await bucket.notes.put('note.txt', 'hello');
  res.send((await bucket.notes.get('note.txt')).contentType ?? 'stored');
};
exports.quotes = () => { throw new Error(`cannot log in with ${process.env.TOKEN}`); };
exports.token = (req, res) => {
  console.log(`the token is ${process.env.TOKEN}`);
  res.send(`${process.env.TOKEN.length} ${process.env.FROM_FILE}`);
};
"#;

fn project() -> Project {
    let project = Project::of(&[
        ("wakeful.toml", MANIFEST),
        ("functions/writer.js", WRITER),
        (".env", "FROM_FILE=dotted\n"),
    ]);
    set_secret(&project, "API_TOKEN", "correct-horse-battery");
    project
}

fn set_secret(project: &Project, name: &str, value: &str) {
    let mut child = Command::new(WAKEFUL)
        .args(["secret", "set", name])
        .current_dir(project.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(value.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn undeclared_access_works_in_dev_is_reported_and_can_be_written_down() {
    let project = project();
    let server = project.dev();
    assert_eq!(server.curl("/write", &[]).0, 200);
    let output = project.output();
    assert!(
        output.contains("bucket.notes") && output.contains("check --fix"),
        "{output}"
    );
    let fixed = server.cli(&["check", "--fix"]);
    assert!(fixed.status.success(), "{fixed:?}");
    let manifest = std::fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    assert!(
        manifest.contains("bucket.notes = \"write\"") || manifest.contains("notes = \"write\"")
    );
    assert_eq!(server.end("-INT").code(), Some(0));
    let server = serve(&project);
    assert_eq!(server.curl("/write", &[]).0, 200);
}

#[test]
fn serve_refuses_what_is_not_declared_and_tells_callers_little() {
    let project = project();
    let server = serve(&project);
    let (status, body) = server.curl("/write", &[]);
    assert_eq!(status, 500);
    assert!(
        !body.contains("bucket.notes"),
        "callers of `serve` learn no details: {body}"
    );
    let run = server.until("it is recorded", || server.runs("writer", "failed").pop());
    let shown = server
        .json(&["show", run["id"].as_str().unwrap()])
        .to_string();
    assert!(shown.contains("bucket.notes"), "{shown}");
}

/// In production, what `.env` gives in `dev` comes from the environment.
fn serve(project: &Project) -> support::Server<'_> {
    let manifest = std::fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    project.write(
        "wakeful.toml",
        &manifest.replace("{ env = \"FROM_FILE\" }", "\"literal\""),
    );
    project.serve()
}

#[test]
fn secrets_reach_their_function_and_nobody_else() {
    let project = project();
    let server = project.dev();
    assert_eq!(server.curl("/token", &[]), (200, "21 dotted".into()));
    let logs = server.until("the line is there", || {
        let logs = server.cli(&["logs", "--function", "writer"]);
        let logs = String::from_utf8_lossy(&logs.stdout).into_owned();
        logs.contains("the token is").then_some(logs)
    });
    assert!(
        !logs.contains("correct-horse") && logs.contains("API_TOKEN"),
        "{logs}"
    );
    let (status, told) = server.curl("/quotes", &[]);
    assert!(
        status == 500 && told.contains("cannot log in") && !told.contains("correct-horse"),
        "{told}"
    );
    let run = server.until("it is recorded", || server.runs("writer", "failed").pop());
    let shown = server
        .json(&["show", run["id"].as_str().unwrap()])
        .to_string();
    assert!(
        shown.contains("cannot log in") && !shown.contains("correct-horse"),
        "{shown}"
    );
    let vault = std::fs::read(project.path().join(".wakeful/vault")).unwrap();
    assert!(!String::from_utf8_lossy(&vault).contains("correct-horse"));
    let listed = server.cli(&["secret", "list"]);
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(
        listed.contains("API_TOKEN") && !listed.contains("correct-horse"),
        "{listed}"
    );
    assert!(
        !project.output().contains("correct-horse"),
        "{}",
        project.output()
    );
    set_secret(&project, "API_TOKEN", "short");
    server.until("the new value is live", || {
        (server.curl("/token", &[]).1 == "5 dotted").then_some(())
    });
}
