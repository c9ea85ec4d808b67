//! Events that are owed: kill -9, retries, dead letters, schedules, and what a server leaves.

mod support;

use std::{fs, path::Path, process::Command};

use support::{Project, Server, children_of, is_alive};

/// Wakes on rows of a table and writes down each start of it, outside of the server.
fn project(handler: &str) -> Project {
    Project::of(&[
        (
            "wakeful.toml",
            r#"
name = "rows"

[database.shop]
url = "sqlite:data/shop.db"

[function.row]
timeout = "5s"
retry = { max_attempts = 3, backoff = ["10ms", "50ms"] }
concurrency = 4
access = { database.shop = "read" }

[[function.row.on]]
database = "shop"
table = "orders"
events = ["insert"]
"#,
        ),
        ("functions/row.js", handler),
    ])
}

const NOTES: &str = r#"
const fs = require('node:fs');
exports.default = async (event, context) => {
  fs.appendFileSync(process.env.NOTES ?? '/dev/null', `${event.data.key.id}\n`);
  await new Promise((resolve) => setTimeout(resolve, 5));
};
"#;

fn sqlite(project: &Project, sql: &str) {
    let file = project.path().join("data/shop.db");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let output = Command::new("sqlite3")
        .arg("-cmd")
        .arg(".timeout 20000")
        .arg(file)
        .arg(sql)
        .output();
    let output = output.unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Starts `dev` and waits until the changes of the table are captured.
fn dev(project: &Project) -> Server<'_> {
    let server = project.dev();
    let file = project.path().join("data/shop.db");
    server.until("the table is watched", || {
        let output = Command::new("sqlite3")
            .args(["-cmd", ".timeout 20000"])
            .arg(&file)
            .arg(
                "select count(*) from sqlite_master where type = 'trigger' and tbl_name = 'orders'",
            )
            .output()
            .unwrap();
        (String::from_utf8_lossy(&output.stdout).trim() != "0").then_some(())
    });
    server
}

fn noted(path: &Path) -> Vec<u32> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut ids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
    ids.sort_unstable();
    ids
}

#[test]
fn kill_nine_loses_nothing_and_leaves_no_worker() {
    let project = project(NOTES);
    let notes = project.path().with_file_name("notes");
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let env = format!(
        "timeout = \"5s\"\nenv = {{ NOTES = \"{}\" }}",
        notes.display()
    );
    project.write("wakeful.toml", &manifest.replace("timeout = \"5s\"", &env));
    sqlite(
        &project,
        "create table orders (id integer primary key, total real)",
    );
    let insert = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 400) \
                  insert into orders select i, i * 1.5 from n";
    let first = dev(&project);
    sqlite(&project, insert);
    first.until("some have run, others wait", || {
        (noted(&notes).len() >= 40).then_some(())
    });
    let workers = first.children();
    assert!(!workers.is_empty());
    first.end("-9");
    let before = noted(&notes).len();
    assert!(before < 400, "all had run before the kill");
    let second = dev(&project);
    second.until("no orphan is left", || {
        workers.iter().all(|pid| !is_alive(*pid)).then_some(())
    });
    second.until("every row has run", || {
        let mut ids = noted(&notes);
        ids.dedup();
        (ids.len() == 400).then_some(())
    });
    second.until("nothing is owed any more", || {
        let stats = second.json(&["functions"]);
        let functions = if stats.is_array() {
            stats
        } else {
            stats["functions"].clone()
        };
        (functions[0]["queued"] == 0 && functions[0]["in_flight"] == 0).then_some(())
    });
    let repeats = noted(&notes).len() - 400;
    assert!(
        repeats <= 8,
        "{repeats} repeats, but at most what was in flight may repeat"
    );
    let server = second.pid();
    assert_eq!(second.end("-INT").code(), Some(0));
    assert!(children_of(server).is_empty());
}

#[test]
fn what_fails_is_retried_and_then_a_dead_letter_that_can_be_redriven() {
    let fails = "exports.default = async (event, context) => { console.log('attempt', context.attempt); \
                 throw new RangeError('out of stock'); };";
    let project = project(fails);
    sqlite(
        &project,
        "create table orders (id integer primary key, total real)",
    );
    let server = dev(&project);
    sqlite(&project, "insert into orders values (1, 9.5)");
    let dead = server.until("it is a dead letter", || server.runs("row", "dead").pop());
    let id = dead["id"].as_str().unwrap();
    assert_eq!(dead["attempts"], 3);
    let shown = server.json(&["show", id]);
    assert_eq!(shown["attempts"].as_array().unwrap().len(), 3, "{shown:#}");
    let text = shown.to_string();
    assert!(
        text.contains("RangeError") && text.contains("out of stock"),
        "{shown:#}"
    );
    assert!(
        text.contains("functions/row.js"),
        "the stack names the user's file: {shown:#}"
    );
    assert!(!text.contains(".wakeful/versions"), "{shown:#}");
    project.write(
        "functions/row.js",
        "exports.default = async (event) => event.data.after.total;",
    );
    server.until("the new code is live", || {
        project
            .output()
            .matches("row loaded")
            .nth(1)
            .is_some()
            .then_some(())
    });
    let redriven = server.cli(&["dead", "redrive", id]);
    assert!(redriven.status.success(), "{redriven:?}");
    let run = server.until("it succeeded", || server.runs("row", "succeeded").pop());
    assert_eq!(run["id"], id);
}

#[test]
fn broken_code_holds_what_is_owed_until_a_version_loads() {
    let project = project("exports.default = async () => {");
    sqlite(
        &project,
        "create table orders (id integer primary key, total real)",
    );
    let server = dev(&project);
    sqlite(&project, "insert into orders values (1, 9.5)");
    server.until("it is held", || server.runs("row", "held").pop());
    let output = project.output();
    assert!(
        output.contains("SyntaxError") && output.contains("functions/row.js:1"),
        "{output}"
    );
    project.write(
        "functions/row.js",
        "exports.default = async () => 'mended';",
    );
    let run = server.until("it succeeded", || server.runs("row", "succeeded").pop());
    assert_eq!(run["attempts"], 1, "being held is no attempt: {run:#}");
}

#[test]
fn what_waits_for_code_that_loads_costs_it_no_start() {
    let project = project("exports.default = async () => {");
    sqlite(
        &project,
        "create table orders (id integer primary key, total real)",
    );
    let server = dev(&project);
    sqlite(
        &project,
        "insert into orders values (1, 9.5), (2, 9.5), (3, 9.5)",
    );
    let held = |count| (server.runs("row", "held").len() == count).then_some(());
    server.until("all are held", || held(3));
    for mistake in ["first-mistake", "second-mistake"] {
        project.write(
            "functions/row.js",
            &format!("throw new Error('{mistake}');"),
        );
        server.until("the new mistake is why they are held", || {
            let held = server.runs("row", "held");
            let why = |run: &serde_json::Value| run.to_string().contains(mistake);
            (held.len() == 3 && held.iter().all(why)).then_some(())
        });
    }
    project.write(
        "functions/row.js",
        "exports.default = async (event, context) => `attempt ${context.attempt}`;",
    );
    server.until("all succeeded", || {
        (server.runs("row", "succeeded").len() == 3).then_some(())
    });
    for run in server.runs("row", "succeeded") {
        assert_eq!(run["attempts"], 1, "{run:#}");
        let shown = server.json(&["show", run["id"].as_str().unwrap()]);
        let attempts = shown["attempts"].as_array().unwrap();
        assert_eq!(attempts.len(), 1, "{shown:#}");
        let result = attempts[0]["result"].to_string();
        assert!(
            result.contains("attempt 1"),
            "nothing was started before: {shown:#}"
        );
    }
}

#[test]
fn what_is_held_for_too_long_is_a_dead_letter() {
    let project = project("exports.default = async () => {");
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let aged = manifest.replace("max_attempts = 3,", "max_attempts = 3, max_age = \"2s\",");
    assert_ne!(aged, manifest);
    project.write("wakeful.toml", &aged);
    sqlite(
        &project,
        "create table orders (id integer primary key, total real)",
    );
    let server = dev(&project);
    sqlite(&project, "insert into orders values (1, 9.5)");
    let dead = server.until("it is a dead letter", || server.runs("row", "dead").pop());
    assert_eq!(dead["attempts"], 0, "{dead:#}");
    let shown = server.json(&["show", dead["id"].as_str().unwrap()]);
    assert!(shown.to_string().contains("max_age"), "{shown:#}");
}

#[test]
fn an_edit_is_live_for_the_next_event_and_a_broken_one_is_not() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            "name = \"edits\"\n[function.page]\nauth = \"none\"\nroutes = { \"GET /\" = \"page\" }\n",
        ),
        (
            "functions/page.js",
            "exports.page = (req, res) => res.send('one');",
        ),
    ]);
    let server = project.dev();
    assert_eq!(server.curl("/", &[]), (200, "one".into()));
    project.write(
        "functions/page.js",
        "exports.page = (req, res) => res.send('two');",
    );
    server.until("the edit is live", || {
        (server.curl("/", &[]).1 == "two").then_some(())
    });
    project.write(
        "functions/page.js",
        "exports.page = (req, res) => res.send('three'",
    );
    server.until("the mistake is shown", || {
        project.output().contains("SyntaxError").then_some(())
    });
    assert_eq!(server.curl("/", &[]), (200, "two".into()));
    project.write("wakeful.toml", "name = \"edits\"\n[functoin.page]\n");
    server.until("the mistake is shown", || {
        project.output().contains("functoin").then_some(())
    });
    assert_eq!(server.curl("/", &[]), (200, "two".into()));
}
