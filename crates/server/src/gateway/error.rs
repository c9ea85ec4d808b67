//! What a caller hears when its request could not be served.

use http::{HeaderValue, Response, StatusCode, header};
use wakeful_core::{
    delivery::{Failure, FailureKind},
    id::RunId,
};
use wakeful_workers::ReserveError;

use super::respond::ResponseBody;

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
        }
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
        if let Some(run) = run {
            error["run"] = serde_json::Value::String(run.to_string());
        }
        if let (Self::Failed(failure), Detail::Full) = (self, detail)
            && let Some(stack) = &failure.stack
        {
            error["stack"] = serde_json::Value::String(stack.clone());
        }
        let body = serde_json::json!({ "error": error }).to_string() + "\n";
        let mut response = Response::new(ResponseBody::full(body.into()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        match self {
            Self::OtherMethods(allow) => {
                if let Ok(allow) = HeaderValue::from_str(allow) {
                    headers.insert(header::ALLOW, allow);
                }
            }
            Self::NoKey => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ if status == StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
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
}
