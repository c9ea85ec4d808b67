//! `InvokeWithResponseStream`: the answer of a function in pieces, while it is being made.

use std::{mem, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::Stream;
use http::Response;
use hyper::body::Frame;
use serde_json::json;
use wakeful_core::delivery::Failure;
use wakeful_workers::{Body, BodyStream};

use super::{
    Admitted, LambdaApi,
    answer::{AnswerBody, BodyError, name_run, put, streamed},
    error::ApiError,
    eventstream::{CONTENT_TYPE, event},
    invoke::{EXECUTED_VERSION, How, Outcome, UNHANDLED, or_null, wants_tail},
};
use crate::{
    control::Invoked,
    dispatcher::{Begun, Running},
};

/// The way of an answer.
enum Step {
    /// User code runs.
    Waiting(Running),
    /// Its answer is on its way.
    Pieces(Running, BodyStream),
    /// Its answer is whole, or it failed.
    Ended(Running, Result<(), Failure>),
    /// It could not be started.
    Refused(Outcome),
    /// All is said.
    Over,
}

struct Telling {
    api: LambdaApi,
    step: Step,
    tail: bool,
    started: Instant,
}

impl LambdaApi {
    pub(super) async fn stream(
        &self,
        name: &str,
        admitted: Admitted,
    ) -> Result<Response<AnswerBody>, ApiError> {
        if asks_for_another(&admitted) {
            return Err(ApiError::InvalidParameter(
                "InvokeWithResponseStream takes RequestResponse only".to_owned(),
            ));
        }
        let tail = wants_tail(&admitted.head.headers)?;
        let found = self.callee(name, &admitted).await?;
        let (invocation, caller) = self.called(&found, &admitted, How::RequestResponse)?;
        let begun = self.parts.dispatcher.begin(invocation, caller).await?;
        let started = Instant::now();
        let (run, version, step) = match begun {
            Begun::Refused(Invoked { run, result }, version) => {
                let id = version.id.clone();
                let outcome = self.outcome(run, version, result, None, started)?;
                (run, id, Step::Refused(outcome))
            }
            Begun::Running(running) => {
                let id = running.version().id.clone();
                (running.run(), id, Step::Waiting(running))
            }
        };
        let telling = Telling {
            api: self.clone(),
            step,
            tail,
            started,
        };
        let mut response = streamed(CONTENT_TYPE, telling.messages());
        name_run(&mut response, run);
        put(&mut response, EXECUTED_VERSION, &version);
        Ok(response)
    }
}

fn asks_for_another(admitted: &Admitted) -> bool {
    let how = admitted.head.headers.get("x-amz-invocation-type");
    how.is_some_and(|how| how != "RequestResponse")
}

impl Telling {
    fn messages(self) -> impl Stream<Item = Result<Frame<Bytes>, BodyError>> + Send {
        futures::stream::unfold(self, |mut telling| async move {
            let message = telling.next().await?;
            Some((Ok(Frame::data(message)), telling))
        })
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            match mem::replace(&mut self.step, Step::Over) {
                Step::Waiting(mut running) => match running.answer().await {
                    Ok(Body::Full(result)) => {
                        self.step = Step::Ended(running, Ok(()));
                        return Some(chunk(&or_null(result)));
                    }
                    Ok(Body::Stream(pieces)) => self.step = Step::Pieces(running, pieces),
                    Err(failure) => self.step = Step::Ended(running, Err(failure)),
                },
                Step::Pieces(running, mut pieces) => match pieces.next().await {
                    Some(Ok(piece)) => {
                        self.step = Step::Pieces(running, pieces);
                        if !piece.is_empty() {
                            return Some(chunk(&piece));
                        }
                    }
                    Some(Err(failure)) => self.step = Step::Ended(running, Err(failure)),
                    None => self.step = Step::Ended(running, Ok(())),
                },
                Step::Ended(running, how) => return Some(self.ended(running, how).await),
                Step::Refused(outcome) => return Some(self.complete(&outcome).await),
                Step::Over => return None,
            }
        }
    }

    async fn ended(&mut self, running: Running, how: Result<(), Failure>) -> Bytes {
        let (version, worker) = (Arc::clone(running.version()), running.worker());
        let Invoked { run, result } = running.ended(how.map(|()| Bytes::new()));
        let result = result.map_err(|failure| self.api.parts.recorder.redacted(failure));
        let outcome = Outcome {
            run,
            version,
            result,
            worker: Some(worker),
            took: self.started.elapsed(),
        };
        self.complete(&outcome).await
    }

    /// The last message.
    async fn complete(&mut self, outcome: &Outcome) -> Bytes {
        let mut told = json!({});
        if let Some(error) = outcome.error() {
            told["ErrorCode"] = UNHANDLED.into();
            told["ErrorDetails"] = error.into();
        }
        if self.tail {
            told["LogResult"] = self.api.tail(outcome).await.into();
        }
        event(
            "InvokeComplete",
            "application/json",
            told.to_string().as_bytes(),
        )
    }
}

fn chunk(piece: &[u8]) -> Bytes {
    event("PayloadChunk", "application/octet-stream", piece)
}
