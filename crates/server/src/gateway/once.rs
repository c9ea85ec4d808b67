//! Requests with an idempotency key: user code runs once, and whoever asks again gets its answer.
//!
//! Requests with one key take turns. Whoever has the turn asks the store what stands under the
//! key; if nothing does, that is on disk as begun before user code starts, and the answer is on
//! disk before anyone hears it. An answer that the disk does not take (it became full meanwhile) is
//! given all the same; who asks again finds a request whose outcome is unknown. The attempt goes on
//! when its caller leaves: it will ask again.
//!
//! Kept is what user code itself answered, 5xx too. Forgotten is what never started, what is too
//! large, and, unless the trigger says `on_unknown = "hold"`, what failed: the next request with
//! the key runs it again.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::StreamExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, request::Parts};
use hyper::body::Incoming;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, timeout_at},
};
use tokio_util::task::TaskTracker;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    flow::OnUnknown,
    id::RunId,
    limits,
    port::{Answer, AnswerKey, BeginAnswer, Begun, StoreError},
};
use wakeful_workers::{Body, BodyStream};

use super::{
    Endpoint, Refusal, ResponseBody,
    auth::Caller,
    body::{Held, linger},
    exchange::{Answered, Exchange},
    record::Record,
    request::{Intake, Target},
    respond::Head,
    serve::with_run,
    shared::Shared,
    wishes::key_of,
};

/// Says that an answer is that of an earlier request.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// A request with an idempotency key.
pub(super) struct Asking {
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) caller: Caller,
    pub(super) parts: Parts,
    pub(super) remote: Arc<str>,
    /// How long its answer is kept.
    pub(super) kept: Duration,
}

/// Answers it: with what is kept, or by running user code.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    asking: Asking,
    target: Result<Target, Refusal>,
    body: Incoming,
) -> Response<ResponseBody> {
    let headers = &asking.parts.headers;
    let before = target.and_then(|target| Ok((target, key_of(headers)?.unwrap_or_default())));
    let (target, key) = match before {
        Ok(found) => found,
        Err(refusal) => {
            linger(headers, body);
            return refusal.response(None, shared.detail);
        }
    };
    let max_body = asking.endpoint.version.function.max_body;
    let (most, too_large): (u64, fn(u64) -> Refusal) = match max_body <= limits::MAX_BODY {
        true => (max_body, Refusal::TooLarge),
        false => (limits::MAX_BODY, Refusal::TooLargeToKeep),
    };
    let held = shared.memory.read(headers, body, most, too_large).await;
    let answered = match held {
        Ok(held) => take_turn(shared, asking, (target, key), held).await,
        Err(refusal) => Err(refusal),
    };
    answered.unwrap_or_else(|refusal| refusal.response(None, shared.detail))
}

async fn take_turn(
    shared: &Arc<Shared>,
    asking: Asking,
    (target, key): (Target, String),
    held: Held,
) -> Result<Response<ResponseBody>, Refusal> {
    let endpoint = &asking.endpoint;
    let trigger = &endpoint.trigger;
    let key = AnswerKey {
        scope: shared.live.load().project.scope(),
        trigger: trigger.id.clone(),
        key: asking.caller.scoped(&key),
    };
    let patience = endpoint.version.function.timeout + limits::LOAD_TIMEOUT;
    let turn = Turn::wait(shared, &key, Instant::now() + patience).await?;
    let now = shared.clock.now();
    let begin = BeginAnswer {
        key,
        fingerprint: fingerprint(&asking.parts.method, &target, &held.bytes),
        run: shared.ids.run(now),
        now,
        until: now.plus(asking.kept),
        again: trigger.flow.on_unknown,
    };
    let (run, detail) = (begin.run, shared.detail);
    let (sender, answered) = oneshot::channel();
    let first = First {
        shared: Arc::clone(shared),
        begin,
        turn,
    };
    // From here on it goes to its end, whatever becomes of the caller: what is begun in the store
    // must be finished there.
    shared.turns.tasks.spawn(async move {
        let response = first.answer(asking, target, held).await;
        let _ = sender.send(response.unwrap_or_else(|refusal| refusal.response(None, detail)));
    });
    answered.await.map_err(|_| Refusal::OutcomeUnknown(run))
}

/// The same key with another request is a mistake of the caller.
fn fingerprint(method: &Method, target: &Target, body: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [method.as_str(), target.path_and_query.as_str()] {
        hash.update(part.as_bytes());
        hash.update(b"\0");
    }
    hash.update(body);
    hash.finalize().into()
}

/// Whose turn it is, by endpoint and key.
#[derive(Default)]
pub(super) struct Turns {
    taken: Mutex<HashMap<AnswerKey, watch::Receiver<()>>>,
    tasks: TaskTracker,
}

impl Turns {
    /// Waits until nothing is being answered any more.
    pub(super) async fn settled(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// The right to answer requests with one key. The next one has it when this is dropped.
struct Turn {
    shared: Arc<Shared>,
    key: AnswerKey,
    _over: watch::Sender<()>,
}

impl Turn {
    async fn wait(
        shared: &Arc<Shared>,
        key: &AnswerKey,
        deadline: Instant,
    ) -> Result<Self, Refusal> {
        loop {
            let mut before = match Self::take(shared, key) {
                Ok(turn) => return Ok(turn),
                Err(before) => before,
            };
            // Nothing is ever sent: it ends when the other's turn does.
            if timeout_at(deadline, before.changed()).await.is_err() {
                return Err(Refusal::StillRunning);
            }
        }
    }

    fn take(shared: &Arc<Shared>, key: &AnswerKey) -> Result<Self, watch::Receiver<()>> {
        let mut taken = shared.turns.taken.lock();
        if let Some(before) = taken.get(key) {
            return Err(before.clone());
        }
        let (over, waiting) = watch::channel(());
        taken.insert(key.clone(), waiting);
        Ok(Self {
            shared: Arc::clone(shared),
            key: key.clone(),
            _over: over,
        })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.shared.turns.taken.lock().remove(&self.key);
    }
}

/// What stays of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stays {
    /// Its answer.
    Answer,
    /// That nobody knows how it ended.
    Doubt,
    /// Nothing: it may be tried again.
    Nothing,
}

impl Stays {
    /// Of an attempt that failed.
    fn of(refusal: &Refusal, on_unknown: OnUnknown) -> Self {
        let kind = match refusal {
            Refusal::Failed(failure) => failure.kind,
            Refusal::BadResponse(_) => FailureKind::UserError,
            _ => return Self::Nothing,
        };
        if !kind.may_have_taken_effect() || on_unknown == OnUnknown::Retry {
            return Self::Nothing;
        }
        match kind.leaves_outcome_unknown() {
            true => Self::Doubt,
            // It came to its end, though not to a good one.
            false => Self::Answer,
        }
    }
}

/// A request that has the turn for its key.
struct First {
    shared: Arc<Shared>,
    begin: BeginAnswer,
    turn: Turn,
}

impl First {
    async fn answer(
        self,
        asking: Asking,
        target: Target,
        held: Held,
    ) -> Result<Response<ResponseBody>, Refusal> {
        match self.begun().await? {
            Begun::Fresh => {}
            Begun::Answered(run, answer) => {
                return Ok(replayed(answer, run, &asking.parts.method));
            }
            Begun::Running(run) | Begun::Unknown(run) => return Err(Refusal::OutcomeUnknown(run)),
            Begun::Mismatch(run) => return Err(Refusal::KeyReused(run)),
        }
        let Asking {
            endpoint,
            parts,
            remote,
            ..
        } = asking;
        let (shared, run) = (Arc::clone(&self.shared), self.begin.run);
        let at = (run, self.begin.now);
        let exchange = Exchange {
            record: Record::begin(&shared.recorder, &endpoint, &parts, at),
            shared,
            endpoint,
            run,
            method: parts.method.clone(),
        };
        let intake = Intake::read(target, held.bytes.clone());
        let response = self.run(exchange, parts, intake, remote).await;
        Ok(with_run(response, run))
    }

    /// What stands under the key.
    async fn begun(&self) -> Result<Begun, Refusal> {
        let store = &self.shared.store;
        let failed = |error: StoreError| Refusal::Submit(error.into());
        let begun = store.begin_answer(self.begin.clone()).await;
        let begun = begun.map_err(failed)?;
        match (&begun, self.begin.again) {
            // Nobody else has the turn: an attempt whose end could not be written down.
            (Begun::Running(_), OnUnknown::Retry) => {
                let forgotten = store.finish_answer(self.begin.key.clone(), None).await;
                forgotten.map_err(failed)?;
                let begun = store.begin_answer(self.begin.clone()).await;
                begun.map_err(failed)
            }
            _ => Ok(begun),
        }
    }

    async fn run(
        self,
        mut exchange: Exchange,
        parts: Parts,
        intake: Intake,
        remote: Arc<str>,
    ) -> Response<ResponseBody> {
        let gathered = match exchange.attempt(parts, intake, remote).await {
            Ok(answered) => gather(answered).await,
            Err(refusal) => Err(refusal),
        };
        match gathered {
            Ok(answered) => {
                let kept = match &answered.body {
                    Body::Full(body) => Some(kept(&answered.head, body)),
                    Body::Stream(_) => None,
                };
                self.finish(kept).await;
                exchange.answer(answered)
            }
            Err(refusal) => {
                let kept = self.kept_of(&refusal);
                self.finish(kept).await;
                exchange.refuse(refusal)
            }
        }
    }

    fn kept_of(&self, refusal: &Refusal) -> Option<Answer> {
        let (run, detail) = (self.begin.run, self.shared.detail);
        match Stays::of(refusal, self.begin.again) {
            Stays::Nothing => None,
            Stays::Answer => refused(refusal.response(Some(run), detail)),
            Stays::Doubt => refused(Refusal::OutcomeUnknown(run).response(Some(run), detail)),
        }
    }

    /// On disk, then the next one may ask.
    async fn finish(self, answer: Option<Answer>) {
        let (run, key) = (self.begin.run, self.begin.key);
        let finished = self.shared.store.finish_answer(key, answer).await;
        if let Err(error) = finished {
            tracing::warn!(%run, %error, "an answer could not be kept for its idempotency key");
        }
        drop(self.turn);
    }
}

/// The whole body when it is not too large to be kept; otherwise it streams as it was.
async fn gather(answered: Answered) -> Result<Answered, Refusal> {
    let Answered { head, body, call } = answered;
    let body = match body {
        Body::Full(bytes) if bytes.len() <= limits::MAX_KEPT_ANSWER => Body::Full(bytes),
        Body::Full(bytes) => replayable(vec![bytes], None),
        Body::Stream(stream) => collect(stream).await.map_err(Refusal::Failed)?,
    };
    Ok(Answered { head, body, call })
}

async fn collect(mut stream: BodyStream) -> Result<Body, Failure> {
    let (mut pieces, mut size) = (Vec::new(), 0);
    while let Some(piece) = stream.next().await {
        let piece = piece?;
        size += piece.len();
        pieces.push(piece);
        if size > limits::MAX_KEPT_ANSWER {
            return Ok(replayable(pieces, Some(stream)));
        }
    }
    Ok(Body::Full(pieces.concat().into()))
}

/// What was read, and then the rest.
fn replayable(pieces: Vec<Bytes>, rest: Option<BodyStream>) -> Body {
    let read = futures::stream::iter(pieces.into_iter().map(Ok));
    match rest {
        None => Body::from_stream(read),
        Some(rest) => Body::from_stream(read.chain(rest)),
    }
}

fn kept(head: &Head, body: &Bytes) -> Answer {
    Answer {
        status: head.status.as_u16(),
        headers: fields(&head.headers),
        body: body.clone(),
    }
}

fn fields(headers: &HeaderMap) -> Vec<(String, Bytes)> {
    let field = |(name, value): (&HeaderName, &HeaderValue)| {
        let value = Bytes::copy_from_slice(value.as_bytes());
        (name.as_str().to_owned(), value)
    };
    headers.iter().map(field).collect()
}

/// An answer of ours, to be kept.
fn refused(response: Response<ResponseBody>) -> Option<Answer> {
    let (parts, body) = response.into_parts();
    let ResponseBody::Full(body) = body else {
        return None;
    };
    Some(Answer {
        status: parts.status.as_u16(),
        headers: fields(&parts.headers),
        body: body.unwrap_or_default(),
    })
}

/// The answer of an earlier request, byte for byte.
fn replayed(answer: Answer, run: RunId, method: &Method) -> Response<ResponseBody> {
    let mut headers = HeaderMap::new();
    for (name, value) in answer.headers {
        let name = HeaderName::try_from(name);
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_maybe_shared(value)) {
            headers.append(name, value);
        }
    }
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let head = Head { status, headers };
    let body = match head.is_bodiless(method) {
        true => ResponseBody::Full(None),
        false => ResponseBody::full(answer.body),
    };
    with_run(head.with(body, method), run)
}

#[cfg(test)]
mod tests {
    use wakeful_workers::ReserveError;

    use super::*;

    #[test]
    fn what_stays_follows_from_what_is_known() {
        use FailureKind::{Crash, Load, MissingResponse, NotStarted, Timeout, UserError};
        let failed = |kind| Refusal::Failed(Failure::ours(kind, ""));
        for (refusal, on_retry, on_hold) in [
            (failed(UserError), Stays::Nothing, Stays::Answer),
            (failed(MissingResponse), Stays::Nothing, Stays::Answer),
            (
                Refusal::BadResponse(String::new()),
                Stays::Nothing,
                Stays::Answer,
            ),
            (failed(Timeout), Stays::Nothing, Stays::Answer),
            (failed(Crash), Stays::Nothing, Stays::Doubt),
            (failed(Load), Stays::Nothing, Stays::Nothing),
            (failed(NotStarted), Stays::Nothing, Stays::Nothing),
            (
                Refusal::NoWorker(ReserveError::Overloaded),
                Stays::Nothing,
                Stays::Nothing,
            ),
        ] {
            assert_eq!(
                Stays::of(&refusal, OnUnknown::Retry),
                on_retry,
                "{refusal:?}"
            );
            assert_eq!(Stays::of(&refusal, OnUnknown::Hold), on_hold, "{refusal:?}");
        }
    }

    #[test]
    fn a_fingerprint_tells_requests_apart() {
        let target = |text: &str| Target {
            path_and_query: text.parse().unwrap(),
            params: Vec::new(),
        };
        let first = fingerprint(&Method::POST, &target("/a?b"), b"c");
        for (method, path, body) in [
            (Method::PUT, "/a?b", "c"),
            (Method::POST, "/a?c", "c"),
            (Method::POST, "/a", "c"),
            (Method::POST, "/a?b", ""),
        ] {
            assert_ne!(fingerprint(&method, &target(path), body.as_bytes()), first);
        }
        assert_eq!(fingerprint(&Method::POST, &target("/a?b"), b"c"), first);
    }
}
