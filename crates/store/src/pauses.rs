//! What a pause is of: two pauses of the same are one.

use wakeful_core::port::Pause;

/// A text that is the same for the same function, trigger and key, and sorts by them.
pub(crate) fn identity(pause: &Pause) -> String {
    let scope = &pause.scope;
    let trigger = pause.trigger.as_ref().map(|trigger| trigger.as_str());
    serde_json::json!([
        scope.project.as_str(),
        scope.environment.as_str(),
        pause.function.as_str(),
        trigger,
        pause.key,
    ])
    .to_string()
}
