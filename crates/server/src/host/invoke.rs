//! `invoke`: functions that call each other by name.

use serde::{Deserialize, Serialize};
use wakeful_core::{
    limits,
    name::{FunctionName, HandlerName},
    port::{Arrival, Receipt, Sink, Submission},
};
use wakeful_workers::{Body, Failure, HostCall, HostError, HostErrorCode, HostReply};

use super::{
    HostCalls, denied, error_of, invalid,
    message::content_type,
    params,
    publish::{code_of, data, refused},
    reply, reply_with,
    wishes::Timing,
};
use crate::{
    attempts::AttemptKey,
    control::{Asked, Invocation, InvokeError},
    dispatcher::Caller,
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Params {
    function: String,
    handler: Option<String>,
    #[serde(default)]
    wait: bool,
    content_type: Option<String>,
    #[serde(flatten)]
    timing: Timing,
}

/// What became of an invocation that was waited for.
#[derive(Serialize)]
struct Answered {
    run: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<Told>,
}

/// A failure as its caller sees it.
#[derive(Serialize)]
struct Told {
    kind: &'static str,
    name: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stack: Option<String>,
}

/// What became of an invocation that nobody waits for.
#[derive(Serialize)]
struct Accepted {
    id: String,
    duplicates: usize,
}

/// An invocation that was checked.
struct Checked {
    invocation: Invocation,
    caller: Caller,
    timing: Timing,
    wait: bool,
}

impl HostCalls {
    pub(super) async fn invoke(&self, mut call: HostCall) -> Result<HostReply, HostError> {
        let checked = self.invocation(&mut call).await?;
        if checked.wait {
            return self
                .invoke_and_wait(&call.function, call.run.filter(|_| call.running), checked)
                .await;
        }
        let submission = Submission {
            arrivals: vec![self.arrival(checked)?],
            ..Submission::default()
        };
        let submitted = self.parts.dispatcher.submit(submission).await;
        let Receipt {
            events, duplicates, ..
        } = submitted.map_err(refused)?;
        reply(&Accepted {
            id: events.first().map(ToString::to_string).unwrap_or_default(),
            duplicates: duplicates.len(),
        })
    }

    /// An invocation as an event, for later.
    pub(super) async fn invoked(&self, call: &mut HostCall) -> Result<Arrival, HostError> {
        let checked = self.invocation(call).await?;
        self.arrival(checked)
    }

    async fn invocation(&self, call: &mut HostCall) -> Result<Checked, HostError> {
        let given: Params = params(call)?;
        let payload = data(call).await?;
        let function: FunctionName = given.function.parse().map_err(|_| {
            error_of(
                HostErrorCode::NotFound,
                format!("there is no function `{}`", given.function),
            )
        })?;
        let handler: Option<HandlerName> = match given.handler.map(|name| name.parse()) {
            None => None,
            Some(Ok(handler)) => Some(handler),
            Some(Err(error)) => return Err(invalid(error.to_string())),
        };
        if self.parts.live.load().version(&function).is_none() {
            return Err(invoke_error(InvokeError::NoSuchFunction(function)));
        }
        let allowed = self.parts.grants.invoke(&call.function, &function);
        allowed.map_err(denied)?;
        let content_type = content_type(given.content_type, &payload)
            .map_err(|error| invalid(format!("the payload for `{function}`: {error}")))?;
        let mut callers = call
            .run
            .and_then(|key| self.parts.attempts.find(key))
            .map_or_else(Vec::new, |attempt| attempt.callers().to_vec());
        callers.push(call.function.clone());
        Ok(Checked {
            invocation: Invocation {
                function,
                handler,
                payload,
            },
            caller: Caller {
                lineage: self.cause(call),
                content_type: Some(content_type),
                waiting: callers,
                ..Caller::default()
            },
            timing: given.timing,
            wait: given.wait,
        })
    }

    fn arrival(&self, checked: Checked) -> Result<Arrival, HostError> {
        let asked = Asked {
            not_before: checked.timing.not_before(self.now())?,
            ordering_key: checked.timing.key()?,
            dedup: checked.timing.dedup()?,
        };
        let dispatcher = &self.parts.dispatcher;
        dispatcher
            .invocation(&checked.invocation, asked, &checked.caller)
            .map_err(invoke_error)
    }

    async fn invoke_and_wait(
        &self,
        function: &FunctionName,
        attempt: Option<AttemptKey>,
        mut checked: Checked,
    ) -> Result<HostReply, HostError> {
        if let Some(name) = checked.timing.first() {
            let rule = format!("`{name}` is for calls that nobody waits for");
            return Err(invalid(rule));
        }
        if checked.caller.lineage.depth > limits::MAX_CHAIN {
            return Err(invalid(format!(
                "the chain of events that led here is longer than {}: functions wake each other \
                 in a loop",
                limits::MAX_CHAIN
            )));
        }
        self.no_circle(&checked)?;
        // Half of its time, so that it hears why before it runs out of it.
        let live = self.parts.live.load().version(function).cloned();
        checked.caller.patience = live.map(|own| own.function.timeout / 2);
        let over = attempt.map(|key| self.parts.attempts.calling(key).over());
        let callee = checked.invocation.function.clone();
        let invoked = self
            .parts
            .dispatcher
            .invoke_from(checked.invocation, checked.caller);
        let invoked = match over {
            Some(over) => over.run_until_cancelled(invoked).await.ok_or_else(|| {
                let why = format!("the attempt that waited for `{callee}` is over");
                error_of(HostErrorCode::Unavailable, why)
            })?,
            None => invoked.await,
        };
        let invoked = invoked.map_err(invoke_error)?;
        let (body, failure) = match invoked.result {
            Ok(result) => (Body::Full(result), None),
            Err(failure) => (Body::empty(), Some(self.told(failure))),
        };
        let run = invoked.run.to_string();
        reply_with(&Answered { run, failure }, body)
    }

    fn told(&self, failure: Failure) -> Told {
        let failure = self.parts.recorder.redacted(failure);
        Told {
            kind: failure.kind.as_str(),
            name: failure.name,
            message: failure.message,
            stack: failure.stack,
        }
    }

    /// Refuses to wait for a function all of whose places are held by those who wait for it.
    fn no_circle(&self, checked: &Checked) -> Result<(), HostError> {
        let callee = &checked.invocation.function;
        let waiting = &checked.caller.waiting;
        let held = waiting.iter().filter(|caller| *caller == callee).count();
        let live = self.parts.live.load();
        let places = live
            .version(callee)
            .map_or(u32::MAX, |it| it.function.concurrency);
        if held < usize::try_from(places).unwrap_or(usize::MAX) {
            return Ok(());
        }
        let chain: Vec<&str> = waiting.iter().map(FunctionName::as_str).collect();
        Err(error_of(
            HostErrorCode::Unavailable,
            format!(
                "`{callee}` would wait for itself for ever: {} → {callee}, and its concurrency is \
                 {places}. Raise `concurrency`, or invoke it with wait: false",
                chain.join(" → ")
            ),
        ))
    }
}

pub(super) fn invoke_error(error: InvokeError) -> HostError {
    let (code, message) = match &error {
        InvokeError::NoSuchFunction(_) | InvokeError::NoSuchHandler { .. } => {
            (HostErrorCode::NotFound, error.to_string())
        }
        InvokeError::OnlyHttp(_) | InvokeError::Payload(_) => {
            (HostErrorCode::Invalid, error.to_string())
        }
        InvokeError::Overloaded(function) => (
            HostErrorCode::Unavailable,
            format!(
                "no place became free for `{function}` in time: all of its `concurrency` is in \
                 use, perhaps by functions that wait for each other"
            ),
        ),
        InvokeError::Stopping => (HostErrorCode::Unavailable, error.to_string()),
        InvokeError::Store(store) => (code_of(store), error.to_string()),
    };
    error_of(code, message)
}
