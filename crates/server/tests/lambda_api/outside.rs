//! Clients outside: boto3, AWS SDK v3, the command line of AWS.

use serde_json::Value;

use crate::{
    clients::{aws, boto3, sdk},
    project::project,
};

#[test]
fn boto3_finds_what_it_expects_of_lambda() {
    let project = project();
    let server = project.dev();
    boto3(&server);
    // What it asked for and did not wait for: once, however often it was said.
    let repeated = server.until("the asynchronous runs", || {
        let runs = server.runs("echo", "succeeded");
        let deliveries = runs.iter().filter(|run| run["kind"] == "delivery").count();
        (deliveries >= 2).then_some(deliveries)
    });
    assert_eq!(repeated, 2);
}

#[test]
fn aws_sdk_v3_finds_what_it_expects_of_lambda() {
    let project = project();
    let server = project.dev();
    sdk(&server);
    // The client that left in mid-stream.
    server.until("the run of the client that left", || {
        let failed = server.runs("stream", "failed");
        (failed.len() == 1).then_some(())
    });
    assert_eq!(server.runs("stream", "succeeded").len(), 2);
}

#[test]
fn the_aws_command_line_invokes_and_lists() {
    let project = project();
    let server = project.serve();
    let out = project.path().join("out.json");
    let invoke = |arguments: &[&str]| {
        let mut all = vec!["invoke", out.to_str().unwrap()];
        all.extend(arguments);
        let output = aws(&server, &all);
        assert!(output.status.success(), "{output:?}");
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        (told, std::fs::read_to_string(&out).unwrap())
    };
    let (told, result) = invoke(&["--function-name", "web", "--payload", r#"{"cli":1}"#]);
    assert_eq!(told["StatusCode"], 200);
    assert_eq!(result, r#"{"was":{"cli":1}}"#);
    let (told, result) = invoke(&["--function-name", "fails"]);
    assert_eq!(told["FunctionError"], "Unhandled");
    assert!(result.contains("no such book"), "{result}");
    let (told, _) = invoke(&["--function-name", "echo", "--invocation-type", "Event"]);
    assert_eq!(told["StatusCode"], 202);
    let listed = aws(
        &server,
        &["list-functions", "--query", "Functions[].FunctionName"],
    );
    let names: Vec<String> = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(names.len(), 19);
    let refused = aws(&server, &["delete-function", "--function-name", "echo"]);
    let says = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(says.contains("UnknownOperationException"), "{says}");
}

#[test]
fn what_nobody_waits_for_is_retried_and_its_failure_told() {
    let project = project();
    let server = project.serve();
    let out = project.path().join("out.json");
    // In the shape of a CloudEvent, which is nothing special to Lambda.
    let payload = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","what":"mend"}"#;
    let asked = [
        "invoke",
        out.to_str().unwrap(),
        "--function-name",
        "flaky",
        "--invocation-type",
        "Event",
        "--payload",
        payload,
    ];
    assert!(aws(&server, &asked).status.success());
    let dead = server.until("the dead letter", || server.runs("flaky", "dead").pop());
    assert_eq!(dead["attempts"], 2);
    assert_eq!(dead["failure"]["message"], "cannot mend");
    let repaired = server.until("the destination", || {
        server.runs("repair", "succeeded").pop()
    });
    assert_eq!(repaired["kind"], "delivery");
}

#[test]
fn calls_wait_for_their_turn() {
    let project = project();
    let server = project.dev();
    let out = project.path().join("out.json");
    let asked = ["invoke", out.to_str().unwrap(), "--function-name", "narrow"];
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| aws(&server, &asked)))
            .collect();
        for call in calls {
            let output = call.join().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
    });
    assert_eq!(server.runs("narrow", "succeeded").len(), 3);
}
