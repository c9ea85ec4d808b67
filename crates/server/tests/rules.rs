//! Each delivery rule with the real binary: what starts when, as a journal outside of the product
//! saw it.

mod support;

use std::{
    collections::{BTreeMap, HashMap},
    fs,
};

use support::{Project, Server};

/// The handlers write one line when they begin and one when they end. What an event's data says
/// they do: `ms` to wait, `fail` to throw so many times, `die` to end the process.
const JOURNAL: &str = r#"
const fs = require('node:fs');
const { NonRetriableError, RetryAfterError } = require('wakeful');
const seen = new Map();
const note = (...words) => fs.appendFileSync(JOURNAL, `${Date.now()} ${words.join(' ')}\n`);
exports.work = async (event, context) => {
  const { id, lane = '-', ms = 1, fail = 0, die, never, after } = event.data;
  note('begin', id, lane, context.attempt);
  await new Promise((resolve) => setTimeout(resolve, ms));
  if (die && context.attempt === 1) process.kill(process.pid, 'SIGKILL');
  if (never) throw new NonRetriableError('of no use');
  if (after && context.attempt === 1) throw new RetryAfterError('later', after);
  if (context.attempt <= fail) throw new Error('on purpose');
  note('end', id, lane, context.attempt);
  return { done: id };
};
exports.default = exports.work;
exports.batch = async (events, context) => {
  note('batch', events.map((event) => event.data.id).join(','), events.length, context.attempt);
  const failed = events.filter((event) => event.data.fail && !seen.has(event.id));
  for (const event of failed) seen.set(event.id, true);
  return { batchItemFailures: failed.map((event) => ({ itemIdentifier: event.id })) };
};
exports.told = async (event) => {
  const { data, type } = event;
  note('told', data.event?.data?.id ?? data.id ?? '-', data.reason ?? type, data.function ?? '-');
};
"#;

fn project(on: &str) -> Project {
    let manifest = format!(
        "name = \"rules\"\n[topic.\"work.>\"]\n[topic.told]\n[events]\nauth = \"none\"\n\
         [function.worker]\ncode = \"functions/work.js\"\nper_worker = 50\n\
         retry = {{ max_attempts = 3, backoff = [\"5ms\", \"20ms\"] }}\n\
         [[function.worker.on]]\ntopic = \"work.>\"\n{on}\n"
    );
    let project = Project::of(&[("wakeful.toml", &manifest)]);
    // Beside the project: a change there is no edit.
    let file = project.path().join("../journal");
    let code = format!(
        "const JOURNAL = {:?};\n{JOURNAL}",
        file.display().to_string()
    );
    project.write("functions/work.js", &code);
    project
}

fn send(server: &Server<'_>, topic: &str, data: &str) -> String {
    send_with(server, topic, data, &[])
}

fn send_with(server: &Server<'_>, topic: &str, data: &str, more: &[&str]) -> String {
    let path = format!("/events/{topic}");
    let mut arguments = vec!["--header", "content-type: application/json", "--data", data];
    arguments.extend(more);
    let (status, body) = server.curl(&path, &arguments);
    assert_eq!(status, 202, "{body}");
    let answer: serde_json::Value = serde_json::from_str(&body).unwrap();
    answer["ids"][0].as_str().unwrap().to_owned()
}

/// One line of the journal.
#[derive(Debug, Clone)]
struct Line {
    at: u64,
    words: Vec<String>,
}

impl Line {
    fn is(&self, word: &str) -> bool {
        self.words[0] == word
    }
    fn id(&self) -> &str {
        &self.words[1]
    }
    fn lane(&self) -> &str {
        &self.words[2]
    }
}

fn journal(project: &Project) -> Vec<Line> {
    let text = fs::read_to_string(project.path().join("../journal")).unwrap_or_default();
    let parse = |line: &str| {
        let (at, words) = line.split_once(' ')?;
        Some(Line {
            at: at.parse().ok()?,
            words: words.split(' ').map(str::to_owned).collect(),
        })
    };
    text.lines().filter_map(parse).collect()
}

fn until_lines(server: &Server<'_>, project: &Project, word: &str, count: usize) -> Vec<Line> {
    server.until(&format!("{count} lines `{word}`"), || {
        let lines = journal(project);
        let found = lines.iter().filter(|line| line.is(word)).count();
        (found >= count).then_some(lines)
    })
}

/// The most that ran at once in each lane.
fn most_at_once(lines: &[Line]) -> HashMap<String, usize> {
    let mut open: HashMap<&str, usize> = HashMap::new();
    let mut most: HashMap<String, usize> = HashMap::new();
    for line in lines {
        let running = open.entry(line.lane()).or_default();
        match line.words[0].as_str() {
            "begin" => *running += 1,
            "end" => *running = running.saturating_sub(1),
            _ => {}
        }
        let before = most.entry(line.lane().to_owned()).or_default();
        *before = (*before).max(*running);
    }
    most
}

#[test]
fn an_ordering_key_keeps_the_order_and_a_failure_holds_only_its_key() {
    let project = project("ordering_key = \"data.lane\"");
    let server = project.dev();
    for number in 0..12 {
        let lane = number % 3;
        let fail = if lane == 0 && number == 0 { 2 } else { 0 };
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"{number}","lane":"{lane}","fail":{fail}}}"#),
        );
    }
    let lines = until_lines(&server, &project, "end", 12);
    let mut ends: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for line in lines.iter().filter(|line| line.is("end")) {
        ends.entry(line.lane().to_owned())
            .or_default()
            .push(line.id().parse().unwrap());
    }
    for (lane, ends) in &ends {
        assert!(ends.is_sorted(), "lane {lane}: {ends:?}");
    }
    let begins = lines.iter().filter(|line| line.is("begin"));
    let of_first_lane: Vec<&str> = begins
        .filter(|line| line.lane() == "0")
        .map(Line::id)
        .collect();
    assert_eq!(of_first_lane, ["0", "0", "0", "3", "6", "9"]);
}

#[test]
fn a_dead_letter_blocks_its_key_until_someone_acts() {
    let project = project("ordering_key = { key = \"data.lane\", on_exhausted = \"block\" }");
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"poison","lane":"x","fail":99}"#);
    send(&server, "work.a", r#"{"id":"behind","lane":"x"}"#);
    send(&server, "work.a", r#"{"id":"other","lane":"y"}"#);
    until_lines(&server, &project, "end", 1);
    let dead = server.until("the dead letter", || server.runs("worker", "dead").pop());
    let lines = journal(&project);
    assert!(lines.iter().all(|line| line.id() != "behind"), "{lines:?}");
    let why = server.cli(&["why", "worker"]);
    let told = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(told.contains(dead["id"].as_str().unwrap()), "{told}");
    let gone = server.cli(&[
        "dead",
        "discard",
        dead["id"].as_str().unwrap(),
        "--why",
        "poisoned",
    ]);
    assert!(gone.status.success(), "{gone:?}");
    let lines = until_lines(&server, &project, "end", 2);
    assert!(
        lines
            .iter()
            .any(|line| line.is("end") && line.id() == "behind")
    );
}

#[test]
fn a_concurrency_key_limits_its_key_alone() {
    let project = project("concurrency_key = { key = \"data.lane\", limit = 2 }");
    let server = project.dev();
    for number in 0..20 {
        let lane = if number < 16 { "busy" } else { "calm" };
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"{number}","lane":"{lane}","ms":200}}"#),
        );
    }
    let lines = until_lines(&server, &project, "end", 20);
    let most = most_at_once(&lines);
    assert_eq!(most["busy"], 2, "{lines:?}");
    let ends: Vec<&Line> = lines.iter().filter(|line| line.is("end")).collect();
    let last_calm = ends.iter().rposition(|line| line.lane() == "calm").unwrap();
    let busy_before = ends[..last_calm]
        .iter()
        .filter(|line| line.lane() == "busy")
        .count();
    assert!(
        busy_before < 14,
        "the calm key waited for the busy one: {ends:?}"
    );
}

#[test]
fn a_rate_spreads_starts_and_drops_nothing() {
    let project = project("rate = { limit = 10, per = \"1s\", burst = 2, key = \"data.lane\" }");
    let server = project.dev();
    for number in 0..12 {
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"{number}","lane":"a"}}"#),
        );
    }
    let lines = until_lines(&server, &project, "end", 12);
    let begins: Vec<u64> = lines
        .iter()
        .filter(|line| line.is("begin"))
        .map(|line| line.at)
        .collect();
    for window in begins.windows(13) {
        assert!(window[12] - window[0] >= 900, "{begins:?}");
    }
    let took = begins.last().unwrap() - begins[0];
    assert!(
        took >= 850,
        "12 at 10 a second after a burst of 2 took {took} ms"
    );
}

#[test]
fn debounce_runs_the_last_one() {
    let project = project("debounce = { wait = \"300ms\", key = \"data.lane\" }");
    let server = project.dev();
    let ids: Vec<String> = (0..5)
        .map(|number| {
            send(
                &server,
                "work.a",
                &format!(r#"{{"id":"{number}","lane":"a"}}"#),
            )
        })
        .collect();
    send(&server, "work.a", r#"{"id":"b","lane":"b"}"#);
    let lines = until_lines(&server, &project, "end", 2);
    let ran: Vec<&str> = lines
        .iter()
        .filter(|line| line.is("begin"))
        .map(Line::id)
        .collect();
    assert_eq!(ran.len(), 2, "{lines:?}");
    assert!(ran.contains(&"4") && ran.contains(&"b"), "{lines:?}");
    let explained = server.cli(&["explain", &ids[0]]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains("superseded"), "{text}");
}

#[test]
fn a_batch_gathers_and_its_failed_items_come_again() {
    let project = project("batch = { size = 4, window = \"2s\" }\nhandler = \"batch\"");
    let server = project.dev();
    for number in 0..8 {
        let fail = number == 5;
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"{number}","fail":{fail}}}"#),
        );
    }
    let lines = until_lines(&server, &project, "batch", 3);
    let batches: Vec<(&str, &str)> = lines.iter().map(|line| (line.id(), line.lane())).collect();
    assert_eq!(batches[0], ("0,1,2,3", "4"));
    assert_eq!(batches[1], ("4,5,6,7", "4"));
    assert_eq!(batches[2], ("5", "1"), "after the window, alone");
    server.until("all succeeded", || {
        (server.runs("worker", "succeeded").len() == 8).then_some(())
    });
}

#[test]
fn repetitions_are_left_out_also_after_a_kill() {
    let project = project("dedup = \"data.id\"");
    let server = project.dev();
    let first = send(&server, "work.a", r#"{"id":"a"}"#);
    server.until("it is settled", || server.runs("worker", "succeeded").pop());
    server.end("-KILL");
    let server = project.dev();
    let second = send(&server, "work.a", r#"{"id":"a"}"#);
    send(&server, "work.a", r#"{"id":"b"}"#);
    let lines = until_lines(&server, &project, "end", 2);
    assert_ne!(first, second);
    let ran: Vec<&str> = lines
        .iter()
        .filter(|line| line.is("end"))
        .map(Line::id)
        .collect();
    assert_eq!(ran, ["a", "b"]);
    let explained = server.cli(&["explain", &second]);
    let text = String::from_utf8_lossy(&explained.stdout).into_owned();
    assert!(text.contains("run_"), "it says what it repeats: {text}");
}

#[test]
fn a_breaker_opens_probes_and_closes() {
    let project = project(
        "breaker = { failures = 3, retry_after = \"1s\", retry_most = \"1s\" }\n\
         retry = { max_attempts = 1 }\nordering_key = \"data.order\"",
    );
    let server = project.dev();
    for number in 0..3 {
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"bad{number}","order":"o","fail":99}}"#),
        );
    }
    server.until("three are dead", || {
        (server.runs("worker", "dead").len() == 3).then_some(())
    });
    let opened = journal(&project).last().unwrap().at;
    for number in 0..5 {
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"good{number}","order":"o"}}"#),
        );
    }
    let why = server.cli(&["why", "worker"]);
    let text = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(text.contains("breaker"), "{text}");
    let lines = until_lines(&server, &project, "end", 5);
    let first_good = lines
        .iter()
        .find(|line| line.is("begin") && line.id() == "good0")
        .unwrap();
    assert!(
        first_good.at - opened >= 900,
        "{} ms",
        first_good.at - opened
    );
}

#[test]
fn a_breaker_goes_on_trying_when_what_it_tries_dies() {
    let project = project(
        "breaker = { failures = 2, retry_after = \"1s\", retry_most = \"1s\" }\n\
         retry = { max_attempts = 1 }",
    );
    let server = project.dev();
    for number in 0..6 {
        send(
            &server,
            "work.a",
            &format!(r#"{{"id":"{number}","fail":99}}"#),
        );
    }
    let lines = until_lines(&server, &project, "begin", 6);
    let begins: Vec<u64> = (lines.iter().filter(|line| line.is("begin")))
        .map(|line| line.at)
        .collect();
    // Two open it, a third may be on its way by then; the last two are tried one by one.
    let gaps = [begins[4] - begins[3], begins[5] - begins[4]];
    assert!(gaps.iter().all(|gap| (900..5000).contains(gap)), "{gaps:?}");
}

#[test]
fn what_was_left_out_as_a_repetition_is_left_out_of_a_replay() {
    let project = project("dedup = \"data.id\"");
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"a"}"#);
    send(&server, "work.a", r#"{"id":"a"}"#);
    until_lines(&server, &project, "end", 1);
    let told = server.json(&[
        "replay",
        "--since",
        "1h",
        "--function",
        "worker",
        "--dry-run",
    ]);
    assert_eq!(told["replayed"], 1, "{told}");
    assert_eq!(told["left_out"]["repetitions"], 1, "{told}");
}

#[test]
fn a_pause_survives_a_restart_and_resume_lets_everything_go() {
    let project = project("concurrency_key = { key = \"data.lane\", limit = 5 }");
    let server = project.dev();
    let done = server.cli(&["pause", "worker", "--key", "a", "--why", "maintenance"]);
    assert!(done.status.success(), "{done:?}");
    send(&server, "work.a", r#"{"id":"1","lane":"a"}"#);
    send(&server, "work.a", r#"{"id":"2","lane":"b"}"#);
    until_lines(&server, &project, "end", 1);
    server.end("-KILL");
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"3","lane":"b"}"#);
    let lines = until_lines(&server, &project, "end", 2);
    assert!(lines.iter().all(|line| line.lane() == "b"), "{lines:?}");
    let text = String::from_utf8_lossy(&server.cli(&["why", "worker"]).stdout).into_owned();
    assert!(text.contains("maintenance"), "{text}");
    let done = server.cli(&["resume", "worker", "--key", "a"]);
    assert!(done.status.success(), "{done:?}");
    let lines = until_lines(&server, &project, "end", 3);
    assert!(
        lines
            .iter()
            .any(|line| line.is("end") && line.lane() == "a")
    );
}

#[test]
fn a_handler_says_whether_and_when_to_try_again() {
    let project = project("");
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"never","never":true}"#);
    send(&server, "work.a", r#"{"id":"after","after":"1s"}"#);
    let lines = until_lines(&server, &project, "end", 1);
    let begins: Vec<u64> = (lines.iter())
        .filter(|line| line.is("begin") && line.id() == "after")
        .map(|line| line.at)
        .collect();
    assert!(begins[1] - begins[0] >= 950, "{begins:?}");
    let dead = server.until("the dead letter", || server.runs("worker", "dead").pop());
    assert_eq!(dead["attempts"], 1, "{dead}");
    let listed = server.json(&["dead", "list"]).to_string();
    assert!(listed.contains("not_retriable"), "{listed}");
}

#[test]
fn an_unknown_outcome_is_held_for_a_person() {
    let project = project("on_unknown = \"hold\"");
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"dies","die":true}"#);
    let dead = server.until("the dead letter", || server.runs("worker", "dead").pop());
    send(&server, "work.a", r#"{"id":"long","ms":60000}"#);
    until_lines(&server, &project, "begin", 2);
    server.end("-KILL");
    let server = project.dev();
    server.until("both are held", || {
        (server.runs("worker", "dead").len() == 2).then_some(())
    });
    let listed = server.json(&["dead", "list", "--reason", "outcome_unknown"]);
    let count = listed.to_string().matches("outcome_unknown").count();
    assert!(count >= 2, "{listed}");
    let done = server.cli(&["dead", "redrive", dead["id"].as_str().unwrap()]);
    assert!(done.status.success(), "{done:?}");
    let lines = until_lines(&server, &project, "end", 1);
    assert!(
        lines
            .iter()
            .any(|line| line.is("end") && line.id() == "dies")
    );
}

#[test]
fn outcomes_go_where_they_should_and_the_dead_are_told_of() {
    let project =
        project("on_success = { topic = \"told\" }\non_failure = { function = \"teller\" }");
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let more = "\n[function.teller]\ncode = \"functions/work.js\"\n\
                [[function.teller.on]]\ntopic = \"told\"\nhandler = \"told\"\n\
                [function.alarm]\ncode = \"functions/work.js\"\n\
                [[function.alarm.on]]\nsystem = \"dead_letter\"\nhandler = \"told\"\n";
    project.write("wakeful.toml", &(manifest + more));
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"good"}"#);
    send(&server, "work.a", r#"{"id":"bad","fail":99}"#);
    let lines = until_lines(&server, &project, "told", 3);
    let told: Vec<(&str, &str)> = (lines.iter().filter(|line| line.is("told")))
        .map(|line| (line.id(), line.lane()))
        .collect();
    assert!(told.contains(&("good", "told")), "{told:?}");
    let deaths = told
        .iter()
        .filter(|one| **one == ("bad", "attempts_exhausted"))
        .count();
    assert_eq!(deaths, 2, "the destination and the alarm: {told:?}");
}

#[test]
fn a_head_start_overtakes_what_waits() {
    let project = project("priority = { key = \"data.start\" }");
    let manifest = fs::read_to_string(project.path().join("wakeful.toml")).unwrap();
    let narrow = manifest.replace("per_worker = 50", "per_worker = 1\nconcurrency = 1");
    project.write("wakeful.toml", &narrow);
    let server = project.dev();
    send(&server, "work.a", r#"{"id":"first","ms":1500}"#);
    until_lines(&server, &project, "begin", 1);
    for number in 0..3 {
        send(&server, "work.a", &format!(r#"{{"id":"plain{number}"}}"#));
    }
    send(&server, "work.a", r#"{"id":"vip","start":600}"#);
    let lines = until_lines(&server, &project, "end", 5);
    let ends: Vec<&str> = lines
        .iter()
        .filter(|line| line.is("end"))
        .map(Line::id)
        .collect();
    let vip = ends.iter().position(|id| *id == "vip").unwrap();
    let last_plain = ends.iter().position(|id| *id == "plain2").unwrap();
    assert!(vip < last_plain, "{ends:?}");
}

#[test]
fn a_delay_is_kept() {
    let project = project("");
    let server = project.dev();
    send_with(
        &server,
        "work.a",
        r#"{"id":"later"}"#,
        &["--header", "x-wakeful-delay: 1s"],
    );
    send(&server, "work.a", r#"{"id":"now"}"#);
    let lines = until_lines(&server, &project, "end", 2);
    let ends: Vec<(&str, u64)> = (lines.iter().filter(|line| line.is("end")))
        .map(|line| (line.id(), line.at))
        .collect();
    assert_eq!(ends[0].0, "now");
    assert!(ends[1].1 - ends[0].1 >= 700, "{ends:?}");
}

#[test]
fn an_unknown_topic_is_an_error() {
    let project = project("");
    let server = project.dev();
    let arguments = ["--header", "content-type: application/json", "--data", "{}"];
    let (status, body) = server.curl("/events/wrok.a", &arguments);
    assert_eq!(status, 404, "{body}");
    assert!(body.contains("wrok.a"), "{body}");
}
