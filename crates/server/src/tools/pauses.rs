//! Pausing and resuming functions, triggers and keys by hand.

use wakeful_core::{
    limits,
    name::{FunctionName, TriggerId},
    port::Pause,
};

use super::{ToolError, Tools};
use crate::{
    admin::model::{PauseInfo, PauseTarget},
    internal::invoke_trigger,
};

/// A word why may have so many bytes.
const MOST_WHY: usize = 1000;

impl Tools {
    /// All pauses, oldest first.
    pub async fn pauses(&self) -> Result<Vec<Pause>, ToolError> {
        let mut pauses = self.control.store.pauses().await?;
        pauses.retain(|pause| pause.scope == self.control.scope);
        pauses.sort_by_key(|pause| pause.at);
        Ok(pauses)
    }

    /// The pauses of a function, its triggers and keys.
    pub(super) async fn pauses_of(&self, function: &FunctionName) -> Result<Vec<Pause>, ToolError> {
        let mut pauses = self.pauses().await?;
        pauses.retain(|pause| pause.function == *function);
        Ok(pauses)
    }

    /// Pauses something; what is paused already gets the new word why.
    pub async fn pause(&self, target: PauseTarget) -> Result<PauseInfo, ToolError> {
        self.known(&target.function)?;
        if target.why.len() > MOST_WHY {
            return Err(ToolError::Invalid(format!(
                "the word why may have at most {MOST_WHY} bytes"
            )));
        }
        if target
            .key
            .as_ref()
            .is_some_and(|key| key.len() > limits::MAX_KEY)
        {
            return Err(ToolError::Invalid(format!(
                "a key has at most {} bytes",
                limits::MAX_KEY
            )));
        }
        let trigger = target.trigger.as_deref();
        let pause = Pause {
            scope: self.control.scope.clone(),
            trigger: trigger
                .map(|name| self.trigger_of(&target.function, name))
                .transpose()?,
            function: target.function,
            key: target.key,
            at: self.now(),
            why: target.why,
        };
        self.operations.pause(pause.clone()).await?;
        Ok(pause.into())
    }

    /// Ends a pause.
    pub async fn resume(&self, target: PauseTarget) -> Result<PauseInfo, ToolError> {
        // What the manifest no longer has can still be resumed.
        let matches = |pause: &Pause| {
            pause.function == target.function
                && pause.key == target.key
                && match (&pause.trigger, target.trigger.as_deref()) {
                    (None, None) => true,
                    (Some(id), Some(name)) => is_named(id, &target.function, name),
                    _ => false,
                }
        };
        let pauses = self.pauses_of(&target.function).await?;
        let Some(pause) = pauses.iter().find(|pause| matches(pause)) else {
            self.known(&target.function)?;
            return Err(not_paused(&target, &pauses));
        };
        self.operations.resume(pause.clone()).await?;
        Ok(pause.clone().into())
    }

    /// A trigger of a function by its identity or by its name alone.
    pub(super) fn trigger_of(
        &self,
        function: &FunctionName,
        name: &str,
    ) -> Result<TriggerId, ToolError> {
        let project = self.control.project.borrow();
        let found = project.functions.get(function);
        let triggers = found
            .map(|function| function.triggers.as_slice())
            .unwrap_or_default();
        let mut ids = triggers.iter().map(|trigger| &trigger.id);
        if let Some(id) = ids.find(|id| is_named(id, function, name)) {
            return Ok(id.clone());
        }
        let invoked = triggers
            .iter()
            .map(|trigger| trigger.handler.as_ref())
            .chain([None])
            .map(|handler| invoke_trigger(function, handler));
        if let Some(id) = invoked.into_iter().find(|id| is_named(id, function, name)) {
            return Ok(id);
        }
        let known = triggers.iter().map(|trigger| trigger.id.to_string());
        Err(ToolError::unknown("trigger", name, known.collect()))
    }
}

fn is_named(id: &TriggerId, function: &FunctionName, name: &str) -> bool {
    id.as_str() == name || *id == TriggerId::new(function, name)
}

fn not_paused(target: &PauseTarget, pauses: &[Pause]) -> ToolError {
    let one = |pause: &Pause| {
        let trigger = pause.trigger.as_ref().map(TriggerId::as_str);
        format!(
            "`{}`",
            flags(&pause.function, trigger, pause.key.as_deref())
        )
    };
    let help = match pauses {
        [] => "nothing of this function is paused".to_owned(),
        some => {
            let list: Vec<_> = some.iter().take(10).map(one).collect();
            format!("paused is {}", list.join(", "))
        }
    };
    ToolError::NotFound {
        what: "pause of",
        name: flags(
            &target.function,
            target.trigger.as_deref(),
            target.key.as_deref(),
        ),
        help: Some(help),
    }
}

/// What stands behind `wakeful resume` on the command line.
pub(super) fn flags(function: &FunctionName, trigger: Option<&str>, key: Option<&str>) -> String {
    let mut text = function.to_string();
    if let Some(trigger) = trigger {
        text.push_str(" --trigger ");
        text.push_str(trigger);
    }
    if let Some(key) = key {
        text.push_str(" --key ");
        text.push_str(&quoted(key));
    }
    text
}

/// A text as a shell takes it for one word.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_can_be_copied_into_a_shell() {
        let function: FunctionName = "f".parse().unwrap();
        for (key, expected) in [
            ("a-7", "f --key a-7"),
            ("a b", "f --key 'a b'"),
            ("it's", "f --key 'it'\\''s'"),
            ("", "f --key ''"),
        ] {
            assert_eq!(flags(&function, None, Some(key)), expected);
        }
        assert_eq!(flags(&function, Some("f/t"), None), "f --trigger f/t");
    }
}
