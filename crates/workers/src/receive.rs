//! What the frames of a worker mean. Called by the task that reads its socket.

use std::{sync::Arc, time::Instant};

use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;
use wakeful_core::{
    delivery::RetryAdvice,
    limits,
    run::{LogLevel, LogLine, LogStream},
};

use crate::{
    Body, BodyStream, CancelReason, Failure, FailureKind, HostCall, HostError, HostErrorCode,
    HostReply, Response,
    blame::{self, Culprit},
    body::{Pipe, Producer},
    deadline::Phase,
    frame::{self, FromWorker, Rest, WORKER_STREAM},
    stdio::cut_line,
    stream::{self, Outflow},
    worker::{Attempt, HostStream, Worker},
};

/// The worker broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error(transparent)]
    Malformed(#[from] frame::Malformed),
    #[error("it sent more of a body than it had credit for")]
    Overrun,
    #[error("it opened a call on the stream {0:#x}, which is in use or not its own")]
    WrongStream(u32),
}

/// An attempt that a frame has ended, to be settled outside of the lock.
type Over = Option<(Attempt, Result<(), Failure>, Option<Response>)>;

impl Worker {
    /// Takes one frame.
    pub(crate) fn receive(self: &Arc<Self>, frame: FromWorker) -> Result<(), Violation> {
        match frame {
            FromWorker::Ready => {
                if let Some(ready) = self.boot.lock().ready.take() {
                    // Nobody waits any more when starting it was given up.
                    let _ = ready.send(());
                }
            }
            FromWorker::Loaded(json) => {
                if let Some(loaded) = self.boot.lock().loaded.take() {
                    let _ = loaded.send(json);
                }
            }
            FromWorker::Response {
                stream,
                rest,
                status,
                headers,
                body,
            } => self.response(stream, rest, status, &headers, body),
            FromWorker::Data { stream, bytes } => self.data(stream, bytes)?,
            FromWorker::End { stream } => self.end(stream),
            FromWorker::Credit { stream, bytes } => self.credit(stream, bytes),
            FromWorker::Fail { stream, json } => self.fail(stream, &json),
            FromWorker::Log {
                stream,
                level,
                text,
                fields,
            } => self.log(stream, level, &text, &fields),
            FromWorker::Call {
                stream,
                rest,
                attempt,
                op,
                params,
                body,
            } => {
                let call = Opened {
                    stream,
                    attempt,
                    op,
                    params,
                };
                self.call(call, rest, body)?;
            }
            FromWorker::Pong(number) => self.pong(number),
        }
        Ok(())
    }

    fn settle_over(&self, over: Over) {
        if let Some((attempt, outcome, answer)) = over {
            self.settle(attempt, outcome, answer);
        }
    }

    fn response(
        self: &Arc<Self>,
        stream: u32,
        rest: Rest,
        status: u16,
        block: &Bytes,
        body: Bytes,
    ) {
        let headers = match frame::headers(block) {
            Ok(headers) => headers,
            Err(error) => {
                self.write(|desk| desk.cancel(stream, CancelReason::CallerGone));
                let failure = Failure {
                    name: "InvalidHeader".into(),
                    ..Failure::ours(FailureKind::UserError, error.to_string())
                };
                return self.give_up(stream, failure);
            }
        };
        match rest {
            Rest::Nothing => {
                let answer = whole(status, headers, body);
                let over = self.write(|desk| desk.remove(stream));
                self.settle_over(over.map(|attempt| (attempt, Ok(()), Some(answer))));
            }
            Rest::Follows => self.open_response(stream, status, headers, body),
        }
    }

    fn open_response(
        self: &Arc<Self>,
        stream: u32,
        status: u16,
        headers: HeaderMap,
        opening: Bytes,
    ) {
        let pipe = Pipe::opened(Box::new(self.reader_of(stream)), opening);
        let reader = BodyStream::from_pipe(Arc::clone(&pipe));
        let exchange = self.write(|desk| {
            let attempt = desk.attempts.get_mut(stream)?;
            attempt.response = Some(pipe);
            (attempt.phase != Phase::Unheard).then(|| Arc::clone(&attempt.exchange))
        });
        // Without anyone who hears it, the reader is dropped here, and the rest is discarded.
        if let Some(exchange) = exchange {
            let body = Body::Stream(reader);
            let answer = Response {
                status,
                headers,
                body,
            };
            exchange.answer(answer, None);
        }
    }

    fn reader_of(self: &Arc<Self>, stream: u32) -> Reader {
        Reader {
            worker: Arc::clone(self),
            stream,
        }
    }

    fn data(&self, stream: u32, bytes: Bytes) -> Result<(), Violation> {
        let pipe = self.write(|desk| {
            if stream & WORKER_STREAM == 0 {
                desk.attempts.get_mut(stream)?.response.clone()
            } else {
                desk.calls.get(&stream)?.inbound.clone()
            }
        });
        match pipe {
            Some(pipe) if pipe.push(bytes).is_overrun() => Err(Violation::Overrun),
            _ => Ok(()),
        }
    }

    fn end(&self, stream: u32) {
        if stream & WORKER_STREAM == 0 {
            let over = self.write(|desk| {
                // END without RESPONSE means nothing; the attempt goes on.
                desk.attempts.get_mut(stream)?.response.as_ref()?;
                desk.remove(stream)
            });
            self.settle_over(over.map(|attempt| (attempt, Ok(()), None)));
        } else if let Some(pipe) = self.write(|desk| desk.calls.get_mut(&stream)?.inbound.take()) {
            pipe.end(Ok(()));
        }
    }

    fn credit(&self, stream: u32, bytes: u32) {
        let outflow = self.write(|desk| {
            if stream & WORKER_STREAM == 0 {
                desk.attempts.get_mut(stream)?.request.clone()
            } else {
                Some(Arc::clone(&desk.calls.get(&stream)?.outflow))
            }
        });
        if let Some(outflow) = outflow {
            outflow.grant(bytes);
        }
    }

    fn fail(&self, stream: u32, json: &[u8]) {
        if stream & WORKER_STREAM != 0 {
            return self.call_given_up(stream);
        }
        let failure = failure_of(json);
        if failure.kind == FailureKind::Crash {
            self.confess(stream, failure.clone());
        }
        self.give_up(stream, failure);
    }

    /// The attempt has failed.
    fn give_up(&self, stream: u32, failure: Failure) {
        if let Some(attempt) = self.write(|desk| desk.remove(stream)) {
            let failure = blame::in_view_of(attempt.cancelled, failure);
            self.settle(attempt, Err(failure), None);
        }
    }

    /// The process says that it is about to end, and through whose fault.
    fn confess(&self, stream: u32, failure: Failure) {
        self.write(|desk| {
            desk.confession = Some(match stream {
                0 => Culprit::Unknown,
                _ => Culprit::Stream(stream, Some(failure)),
            });
        });
        self.expire();
    }

    fn call_given_up(&self, stream: u32) {
        if let Some(call) = self.write(|desk| desk.calls.remove(&stream)) {
            call.outflow.close();
            if let Some(inbound) = call.inbound {
                let message = "the function gave the call up";
                inbound.end(Err(Failure::ours(FailureKind::Interrupted, message)));
            }
        }
    }

    fn log(&self, stream: u32, level: LogLevel, text: &[u8], fields: &[u8]) {
        let Some(pool) = self.pool() else { return };
        let run = self.write(|desk| desk.attempts.key(stream));
        let line = LogLine {
            at: self.shared.options.clock.now(),
            function: pool.spec.function.clone(),
            run: run.map(|(run, _)| run),
            attempt: run.map(|(_, attempt)| attempt),
            worker: self.pid,
            level,
            stream: LogStream::Console,
            text: cut_line(text),
            fields: (!fields.is_empty() && fields.len() <= limits::MAX_LOG_LINE)
                .then(|| String::from_utf8_lossy(fields).into_owned()),
        };
        self.shared.observer.log(&pool.spec.scope, line);
    }

    fn pong(&self, number: u32) {
        let now = Instant::now();
        let late = self.write(|desk| {
            desk.pulse.heard(now, number);
            desk.pulse.is_late(now)
        });
        self.set_late(late);
    }

    fn call(self: &Arc<Self>, call: Opened, rest: Rest, opening: Bytes) -> Result<(), Violation> {
        let stream = call.stream;
        if stream & WORKER_STREAM == 0 {
            return Err(Violation::WrongStream(stream));
        }
        let (inbound, body) = match rest {
            Rest::Nothing => (None, Body::Full(opening)),
            Rest::Follows => {
                let pipe = Pipe::opened(Box::new(self.reader_of(stream)), opening);
                let reader = BodyStream::from_pipe(Arc::clone(&pipe));
                (Some(pipe), Body::Stream(reader))
            }
        };
        let outflow = Outflow::new();
        let host_stream = HostStream {
            inbound,
            outflow: Arc::clone(&outflow),
        };
        let run = self.write(|desk| {
            if desk.calls.contains_key(&stream) {
                return Err(Violation::WrongStream(stream));
            }
            let run = desk.attempts.key(call.attempt);
            let running = desk.attempts.get_mut(call.attempt).is_some();
            let full = desk.calls.len() >= limits::MAX_HOST_CALLS;
            desk.calls.insert(stream, host_stream);
            Ok((!full).then_some((run, running)))
        })?;
        let (Some((run, running)), Some(pool)) = (run, self.pool()) else {
            let message = format!(
                "more than {} calls of this worker are under way; wait for some of them",
                limits::MAX_HOST_CALLS
            );
            let code = HostErrorCode::Unavailable;
            self.refuse(stream, &HostError { code, message });
            return Ok(());
        };
        let call = HostCall {
            scope: pool.spec.scope.clone(),
            function: pool.spec.function.clone(),
            version: pool.spec.version.clone(),
            run,
            running,
            op: String::from_utf8_lossy(&call.op).into_owned(),
            params: call.params,
            body,
        };
        self.spawn(Arc::clone(self).serve(stream, outflow, call));
        Ok(())
    }

    /// Has the host do what user code asks for, and sends the answer.
    async fn serve(self: Arc<Self>, stream: u32, outflow: Arc<Outflow>, call: HostCall) {
        let HostReply { head, body } = match self.shared.host.call(call).await {
            Ok(reply) => reply,
            Err(error) => return self.refuse(stream, &error),
        };
        let (opening, streamed) = stream::opening(body);
        let rest = match streamed {
            Some(_) => Rest::Follows,
            None => Rest::Nothing,
        };
        let wanted = self.write(|desk| {
            let wanted = match rest {
                Rest::Follows => desk.calls.contains_key(&stream),
                Rest::Nothing => desk.calls.remove(&stream).is_some(),
            };
            if wanted {
                frame::reply(&mut desk.out, stream, rest, &head, &opening);
            }
            wanted
        });
        if let Some(body) = streamed
            && wanted
        {
            stream::pump(self, stream, outflow, body).await;
        }
    }

    fn refuse(&self, stream: u32, error: &HostError) {
        let head = serde_json::json!({ "code": error.code, "message": error.message }).to_string();
        self.write(|desk| {
            if desk.calls.remove(&stream).is_some() {
                frame::reply_error(&mut desk.out, stream, head.as_bytes());
            }
        });
    }
}

/// A CALL without its body.
struct Opened {
    stream: u32,
    attempt: u32,
    op: Bytes,
    params: Bytes,
}

/// The worker as the producer of a body, for its reader on our side.
struct Reader {
    worker: Arc<Worker>,
    stream: u32,
}

impl Producer for Reader {
    fn taken(&self, bytes: u32) {
        self.worker
            .write(|desk| frame::credit(&mut desk.out, self.stream, bytes));
    }

    fn reader_gone(&self) {
        if self.stream & WORKER_STREAM == 0 {
            self.worker.abandon(self.stream);
        }
    }
}

fn whole(status: u16, headers: HeaderMap, body: Bytes) -> Response {
    Response {
        status,
        headers,
        body: Body::Full(body),
    }
}

/// What FAIL says.
#[derive(Deserialize)]
struct Report {
    kind: FailureKind,
    #[serde(default)]
    name: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    stack: Option<String>,
    #[serde(default)]
    retry: Option<Retry>,
}

/// What the handler says about trying again.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Retry {
    #[serde(default)]
    never: bool,
    #[serde(default)]
    after_ms: Option<u64>,
}

impl Retry {
    fn advice(self) -> Option<RetryAdvice> {
        if self.never {
            return Some(RetryAdvice::Never);
        }
        self.after_ms.map(RetryAdvice::AfterMs)
    }
}

fn failure_of(json: &[u8]) -> Failure {
    let allowed = |kind| {
        use FailureKind::{Crash, Load, MissingResponse, UserError};
        matches!(kind, UserError | MissingResponse | Crash | Load)
    };
    match serde_json::from_slice::<Report>(json) {
        Ok(report) if allowed(report.kind) => Failure {
            kind: report.kind,
            name: report.name,
            message: report.message,
            stack: report.stack.filter(|stack| !stack.is_empty()),
            advice: report.retry.and_then(Retry::advice),
        },
        _ => {
            let said = String::from_utf8_lossy(&json[..json.len().min(300)]).into_owned();
            Failure::ours(FailureKind::UserError, said)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_worker_says_of_its_failure_is_taken_as_far_as_it_makes_sense() {
        let check = |json: &str, kind, name: &str, advice| {
            let failure = failure_of(json.as_bytes());
            assert_eq!(
                (failure.kind, &*failure.name, failure.advice),
                (kind, name, advice),
                "{json}"
            );
        };
        use FailureKind::{Crash, UserError};
        let never = Some(RetryAdvice::Never);
        check(r#"{"kind":"user_error","name":"A"}"#, UserError, "A", None);
        let said = |retry: &str| format!(r#"{{"kind":"user_error","name":"A","retry":{retry}}}"#);
        check(&said(r#"{"never":true}"#), UserError, "A", never);
        check(
            &said(r#"{"never":true,"afterMs":5}"#),
            UserError,
            "A",
            never,
        );
        check(
            &said(r#"{"afterMs":5}"#),
            UserError,
            "A",
            Some(RetryAdvice::AfterMs(5)),
        );
        check(&said(r#"{"never":false}"#), UserError, "A", None);
        check(&said("{}"), UserError, "A", None);
        check(&said("null"), UserError, "A", None);
        check(r#"{"kind":"crash","name":"A"}"#, Crash, "A", None);
        // What only we may say, and what is no report.
        check(r#"{"kind":"bystander"}"#, UserError, "user_error", None);
        check(&said(r#"{"afterMs":-5}"#), UserError, "user_error", None);
        check("no JSON", UserError, "user_error", None);
    }
}
