//! `publish`: events that functions raise.

use bytes::Bytes;
use serde::Serialize;
use wakeful_core::{
    event::Origin,
    limits,
    name::{FunctionName, TopicName},
    port::{Arrival, Receipt, Sink, StoreError, Submission, SubmitError},
};
use wakeful_workers::{Body, HostCall, HostError, HostErrorCode, HostReply};

use super::{HostCalls, denied, error_of, message::Messages, params, reply};

/// What became of published events.
#[derive(Serialize)]
struct Published {
    ids: Vec<String>,
    duplicates: usize,
}

impl HostCalls {
    pub(super) async fn publish(&self, mut call: HostCall) -> Result<HostReply, HostError> {
        let arrivals = self.published(&mut call).await?;
        let submission = Submission {
            arrivals,
            ..Submission::default()
        };
        let submitted = self.parts.dispatcher.submit(submission).await;
        let Receipt {
            events, duplicates, ..
        } = submitted.map_err(refused)?;
        reply(&Published {
            ids: events.iter().map(ToString::to_string).collect(),
            duplicates: duplicates.len(),
        })
    }

    /// The events that a call describes, which its function may publish.
    pub(super) async fn published(&self, call: &mut HostCall) -> Result<Vec<Arrival>, HostError> {
        let messages: Messages = params(call)?;
        let body = data(call).await?;
        let arrivals = messages.into_arrivals(body, self.cause(call), self.now())?;
        for arrival in &arrivals {
            if let Origin::Topic(topic) = &arrival.origin {
                self.may_publish(&call.function, topic)?;
            }
        }
        Ok(arrivals)
    }

    pub(super) fn may_publish(
        &self,
        function: &FunctionName,
        topic: &TopicName,
    ) -> Result<(), HostError> {
        let live = self.parts.live.load();
        let mut declared = live.project.topics.keys();
        if !declared.any(|pattern| pattern.matches(topic)) {
            return Err(refused(SubmitError::NoSuchTopic(topic.clone())));
        }
        self.parts.grants.publish(function, topic).map_err(denied)
    }
}

/// The data that came with a call, whole.
pub(super) async fn data(call: &mut HostCall) -> Result<Bytes, HostError> {
    let most = usize::try_from(limits::MAX_BODY).unwrap_or(usize::MAX);
    let body = std::mem::replace(&mut call.body, Body::empty());
    let whole = body.collect(most).await;
    let whole = whole.map_err(|failure| error_of(HostErrorCode::Failed, failure.message))?;
    whole.ok_or_else(|| {
        error_of(
            HostErrorCode::TooLarge,
            format!(
                "{}: more than {most} bytes of data; put them into a bucket, and send the key",
                call.op
            ),
        )
    })
}

/// Why the sink did not take it.
pub(super) fn refused(error: SubmitError) -> HostError {
    let code = match &error {
        SubmitError::NoSuchFunction(_) | SubmitError::NoSuchTopic(_) => HostErrorCode::NotFound,
        SubmitError::Stopping => HostErrorCode::Unavailable,
        SubmitError::Store(error) => code_of(error),
    };
    error_of(code, error.to_string())
}

pub(super) const fn code_of(error: &StoreError) -> HostErrorCode {
    match error {
        StoreError::DiskFull | StoreError::ReadOnly(_) => HostErrorCode::Unavailable,
        StoreError::Conflict(_) => HostErrorCode::Conflict,
        StoreError::Damaged(_)
        | StoreError::Unknown(_)
        | StoreError::Closed
        | StoreError::Failed(_) => HostErrorCode::Failed,
    }
}
