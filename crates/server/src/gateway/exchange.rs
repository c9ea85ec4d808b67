//! A request that was taken in, on its way to a worker and back.

use std::sync::{Arc, atomic::Ordering};

use http::{Method, Response, request::Parts};
use wakeful_core::{id::RunId, limits};
use wakeful_workers::{Body, Call, Invocation, Reserve, ReserveError, Slot, What};

use super::{
    Endpoint, Refusal, ResponseBody,
    record::Record,
    request::Intake,
    respond::{Going, Head},
    shared::Shared,
};

/// A request and what becomes of it.
pub(super) struct Exchange {
    pub(super) shared: Arc<Shared>,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) run: RunId,
    pub(super) method: Method,
    pub(super) record: Record,
}

/// What user code answered; a streamed body may still be on its way.
pub(super) struct Answered {
    pub(super) head: Head,
    pub(super) body: Body,
    pub(super) call: Call,
}

impl Exchange {
    /// From user code's start to the answer that is sent.
    pub(super) async fn run(
        mut self,
        parts: Parts,
        intake: Intake,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        match self.attempt(parts, intake, remote).await {
            Ok(answered) => self.answer(answered),
            Err(refusal) => self.refuse(refusal),
        }
    }

    /// Starts user code, and waits for the head of its answer.
    pub(super) async fn attempt(
        &mut self,
        parts: Parts,
        intake: Intake,
        remote: Arc<str>,
    ) -> Result<Answered, Refusal> {
        let slot = self.place().await?;
        self.record.on(slot.info(), &self.endpoint.version.id);
        let too_large = intake.watch();
        let mut call = slot.start(Invocation {
            run: self.run,
            attempt: 1,
            handler: self.endpoint.handler,
            timeout: None,
            what: What::Http(intake.into_request(parts, remote)),
        });
        match call.response().await {
            Ok(answer) => Ok(Answered {
                head: Head::of(answer.status, answer.headers)?,
                body: answer.body,
                call,
            }),
            Err(failure) => {
                let blamed = too_large.is_some_and(|flag| flag.load(Ordering::Relaxed));
                Err(match blamed {
                    true => Refusal::TooLarge(self.endpoint.version.function.max_body),
                    false => Refusal::Failed(self.shared.recorder.redacted(failure)),
                })
            }
        }
    }

    /// Sends what user code answered; the run is recorded when all of it is sent.
    pub(super) fn answer(mut self, answered: Answered) -> Response<ResponseBody> {
        let Answered { head, body, call } = answered;
        self.record.status(head.status.as_u16());
        let method = &self.method;
        match body {
            Body::Full(bytes) => {
                self.record.finish(None);
                head.with(ResponseBody::full(bytes), method)
            }
            Body::Stream(stream) => {
                let going = Going {
                    stream,
                    record: self.record,
                    call,
                };
                if head.is_bodiless(method) {
                    going.finish_unread();
                    return head.with(ResponseBody::Full(None), method);
                }
                let announced = head.announced();
                head.with(ResponseBody::stream(going, announced), method)
            }
        }
    }

    /// Answers with a refusal, and records it.
    pub(super) fn refuse(mut self, refusal: Refusal) -> Response<ResponseBody> {
        let response = refusal.response(Some(self.run), self.shared.detail);
        self.record.status(response.status().as_u16());
        self.record.finish(Some(refusal.into_failure()));
        response
    }

    /// A place on a worker: at once where one is free, else after a bounded wait.
    async fn place(&mut self) -> Result<Slot, Refusal> {
        if let Some(slot) = self.endpoint.version.pool.try_reserve() {
            return Ok(slot);
        }
        let patience = self.endpoint.version.function.timeout + limits::LOAD_TIMEOUT;
        let waiting = tokio::time::timeout(patience, self.wait_for_place()).await;
        self.record.waited();
        waiting
            .unwrap_or(Err(ReserveError::Overloaded))
            .map_err(Refusal::NoWorker)
    }

    async fn wait_for_place(&mut self) -> Result<Slot, ReserveError> {
        loop {
            match self.endpoint.version.pool.reserve(Reserve::Shared).await {
                // A new version took over while we waited: follow it.
                Err(ReserveError::Retired) => {
                    let next = self.successor().ok_or(ReserveError::Retired)?;
                    self.endpoint = next;
                }
                other => return other,
            }
        }
    }

    /// The same endpoint, as the version that is live now serves it.
    fn successor(&self) -> Option<Arc<Endpoint>> {
        let old = &self.endpoint;
        let live = self.shared.live.load();
        let version = live.version(&old.version.function.name)?;
        let mut triggers = version.function.triggers.iter();
        let trigger = triggers.find(|trigger| trigger.id == old.trigger.id)?;
        let handler = version.handler(trigger.handler.as_ref())?;
        (version.id != old.version.id).then(|| {
            Arc::new(Endpoint {
                version: Arc::clone(version),
                trigger: old.trigger.clone(),
                handler,
                auth: old.auth,
                answer: old.answer,
            })
        })
    }
}
