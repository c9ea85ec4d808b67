//! Functions and invocations.

use serde_json::Value;

use super::Scene;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_and_invocations() {
    let scene = Scene::new().await;
    insta::assert_snapshot!(scene.run(&["functions"]).await);
    assert_eq!(
        scene.json(&["functions"]).await["functions"][1]["name"],
        "hello"
    );

    assert_eq!(
        scene.run(&["invoke", "hello", "--data", "\"hi\""]).await,
        "\"hi\"\n"
    );
    assert_eq!(scene.run(&["invoke", "nothing"]).await, "");
    let stored = scene.run(&["invoke", "hello", "--no-wait"]).await;
    assert!(stored.starts_with("evt_"), "{stored}");
    std::fs::write(scene.here().join("event.json"), "{\"a\": 1}").unwrap();
    let result = scene
        .json(&["invoke", "hello", "--event", "event.json"])
        .await;
    assert_eq!(result["result"]["a"], 1);
    let piped = scene
        .run_with(&["invoke", "hello", "--event", "-"], b"7")
        .await;
    assert_eq!(piped.stdout, b"7\n");

    let (code, errors) = scene.fail(&["invoke", "fails"]).await;
    assert_eq!(code, 1);
    assert!(
        errors.contains("TypeError: no such thing") && errors.contains("hello.js:3:9"),
        "{errors}"
    );
    assert!(!errors.contains('\x1b'), "{errors}");
    let output = scene.run_with(&["invoke", "fails", "--json"], b"").await;
    let body: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (output.status.code(), &body["failure"]["name"]),
        (Some(1), &"TypeError".into())
    );
}
