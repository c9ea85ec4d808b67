//! What became of an event: how it came in, who wanted it and why, what happened to each of its
//! deliveries, and what it led to.

use wakeful_core::{
    event::Event,
    id::EventId,
    port::{Delivery, Ended, Ending, Pause, StoreError},
    run::{Run, RunState},
};

use super::{
    ToolError, Tools,
    children::{Budget, ending_state, function_of},
    dead::payload,
    judge::judgements,
    runs::state_of,
};
use crate::{
    admin::model::{AttemptInfo, DeadInfo, EventStory, FailureInfo, Fate, Received},
    recorder::about,
};

/// Deliveries of one event that are shown with their attempts.
const MOST_FATES: usize = 200;

impl Tools {
    /// What became of an event.
    pub async fn explain(&self, id: EventId) -> Result<EventStory, ToolError> {
        let store = &self.control.store;
        let (event, damaged) = match store.event(id).await {
            Ok(event) => (event, false),
            Err(StoreError::Damaged(_)) => (None, true),
            Err(error) => return Err(error.into()),
        };
        self.control.history.flush().await?;
        let fates = self.fates(id).await?;
        if event.is_none() && !damaged && fates.is_empty() {
            return Err(self.gone(id));
        }
        let judged = event
            .as_ref()
            .map(|event| judgements(&self.triggers(), event));
        let mut budget = Budget::new();
        let children = self.children(id, &mut budget).await?;
        Ok(EventStory {
            id,
            accepted_at: id.drawn_at().into(),
            received: event.as_ref().map(received),
            damaged,
            judged: judged.unwrap_or_default(),
            fates,
            children,
            cut: budget.cut,
        })
    }

    fn gone(&self, id: EventId) -> ToolError {
        let kept = self.control.project.borrow().keep_events;
        ToolError::NotFound {
            what: "event",
            name: id.to_string(),
            help: Some(format!(
                "events are kept for {} h after nothing is owed for them any more",
                kept.as_secs().div_ceil(3600)
            )),
        }
    }

    /// Every delivery of an event: those in the store, those that ended without a run, and those
    /// of which the history knows.
    async fn fates(&self, id: EventId) -> Result<Vec<Fate>, ToolError> {
        let store = &self.control.store;
        let pauses = self.pauses().await?;
        let mut fates = Vec::new();
        for delivery in store.deliveries_of(id).await? {
            fates.push(self.owed(delivery, &pauses).await?);
        }
        for ending in store.endings(id).await? {
            fates.extend(ended(ending));
        }
        for run in self.recorded_of(id).await? {
            match fates.iter().any(|fate| fate.run == run.id) {
                true => {}
                false => fates.push(recorded(run)),
            }
        }
        fates.sort_by_key(|fate| fate.run);
        for fate in fates.iter_mut().take(MOST_FATES) {
            let known = self.control.history.run(fate.run).await?;
            let attempts = known.map(|known| known.attempts).unwrap_or_default();
            fate.attempts = attempts.into_iter().map(AttemptInfo::from).collect();
        }
        Ok(fates)
    }

    async fn owed(&self, delivery: Delivery, pauses: &[Pause]) -> Result<Fate, ToolError> {
        let waits = self.waits_of(&delivery, pauses).await?;
        let state = match state_of(&delivery) {
            RunState::Queued if !waits.is_empty() && !only_time(&waits) => RunState::Held,
            state => state,
        };
        Ok(Fate {
            run: delivery.id,
            function: delivery.function,
            trigger: Some(delivery.trigger),
            state,
            ended_at: delivery.dead.map(|(_, at)| at.into()),
            keys: delivery.keys.into(),
            waits,
            other: None,
            said: None,
            dead: delivery.dead.map(|(reason, since)| DeadInfo {
                reason,
                since: since.into(),
            }),
            attempts: Vec::new(),
            failure: delivery.failure.map(FailureInfo::from),
        })
    }
}

fn only_time(waits: &[crate::admin::model::Wait]) -> bool {
    let time = crate::admin::model::WaitKind::Time;
    waits.iter().all(|wait| wait.kind == time)
}

fn received(event: &Event) -> Received {
    Received {
        origin: event.origin.to_string(),
        id: event.id.clone(),
        source: event.source.clone(),
        kind: event.kind.clone(),
        subject: event.subject.clone(),
        time: event.time.into(),
        about: about(event),
        payload: payload(event),
        lineage: event.lineage.into(),
    }
}

fn ended(ending: Ending) -> Option<Fate> {
    let function = function_of(&ending)?;
    let state = ending_state(&ending.how);
    let (other, said) = match ending.how {
        Ended::Duplicate(run) | Ended::Superseded(run) => (Some(run), None),
        Ended::Discarded(why) => (None, Some(why)),
    };
    Some(Fate {
        run: ending.run,
        function,
        trigger: Some(ending.trigger),
        state,
        ended_at: Some(ending.at.into()),
        keys: Default::default(),
        waits: Vec::new(),
        other,
        said,
        dead: None,
        attempts: Vec::new(),
        failure: None,
    })
}

fn recorded(run: Run) -> Fate {
    Fate {
        run: run.id,
        function: run.function,
        trigger: run.trigger,
        state: run.state,
        ended_at: run.ended_at.map(|at| at.into()),
        keys: Default::default(),
        waits: Vec::new(),
        other: None,
        said: None,
        dead: None,
        attempts: Vec::new(),
        failure: run.failure.map(FailureInfo::from),
    }
}
