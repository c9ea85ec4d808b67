//! What an HTTP status means for a delivery: for requests that were stored and are answered later,
//! and for what is sent to an address.

use http::{HeaderMap, StatusCode, header};
use wakeful_core::{
    delivery::{Failure, FailureKind, RetryAdvice},
    limits,
    time::Timestamp,
};

/// Whether redirections are an answer as any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redirections {
    /// A handler may well answer a form with one.
    Succeed,
    /// They are not followed, so that nothing was delivered.
    Fail,
}

/// Success, or how it failed and what is to be done: 408, 425, 429 and 5xx may go away, any other
/// 4xx will not. `said` is what the body says, for the message; without `now`, a `retry-after` that
/// is a date says nothing.
///
/// # Errors
/// The failure, with what `retry-after` asks for.
pub fn judged(
    status: u16,
    headers: &HeaderMap,
    redirections: Redirections,
    said: &str,
    now: Option<Timestamp>,
) -> Result<(), Failure> {
    let advice = match status {
        0..=299 => return Ok(()),
        300..=399 if redirections == Redirections::Succeed => return Ok(()),
        408 | 425 | 429 | 500.. => retry_after(headers, now),
        _ => Some(RetryAdvice::Never),
    };
    let what = StatusCode::from_u16(status).ok();
    let what = what.and_then(|status| status.canonical_reason());
    let mut message = format!("the answer was {status} {}", what.unwrap_or_default());
    message.truncate(message.trim_end().len());
    if (300..400).contains(&status) {
        message.push_str(": redirections are not followed, name the address that they lead to");
    } else if !said.is_empty() {
        message.push_str(": ");
        message.push_str(said);
    }
    Err(Failure {
        kind: FailureKind::UserError,
        name: format!("HTTP {status}"),
        message,
        stack: None,
        advice,
    })
}

/// What `retry-after` asks for (RFC 9110 §10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: Option<Timestamp>) -> Option<RetryAdvice> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let millis = match text.parse::<u64>() {
        Ok(seconds) => seconds.saturating_mul(1000),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
            let at = Timestamp::from_millis(at.as_millisecond());
            u64::try_from(at.since(now?).as_millis()).ok()?
        }
    };
    let most = u64::try_from(limits::MOST_DELAY.as_millis()).unwrap_or(u64::MAX);
    Some(RetryAdvice::AfterMs(millis.min(most)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_to_try_again() {
        use RetryAdvice::{AfterMs, Never};
        let now = Some(Timestamp::from_millis(1_445_412_470_000));
        let check = |status: u16, retry_after: &str, expected: Result<(), Option<RetryAdvice>>| {
            let mut headers = HeaderMap::new();
            if !retry_after.is_empty() {
                headers.insert(header::RETRY_AFTER, retry_after.parse().unwrap());
            }
            let found = judged(status, &headers, Redirections::Fail, "", now);
            let found = found.map_err(|failure| failure.advice);
            assert_eq!(found, expected, "{status} {retry_after}");
        };
        check(200, "", Ok(()));
        check(204, "5", Ok(()));
        check(302, "", Err(Some(Never)));
        check(400, "5", Err(Some(Never)));
        check(404, "", Err(Some(Never)));
        check(410, "", Err(Some(Never)));
        check(408, "", Err(None));
        check(425, "", Err(None));
        check(429, "120", Err(Some(AfterMs(120_000))));
        check(500, "", Err(None));
        check(503, "7", Err(Some(AfterMs(7000))));
        check(
            503,
            "Wed, 21 Oct 2015 07:28:00 GMT",
            Err(Some(AfterMs(10_000))),
        );
        check(503, "Wed, 21 Oct 2015 07:00:00 GMT", Err(Some(AfterMs(0))));
        check(503, "soon", Err(None));
        let most = u64::try_from(limits::MOST_DELAY.as_millis()).unwrap();
        check(503, "99999999999999999", Err(Some(AfterMs(most))));

        let headers = HeaderMap::new();
        assert!(judged(302, &headers, Redirections::Succeed, "", now).is_ok());
        let failure = judged(418, &headers, Redirections::Succeed, "short", now).unwrap_err();
        assert_eq!(failure.message, "the answer was 418 I'm a teapot: short");
        let failure = judged(599, &headers, Redirections::Succeed, "", now).unwrap_err();
        assert_eq!(
            (failure.name.as_str(), failure.message.as_str()),
            ("HTTP 599", "the answer was 599")
        );
    }
}
