//! What a caller hears when its request could not be served.

use http::{HeaderValue, Response, StatusCode, header};
use wakeful_core::{
    delivery::{Failure, FailureKind},
    id::RunId,
    port::{StoreError, SubmitError},
};
use wakeful_workers::ReserveError;

use super::{respond::ResponseBody, wishes::WrongField};
use crate::cloudevents;

/// Why a request was not served.
#[derive(Debug)]
pub enum Refusal {
    /// No endpoint has this path.
    NotFound,
    /// The path exists with these methods only (comma-separated).
    OtherMethods(String),
    /// The endpoint demands a function key.
    NoKey,
    /// The key sent is not known.
    WrongKey,
    /// The body is larger than the function takes, in bytes.
    TooLarge(u64),
    /// The path has an escape that is no UTF-8.
    BadPath,
    /// The request's target is longer than 64 KiB.
    TargetTooLong,
    /// The caller's body broke off.
    BrokenBody,
    /// The caller stopped sending its body.
    BodyTimeout,
    /// No worker could take it.
    NoWorker(ReserveError),
    /// User code, or its worker, failed.
    Failed(Failure),
    /// What user code answered is no HTTP response.
    BadResponse(String),
    /// Header fields that say what is wished for say nothing sensible.
    WrongFields(Vec<WrongField>),
    /// The body is larger than what is kept for later may be, in bytes.
    TooLargeToKeep(u64),
    /// Bodies that are held in memory take all that they may.
    Busy,
    /// The events are none, break rules, or are too many.
    Events(cloudevents::Refused),
    /// Events of topics that nobody declared.
    NoSuchTopics(UnknownTopics),
    /// What was to be kept was not.
    Submit(SubmitError),
    /// The idempotency key belongs to another request, which this run answered.
    KeyReused(RunId),
    /// Nobody knows how this run for the same idempotency key ended.
    OutcomeUnknown(RunId),
    /// The same idempotency key is still being answered.
    StillRunning,
}

/// How much of a failure a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Message and stack, for a developer.
    Full,
    /// Only what happened; the details are in the run.
    Brief,
}

impl Refusal {
    /// The one place where a refusal becomes a status and a code.
    fn status(&self) -> (StatusCode, &'static str) {
        match self {
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Self::OtherMethods(_) => (StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed"),
            Self::NoKey => (StatusCode::UNAUTHORIZED, "key_required"),
            Self::WrongKey => (StatusCode::FORBIDDEN, "key_unknown"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::BadPath => (StatusCode::BAD_REQUEST, "bad_path"),
            Self::TargetTooLong => (StatusCode::URI_TOO_LONG, "uri_too_long"),
            Self::BrokenBody => (StatusCode::BAD_REQUEST, "body_broken_off"),
            Self::BodyTimeout => (StatusCode::REQUEST_TIMEOUT, "body_timeout"),
            Self::NoWorker(error) => match error {
                ReserveError::Load(_) => (StatusCode::INTERNAL_SERVER_ERROR, "load"),
                ReserveError::NotStarted(_) => (StatusCode::SERVICE_UNAVAILABLE, "not_started"),
                ReserveError::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
                ReserveError::Retired => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
            },
            Self::Failed(failure) => (failed_status(failure.kind), failure.kind.as_str()),
            Self::BadResponse(_) => (StatusCode::BAD_GATEWAY, "bad_response"),
            Self::WrongFields(_) => (StatusCode::BAD_REQUEST, "bad_header"),
            Self::TooLargeToKeep(_) => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
            Self::Events(refused) => events_status(refused),
            Self::NoSuchTopics(_) => (StatusCode::NOT_FOUND, "no_such_topic"),
            Self::Submit(error) => submit_status(error),
            Self::KeyReused(_) => (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused"),
            Self::OutcomeUnknown(_) => (StatusCode::CONFLICT, "outcome_unknown"),
            Self::StillRunning => (StatusCode::CONFLICT, "in_progress"),
        }
    }

    fn message(&self, detail: Detail) -> String {
        match self {
            Self::NotFound => "no function has an endpoint at this path".into(),
            Self::OtherMethods(allow) => format!("this path takes {allow}"),
            Self::NoKey => "this endpoint needs a function key: send it as `authorization: \
                 Bearer KEY` or `x-api-key: KEY`"
                .into(),
            Self::WrongKey => "the function key is not known".into(),
            Self::TooLarge(limit) => match detail {
                Detail::Full => format!(
                    "the body is larger than {}: the function's `max_body` in wakeful.toml",
                    size(*limit)
                ),
                Detail::Brief => format!("the body is larger than {}", size(*limit)),
            },
            Self::BadPath => "the path has an escape that is no UTF-8".into(),
            Self::TargetTooLong => "the path and query are longer than 64 KiB".into(),
            Self::BrokenBody => "the request's body broke off".into(),
            Self::BodyTimeout => "the request's body did not go on in time".into(),
            Self::NoWorker(ReserveError::Load(failure)) => described(failure, detail),
            Self::NoWorker(ReserveError::NotStarted(failure)) => described(failure, detail),
            Self::NoWorker(ReserveError::Overloaded) => {
                "too many requests wait for this function: try again".into()
            }
            Self::NoWorker(ReserveError::Retired) => "the server is stopping".into(),
            Self::Failed(failure) => described(failure, detail),
            Self::BadResponse(why) => format!("the function's answer is no HTTP response: {why}"),
            other => other.message_of_what_is_kept(detail),
        }
    }

    /// The same, for what concerns events and answers that are kept.
    fn message_of_what_is_kept(&self, detail: Detail) -> String {
        match self {
            Self::WrongFields(wrong) => {
                let one = |wrong: &WrongField| format!("`{}` {}", wrong.field, wrong.rule);
                wrong.iter().map(one).collect::<Vec<_>>().join("; ")
            }
            Self::TooLargeToKeep(limit) => format!(
                "the body is larger than {}, which is the most that is kept",
                size(*limit)
            ),
            Self::Busy => "too many large requests are under way: try again".into(),
            Self::Events(refused) => refused.to_string(),
            Self::NoSuchTopics(topics) => topics.message(detail),
            Self::Submit(error) => error.to_string(),
            Self::KeyReused(run) => format!(
                "the idempotency key was used for another request (run {run}): \
                 each request needs a key of its own"
            ),
            Self::OutcomeUnknown(run) => format!(
                "nobody knows how the request with this idempotency key ended (run {run}): \
                 find out whether it took effect before it is sent again with a new key"
            ),
            Self::StillRunning => {
                "the request with this idempotency key is still being answered: ask again later"
                    .into()
            }
            _ => String::new(),
        }
    }

    /// The run of an earlier request that it is about.
    fn earlier(&self) -> Option<RunId> {
        match self {
            Self::KeyReused(run) | Self::OutcomeUnknown(run) => Some(*run),
            _ => None,
        }
    }

    /// Every single mistake, for programs.
    fn mistakes(&self) -> Option<serde_json::Value> {
        let mistakes = match self {
            Self::Events(cloudevents::Refused::Mistakes(mistakes)) => {
                serde_json::to_value(mistakes)
            }
            Self::WrongFields(wrong) => serde_json::to_value(wrong),
            _ => return None,
        };
        mistakes.ok()
    }

    /// The failure behind it, for the run record.
    pub fn into_failure(self) -> Failure {
        match self {
            Self::Failed(failure)
            | Self::NoWorker(ReserveError::Load(failure) | ReserveError::NotStarted(failure)) => {
                failure
            }
            Self::BadResponse(_) => {
                Failure::ours(FailureKind::UserError, self.message(Detail::Full))
            }
            other => Failure::ours(FailureKind::NotStarted, other.message(Detail::Full)),
        }
    }

    /// The response to send.
    pub fn response(&self, run: Option<RunId>, detail: Detail) -> Response<ResponseBody> {
        let (status, code) = self.status();
        let mut error = serde_json::json!({ "code": code, "message": self.message(detail) });
        if let Some(run) = run.or(self.earlier()) {
            error["run"] = serde_json::Value::String(run.to_string());
        }
        if let (Self::Failed(failure), Detail::Full) = (self, detail)
            && let Some(stack) = &failure.stack
        {
            error["stack"] = serde_json::Value::String(stack.clone());
        }
        if let Some(mistakes) = self.mistakes() {
            error["mistakes"] = mistakes;
        }
        let mut response = json_response(status, &serde_json::json!({ "error": error }));
        let headers = response.headers_mut();
        match self {
            Self::OtherMethods(allow) => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, allow);
                }
            }
            Self::NoKey => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::StillRunning => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }
}

/// A JSON document as the answer.
pub(super) fn json_response(
    status: StatusCode,
    document: &serde_json::Value,
) -> Response<ResponseBody> {
    let body = document.to_string() + "\n";
    let mut response = Response::new(ResponseBody::full(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    response
}

fn events_status(refused: &cloudevents::Refused) -> (StatusCode, &'static str) {
    use cloudevents::Refused;
    match refused {
        Refused::Plain => (StatusCode::BAD_REQUEST, "no_event"),
        Refused::Body(_) => (StatusCode::BAD_REQUEST, "bad_body"),
        Refused::Mistakes(_) => (StatusCode::BAD_REQUEST, "bad_event"),
        Refused::Media(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_format"),
        Refused::TooMany(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too_many_events"),
        Refused::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
    }
}

fn submit_status(error: &SubmitError) -> (StatusCode, &'static str) {
    match error {
        SubmitError::NoSuchFunction(_) => (StatusCode::NOT_FOUND, "no_such_function"),
        SubmitError::NoSuchTopic(_) => (StatusCode::NOT_FOUND, "no_such_topic"),
        SubmitError::Stopping => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        SubmitError::Store(StoreError::DiskFull) => (StatusCode::INSUFFICIENT_STORAGE, "disk_full"),
        // The disk may have taken it all the same: a sender that repeats itself says so by an id.
        SubmitError::Store(StoreError::Unknown(_)) => {
            (StatusCode::SERVICE_UNAVAILABLE, "outcome_unknown")
        }
        SubmitError::Store(_) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
    }
}

/// Names of topics that nobody declared.
#[derive(Debug)]
pub struct UnknownTopics {
    /// Each with the place of its event in a batch.
    pub(super) asked: Vec<(Option<usize>, String)>,
    /// The topics that there are.
    pub(super) declared: Vec<String>,
}

impl UnknownTopics {
    /// What there is instead is told to those who develop.
    fn message(&self, detail: Detail) -> String {
        let asked = listed(&self.asked, |(place, topic)| match place {
            Some(place) => format!("`{topic}` (event {place} of the batch)"),
            None => format!("`{topic}`"),
        });
        let known = match detail {
            Detail::Full if !self.declared.is_empty() => {
                let declared = listed(&self.declared, |topic| format!("`{topic}`"));
                format!("declared are {declared}")
            }
            _ => "topics are declared in wakeful.toml, as `[topic.\"orders.*\"]`".to_owned(),
        };
        format!("there is no topic {asked}: {known}; nothing was accepted")
    }
}

fn listed<T>(all: &[T], one: impl FnMut(&T) -> String) -> String {
    let text = all.iter().take(10).map(one).collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(10) {
        0 => text,
        more => format!("{text} and {more} more"),
    }
}

fn failed_status(kind: FailureKind) -> StatusCode {
    match kind {
        FailureKind::UserError | FailureKind::Load => StatusCode::INTERNAL_SERVER_ERROR,
        FailureKind::Timeout | FailureKind::BlockedLoop => StatusCode::GATEWAY_TIMEOUT,
        FailureKind::MissingResponse
        | FailureKind::OutOfMemory
        | FailureKind::Crash
        | FailureKind::Suspect
        | FailureKind::Bystander => StatusCode::BAD_GATEWAY,
        FailureKind::NotStarted | FailureKind::Interrupted => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn described(failure: &Failure, detail: Detail) -> String {
    let what = match failure.kind {
        FailureKind::UserError => "the function failed",
        FailureKind::Timeout => "the function took longer than its timeout",
        FailureKind::MissingResponse => "the function ended without an answer",
        FailureKind::BlockedLoop => "the function blocked its event loop and was ended",
        FailureKind::OutOfMemory => "the function's worker ran out of memory",
        FailureKind::Crash | FailureKind::Suspect => "the function's worker ended in mid-run",
        FailureKind::Bystander => "another request ended the worker in mid-run",
        FailureKind::Load => "the function's code cannot be loaded",
        FailureKind::NotStarted => "no worker could be started",
        FailureKind::Interrupted => "the server stopped before the function ended",
    };
    let may_have = failure.kind.may_have_taken_effect() && failure.kind != FailureKind::UserError;
    let said = detail == Detail::Full && failure.message.contains(EFFECT);
    let effect = match may_have && !said {
        true => format!("; it {EFFECT}"),
        false => String::new(),
    };
    // Our own descriptions have the kind's word for a name, which says nothing more.
    let name = match failure.name == failure.kind.as_str() {
        true => String::new(),
        false => format!("{}: ", failure.name),
    };
    match detail {
        Detail::Full => format!("{what}{effect}: {name}{}", failure.message),
        Detail::Brief => format!("{what}{effect}"),
    }
}

/// What a caller must know before it tries again.
const EFFECT: &str = "may have taken effect";

/// A limit as people write it: `6 MiB`, `1.5 MiB`, `512 KiB`.
fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        b if b % MIB == 0 => format!("{} MiB", b / MIB),
        b if b > MIB => format!("{:.1} MiB", b as f64 / MIB as f64),
        b if b % KIB == 0 => format!("{} KiB", b / KIB),
        b => format!("{b} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_things_once_and_in_units() {
        for (bytes, expected) in [
            (6 << 20, "6 MiB"),
            (3 << 19, "1.5 MiB"),
            (512 << 10, "512 KiB"),
            (6_000_000, "5.7 MiB"),
            (1500, "1500 bytes"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        let large = Refusal::TooLarge(6 << 20);
        assert!(large.message(Detail::Full).contains("`max_body`"));
        assert_eq!(
            large.message(Detail::Brief),
            "the body is larger than 6 MiB"
        );

        let why = "no answer within its time of 1s; the attempt may have taken effect";
        let late = Refusal::Failed(Failure::ours(FailureKind::Timeout, why));
        for (detail, expected) in [
            (
                Detail::Full,
                format!("the function took longer than its timeout: {why}"),
            ),
            (
                Detail::Brief,
                "the function took longer than its timeout; it may have taken effect".to_owned(),
            ),
        ] {
            assert_eq!(late.message(detail), expected);
        }
    }

    #[test]
    fn a_topic_that_is_missing_is_named_with_those_that_there_are() {
        let refusal = |declared: &[&str]| {
            Refusal::NoSuchTopics(UnknownTopics {
                asked: vec![(Some(1), "nope".to_owned())],
                declared: declared.iter().map(|topic| (*topic).to_owned()).collect(),
            })
        };
        let said = "there is no topic `nope` (event 1 of the batch): ";
        let declare = "topics are declared in wakeful.toml, as `[topic.\"orders.*\"]`";
        for (detail, declared, expected) in [
            (
                Detail::Full,
                &["orders.*", "a"][..],
                "declared are `orders.*`, `a`",
            ),
            (Detail::Full, &[], declare),
            (Detail::Brief, &["orders.*"], declare),
        ] {
            let message = refusal(declared).message(detail);
            assert_eq!(message, format!("{said}{expected}; nothing was accepted"));
        }
        let alone = Refusal::NoSuchTopics(UnknownTopics {
            asked: (0..12).map(|n| (None, format!("t{n}"))).collect(),
            declared: Vec::new(),
        });
        let message = alone.message(Detail::Full);
        assert!(message.contains("no topic `t0`, "), "{message}");
        assert!(message.contains("`t9` and 2 more: "), "{message}");
    }

    #[test]
    fn whoever_may_try_again_is_told_so() {
        let submit = |error| Refusal::Submit(SubmitError::Store(error));
        for (refusal, status, code, retry_after) in [
            (
                Refusal::NoWorker(ReserveError::Overloaded),
                503,
                "overloaded",
                "1",
            ),
            (
                Refusal::NoWorker(ReserveError::Retired),
                503,
                "stopping",
                "1",
            ),
            (Refusal::Busy, 503, "overloaded", "1"),
            (Refusal::Submit(SubmitError::Stopping), 503, "stopping", "1"),
            (submit(StoreError::ReadOnly("x".into())), 503, "store", "1"),
            (
                submit(StoreError::Unknown("x".into())),
                503,
                "outcome_unknown",
                "1",
            ),
            (submit(StoreError::DiskFull), 507, "disk_full", ""),
            (Refusal::StillRunning, 409, "in_progress", "1"),
            (
                Refusal::OutcomeUnknown(RunId::from_raw(7)),
                409,
                "outcome_unknown",
                "",
            ),
            (
                Refusal::KeyReused(RunId::from_raw(7)),
                422,
                "idempotency_key_reused",
                "",
            ),
        ] {
            assert_eq!(refusal.status().1, code);
            let response = refusal.response(None, Detail::Brief);
            let found = response.headers().get(header::RETRY_AFTER);
            let found = found.map_or("", |value| value.to_str().unwrap());
            assert_eq!(
                (response.status().as_u16(), found),
                (status, retry_after),
                "{code}"
            );
        }
    }
}
