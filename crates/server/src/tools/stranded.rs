//! What is owed under names that the project no longer has: a function or trigger was renamed or
//! removed, and what it was owed waits until it is back.

use wakeful_core::{
    limits,
    name::{FunctionName, TriggerId},
    port::DeadQuery,
};

use super::{ToolError, Tools};
use crate::{
    admin::model::{CensusInfo, Wait, WaitKind},
    live::in_words,
};

/// Triggers that an error names.
const NAMED: usize = 5;

impl Tools {
    /// The triggers under which a function is owed something, or has dead letters (of those the
    /// newest are looked at), live or not, in the order of their names.
    pub(super) async fn owed_under(
        &self,
        function: &FunctionName,
    ) -> Result<Vec<TriggerId>, ToolError> {
        let control = &self.control;
        let prefix = format!("{function}/");
        let backlog = control.store.backlog().await?.into_iter();
        let queued = backlog
            .filter(|one| one.scope == control.scope && one.trigger.as_str().starts_with(&prefix))
            .map(|one| one.trigger);
        let dead = DeadQuery {
            function: Some(function.clone()),
            trigger: None,
            reason: None,
            since: None,
            until: None,
            before: None,
            limit: limits::MAX_ADMIN_PAGE,
        };
        let dead = control.store.dead(dead).await?.into_iter();
        let mut all: Vec<_> = queued.chain(dead.map(|dead| dead.trigger)).collect();
        all.sort();
        all.dedup();
        Ok(all)
    }

    /// What a trigger listens to, in words, of one that may be gone.
    pub(super) fn wakes(&self, trigger: &TriggerId) -> String {
        match self.triggers().get(trigger) {
            Some(trigger) => in_words(trigger),
            None if self.triggerless(trigger) => "no longer a trigger of its function".to_owned(),
            None => "what is owed by name".to_owned(),
        }
    }

    /// That nothing can be started under a trigger that is gone.
    pub(super) fn without_trigger(&self, trigger: &TriggerId) -> Option<Wait> {
        self.triggerless(trigger).then(|| {
            Wait::new(
                WaitKind::Gone,
                "its function no longer has this trigger: what is owed waits until it is back",
            )
        })
    }

    /// The refusal of a function that is not there, with what is owed to it all the same.
    pub(super) async fn with_owed(
        &self,
        function: &FunctionName,
        refusal: ToolError,
    ) -> Result<ToolError, ToolError> {
        let (mut waiting, mut dead, mut under) = (0, 0, Vec::new());
        for trigger in self.owed_under(function).await? {
            let scope = self.control.scope.clone();
            let census = CensusInfo::from(self.control.store.census(scope, trigger.clone()).await?);
            waiting += census.waiting();
            dead += census.dead;
            if census.waiting() > 0 {
                under.push(format!("`{trigger}`: {}", census.waiting()));
            }
        }
        Ok(match refusal {
            ToolError::NotFound { what, name, help } if waiting + dead > 0 => {
                let owed = in_sentences(function, waiting, dead, &under);
                let help = help.map(|help| format!("; {help}")).unwrap_or_default();
                ToolError::NotFound {
                    what,
                    name,
                    help: Some(format!("{owed}{help}")),
                }
            }
            other => other,
        })
    }
}

fn in_sentences(function: &FunctionName, waiting: u64, dead: u64, under: &[String]) -> String {
    let mut parts = Vec::new();
    if waiting > 0 {
        let more = if under.len() > NAMED { ", …" } else { "" };
        let under: Vec<_> = under.iter().take(NAMED).map(String::as_str).collect();
        parts.push(format!(
            "deliveries owed to it: {waiting} ({}{more}), which wait until it is back (`wakeful \
             runs --function {function} --state queued`)",
            under.join(", ")
        ));
    }
    if dead > 0 {
        parts.push(format!(
            "dead letters of it: {dead} (`wakeful dead list --function {function}`)"
        ));
    }
    parts.join("; ")
}
