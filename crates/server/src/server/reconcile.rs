//! After a crash, the history may lag behind the store: it is written in batches.

use wakeful_core::{
    delivery::State,
    port::{Clock, Ended, Store, StoreError},
    run::{Run, RunKind, RunState},
};
use wakeful_store::{History, RunsQuery};

/// Runs on one page of the history.
const PAGE: usize = 500;
/// Pages of each state that are looked at; more are left as they are.
const PAGES: usize = 4;

/// Brings the records of deliveries to where the store says they stand. One that the store no
/// longer owes, and that did not end without a run, had succeeded: its settlement was on disk, the
/// record of it was not yet.
pub(super) async fn reconcile(history: &History, store: &dyn Store, clock: &dyn Clock) {
    for state in [
        RunState::Running,
        RunState::Queued,
        RunState::Retrying,
        RunState::Held,
    ] {
        let mut before = None;
        for _ in 0..PAGES {
            let query = RunsQuery {
                state: Some(state),
                before,
                limit: PAGE,
                ..RunsQuery::default()
            };
            let Ok(page) = history.runs(query).await else {
                return;
            };
            let Some(last) = page.last() else { break };
            before = Some(last.id);
            for mut run in page {
                if run.kind == RunKind::Delivery
                    && let Ok(true) = correct(&mut run, store, clock).await
                {
                    history.record_run(run);
                }
            }
        }
    }
}

/// Corrects one record; says whether it had to be.
async fn correct(run: &mut Run, store: &dyn Store, clock: &dyn Clock) -> Result<bool, StoreError> {
    let Some(delivery) = store.delivery(run.id).await? else {
        let endings = match run.event {
            Some(event) => store.endings(event).await?,
            None => Vec::new(),
        };
        let ending = endings.into_iter().find(|ending| ending.run == run.id);
        run.ended_at = Some(
            ending
                .as_ref()
                .map_or_else(|| clock.now(), |ending| ending.at),
        );
        run.state = match ending.map(|ending| ending.how) {
            None => RunState::Succeeded,
            Some(Ended::Duplicate(_)) => RunState::Skipped,
            Some(Ended::Superseded(_)) => RunState::Superseded,
            Some(Ended::Discarded(_)) => RunState::Discarded,
        };
        run.failure = None;
        return Ok(true);
    };
    run.attempts = delivery.attempts;
    match (delivery.state, delivery.dead) {
        (State::Dead, Some((reason, at))) => {
            run.state = RunState::Dead;
            run.ended_at = Some(at);
            run.failure =
                (delivery.failure).or_else(|| Some(crate::recorder::dead_failure(reason)));
            Ok(true)
        }
        (State::Queued, _) if run.state == RunState::Running => {
            run.state = match delivery.starts {
                0 => RunState::Queued,
                _ => RunState::Retrying,
            };
            Ok(true)
        }
        _ => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wakeful_core::{
        id::{IdSource, RunId},
        port::Epoch,
        run::Run,
    };
    use wakeful_store::{HistoryOptions, MemoryStore};

    use super::*;
    use crate::clock::SystemClock;

    #[tokio::test]
    async fn only_deliveries_that_are_no_longer_owed_are_ended() {
        let folder = tempfile::tempdir().unwrap();
        let options = HistoryOptions::new(folder.path(), Arc::new(SystemClock));
        let history = History::open(options).unwrap();
        let ids = IdSource::after(0);
        let (delivery, invoke) = (ids.run(SystemClock.now()), ids.run(SystemClock.now()));
        let run = |id: RunId, kind| Run {
            id,
            kind,
            function: "f".parse().unwrap(),
            trigger: None,
            event: None,
            about: String::new(),
            state: RunState::Running,
            accepted_at: id.drawn_at(),
            ended_at: None,
            attempts: 1,
            status: None,
            failure: None,
        };
        history.record_run(run(delivery, RunKind::Delivery));
        history.record_run(run(invoke, RunKind::Invoke));
        history.flush().await.unwrap();
        reconcile(&history, &MemoryStore::new(Epoch(1)), &SystemClock).await;
        history.flush().await.unwrap();
        let state = async |id| history.run(id).await.unwrap().unwrap().run.state;
        assert_eq!(state(delivery).await, RunState::Succeeded);
        assert_eq!(state(invoke).await, RunState::Running);
    }
}
