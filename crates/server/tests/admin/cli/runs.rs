//! Runs and logs.

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use serde_json::Value;
use wakeful_core::run::{LogLevel, RunState};

use super::{Scene, wakeful};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_and_logs() {
    let scene = Scene::new().await;
    let good = scene.rig.record("hello", RunState::Succeeded, None);
    let (dead, event) = scene.rig.die("hello").await;
    scene
        .rig
        .record_as(dead, "hello", RunState::Dead, Some(event));
    scene
        .rig
        .log("hello", Some(dead), LogLevel::Warn, "careful \x1b[2J");
    let text = scene.run(&["runs"]).await;
    assert!(
        text.contains(&good.to_string()) && text.contains(&dead.to_string()),
        "{text}"
    );
    let text = scene
        .run(&["runs", "--state", "dead", "--function", "hello"])
        .await;
    assert!(
        !text.contains(&good.to_string()) && text.contains("TypeError"),
        "{text}"
    );
    assert_eq!(
        scene.json(&["runs", "--limit", "1"]).await["runs"]
            .as_array()
            .unwrap()
            .len(),
        1
    );

    let shown = scene.run(&["show", &dead.to_string()]).await;
    let stable = shown
        .replace(&dead.to_string(), "run_…")
        .replace(&event.to_string(), "evt_…");
    // How long ago that is depends on the day of the test.
    let stable = stable.lines().filter(|line| !line.starts_with("accepted"));
    insta::assert_snapshot!(stable.collect::<Vec<_>>().join("\n"));
    // An event is shown by its only run, or by the list of them.
    assert_eq!(
        scene.run(&["show", &event.to_string()]).await.len(),
        shown.len()
    );
    let second = scene
        .rig
        .record("hello", RunState::Succeeded, Some(event))
        .to_string();
    let both = scene.run(&["show", &event.to_string()]).await;
    assert!(
        both.contains(&second) && both.contains(&dead.to_string()) && both.contains("\"size\": 7"),
        "{both}"
    );
    assert!(!both.contains(&good.to_string()), "{both}");

    // No runs is one thing, no such function another.
    let none = scene
        .run(&["runs", "--function", "hello", "--state", "held"])
        .await;
    assert_eq!(none, "No runs.\n");
    let (code, errors) = scene.fail(&["runs", "--function", "nope"]).await;
    assert!(
        code == 1 && errors.contains("there is no function `nope`"),
        "{errors}"
    );

    for args in [
        ["dead", "list", "--function", "nope"].as_slice(),
        &["dead", "list", "--trigger", "nope/x"],
        &["dead", "redrive", "--function", "nope"],
        &["logs", "--function", "nope"],
        &["logs", "--follow", "--function", "nope"],
    ] {
        let (code, errors) = scene.fail(args).await;
        assert!(
            code == 1
                && errors.contains("there is no function `nope`")
                && errors.contains("`resize`"),
            "{args:?}: {errors}"
        );
    }
    let unknown = ["dead", "list", "--function", "resize", "--trigger", "x"];
    let (code, errors) = scene.fail(&unknown).await;
    assert!(
        code == 1
            && errors.contains("there is no trigger `resize/x`")
            && errors.contains("`resize/pictures`"),
        "{errors}"
    );
    let (code, errors) = scene.fail(&["dead", "list", "--trigger", "x"]).await;
    assert!(code == 3 && errors.contains("FUNCTION/x"), "{errors}");
    let short = ["dead", "list", "--function", "resize", "--trigger", "paid"];
    assert_eq!(scene.run(&short).await, "No dead letters.\n");

    let logs = scene.run(&["logs", "--level", "warn"]).await;
    assert!(logs.ends_with("warn  hello careful \\u{1b}[2J\n"), "{logs}");
    let line = scene.run(&["logs", "--grep", "careful", "--json"]).await;
    assert_eq!(
        serde_json::from_str::<Value>(&line).unwrap()["level"],
        "warn"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_are_followed_and_the_end_of_the_pipe_is_no_error() {
    let scene = Scene::new().await;
    scene.rig.log("hello", None, LogLevel::Info, "before");
    let mut command = wakeful(scene.here(), &["logs", "-f"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = tokio::task::spawn_blocking(move || (lines.next(), lines))
        .await
        .unwrap();
    assert!(next.0.unwrap().unwrap().ends_with("before"));
    scene.rig.log("hello", None, LogLevel::Info, "after");
    next = tokio::task::spawn_blocking(move || {
        let mut lines = next.1;
        (lines.next(), lines)
    })
    .await
    .unwrap();
    assert!(next.0.unwrap().unwrap().ends_with("after"));
    drop(next.1);
    // The reader is gone: with the next lines it ends, and that is fine.
    let ended = loop {
        scene.rig.log("hello", None, LogLevel::Info, "unread");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_follows_hears_that_the_server_stopped() {
    let scene = Scene::new().await;
    scene.rig.log("hello", None, LogLevel::Info, "one\ntwo");
    let mut child = wakeful(scene.here(), &["logs", "-f"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (first, second) = tokio::task::spawn_blocking(move || {
        let mut line = || lines.next().unwrap().unwrap();
        (line(), line())
    })
    .await
    .unwrap();
    // Nothing in a line can pass for a line of its own.
    assert!(first.ends_with("one"), "{first}");
    assert_eq!(second, "    two");
    scene.rig.stop.cancel();
    let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let ended = ended.await.unwrap();
    let errors = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(4), "{errors}");
    assert!(errors.contains("the server stopped"), "{errors}");
}
