//! Starting, refusing to start, restarting and stopping.

mod support;

use std::{
    fs,
    io::Write,
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use support::Project;

const CLOCK: &str = r#"
name = "clock"

[function.tick]
scale_down_after = "1s"

[[function.tick.on]]
schedule = "every 1s"
"#;

fn clock() -> Project {
    let handler = "module.exports = async (event) => event.data;";
    Project::of(&[("wakeful.toml", CLOCK), ("functions/tick.js", handler)])
}

/// The scheduled times of all ticks that ran.
fn ticks(server: &support::Server<'_>) -> Vec<String> {
    let runs = server.runs("tick", "succeeded");
    let results = runs.iter().map(|run| {
        let shown = server.json(&["show", run["id"].as_str().unwrap()]);
        let result = shown["attempts"][0]["result"].clone();
        let data: serde_json::Value = match result.as_str() {
            Some(text) => serde_json::from_str(text).unwrap(),
            None => result,
        };
        data["scheduledTime"]
            .as_str()
            .unwrap_or_else(|| panic!("{shown:#}"))
            .to_owned()
    });
    results.collect()
}

#[test]
fn no_tick_comes_twice_also_after_a_restart() {
    let project = clock();
    let first = project.dev();
    first.until("it ticks", || {
        (first.runs("tick", "succeeded").len() >= 2).then_some(())
    });
    first.end("-9");
    let second = project.dev();
    let before = second.runs("tick", "succeeded").len();
    second.until("it ticks again", || {
        (second.runs("tick", "succeeded").len() >= before + 2).then_some(())
    });
    let mut times = ticks(&second);
    let all = times.len();
    times.sort();
    times.dedup();
    assert_eq!(times.len(), all, "a tick came twice: {times:?}");
}

#[test]
fn a_function_that_nothing_wakes_costs_no_process() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            "name = \"idle\"\n[function.page]\nauth = \"none\"\nscale_down_after = \"1s\"\n\
             routes = { \"GET /\" = \"page\" }\n",
        ),
        (
            "functions/page.js",
            "exports.page = (req, res) => res.send(String(process.pid));",
        ),
    ]);
    let server = project.dev();
    let (_, pid) = server.curl("/", &[]);
    let pid: u32 = pid.parse().unwrap();
    assert!(server.children().contains(&pid));
    server.until("its worker is gone", || {
        (!support::is_alive(pid)).then_some(())
    });
    let (status, again) = server.curl("/", &[]);
    assert_eq!(status, 200);
    assert_ne!(again, pid.to_string());
}

#[test]
fn a_folder_belongs_to_one_server() {
    let project = clock();
    let first = project.dev();
    let mut second = project.launch("dev", &[]);
    let status = second.wait();
    assert!(!status.success());
    let output = project.output();
    assert!(output.contains("in use"), "{output}");
    assert!(
        output.contains(&first.pid().to_string()),
        "it names the process: {output}"
    );
    first.until("the first one goes on", || {
        first.runs("tick", "succeeded").pop()
    });
}

#[test]
fn a_port_in_use_is_named_with_the_way_out() {
    let project = clock();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let mut server = project.launch("dev", &["--http", &address.to_string()]);
    assert!(!server.wait().success());
    let output = project.output();
    let port = address.port().to_string();
    assert!(
        output.contains(&port) && output.contains("--http"),
        "{output}"
    );
}

#[test]
fn a_manifest_with_mistakes_shows_them_all() {
    let project = Project::of(&[(
        "wakeful.toml",
        "name = \"broken\"\n[bukcet.photos]\n[function.gone]\ntimeout = \"soon\"\n",
    )]);
    let mut server = project.launch("dev", &[]);
    assert!(!server.wait().success());
    let output = project.output();
    for part in ["bukcet", "bucket", "soon", "gone", "wakeful.toml:2"] {
        assert!(output.contains(part), "`{part}` is missing: {output}");
    }
}

#[test]
fn the_address_file_is_for_its_owner_and_goes_with_the_server() {
    let project = clock();
    let server = project.dev();
    let file = project.path().join(".wakeful/addresses.json");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let folder = project.path().join(".wakeful");
    assert_eq!(
        fs::metadata(folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    assert_eq!(server.end("-TERM").code(), Some(0));
    assert!(!file.exists());
}

#[test]
fn what_runs_at_a_stop_may_still_write_and_what_that_wakes_runs_next_time() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            r#"
name = "last"

[bucket.notes]

[function.writer]
access = { bucket.notes = "write" }
timeout = "60s"

[function.reader]
access = { bucket.notes = "read" }

[[function.reader.on]]
bucket = "notes"
events = ["created"]
"#,
        ),
        (
            "functions/writer.js",
            r"
const { existsSync } = require('node:fs');
const { bucket } = require('wakeful');
exports.default = async (event) => {
  while (!existsSync(event.data.go)) await new Promise((done) => setTimeout(done, 10));
  await bucket.notes.put('last.txt', 'written while stopping');
};
",
        ),
        (
            "functions/reader.js",
            r"
const { bucket } = require('wakeful');
exports.default = async (event) => (await bucket.notes.get(event.subject)).text();
",
        ),
    ]);
    let go = project.path().with_file_name("go");
    let data = format!(r#"{{"go":"{}"}}"#, go.display());
    let server = project.dev();
    let accepted = server.cli(&["invoke", "writer", "--no-wait", "--data", &data]);
    assert!(accepted.status.success(), "{accepted:?}");
    server.until("it runs", || server.runs("writer", "running").pop());
    server.signal("-TERM");
    server.until("it is stopping", || {
        project.output().contains("Stopping").then_some(())
    });
    fs::write(&go, "").unwrap();
    assert_eq!(server.end("-CONT").code(), Some(0));
    let again = project.dev();
    let written = again.until("what ran is known", || {
        again.runs("writer", "succeeded").pop()
    });
    assert_eq!(written["attempts"], 1, "{written:#}");
    let read = again.until("what it woke ran", || {
        again.runs("reader", "succeeded").pop()
    });
    assert_eq!(read["attempts"], 1, "{read:#}");
    let shown = again.json(&["show", read["id"].as_str().unwrap()]);
    assert!(
        shown.to_string().contains("written while stopping"),
        "{shown:#}"
    );
}

#[test]
fn a_stalled_request_to_the_admin_api_does_not_hold_a_stop() {
    let project = clock();
    let server = project.dev();
    let mut stalled = TcpStream::connect(
        server
            .address("admin")
            .trim_start_matches("http://")
            .to_owned(),
    )
    .unwrap();
    let head = format!(
        "POST /v1/functions/tick/invocations HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        server.address("admin_key")
    );
    stalled.write_all(head.as_bytes()).unwrap();
    server.until("it ticks", || server.runs("tick", "succeeded").pop());
    let began = Instant::now();
    assert_eq!(server.end("-TERM").code(), Some(0));
    assert!(
        began.elapsed() < Duration::from_secs(25),
        "{:?}",
        began.elapsed()
    );
    drop(stalled);
}

#[test]
fn an_invocation_whose_caller_goes_away_is_on_record() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            "name = \"gone\"\n[function.slow]\ntimeout = \"60s\"\n",
        ),
        (
            "functions/slow.js",
            "module.exports = async () => { console.log('it runs'); \
             await new Promise((done) => setTimeout(done, 50000)); };",
        ),
    ]);
    let server = project.dev();
    let mut caller = server.spawn(&["invoke", "slow", "--data", "{}"]);
    server.until("it runs", || {
        let logs = server.cli(&["logs"]);
        String::from_utf8_lossy(&logs.stdout)
            .contains("it runs")
            .then_some(())
    });
    caller.kill().unwrap();
    caller.wait().unwrap();
    let run = server.until("it is on record", || server.runs("slow", "failed").pop());
    assert!(run.to_string().contains("caller went away"), "{run:#}");
    assert_eq!(run["attempts"], 1, "{run:#}");
    server.end("-9");
}

#[test]
fn the_second_signal_stops_at_once_and_what_ran_runs_again() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            "name = \"slow\"\n[function.slow]\ntimeout = \"60s\"\n",
        ),
        (
            "functions/slow.js",
            "module.exports = async (event) => event.data.quick ? 1 : \
             new Promise((done) => setTimeout(done, process.env.QUICK ? 1 : 50000));",
        ),
    ]);
    let server = project.dev();
    let accepted = server.cli(&["invoke", "slow", "--no-wait", "--data", "{}"]);
    assert!(accepted.status.success(), "{accepted:?}");
    server.until("it runs", || server.runs("slow", "running").pop());
    server.signal("-INT");
    server.until("it is stopping", || {
        project.output().contains("Stopping").then_some(())
    });
    assert_eq!(server.end("-INT").code(), Some(0));
    let quick = "module.exports = async () => 'at last';";
    project.write("functions/slow.js", quick);
    let again = project.dev();
    let run = again.until("it ran", || again.runs("slow", "succeeded").pop());
    assert_eq!(
        run["attempts"], 1,
        "an interrupted attempt is not charged: {run:#}"
    );
}

/// Nobody watches a server for what goes well.
#[test]
fn serve_shows_what_did_not_succeed() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            "name = \"quiet\"\n[function.page]\nauth = \"none\"\n\
             routes = { \"GET /good\" = \"good\", \"GET /bad\" = \"bad\" }\n",
        ),
        (
            "functions/page.js",
            "exports.good = (req, res) => { console.log('a line'); res.send('ok'); };\n\
             exports.bad = () => { throw new TypeError('no such page'); };",
        ),
    ]);
    let server = project.serve();
    assert_eq!(server.curl("/good", &[]).0, 200);
    assert_eq!(server.curl("/bad", &[]).0, 500);
    let output = server.until("the failure is shown", || {
        let output = project.output();
        output.contains("functions/page.js:2").then_some(output)
    });
    assert!(output.contains("✗ GET /bad 500"), "{output}");
    assert!(output.contains("TypeError: no such page"), "{output}");
    for unwanted in ["GET /good", "a line"] {
        assert!(!output.contains(unwanted), "{output}");
    }
}
