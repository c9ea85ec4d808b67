//! Pausing and resuming functions, triggers and keys by hand.

use wakeful_core::{
    flow::Flow,
    limits,
    name::{FunctionName, TriggerId},
    port::Pause,
    project::{Answer, On, Trigger},
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

    /// Pauses something; what is paused already stays so since then, and gets the new word why
    /// where one is given.
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
        let trigger = trigger
            .map(|name| self.trigger_of(&target.function, name))
            .transpose()?;
        self.holdable(&target.function, trigger.as_ref())?;
        if target.key.is_some() {
            self.keyed(&target.function, trigger.as_ref())?;
        }
        let mut pause = Pause {
            scope: self.control.scope.clone(),
            trigger,
            function: target.function,
            key: target.key,
            at: self.now(),
            why: target.why,
        };
        let pauses = self.pauses_of(&pause.function).await?;
        let same = |old: &&Pause| old.trigger == pause.trigger && old.key == pause.key;
        if let Some(old) = pauses.iter().find(same) {
            pause.at = old.at;
            if pause.why.is_empty() {
                pause.why.clone_from(&old.why);
            }
        }
        self.operations.pause(pause.clone()).await?;
        Ok(pause.into())
    }

    /// Refuses a trigger of which nothing could ever be held.
    fn holdable(
        &self,
        function: &FunctionName,
        trigger: Option<&TriggerId>,
    ) -> Result<(), ToolError> {
        let Some(id) = trigger else {
            return Ok(());
        };
        let triggers = self.triggers();
        if triggers.get(id).is_none_or(|trigger| is_held(trigger)) {
            return Ok(());
        }
        Err(ToolError::Invalid(format!(
            "`{id}` cannot be paused: requests are not held: their callers wait for the answer. \
             With `async = true` they would be queued and could be paused; `wakeful pause \
             {function}` holds all else of the function"
        )))
    }

    /// Refuses a key where no rule gives deliveries one.
    fn keyed(&self, function: &FunctionName, trigger: Option<&TriggerId>) -> Result<(), ToolError> {
        let project = self.control.project.borrow();
        let Some(described) = project.functions.get(function) else {
            return Ok(());
        };
        let all = described.triggers.iter();
        let all = all.filter(|one| is_held(one));
        let mut all: Vec<_> = all.map(|one| (&one.id, key_rules(&one.flow))).collect();
        // What is invoked by name has the rules of the function.
        let invoked = invoke_trigger(function, None);
        let invoked = match trigger {
            Some(id) if !all.iter().any(|(other, _)| *other == id) => id,
            _ => &invoked,
        };
        all.push((invoked, key_rules(&described.flow)));
        let keyed = |(_, rules): &&(&TriggerId, Vec<&str>)| !rules.is_empty();
        let ours = |(id, _): &&(&TriggerId, Vec<&str>)| trigger.is_none_or(|ours| *id == ours);
        if all.iter().filter(ours).any(|one| keyed(&one)) {
            return Ok(());
        }
        let elsewhere = all.iter().filter(keyed);
        let elsewhere = elsewhere.map(|(id, rules)| format!("; `{id}` has {}", rules.join(", ")));
        let elsewhere: String = elsewhere.collect();
        let what = trigger.map_or(function.as_str(), TriggerId::as_str);
        Err(ToolError::Invalid(format!(
            "deliveries of `{what}` have no key that could be paused: those are given by \
             `ordering_key`, `concurrency_key`, and `rate` and `breaker` with a `key`{elsewhere}"
        )))
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

/// Whether deliveries of a trigger can be held at all.
pub(super) fn is_held(trigger: &Trigger) -> bool {
    match &trigger.on {
        On::Http(on) => on.answer == Answer::Async,
        _ => true,
    }
}

/// The rules by which deliveries get keys that can be paused.
fn key_rules(flow: &Flow) -> Vec<&'static str> {
    let rate = flow.rate.as_ref().is_some_and(|rate| rate.key.is_some());
    let breaker = flow.breaker.as_ref();
    let breaker = breaker.is_some_and(|breaker| breaker.key.is_some());
    let rules = [
        (flow.ordering.is_some(), "`ordering_key`"),
        (flow.concurrency.is_some(), "`concurrency_key`"),
        (rate, "`rate`"),
        (breaker, "`breaker`"),
    ];
    let ours = rules.into_iter().filter(|(has, _)| *has);
    ours.map(|(_, rule)| rule).collect()
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
