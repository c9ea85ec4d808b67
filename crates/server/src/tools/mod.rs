//! What people do on the day something fails: find it (`dead`, `explain`, `why`), mend it, and
//! run it again (`dead`, `replay`), or hold it (`pauses`).
//!
//! The tools know the running server only through [`Control`] and [`Operations`], and answer with
//! the bodies of the admin API; its routes and the command line stay thin. Whatever works through
//! any number of events or dead letters reads them a page at a time, and is a task of its own:
//! once it was begun it goes on although whoever asked for it went away.

mod advice;
mod children;
mod dead;
mod error;
mod explain;
mod judge;
mod pace;
mod pauses;
mod publish;
mod replay;
mod runs;
mod select;
mod stranded;
mod waits;
mod why;

use std::{future::Future, sync::Arc};

use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    name::{FunctionName, TriggerId},
    port::StoreError,
    routing::Triggers,
    time::Timestamp,
};

use crate::control::{Control, FunctionStatus, Operations};

pub use error::ToolError;
pub use pace::{InvalidPace, Pace};
pub use publish::{Deferral, Publication};
pub use runs::{envelope, of_delivery, readable};

/// The tools of one running server. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    control: Control,
    operations: Arc<dyn Operations>,
    jobs: TaskTracker,
    stop: CancellationToken,
}

impl Tools {
    /// Tools over a server. What takes long is a task of `jobs`, and ends early, between two
    /// pages, when `stop` is cancelled.
    pub fn new(
        control: Control,
        operations: Arc<dyn Operations>,
        jobs: TaskTracker,
        stop: CancellationToken,
    ) -> Self {
        Self {
            control,
            operations,
            jobs,
            stop,
        }
    }

    fn now(&self) -> Timestamp {
        self.control.clock.now()
    }

    /// The triggers of the project as it is live now.
    fn triggers(&self) -> Triggers {
        Triggers::of(&self.control.project.borrow())
    }

    /// How a function stands.
    async fn status(&self, function: &FunctionName) -> Option<FunctionStatus> {
        let all = self.operations.functions().await;
        all.into_iter().find(|status| status.name == *function)
    }

    /// Refuses a function that the project does not have, naming those it has.
    pub fn known(&self, function: &FunctionName) -> Result<(), ToolError> {
        let project = self.control.project.borrow();
        if project.functions.contains_key(function) {
            return Ok(());
        }
        let names = project.functions.keys().map(ToString::to_string);
        Err(ToolError::unknown("function", function, names.collect()))
    }

    /// The triggers of a function, as its manifest names them.
    pub fn triggers_of(&self, function: &FunctionName) -> Vec<TriggerId> {
        let project = self.control.project.borrow();
        let found = project.functions.get(function).into_iter();
        let triggers = found.flat_map(|function| &function.triggers);
        triggers.map(|trigger| trigger.id.clone()).collect()
    }

    /// Does something to its end, also when nobody waits for it any more.
    async fn job<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, ToolError>> + Send + 'static,
    ) -> Result<T, ToolError> {
        let task = self.jobs.spawn(work);
        task.await.unwrap_or_else(|error| {
            let why = format!("the server ended meanwhile: {error}");
            Err(StoreError::Unknown(why).into())
        })
    }

    /// To be asked between two pages.
    fn go_on(&self) -> Result<(), ToolError> {
        if self.stop.is_cancelled() {
            return Err(ToolError::Stopping);
        }
        Ok(())
    }
}
