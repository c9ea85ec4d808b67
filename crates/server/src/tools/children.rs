//! What an event led to: the events of its runs, and theirs, as far as a bound.

use futures::future::BoxFuture;
use wakeful_core::{
    id::EventId,
    port::{Ended, Ending},
    run::RunState,
};

use super::{ToolError, Tools, readable, runs::state_of};
use crate::{
    admin::model::{Child, RunBrief},
    recorder::about,
};

/// Events of a tree.
const MOST_EVENTS: usize = 100;

/// How much of a tree was gathered.
pub(super) struct Budget {
    left: usize,
    /// Whether something was left out.
    pub(super) cut: bool,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            left: MOST_EVENTS,
            cut: false,
        }
    }

    fn take(&mut self) -> bool {
        match self.left.checked_sub(1) {
            Some(left) => self.left = left,
            None => self.cut = true,
        }
        !self.cut
    }
}

impl Tools {
    /// What an event led to. Replays and chains grow only forward in time, so that no event is
    /// its own descendant.
    pub(super) fn children<'a>(
        &'a self,
        of: EventId,
        budget: &'a mut Budget,
    ) -> BoxFuture<'a, Result<Vec<Child>, ToolError>> {
        Box::pin(async move {
            let mut children = Vec::new();
            let ids = self.control.store.children(of).await?;
            for id in ids.into_iter().filter(|id| *id > of) {
                if !budget.take() {
                    break;
                }
                let mut child = self.child(id, of).await?;
                child.children = self.children(id, budget).await?;
                children.push(child);
            }
            Ok(children)
        })
    }

    async fn child(&self, id: EventId, of: EventId) -> Result<Child, ToolError> {
        let event = readable(self.control.store.event(id).await)?;
        Ok(Child {
            event: id,
            origin: event.as_ref().map(|event| event.origin.to_string()),
            about: event.as_ref().map(about).unwrap_or_default(),
            run: event.as_ref().and_then(|event| event.lineage.run),
            repeats: event.is_some_and(|event| event.lineage.replay_of == Some(of)),
            runs: self.briefs(id).await?,
            children: Vec::new(),
        })
    }

    /// All runs of an event in a few words, oldest first.
    async fn briefs(&self, id: EventId) -> Result<Vec<RunBrief>, ToolError> {
        let store = &self.control.store;
        let owed = store.deliveries_of(id).await?;
        let mut runs: Vec<RunBrief> = owed
            .iter()
            .map(|delivery| RunBrief {
                run: delivery.id,
                function: delivery.function.clone(),
                state: state_of(delivery),
                accepted_at: delivery.id.drawn_at().into(),
            })
            .collect();
        for run in self.recorded_of(id).await? {
            if !runs.iter().any(|known| known.run == run.id) {
                runs.push(RunBrief {
                    run: run.id,
                    function: run.function,
                    state: run.state,
                    accepted_at: run.accepted_at.into(),
                });
            }
        }
        for ending in store.endings(id).await? {
            let known = runs.iter().any(|known| known.run == ending.run);
            if !known && let Some(function) = function_of(&ending) {
                runs.push(RunBrief {
                    run: ending.run,
                    function,
                    state: ending_state(&ending.how),
                    accepted_at: ending.run.drawn_at().into(),
                });
            }
        }
        runs.sort_by_key(|brief| brief.run);
        Ok(runs)
    }
}

/// The function of an ending's trigger, whose identity begins with it.
pub(super) fn function_of(ending: &Ending) -> Option<wakeful_core::name::FunctionName> {
    ending.trigger.as_str().split('/').next()?.parse().ok()
}

/// An ending in the words of runs.
pub(super) const fn ending_state(how: &Ended) -> RunState {
    match how {
        Ended::Duplicate(_) => RunState::Skipped,
        Ended::Superseded(_) => RunState::Superseded,
        Ended::Discarded(_) => RunState::Discarded,
    }
}
