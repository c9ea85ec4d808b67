//! Dead letters, publishing, replays, explanations, pauses.

use serde_json::Value;
use wakeful_core::{
    delivery::DeadReason,
    id::{EventId, RunId},
    run::{LogLevel, RunState},
};

use super::Scene;

/// A text whose ids and times depend on nothing any more.
fn stable(text: &str, ids: &[(&dyn std::fmt::Display, &str)]) -> String {
    let mut text = text.to_owned();
    for (id, name) in ids {
        text = text.replace(&id.to_string(), name);
    }
    // How long ago something was depends on the day of the test.
    let kept = text.lines().filter(|line| !line.starts_with("accepted"));
    let kept = kept.filter(|line| !line.starts_with("died"));
    kept.map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters() {
    let scene = Scene::new().await;
    assert_eq!(scene.run(&["dead", "list"]).await, "No dead letters.\n");
    let (dead, event) = scene
        .rig
        .die_of("hello", DeadReason::TooOld, Some("k"))
        .await;
    scene
        .rig
        .record_as(dead, "hello", RunState::Dead, Some(event));
    scene
        .rig
        .log("hello", Some(dead), LogLevel::Warn, "careful \x1b[2J");
    let (other, _) = scene.rig.die("resize").await;
    let list = scene.run(&["dead", "list"]).await;
    for part in [
        dead.to_string().as_str(),
        "too old",
        "blocks the key `k`",
        "LAST ERROR",
    ] {
        assert!(list.contains(part), "{part}: {list}");
    }
    let narrow = scene
        .run(&["dead", "list", "--function", "resize", "--since", "1000d"])
        .await;
    assert!(narrow.contains(&other.to_string()), "{narrow}");
    assert!(!narrow.contains(&dead.to_string()), "{narrow}");
    let json = scene.json(&["dead", "list", "--reason", "too_old"]).await;
    assert_eq!(
        (&json["summary"]["total"], &json["dead"][0]["blocks"]),
        (&1.into(), &"k".into())
    );

    let shown = scene.run(&["dead", "show", &dead.to_string()]).await;
    insta::assert_snapshot!(stable(&shown, &[(&dead, "run_dead"), (&event, "evt_dead")]));
    let bare = scene.run(&["dead", "show", &other.to_string()]).await;
    assert!(
        bare.contains("The history no longer has its attempts"),
        "{bare}"
    );
    let raw = scene
        .run(&["dead", "show", &dead.to_string(), "--raw", "-"])
        .await;
    assert_eq!(raw, "{\"size\":7}");
    scene
        .run(&["dead", "show", &dead.to_string(), "--raw", "payload.json"])
        .await;
    let written = std::fs::read(scene.here().join("payload.json")).unwrap();
    assert_eq!(written, b"{\"size\":7}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_are_run_again_or_dropped() {
    let scene = Scene::new().await;
    let (one, _) = scene.rig.die("hello").await;
    for _ in 0..2 {
        scene.rig.die("resize").await;
    }
    for verb in ["redrive", "discard"] {
        let (code, errors) = scene.fail(&["dead", verb]).await;
        assert!(
            code == 2 && errors.contains("--all") && errors.contains("--function"),
            "{errors}"
        );
    }
    let dry = scene
        .run(&["dead", "redrive", "--function", "resize", "--dry-run"])
        .await;
    assert_eq!(dry, "2 dead letters would be queued again.\n");
    let text = scene.run(&["dead", "redrive", &one.to_string()]).await;
    assert_eq!(text, "1 dead letter queued again.\n");
    let (code, errors) = scene.fail(&["dead", "redrive", &one.to_string()]).await;
    assert!(
        code == 3 && errors.contains("is no dead letter"),
        "{errors}"
    );
    let spread = scene
        .json(&["dead", "redrive", "--function", "resize", "--rate", "1/m"])
        .await;
    assert_eq!(spread["count"], 2);
    assert!(spread["last_at"].is_string(), "{spread}");
    assert_eq!(scene.run(&["dead", "list"]).await, "No dead letters.\n");

    let (_, event) = scene.rig.die("hello").await;
    // Nobody is there to agree.
    assert_eq!(scene.fail(&["dead", "discard", "--all"]).await.0, 3);
    let narrow = scene
        .fail(&["dead", "discard", "--function", "hello"])
        .await;
    assert!(
        narrow.1.contains("all dead letters of hello"),
        "{}",
        narrow.1
    );
    let gone = scene
        .json(&["dead", "discard", "--all", "--yes", "--why", "a test"])
        .await;
    assert_eq!(gone["count"], 1);
    let told = scene.run(&["explain", &event.to_string()]).await;
    assert!(
        told.contains("discarded") && told.contains("a test"),
        "{told}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_letter_is_edited() {
    let scene = Scene::new().await;
    let (dead, _) = scene.rig.die("hello").await;
    let edit = ["dead", "edit", &dead.to_string(), "--file", "-"];
    let refused = scene.run_with(&edit, b"{").await;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    // Without a terminal there is no editor.
    let (code, errors) = scene.fail(&edit[..3]).await;
    assert!(code == 3 && errors.contains("--file"), "{errors}");
    let done = scene.run_with(&edit, b"{\"size\": 9}").await;
    let text = String::from_utf8(done.stdout).unwrap();
    assert!(
        text.contains(&format!("takes the place of {dead}")),
        "{text}"
    );
    let new: EventId = text.split(' ').next().unwrap().parse().unwrap();
    let explained = scene.run(&["explain", &new.to_string()]).await;
    assert!(explained.contains("repeats"), "{explained}");
    assert_eq!(scene.fail(&edit).await.0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn publishing() {
    let scene = Scene::new().await;
    let unwanted = scene
        .run(&["publish", "orders.paid", "--data", "{\"total\": 7}"])
        .await;
    assert!(unwanted.contains("no trigger wants it"), "{unwanted}");
    let wanted = scene
        .json(&[
            "publish",
            "orders.paid",
            "--data",
            "{\"total\": 700}",
            "--delay",
            "5m",
        ])
        .await;
    let run: RunId = wanted["runs"][0].as_str().unwrap().parse().unwrap();
    let event =
        r#"{"specversion":"1.0","id":"7","source":"/shop","type":"t","data":{"total":800}}"#;
    std::fs::write(scene.here().join("event.json"), event).unwrap();
    let whole = scene
        .json(&["publish", "orders.paid", "--file", "event.json"])
        .await;
    let explained = scene
        .json(&["explain", whole["event"].as_str().unwrap()])
        .await;
    assert_eq!(explained["received"]["source"], "/shop");
    let explained = scene.run(&["explain", &run.to_string()]).await;
    assert!(
        explained.contains("waits: it is not to be started before"),
        "{explained}"
    );

    for (args, code, said) in [
        (&["publish", "cats"][..], 1, "there is `orders.*`"),
        (&["publish", "orders.paid", "--data", "{"], 3, "no JSON"),
        (&["publish", "orders.paid", "--delay", "soon"], 2, "--delay"),
        (
            &["publish", "orders.paid", "--delay", "99d"],
            3,
            "at most 30 days",
        ),
        (&["publish", "orders.paid", "--file", "none"], 3, "none"),
        (&["invoke", "hello", "--delay", "5m"], 3, "--async"),
    ] {
        let failed = scene.fail(args).await;
        assert_eq!(failed.0, code, "{args:?}: {}", failed.1);
        assert!(failed.1.contains(said), "{args:?}: {}", failed.1);
    }
    let text = scene
        .run(&[
            "publish",
            "orders.paid",
            "--data",
            "hello",
            "--content-type",
            "text/plain",
        ])
        .await;
    assert!(text.starts_with("evt_"), "{text}");
    let later = scene
        .json(&["invoke", "hello", "--async", "--delay", "5m"])
        .await;
    assert!(later["event"].as_str().unwrap().starts_with("evt_"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replays() {
    let scene = Scene::new().await;
    let old = scene.rig.keep(scene.rig.photo("cat.png")).await;
    let mut caused = scene.rig.photo("dog.png");
    caused.lineage.run = Some(scene.rig.control.ids.run(scene.rig.control.clock.now()));
    scene.rig.keep(caused).await;
    // The events of the test come from the future.
    let since = ["--since", "2020-01-01T00:00:00Z"];
    let dry = scene
        .run(&[&["replay", "--dry-run"], &since[..]].concat())
        .await;
    insta::assert_snapshot!(stable(&dry, &[(&old, "evt_old")]));
    let done = scene
        .run(
            &[
                &["replay", "--trigger", "resize/pictures", "--limit", "1"],
                &since[..],
            ]
            .concat(),
        )
        .await;
    assert!(done.starts_with("1 event of 1 is replayed\n"), "{done}");
    assert!(done.contains(&format!("{old} → evt_")), "{done}");
    let pattern = "subject = [{ suffix = \".gif\" }]";
    let none = scene
        .json(&[&["replay", "--filter", pattern, "--dry-run"], &since[..]].concat())
        .await;
    assert_eq!(none["replayed"], 0);
    for (args, code) in [
        (&["replay"][..], 2),
        (&["replay", "--since", "1h", "--rate", "fast"], 2),
        (&["replay", "--since", "1h", "--filter", "subject = 1"], 3),
        (&["replay", "--since", "1h", "--function", "nobody"], 1),
    ] {
        let failed = scene.fail(args).await;
        assert_eq!(failed.0, code, "{args:?}: {}", failed.1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explaining() {
    let scene = Scene::new().await;
    let (blocking, _) = scene
        .rig
        .die_of("hello", DeadReason::AttemptsExhausted, Some("k"))
        .await;
    let (run, event) = scene.rig.owe("hello", Some("k"), false).await;
    let mut child = scene.rig.photo("child.png");
    child.lineage.run = Some(run);
    child.lineage.parent = Some(event);
    child.lineage.depth = 1;
    let child = scene.rig.keep(child).await;
    let text = scene.run(&["explain", &event.to_string()]).await;
    let ids: [(&dyn std::fmt::Display, &str); 4] = [
        (&run, "run_this"),
        (&event, "evt_this"),
        (&blocking, "run_blocking"),
        (&child, "evt_child"),
    ];
    insta::assert_snapshot!(stable(&text, &ids));
    // A run is as good as its event.
    assert_eq!(scene.run(&["explain", &run.to_string()]).await, text);
    let (code, errors) = scene.fail(&["explain", "evt_0000000000000"]).await;
    assert!(
        code == 1 && errors.contains("events are kept for"),
        "{errors}"
    );
    let call = scene.rig.record("hello", RunState::Succeeded, None);
    let (code, errors) = scene.fail(&["explain", &call.to_string()]).await;
    assert!(
        code == 3 && errors.contains("its caller waited"),
        "{errors}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pausing_and_why() {
    let scene = Scene::new().await;
    let calm = scene.run(&["why", "hello"]).await;
    assert!(
        calm.ends_with("Nothing waits and nothing is wrong.\n"),
        "{calm}"
    );
    assert_eq!(scene.run(&["pauses"]).await, "Nothing is paused.\n");
    scene.rig.owe("hello", None, false).await;
    let paused = scene
        .run(&["pause", "hello", "--why", "the camera\nsends rubbish"])
        .await;
    assert_eq!(paused, "hello is paused\n");
    let list = scene.run(&["pauses"]).await;
    assert!(list.contains("the camera\\nsends rubbish"), "{list}");
    assert!(scene.run(&["functions"]).await.contains("live, paused"));
    let why = scene.run(&["why", "hello"]).await;
    assert!(
        why.contains(
            "  1 waiting: its function is paused by hand: the camera\\nsends rubbish, since "
        ),
        "{why}"
    );
    let why: Vec<_> = why.lines().filter(|line| !line.contains("since")).collect();
    insta::assert_snapshot!(why.join("\n"));
    let report = scene.json(&["why", "hello"]).await;
    assert_eq!(report["triggers"][0]["waits"][0]["for"], "pause");
    assert_eq!(scene.run(&["resume", "hello"]).await, "hello goes on\n");
    assert_eq!(scene.fail(&["resume", "hello"]).await.0, 1);
    let keyed = scene
        .json(&["pause", "resize", "--trigger", "pictures", "--key", "a b"])
        .await;
    assert_eq!(
        (&keyed["trigger"], &keyed["key"]),
        (&Value::from("resize/pictures"), &Value::from("a b"))
    );
    let why = scene.fail(&["why", "nobody"]).await;
    assert!(why.0 == 1 && why.1.contains("`hello`"), "{}", why.1);
}
