//! What the composition root would answer, made up over the store.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::future::BoxFuture;
use tokio::sync::watch;
use wakeful_core::{
    delivery::Failure,
    event::{Event, Origin},
    flow::Hold,
    id::{IdSource, RunId},
    name::{FunctionName, TriggerId},
    port::{
        Arrival, Clock, Condition, Intervention, Kind, Pause, Receipt, Store, StoreError,
        Submission, SubmitError, Target, Transaction,
    },
    project::{Project, Style},
    routing::Triggers,
};
use wakeful_server::{
    addresses::Addresses,
    control::{
        Asked, FunctionState, FunctionStatus, Invocation, InvokeError, Invoked, Operations, Redrive,
    },
};
use wakeful_store::{
    MemoryStore,
    backup::{BackupError, Summary, WithHistory},
};

use crate::rig::{failure, new_delivery};

/// Answers invocations by the name of the function; everything else it does to the store as the
/// dispatcher would, but nothing is ever started.
pub struct MadeUp {
    pub store: MemoryStore,
    pub clock: Arc<dyn Clock>,
    pub ids: Arc<IdSource>,
    pub project: watch::Receiver<Arc<Project>>,
    pub holds: Arc<Mutex<Vec<Hold>>>,
}

impl MadeUp {
    fn change(&self, transaction: Transaction) -> BoxFuture<'static, Result<(), StoreError>> {
        let committed = self.store.commit(transaction);
        Box::pin(async move { committed.await.map(drop) })
    }

    fn intervene(
        &self,
        interventions: Vec<Intervention>,
    ) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let committed = self.store.commit(Transaction {
            interventions,
            ..Transaction::default()
        });
        Box::pin(async move { Ok(committed.await?.intervened) })
    }

    /// What submissions write down, and their receipt.
    fn owed(&self, arrivals: Vec<Arrival>) -> (Transaction, Receipt) {
        let project = self.project.borrow().clone();
        let triggers = Triggers::of(&project);
        let now = self.clock.now();
        let (mut transaction, mut receipt) = (Transaction::default(), Receipt::default());
        for arrival in arrivals {
            let key = self.ids.event(now);
            let wishes = arrival.wishes.clone();
            let event = Event {
                key,
                id: arrival.dedup_id.clone().unwrap_or_else(|| key.to_string()),
                source: arrival
                    .source
                    .clone()
                    .unwrap_or_else(|| "/photos/dev".into()),
                kind: match arrival.kind {
                    Kind::Given(kind) => kind,
                    Kind::Verb(verb) => format!("wakeful.made-up.{verb}"),
                },
                origin: arrival.origin,
                subject: arrival.subject,
                time: arrival.time,
                content_type: arrival.content_type,
                data: arrival.data,
                extensions: arrival.extensions,
                lineage: arrival.lineage,
            };
            let targets: Vec<(FunctionName, TriggerId)> = match wishes.target {
                Target::Trigger(function, trigger) => vec![(function, trigger)],
                Target::Function(_) | Target::Triggers => triggers
                    .woken_by(&event)
                    .filter(|trigger| match &wishes.target {
                        Target::Function(name) => trigger.function == *name,
                        _ => true,
                    })
                    .map(|trigger| (trigger.function.clone(), trigger.id.clone()))
                    .collect(),
            };
            for (function, trigger) in targets {
                let id = self.ids.run(now);
                let mut delivery = new_delivery(&project, id, key, function, trigger, now);
                delivery.ready_at = wishes.not_before.unwrap_or(now);
                delivery.keys.ordering.clone_from(&wishes.ordering_key);
                receipt.runs.push(id);
                transaction.deliveries.push(delivery);
            }
            receipt.events.push(key);
            transaction.events.push(event);
        }
        (transaction, receipt)
    }
}

impl Operations for MadeUp {
    fn invoke(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invoked, InvokeError>> {
        let run = self.ids.run(self.clock.now());
        let function = invocation.function.clone();
        let result = match function.as_str() {
            "hello" => Ok(invocation.payload),
            "nothing" => Ok(Bytes::new()),
            "fails" => Err(failure()),
            "busy" => return Box::pin(async { Err(InvokeError::Overloaded(function)) }),
            _ => return Box::pin(async { Err(InvokeError::NoSuchFunction(function)) }),
        };
        Box::pin(async move { Ok(Invoked { run, result }) })
    }

    fn invoke_async(
        &self,
        invocation: Invocation,
        asked: Asked,
    ) -> BoxFuture<'static, Result<Receipt, InvokeError>> {
        let mut arrival = Arrival::new(
            Origin::Invoke(invocation.function.clone()),
            "invoke",
            self.clock.now(),
            invocation.payload,
        );
        let function = invocation.function;
        let trigger = TriggerId::new(&function, "$invoke");
        arrival.wishes.target = Target::Trigger(function.clone(), trigger);
        arrival.wishes.not_before = asked.not_before;
        arrival.wishes.ordering_key = asked.ordering_key;
        let (transaction, receipt) = self.owed(vec![arrival]);
        let done = self.change(transaction);
        Box::pin(async move {
            if function.as_str() == "full" {
                return Err(InvokeError::Store(StoreError::DiskFull));
            }
            done.await?;
            Ok(receipt)
        })
    }

    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Receipt, SubmitError>> {
        let (transaction, receipt) = self.owed(submission.arrivals);
        let done = self.change(transaction);
        Box::pin(async move {
            done.await?;
            Ok(receipt)
        })
    }

    fn redrive(&self, runs: Vec<Redrive>) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let act = |one: Redrive| Intervention::Redrive {
            run: one.run,
            now: one.at,
            expires_at: one.at.plus(Duration::from_secs(60)),
        };
        self.intervene(runs.into_iter().map(act).collect())
    }

    fn discard(
        &self,
        runs: Vec<RunId>,
        why: String,
    ) -> BoxFuture<'static, Result<Vec<RunId>, StoreError>> {
        let at = self.clock.now();
        let act = |run| Intervention::Discard {
            run,
            at,
            why: why.clone(),
        };
        self.intervene(runs.into_iter().map(act).collect())
    }

    fn replace(
        &self,
        dead: RunId,
        arrival: Arrival,
    ) -> BoxFuture<'static, Result<Option<Receipt>, SubmitError>> {
        let (mut transaction, receipt) = self.owed(vec![arrival]);
        transaction.interventions = vec![Intervention::Discard {
            run: dead,
            at: self.clock.now(),
            why: format!("replaced by {}", receipt.events[0]),
        }];
        transaction.condition = Condition::IfApplied;
        let committed = self.store.commit(transaction);
        Box::pin(async move {
            let committed = committed.await?;
            Ok((!committed.intervened.is_empty()).then_some(receipt))
        })
    }

    fn pause(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        self.change(Transaction {
            pauses: vec![(pause, true)],
            ..Transaction::default()
        })
    }

    fn resume(&self, pause: Pause) -> BoxFuture<'static, Result<(), StoreError>> {
        self.change(Transaction {
            pauses: vec![(pause, false)],
            ..Transaction::default()
        })
    }

    fn holds(&self, _: &TriggerId) -> Vec<Hold> {
        self.holds.lock().unwrap().clone()
    }

    fn no_worker(&self, _: &TriggerId) -> Option<Failure> {
        None
    }

    fn backup(
        &self,
        to: std::path::PathBuf,
        _: WithHistory,
    ) -> BoxFuture<'static, Result<Summary, BackupError>> {
        let folder = to.display().to_string();
        Box::pin(async move { Err(BackupError::Occupied { folder }) })
    }

    fn functions(&self) -> BoxFuture<'static, Vec<FunctionStatus>> {
        let status = |name: &str, state| FunctionStatus {
            name: name.parse().unwrap(),
            style: Some(Style::Native),
            version: Some("v1".into()),
            state,
            workers: 1,
            in_flight: 0,
            queued: 2,
            wakes: vec!["GET /hello/{name}".into(), "every 1m".into()],
            endpoints: vec!["GET http://127.0.0.1:8080/hello/{name}".into()],
        };
        let all = vec![
            status("broken", FunctionState::Broken(failure())),
            status("hello", FunctionState::Live),
            status("resize", FunctionState::Live),
        ];
        Box::pin(async move { all })
    }

    fn addresses(&self) -> Addresses {
        let address = SocketAddr::from(([127, 0, 0, 1], 8080));
        Addresses {
            http: address,
            admin: address,
            aws: address,
        }
    }
}
