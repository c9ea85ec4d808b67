//! Failures of functions as Lambda's clients know them: `{errorType, errorMessage, trace}`.

use serde_json::{Value, json};
use wakeful_core::{
    delivery::{Failure, FailureKind},
    project::Function,
};

/// The payload of a function error. The failure must be fit to be shown.
pub(super) fn payload(failure: &Failure, function: &Function, request_id: &str) -> Value {
    let told = |kind: &str, what: String| json!({ "errorType": kind, "errorMessage": format!("RequestId: {request_id} Error: {what}") });
    match failure.kind {
        FailureKind::UserError => thrown(failure, &failure.name),
        FailureKind::Load => thrown(failure, load_type(failure)),
        FailureKind::Timeout => {
            let seconds = function.timeout.as_secs_f64();
            told(
                "Sandbox.Timedout",
                format!("Task timed out after {seconds:.2} seconds"),
            )
        }
        FailureKind::OutOfMemory => told("Runtime.OutOfMemory", failure.message.clone()),
        FailureKind::MissingResponse
        | FailureKind::BlockedLoop
        | FailureKind::Crash
        | FailureKind::Suspect
        | FailureKind::Bystander
        | FailureKind::NotStarted
        | FailureKind::Interrupted => told("Runtime.ExitError", failure.message.clone()),
    }
}

fn thrown(failure: &Failure, kind: &str) -> Value {
    let stack = failure.stack.as_deref().unwrap_or_default();
    json!({
        "errorType": kind,
        "errorMessage": failure.message,
        "trace": stack.lines().collect::<Vec<_>>(),
    })
}

/// What Lambda calls failures of imports; what user code throws while it loads keeps its name.
fn load_type(failure: &Failure) -> &str {
    let is_missing =
        |text: &str| text.starts_with("there is no file") || text.contains("is not installed:");
    match failure.name.as_str() {
        "SyntaxError" => "Runtime.UserCodeSyntaxError",
        "Error" if is_missing(&failure.message) => "Runtime.ImportModuleError",
        "load" => "Runtime.HandlerNotFound",
        other => other,
    }
}
