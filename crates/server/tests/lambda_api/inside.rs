//! AWS SDK v3 inside a function, with nothing but the environment that workers get.

use serde_json::{Value, json};

use crate::{
    clients::aws,
    project::project,
    support::{Project, Server},
};

/// Has `function` call Lambda.
fn asks(project: &Project, server: &Server<'_>, function: &str, what: &str, name: &str) -> Value {
    let out = project.path().join("out.json");
    let payload = json!({ "what": what, "name": name }).to_string();
    let output = aws(
        server,
        &[
            "invoke",
            out.to_str().unwrap(),
            "--function-name",
            function,
            "--payload",
            &payload,
        ],
    );
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&std::fs::read(out).unwrap()).unwrap()
}

#[test]
fn a_function_invokes_what_it_may() {
    let project = project();
    let server = project.serve();
    let caller = |what: &str, name: &str| asks(&project, &server, "caller", what, name);
    assert_eq!(caller("invoke", "echo"), json!([200, { "from": "inside" }]));
    assert_eq!(caller("later", "echo"), 202);
    server.until("the delivery", || {
        let runs = server.runs("echo", "succeeded");
        runs.into_iter().find(|run| run["kind"] == "delivery")
    });
    assert_eq!(caller("stream", "stream"), "onetwo");
    assert_eq!(caller("list", ""), json!(["caller", "echo", "stream"]));
    let refused = caller("invoke", "native");
    assert_eq!(refused["error"], "AccessDeniedException");
    let says = refused["message"].as_str().unwrap();
    assert!(
        says.contains("add `access = { function = [\"native\"] }` to [function.caller]"),
        "{says}"
    );
    assert_eq!(asks(&project, &server, "nosy", "list", ""), json!(["nosy"]));
    assert_eq!(
        asks(&project, &server, "nosy", "later", "echo")["error"],
        "AccessDeniedException"
    );
    assert!(server.runs("native", "succeeded").is_empty());
}

#[test]
fn in_dev_a_function_may_what_it_did_not_declare_and_is_told() {
    let project = project();
    let server = project.dev();
    let invoked = asks(&project, &server, "nosy", "invoke", "echo");
    assert_eq!(invoked, json!([200, { "from": "inside" }]));
    server.until("the advice", || {
        let says = project.output();
        says.contains("nosy uses function `echo` without saying so")
            .then_some(())
    });
}

#[test]
fn functions_that_invoke_each_other_without_end_are_stopped() {
    let project = project();
    let server = project.serve();
    let out = project.path().join("out.json");
    let start = |how: &str, payload: &str| {
        let arguments = [
            "invoke",
            out.to_str().unwrap(),
            "--cli-read-timeout",
            "0",
            "--function-name",
            "loops",
            "--invocation-type",
            how,
            "--payload",
            payload,
        ];
        let output = aws(&server, &arguments);
        assert!(output.status.success(), "{output:?}");
    };
    start("Event", r#"{"wait":false}"#);
    let dead = server.until("the end of the loop", || server.runs("loops", "dead").pop());
    let message = dead["failure"]["message"].as_str().unwrap();
    assert!(
        message.contains("functions wake each other in a loop"),
        "{message}"
    );
    assert_eq!(server.runs("loops", "succeeded").len(), 17);
    start("RequestResponse", r#"{"wait":true}"#);
    let answer = std::fs::read_to_string(out).unwrap();
    assert_eq!(answer, r#""RecursiveInvocationException""#);
}
