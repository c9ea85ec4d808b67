//! A night in which something fails, through the binary: found, explained, mended and run again,
//! with a copy of it all at the end.

mod support;

use std::{
    fs,
    process::{Command, Output},
};

use serde_json::{Value, json};
use support::{Project, Server, WAKEFUL};

const MANIFEST: &str = r#"
name = "shop"

[topic."orders.*"]

[function.invoice]
code = "invoice.js"
access = { topic = ["orders.invoiced"] }
retry = { max_attempts = 2, backoff = ["10ms", "50ms"] }
[[function.invoice.on]]
name = "paid"
topic = "orders.paid"
dedup = { key = "data.order", window = "1h" }
[function.invoice.on.filter]
data.total = [{ numeric = [">", 0] }]

[function.ledger]
code = "ledger.js"
[[function.ledger.on]]
name = "booked"
topic = "orders.invoiced"

[function.slow]
code = "slow.js"
[[function.slow.on]]
name = "one"
topic = "orders.slow"
ordering_key = "data.customer"
"#;

const INVOICE: &str = r#"
const { publish } = require('wakeful');
exports.default = async (event) => {
  console.log(`invoice for ${event.data.order}`, event.replayof ?? 'first');
  const street = event.data.address.street;
  await publish('orders.invoiced', { order: event.data.order, street });
};
"#;

const LEDGER: &str = "exports.default = (event) => console.log('booked', event.data.order);\n";

const SLOW: &str = r#"
const { existsSync } = require('node:fs');
exports.default = async (event) => {
  while (!existsSync(event.data.until)) await new Promise((go) => setTimeout(go, 20));
};
"#;

fn project() -> Project {
    Project::of(&[
        ("wakeful.toml", MANIFEST),
        ("invoice.js", INVOICE),
        ("ledger.js", LEDGER),
        ("slow.js", SLOW),
    ])
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Publishes an order; the id of its event.
fn pay(server: &Server<'_>, data: &Value) -> String {
    let accepted = server.json(&["publish", "orders.paid", "--data", &data.to_string()]);
    accepted["event"].as_str().unwrap().to_owned()
}

/// Waits until so many dead letters are there; their runs, newest first.
fn dead(server: &Server<'_>, count: usize) -> Vec<String> {
    server.until("dead letters", || {
        let list = server.json(&["dead", "list"]);
        let dead = list["dead"].as_array()?;
        let runs = dead
            .iter()
            .map(|one| one["run"].as_str().unwrap().to_owned());
        (dead.len() == count).then(|| runs.collect())
    })
}

/// Waits until a run stands there; its story.
fn told(server: &Server<'_>, event: &str, states: &[&str]) -> Value {
    server.until("the story of an event", || {
        let story = server.json(&["explain", event]);
        let fates = story["fates"].as_array()?;
        let found: Vec<_> = fates
            .iter()
            .map(|fate| fate["state"].as_str().unwrap())
            .collect();
        (found == states).then_some(story)
    })
}

#[test]
fn what_failed_at_night_is_found_mended_and_run_again() {
    let project = project();
    let server = project.dev();
    let good = pay(
        &server,
        &json!({ "order": 1, "total": 5, "address": { "street": "Elm" } }),
    );
    let unwanted = pay(&server, &json!({ "order": 2, "total": 0 }));
    let bad: Vec<String> = (3..6)
        .map(|order| pay(&server, &json!({ "order": order, "total": 5 })))
        .collect();
    let runs = dead(&server, 3);

    // Found: what died, with its attempts and lines.
    let shown = text(&server.cli(&["dead", "show", &runs[2]]));
    for part in [
        "attempt 2",
        "invoice for 3 first",
        "invoice.js:5",
        "attempts exhausted",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let raw = text(&server.cli(&["dead", "show", &runs[2], "--raw", "-"]));
    assert_eq!(raw, r#"{"order":3,"total":5}"#);

    // Explained: who wanted what, and what it led to.
    let story = told(&server, &good, &["succeeded"]);
    assert_eq!(story["children"][0]["origin"], "topic:orders.invoiced");
    assert_eq!(story["children"][0]["runs"][0]["function"], "ledger");
    let story = told(&server, &unwanted, &[]);
    assert_eq!(story["judged"][0]["conditions"][0]["found"], "0");
    let repeated = pay(&server, &json!({ "order": 3, "total": 5 }));
    let story = told(&server, &repeated, &["skipped"]);
    assert_eq!(story["fates"][0]["other"], runs[2]);
    let why = text(&server.cli(&["why", "invoice"]));
    assert!(why.contains("there are 3 dead letters"), "{why}");

    // Mended: one payload by hand, the others by new code.
    // Elsewhere: a file of the project would be a new version of its functions.
    let elsewhere = tempfile::tempdir().unwrap();
    let fixed = elsewhere.path().join("fixed.json");
    fs::write(
        &fixed,
        r#"{"order":5,"total":5,"address":{"street":"Oak"}}"#,
    )
    .unwrap();
    let edited = server.json(&["dead", "edit", &runs[0], "--file", fixed.to_str().unwrap()]);
    told(&server, edited["event"].as_str().unwrap(), &["succeeded"]);
    let story = told(&server, &bad[2], &["discarded"]);
    let said = story["fates"][0]["said"].as_str().unwrap();
    assert_eq!(
        said,
        format!("replaced by {}", edited["event"].as_str().unwrap())
    );
    assert_eq!(
        story["children"][0]["children"][0]["runs"][0]["function"],
        "ledger"
    );
    let mended = INVOICE.replace("address.street", "address?.street ?? 'unknown'");
    let before = server.json(&["functions"])["functions"][0]["version"].clone();
    project.write("invoice.js", &mended);
    server.until("the new version", || {
        let now = server.json(&["functions"])["functions"][0]["version"].clone();
        (now != before).then_some(())
    });
    let done = server.json(&["dead", "redrive", "--function", "invoice", "--rate", "20/s"]);
    assert_eq!(done["count"], 2);
    for event in &bad[..2] {
        told(&server, event, &["succeeded"]);
    }

    // Once more for the ledger alone; the trigger's own deduplication is no obstacle.
    let dry = server.json(&[
        "replay",
        "--since",
        "1h",
        "--function",
        "ledger",
        "--dry-run",
    ]);
    assert_eq!(
        (&dry["replayed"], &dry["dry_run"]),
        (&json!(4), &json!(true))
    );
    let done = server.json(&[
        "replay",
        "--since",
        "1h",
        "--trigger",
        "invoice/paid",
        "--limit",
        "1",
    ]);
    assert_eq!(done["events"][0]["of"], good);
    let again = done["events"][0]["event"].as_str().unwrap();
    let story = told(&server, again, &["succeeded"]);
    assert_eq!(story["received"]["lineage"]["replay_of"], good);
    let run = story["fates"][0]["run"].as_str().unwrap();
    let shown = text(&server.cli(&["show", run]));
    assert!(shown.contains(&format!("invoice for 1 {good}")), "{shown}");
}

#[test]
fn what_is_paused_waits_through_a_restart() {
    let project = project();
    let server = project.dev();
    text(&server.cli(&["pause", "invoice", "--trigger", "paid", "--why", "no paper"]));
    let order = json!({ "order": 1, "total": 5, "address": { "street": "Elm" } });
    let event = pay(&server, &order);
    let story = told(&server, &event, &["held"]);
    assert_eq!(story["fates"][0]["waits"][0]["for"], "pause");
    server.end("-TERM");
    let server = project.dev();
    let why = server.json(&["why", "invoice"]);
    assert_eq!(
        why["advice"]["command"],
        "wakeful resume invoice --trigger invoice/paid"
    );
    assert_eq!(why["pauses"][0]["why"], "no paper");
    told(&server, &event, &["held"]);
    text(&server.cli(&["resume", "invoice", "--trigger", "paid"]));
    told(&server, &event, &["succeeded"]);
}

#[test]
fn a_held_delivery_names_who_is_ahead() {
    let project = project();
    let server = project.dev();
    let elsewhere = tempfile::tempdir().unwrap();
    let gate = elsewhere.path().join("go");
    let data = json!({ "customer": "a", "until": gate }).to_string();
    let publish = || server.json(&["publish", "orders.slow", "--data", &data]);
    let (first, second) = (publish(), publish());
    let story = told(&server, second["event"].as_str().unwrap(), &["held"]);
    let wait = &story["fates"][0]["waits"][0];
    assert_eq!((&wait["for"], &wait["key"]), (&json!("order"), &json!("a")));
    assert_eq!(wait["runs"][0], first["runs"][0]);
    server.until("the census", || {
        let why = server.json(&["why", "slow"]);
        let census = &why["triggers"][0]["census"];
        (census["running"] == 1 && census["for_order"] == 1).then_some(())
    });
    fs::write(&gate, "").unwrap();
    told(&server, second["event"].as_str().unwrap(), &["succeeded"]);
}

#[test]
fn a_copy_of_a_running_server_holds_all_of_it() {
    let project = project();
    let server = project.dev();
    pay(&server, &json!({ "order": 3, "total": 5 }));
    let run = dead(&server, 1).remove(0);
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy");
    let copy = copy.to_str().unwrap();
    let made = server.json(&["backup", copy]);
    assert_eq!(made["folder"], copy);
    let again = server.cli(&["backup", copy]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");

    let here = |args: &[&str]| {
        let mut command = Command::new(WAKEFUL);
        command.current_dir(project.path()).args(args);
        command.env_remove("WAKEFUL_DATA").output().unwrap()
    };
    // Nobody examines a folder that a server uses, or restores over it.
    let refused = here(&["doctor"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("in use"), "{said}");
    assert_ne!(here(&["restore", copy]).status.code(), Some(0));
    server.end("-TERM");
    let healthy = here(&["doctor", "--deep", "--json"]);
    assert_eq!(healthy.status.code(), Some(0), "{healthy:?}");

    text(&here(&["restore", copy, "--verify"]));
    fs::rename(
        project.path().join(".wakeful"),
        elsewhere.path().join("lost"),
    )
    .unwrap();
    text(&here(&["restore", copy]));
    let server = project.dev();
    let kept = server.json(&["dead", "show", &run]);
    assert_eq!(kept["event"]["data"]["order"], 3);
    assert_eq!(kept["attempts"].as_array().unwrap().len(), 2);
}
