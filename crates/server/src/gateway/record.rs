//! The record of a request: written once, however the request ends.

use std::time::{Duration, Instant};

use http::request::Parts;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    id::RunId,
    name::{FunctionName, TriggerId},
    time::Timestamp,
};
use wakeful_workers::WorkerRef;

use super::Endpoint;
use crate::recorder::Recorder;

/// The status under which a request is recorded whose caller left before the answer (as nginx
/// does; it is never sent).
const CALLER_LEFT: u16 = 499;

/// A request that ended.
#[derive(Debug)]
pub struct HttpEnded {
    /// The run.
    pub run: RunId,
    /// The function.
    pub function: FunctionName,
    /// The endpoint's trigger.
    pub trigger: TriggerId,
    /// Such as `GET /photos/cat.jpg`.
    pub about: String,
    /// The version that answered.
    pub version: String,
    /// The worker, when one was reached.
    pub worker: Option<WorkerRef>,
    /// When the request came.
    pub accepted_at: Timestamp,
    /// How long it waited for a worker.
    pub waited: Duration,
    /// How long the answer took, its body included.
    pub took: Duration,
    /// The status that was sent.
    pub status: u16,
    /// How it failed.
    pub failure: Option<Failure>,
}

/// A record that is being made. Dropped before it was finished, it says that the caller left.
pub(super) struct Record {
    recorder: Recorder,
    started: Instant,
    ended: Option<HttpEnded>,
}

impl Record {
    pub(super) fn begin(
        recorder: &Recorder,
        endpoint: &Endpoint,
        parts: &Parts,
        (run, accepted_at): (RunId, Timestamp),
    ) -> Self {
        let (method, path) = (parts.method.as_str(), parts.uri.path());
        let mut about = String::with_capacity(method.len() + 1 + path.len());
        about.push_str(method);
        about.push(' ');
        about.push_str(path);
        let ended = HttpEnded {
            run,
            function: endpoint.version.function.name.clone(),
            trigger: endpoint.trigger.id.clone(),
            about,
            version: endpoint.version.id.clone(),
            worker: None,
            accepted_at,
            waited: Duration::ZERO,
            took: Duration::ZERO,
            status: CALLER_LEFT,
            failure: None,
        };
        Self {
            recorder: recorder.clone(),
            started: Instant::now(),
            ended: Some(ended),
        }
    }

    /// A place was found after a wait.
    pub(super) fn waited(&mut self) {
        if let Some(ended) = &mut self.ended {
            ended.waited = self.started.elapsed();
        }
    }

    /// User code is started on this worker, as this version.
    pub(super) fn on(&mut self, worker: WorkerRef, version: &str) {
        if let Some(ended) = &mut self.ended {
            ended.worker = Some(worker);
            if ended.version != version {
                version.clone_into(&mut ended.version);
            }
        }
    }

    /// The status that is being sent.
    pub(super) fn status(&mut self, status: u16) {
        if let Some(ended) = &mut self.ended {
            ended.status = status;
        }
    }

    /// It ended; the record is written.
    pub(super) fn finish(mut self, failure: Option<Failure>) {
        self.write(failure);
    }

    fn write(&mut self, failure: Option<Failure>) {
        if let Some(mut ended) = self.ended.take() {
            ended.took = self.started.elapsed().saturating_sub(ended.waited);
            ended.failure = failure;
            let told = ended.failure.is_some() || ended.status >= 500;
            if told
                || self
                    .recorder
                    .sampling()
                    .keeps(ended.accepted_at, ended.took)
            {
                self.recorder.http(ended);
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.ended.is_some() {
            let what = "the caller went away before the answer was complete";
            self.write(Some(Failure {
                name: "caller_gone".into(),
                ..Failure::ours(FailureKind::Interrupted, what)
            }));
        }
    }
}
