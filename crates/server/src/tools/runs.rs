//! Runs as the store and the history tell of them, together.

use std::time::Duration;

use serde_json::value::RawValue;
use wakeful_core::{
    delivery::State,
    event::Event,
    id::{EventId, RunId},
    limits,
    port::{Delivery, StoreError},
    run::{Run, RunKind, RunState},
};
use wakeful_store::{LogsQuery, RunDetail, RunsQuery};

use super::{ToolError, Tools};
use crate::recorder::about;

/// Longer than the ids of an acceptance, of its events and of their runs, are ever drawn apart.
const ACCEPTANCE: Duration = Duration::from_secs(2);

impl Tools {
    /// A run that the history has. The lines of a batch belong to its first delivery and are
    /// shown with every other one too, under that one's own attempt.
    pub async fn recorded(&self, id: RunId) -> Result<Option<RunDetail>, ToolError> {
        let history = &self.control.history;
        let Some(mut detail) = history.run(id).await? else {
            return Ok(None);
        };
        for attempt in &detail.attempts {
            let Some(batch) = attempt.batch.filter(|batch| batch.first != id) else {
                continue;
            };
            let query = LogsQuery {
                run: Some(batch.first),
                limit: limits::HISTORY_RUN_LOGS,
                ..LogsQuery::default()
            };
            let mut shared = history.logs(query).await?;
            shared.retain(|row| row.line.attempt == Some(batch.number));
            for row in &mut shared {
                row.line.attempt = Some(attempt.number);
            }
            detail.logs.extend(shared);
        }
        detail.logs.sort_by_key(|row| row.seq);
        Ok(Some(detail))
    }

    /// The event's runs that the history has. Their ids were drawn right after the event's, when
    /// it was accepted, so that only the runs of a moment need to be looked through.
    pub async fn recorded_of(&self, id: EventId) -> Result<Vec<Run>, ToolError> {
        let history = &self.control.history;
        let accepted = id.drawn_at();
        let mut before = RunId::first_at(accepted.plus(ACCEPTANCE));
        let mut found = Vec::new();
        loop {
            let query = RunsQuery {
                since: Some(accepted),
                before: Some(before),
                limit: limits::MAX_ADMIN_PAGE,
                ..RunsQuery::default()
            };
            let page = history.runs(query).await?;
            let full = page.len() >= limits::MAX_ADMIN_PAGE;
            let last = page.last().map(|run| run.id);
            found.extend(page.into_iter().filter(|run| run.event == Some(id)));
            match last {
                Some(last) if full => before = last,
                _ => return Ok(found),
            }
        }
    }
}

/// A damaged event must not hide the run or dead letter it belongs to.
pub fn readable(read: Result<Option<Event>, StoreError>) -> Result<Option<Event>, StoreError> {
    match read {
        Err(StoreError::Damaged(_)) => Ok(None),
        other => other,
    }
}

/// The event as a CloudEvent.
pub fn envelope(event: &Event) -> Result<Box<RawValue>, ToolError> {
    serde_json::from_slice(&event.to_json())
        .map_err(|_| ToolError::Internal("writing the event as JSON"))
}

/// Where a delivery stands, in the words of runs.
pub(super) fn state_of(delivery: &Delivery) -> RunState {
    match delivery.state {
        State::Running => RunState::Running,
        State::Dead => RunState::Dead,
        State::Queued if delivery.held.is_some() => RunState::Held,
        State::Queued if delivery.attempts > 0 => RunState::Retrying,
        State::Queued => RunState::Queued,
    }
}

/// What the store alone tells of a run.
pub fn of_delivery(delivery: &Delivery, event: Option<&Event>) -> RunDetail {
    let run = Run {
        id: delivery.id,
        kind: RunKind::Delivery,
        function: delivery.function.clone(),
        trigger: Some(delivery.trigger.clone()),
        event: Some(delivery.event),
        about: event.map(about).unwrap_or_default(),
        state: state_of(delivery),
        accepted_at: delivery.id.drawn_at(),
        ended_at: delivery.dead.map(|(_, at)| at),
        attempts: delivery.attempts,
        status: None,
        failure: delivery.failure.clone(),
    };
    RunDetail {
        run,
        attempts: Vec::new(),
        logs: Vec::new(),
    }
}
