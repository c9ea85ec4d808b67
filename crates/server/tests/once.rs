//! What functions publish, invoke, and gather for the moment in which they have succeeded: with
//! real workers, and with servers and workers that are killed.

mod support;

use std::{fs, process::Command};

use serde_json::Value;
use support::{Project, Server};

/// Functions that pass events on, and two that write down what they get.
const MANIFEST: &str = r#"
name = "shop"

[topic."orders.>"]
[topic."notes.>"]
[bucket.files]

[database.books]
url = "sqlite:data/books.db"

[function.order]
timeout = "20s"
retry = { max_attempts = 3, backoff = ["10ms", "50ms"] }
env = { NOTES = "@NOTES@" }
access = { topic = ["notes.>"], function = ["witness"], bucket.files = "write", database.books = "write" }
[[function.order.on]]
topic = "orders.new"

[function.witness]
env = { NOTES = "@NOTES@" }
[[function.witness.on]]
topic = "notes.>"
handler = "noted"
[[function.witness.on]]
bucket = "files"
events = ["created", "changed", "removed"]
handler = "stored"
"#;

const WITNESS: &str = r#"
const fs = require('node:fs');
const note = (line) => fs.appendFileSync(process.env.NOTES, `${line}\n`);
exports.noted = async (event) => note(`${event.type} ${JSON.stringify(event.data ?? null)}`);
exports.stored = async (event) => note(`${event.type} ${event.subject}`);
"#;

/// Lines that come before every handler under test.
const PRELUDE: &str = r#"
const fs = require('node:fs');
const { publish, invoke, bucket, db } = require('wakeful');
const note = (line) => fs.appendFileSync(process.env.NOTES, `${line}\n`);
const noted = (text) => fs.existsSync(process.env.NOTES) && fs.readFileSync(process.env.NOTES, 'utf8').includes(text);
const forever = () => new Promise((resolve) => setTimeout(resolve, 60_000));
"#;

fn shop(handler: &str) -> Project {
    let project = Project::of(&[("functions/witness.js", WITNESS)]);
    let notes = project.path().with_file_name("notes");
    let manifest = MANIFEST.replace("@NOTES@", &notes.display().to_string());
    project.write("wakeful.toml", &manifest);
    project.write("functions/order.js", &format!("{PRELUDE}\n{handler}"));
    project
}

fn notes(project: &Project) -> Vec<String> {
    let path = project.path().with_file_name("notes");
    let text = fs::read_to_string(path).unwrap_or_default();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Places an order, and answers when that is on disk.
fn order(server: &Server<'_>, id: u32) {
    let data = format!("{{\"id\":{id}}}");
    let published = server.cli(&["publish", "orders.new", "--data", &data]);
    assert!(published.status.success(), "{published:?}");
}

fn succeeded(server: &Server<'_>, function: &str) -> Value {
    let what = format!("{function} succeeded");
    server.until(&what, || server.runs(function, "succeeded").pop())
}

/// Waits until nothing waits or runs any more: what has not happened by then does not happen.
fn settled(server: &Server<'_>) {
    server.until("nothing is owed any more", || {
        let stats = server.json(&["functions"]);
        let functions = match stats.is_array() {
            true => stats,
            false => stats["functions"].clone(),
        };
        let quiet = |function: &Value| function["queued"] == 0 && function["in_flight"] == 0;
        functions.as_array()?.iter().all(quiet).then_some(())
    });
}

/// Waits for these notes, then until nothing is owed, and expects no others.
fn expect(project: &Project, server: &Server<'_>, expected: &[&str]) {
    server.until("all is noted", || {
        (notes(project).len() >= expected.len()).then_some(())
    });
    settled(server);
    assert_eq!(notes(project), expected, "{}", project.output());
}

#[test]
fn functions_publish_invoke_and_write_and_tell_why() {
    let project = shop(
        "exports.default = async (event, context) => {
           const one = await publish('notes.a', { n: 1 });
           const list = await publish([{ topic: 'notes.b', data: 2 }, { topic: 'notes.c' }]);
           const again = await publish('notes.d', 4, { id: 'x', source: '/shop' });
           const twice = await publish('notes.d', 5, { id: 'x', source: '/shop' });
           const later = await invoke('witness', 6, { handler: 'noted', wait: false });
           await invoke('witness', 7, { handler: 'noted' });
           await bucket.files.put('a.txt', 'hello');
           const failures = [];
           for (const wrong of [
             () => publish('moon.a', 1), () => publish('a b', 1), () => invoke('nobody', 1),
             () => publish('notes.a', 1, { source: 'a b' }),
           ]) await wrong().catch((error) => failures.push(error.code));
           return { ids: [one.id, ...list.ids, later.id].length, doubles: again.duplicates + twice.duplicates, failures };
         };",
    );
    let server = project.dev();
    order(&server, 1);
    let run = succeeded(&server, "order");
    let shown = server.json(&["show", run["id"].as_str().unwrap()]);
    let result = shown["attempts"][0]["result"].clone();
    let result = match result.as_str() {
        Some(text) => serde_json::from_str(text).unwrap(),
        None => result,
    };
    let expected = serde_json::json!({
        "ids": 4, "doubles": 1, "failures": ["not_found", "invalid", "not_found", "invalid"],
    });
    assert_eq!(result, expected, "{shown:#}");
    expect(
        &project,
        &server,
        &[
            "notes.a {\"n\":1}",
            "notes.b 2",
            "notes.c null",
            "notes.d 4",
            "wakeful.bucket.created a.txt",
            "wakeful.function.invoke 6",
            "wakeful.function.invoke 7",
        ],
    );
}

#[test]
fn a_handler_that_fails_after_once_has_done_nothing() {
    let project = shop(
        "exports.default = async (event, context) => {
           await context.once('all', async (tx) => {
             await tx.publish('notes.a', context.attempt);
             await tx.invoke('witness', context.attempt, { handler: 'noted' });
             await tx.bucket.files.put('a.txt', `${context.attempt}`);
           });
           if (context.attempt < 2 || event.data.id === 2) throw new Error('after it');
         };",
    );
    let server = project.dev();
    order(&server, 1);
    succeeded(&server, "order");
    expect(
        &project,
        &server,
        &[
            "notes.a 2",
            "wakeful.bucket.created a.txt",
            "wakeful.function.invoke 2",
        ],
    );
    order(&server, 2);
    server.until("the other one is dead", || {
        server.runs("order", "dead").pop()
    });
    settled(&server);
    assert_eq!(
        notes(&project).len(),
        3,
        "it succeeded never: {:?}",
        notes(&project)
    );
    assert_eq!(blobs(&project), 1, "what was dropped leaves nothing behind");
}

/// The files of the buckets' contents.
fn blobs(project: &Project) -> usize {
    let folders = fs::read_dir(project.path().join(".wakeful/objects")).unwrap();
    let files = folders
        .flatten()
        .flat_map(|folder| fs::read_dir(folder.path()).into_iter());
    files.flatten().count()
}

#[test]
fn an_object_of_once_is_visible_only_after_success() {
    let project = shop(
        "exports.default = async (event, context) => {
           await context.once('file', (tx) => tx.bucket.files.put('a.txt', 'x'));
           note(`within ${(await bucket.files.head('a.txt')) === null ? 0 : 1}`);
         };",
    );
    let server = project.dev();
    order(&server, 1);
    expect(
        &project,
        &server,
        &["wakeful.bucket.created a.txt", "within 0"],
    );
    order(&server, 2);
    expect(
        &project,
        &server,
        &[
            "wakeful.bucket.changed a.txt",
            "wakeful.bucket.created a.txt",
            "within 0",
            "within 1",
        ],
    );
}

const BOOK: &str =
    "const book = (context, event) => context.once('book', { db: 'books' }, async (tx) => {
  note(`booking ${event.data.id}`);
  await tx.db.exec('create table if not exists booked (id integer)');
  await tx.db.run('insert into booked values (?)', [event.data.id]);
  await tx.publish('notes.booked', event.data.id);
  return { number: event.data.id * 10 };
});";

fn booked(project: &Project) -> String {
    let output = Command::new("sqlite3")
        .args(["-cmd", ".timeout 20000"])
        .arg(project.path().join("data/books.db"))
        .arg("select group_concat(id) from booked")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn a_worker_that_dies_after_the_commit_books_nothing_twice() {
    let project = shop(&format!(
        "{BOOK}
         exports.default = async (event, context) => {{
           const {{ number }} = await book(context, event);
           note(`number ${{number}} attempt ${{context.attempt}}`);
           if (context.attempt === 1) process.kill(process.pid, 'SIGKILL');
         }};"
    ));
    let server = project.dev();
    order(&server, 1);
    expect(
        &project,
        &server,
        &[
            "booking 1",
            "notes.booked 1",
            "number 10 attempt 1",
            "number 10 attempt 2",
        ],
    );
    assert_eq!(booked(&project), "1");
}

#[test]
fn a_server_that_is_killed_before_the_settlement_loses_nothing_and_does_nothing_twice() {
    let project = shop(&format!(
        "{BOOK}
         exports.default = async (event, context) => {{
           await book(context, event);
           await context.once('more', (tx) => tx.publish('notes.more', event.data.id));
           await context.once('file', (tx) => tx.bucket.files.put('a.txt', 'x'));
           const first = !noted(`gathered ${{event.data.id}}`);
           note(`gathered ${{event.data.id}}`);
           if (first) await forever();
         }};"
    ));
    let first = project.dev();
    order(&first, 1);
    first.until("all is gathered", || {
        notes(&project)
            .contains(&"gathered 1".to_owned())
            .then_some(())
    });
    assert_eq!(booked(&project), "1", "the user's database has committed");
    first.end("-9");
    let second = project.dev();
    expect(
        &project,
        &second,
        &[
            "booking 1",
            "gathered 1",
            "gathered 1",
            "notes.booked 1",
            "notes.more 1",
            "wakeful.bucket.created a.txt",
        ],
    );
    assert_eq!(booked(&project), "1");
    second.until("bytes that nobody refers to are swept", || {
        (blobs(&project) == 1).then_some(())
    });
}

#[test]
fn kills_at_any_moment_apply_each_effect_once() {
    let project = shop(&format!(
        "{BOOK}
         exports.default = async (event, context) => {{
           await book(context, event);
           await context.once('file', (tx) => tx.bucket.files.put(`${{event.data.id}}.txt`, 'x'));
         }};"
    ));
    project.write(
        "functions/witness.js",
        &WITNESS.replace("${event.type}", "${event.type} ${event.id}"),
    );
    let orders = 60;
    let mut server = project.dev();
    for id in 1..=orders {
        order(&server, id);
        if id % 20 == 0 {
            server.end("-9");
            server = project.dev();
        }
    }
    settled(&server);
    let mut ids: Vec<u32> = booked(&project)
        .split(',')
        .map(|id| id.parse().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=orders).collect::<Vec<_>>());
    // The witness may be repeated for what was in flight at a kill, with the same event.
    let mut lines = notes(&project);
    lines.retain(|line| !line.starts_with("booking"));
    let all = lines.len();
    lines.dedup();
    assert_eq!(lines.len(), 2 * 60, "one event for each effect");
    assert!(
        all - lines.len() <= 2 * 8 * 2,
        "{} repeats",
        all - lines.len()
    );
}

#[test]
fn a_loop_of_functions_ends_as_a_dead_letter() {
    let project =
        shop("exports.default = async (event) => { await publish('notes.x', event.data); };");
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let looping = manifest.replace(
        "[function.witness]\n",
        "[function.witness]\naccess = { topic = [\"orders.>\"] }\n",
    );
    project.write("wakeful.toml", &looping);
    project.write(
        "functions/witness.js",
        "const { publish } = require('wakeful');
         exports.stored = async () => {};
         exports.noted = async (event) => { await publish('orders.new', event.data); };",
    );
    let server = project.dev();
    order(&server, 1);
    let dead = server.until("it is stopped", || {
        server
            .runs("order", "dead")
            .into_iter()
            .chain(server.runs("witness", "dead"))
            .next()
    });
    settled(&server);
    let letters = server.json(&["dead", "list"]);
    assert!(
        letters.to_string().contains("\"loop\""),
        "{letters:#}\n{dead:#}"
    );
    let ran = server.runs("order", "succeeded").len() + server.runs("witness", "succeeded").len();
    assert_eq!(ran, 17, "the first and those of the longest chain");
}

#[test]
fn requests_apply_their_effects_at_once_and_waiting_in_a_circle_is_refused() {
    let project = Project::of(&[
        (
            "wakeful.toml",
            r#"
name = "calls"
[topic."notes.>"]
[function.api]
auth = "none"
concurrency = 1
routes = { "GET /once" = "once", "GET /circle" = "circle", "GET /failing" = "failing" }
access = { topic = ["notes.>"], function = ["api", "echo"] }
[[function.api.on]]
topic = "notes.circle"
handler = "again"
[function.echo]
[[function.echo.on]]
topic = "notes.echo"
"#,
        ),
        (
            "functions/api.js",
            "const { invoke, context } = require('wakeful');
             exports.again = async () => 'never';
             exports.once = async (req, res) => {
               await context().once('note', (tx) => tx.publish('notes.echo', 1));
               res.send('done');
             };
             exports.circle = async (req, res) => {
               const error = await invoke('api', 1).catch((error) => error);
               res.send(`${error.code}: ${error.message}`);
             };
             exports.failing = async (req, res) => {
               const error = await invoke('echo', { fail: true }).catch((error) => error);
               res.send(`${error.name} ${error.kind} ${error.cause.name}`);
             };",
        ),
        (
            "functions/echo.js",
            "exports.default = async (event) => { if (event.data.fail) throw new RangeError('no'); };",
        ),
    ]);
    let server = project.dev();
    assert_eq!(server.curl("/once", &[]), (200, "done".into()));
    succeeded(&server, "echo");
    let (status, text) = server.curl("/circle", &[]);
    assert_eq!(status, 200);
    assert!(
        text.starts_with("unavailable: ") && text.contains("api → api"),
        "{text}"
    );
    let (_, text) = server.curl("/failing", &[]);
    assert_eq!(text, "InvokeError user_error RangeError");
}

#[test]
fn undeclared_use_works_in_dev_and_serve_refuses_it_with_the_line_to_write() {
    let project = shop(
        "exports.default = async (event) => {
           try { await publish('notes.a', 1); await invoke('witness', 2, { handler: 'noted' }); }
           catch (error) { note(`${error.code}: ${error.message}`); }
         };",
    );
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let bare: String = manifest
        .lines()
        .filter(|line| !line.starts_with("access"))
        .fold(String::new(), |text, line| text + line + "\n");
    project.write("wakeful.toml", &bare);
    {
        let server = project.serve();
        order(&server, 1);
        server.until("it is refused", || notes(&project).pop());
        let refused = notes(&project).remove(0);
        assert!(refused.starts_with("denied: "), "{refused}");
        assert!(
            refused.contains("add `access = { topic = [\"notes.>\"] }` to [function.order]"),
            "{refused}"
        );
        server.end("-INT");
    }
    fs::remove_file(project.path().with_file_name("notes")).unwrap();
    let server = project.dev();
    order(&server, 2);
    expect(
        &project,
        &server,
        &["notes.a 1", "wakeful.function.invoke 2"],
    );
    assert!(
        project.output().contains("order uses topic `notes.>`"),
        "{}",
        project.output()
    );
    let fixed = server.cli(&["check", "--fix"]);
    assert!(fixed.status.success(), "{fixed:?}");
    let text = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    assert!(
        text.contains("access = { topic = [\"notes.>\"], function = [\"witness\"] }"),
        "{text}"
    );
}

#[test]
fn in_a_batch_the_effects_of_what_failed_are_dropped() {
    let project = shop(
        "exports.default = async (events, context) => {
           const failed = [];
           for (const event of events) {
             await context.once('note', { event }, (tx) => tx.publish('notes.a', event.data.id));
             if (event.data.id % 2 === 0) failed.push({ itemIdentifier: event.id });
           }
           note(`batch of ${events.length}`);
           return { batchItemFailures: failed };
         };",
    );
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let batched = manifest.replace(
        "topic = \"orders.new\"\n",
        "topic = \"orders.new\"\nbatch = { size = 4, window = \"20s\" }\n",
    );
    assert_ne!(batched, manifest);
    project.write(
        "wakeful.toml",
        &batched.replace("max_attempts = 3", "max_attempts = 1"),
    );
    let server = project.dev();
    for id in 1..=4 {
        order(&server, id);
    }
    server.until("two are dead", || {
        (server.runs("order", "dead").len() == 2).then_some(())
    });
    expect(&project, &server, &["batch of 4", "notes.a 1", "notes.a 3"]);
}

#[test]
fn every_style_publishes_and_invokes() {
    let project = shop("exports.default = async () => {};");
    let mut manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    for style in ["lambda", "web", "native"] {
        manifest += &format!(
            "[function.{style}]\nstyle = \"{style}\"\nauth = \"none\"\n\
             access = {{ topic = [\"notes.*\"], function = [\"witness\"] }}\n\
             routes = {{ \"GET /{style}\" = {} }}\n",
            match style {
                "lambda" => "\"handler\"",
                "web" => "{}",
                _ => "\"answer\"",
            }
        );
    }
    project.write("wakeful.toml", &manifest);
    let work = "const { publish, invoke } = require('wakeful');
        const work = async (name) => {
          await publish(`notes.${name}`, name);
          await invoke('witness', name, { handler: 'noted' });
          return 'done';
        };\n";
    let handlers = [
        (
            "lambda",
            "exports.handler = async () => ({ statusCode: 200, body: await work('lambda') });",
        ),
        (
            "web",
            "module.exports = { fetch: async () => new Response(await work('web')) };",
        ),
        (
            "native",
            "exports.answer = async (req, res) => res.send(await work('native'));",
        ),
    ];
    for (style, handler) in handlers {
        project.write(
            &format!("functions/{style}.js"),
            &format!("{work}{handler}"),
        );
    }
    let server = project.dev();
    for (style, _) in handlers {
        assert_eq!(server.curl(&format!("/{style}"), &[]), (200, "done".into()));
    }
    expect(
        &project,
        &server,
        &[
            "notes.lambda \"lambda\"",
            "notes.native \"native\"",
            "notes.web \"web\"",
            "wakeful.function.invoke \"lambda\"",
            "wakeful.function.invoke \"native\"",
            "wakeful.function.invoke \"web\"",
        ],
    );
}
