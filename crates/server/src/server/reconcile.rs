//! After a crash, the history may lag behind the store: it is written in batches.

use wakeful_core::{
    port::{Clock, Store},
    run::{RunKind, RunState},
};
use wakeful_store::{History, RunsQuery};

/// Runs on one page of the history.
const PAGE: usize = 500;
/// Pages of each state that are looked at; more are left as they are.
const PAGES: usize = 4;

/// Ends the records of deliveries that the store no longer owes. Such a delivery had succeeded:
/// its settlement was on disk, the record of it was not yet. (Dead letters are in the store, and
/// what people discard is recorded as they do it.)
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
                if run.kind != RunKind::Delivery {
                    continue;
                }
                if let Ok(None) = store.delivery(run.id).await {
                    run.state = RunState::Succeeded;
                    run.ended_at = Some(clock.now());
                    run.failure = None;
                    history.record_run(run);
                }
            }
        }
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
