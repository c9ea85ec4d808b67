//! What senders ask for in header fields.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use wakeful_core::{limits, manifest::parse_duration, port::Wishes, time::Timestamp};

use super::{Refusal, auth::Caller};

const DELAY: HeaderName = HeaderName::from_static("x-wakeful-delay");
const KEY: HeaderName = HeaderName::from_static("x-wakeful-key");
const DEDUP: HeaderName = HeaderName::from_static("x-wakeful-dedup");
/// draft-ietf-httpapi-idempotency-key-header.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The longest word against repetitions, bytes: it is the key of an index.
const MAX_WORD: usize = 256;

/// A header field that says nothing sensible, and what it should say.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct WrongField {
    /// Its name.
    pub field: &'static str,
    /// What it must be.
    pub rule: String,
}

/// What a sender asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    /// Nothing is started before so long.
    pub(super) delay: Option<Duration>,
    /// Takes the place of what an `ordering_key` would find.
    pub(super) key: Option<String>,
    /// A later event with this word is left out.
    pub(super) dedup: Option<String>,
}

impl Asked {
    /// Reads `x-wakeful-delay`, `x-wakeful-key` and `x-wakeful-dedup`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut wrong = Vec::new();
        let asked = Self::read(headers, &mut wrong);
        match wrong.is_empty() {
            true => Ok(asked),
            false => Err(Refusal::WrongFields(wrong)),
        }
    }

    /// The same; for requests, whose `idempotency-key` is a word against repetitions.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Self, Refusal> {
        let mut wrong = Vec::new();
        let mut asked = Self::read(headers, &mut wrong);
        let key = read(
            headers,
            &IDEMPOTENCY_KEY,
            "idempotency-key",
            &mut wrong,
            idempotency_key,
        );
        match (&asked.dedup, key) {
            (Some(word), Some(key)) if *word != key => wrong.push(WrongField {
                field: "idempotency-key",
                rule: "must be the same as `x-wakeful-dedup` when both are sent".into(),
            }),
            (None, Some(key)) => asked.dedup = Some(key),
            _ => {}
        }
        match wrong.is_empty() {
            true => Ok(asked),
            false => Err(Refusal::WrongFields(wrong)),
        }
    }

    fn read(headers: &HeaderMap, wrong: &mut Vec<WrongField>) -> Self {
        Self {
            delay: read(headers, &DELAY, "x-wakeful-delay", wrong, delay),
            key: read(headers, &KEY, "x-wakeful-key", wrong, |value| {
                word(value, limits::MAX_KEY)
            }),
            dedup: read(headers, &DEDUP, "x-wakeful-dedup", wrong, |value| {
                word(value, MAX_WORD)
            }),
        }
    }

    /// As the sink takes it.
    pub(super) fn into_wishes(self, caller: &Caller, now: Timestamp) -> Wishes {
        Wishes {
            not_before: self.delay.map(|delay| now.plus(delay)),
            ordering_key: self.key,
            dedup: self.dedup.map(|word| caller.scoped(&word)),
            ..Wishes::default()
        }
    }
}

/// The key of a request whose answer is to be kept.
pub(super) fn key_of(headers: &HeaderMap) -> Result<Option<String>, Refusal> {
    let mut wrong = Vec::new();
    let key = read(
        headers,
        &IDEMPOTENCY_KEY,
        "idempotency-key",
        &mut wrong,
        idempotency_key,
    );
    match wrong.is_empty() {
        true => Ok(key),
        false => Err(Refusal::WrongFields(wrong)),
    }
}

fn read<T>(
    headers: &HeaderMap,
    name: &HeaderName,
    field: &'static str,
    wrong: &mut Vec<WrongField>,
    meaning: impl Fn(&HeaderValue) -> Result<T, String>,
) -> Option<T> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    let found = match values.next() {
        None => meaning(value),
        Some(_) => Err("must stand there only once".to_owned()),
    };
    found
        .map_err(|rule| wrong.push(WrongField { field, rule }))
        .ok()
}

fn delay(value: &HeaderValue) -> Result<Duration, String> {
    let text = value.to_str().unwrap_or_default();
    let delay = parse_duration(text)
        .map_err(|error| format!("must be a duration such as `90s` or `1h30m`: {error}"))?;
    match delay > limits::MOST_DELAY {
        true => Err("must be at most 30d".to_owned()),
        false => Ok(delay),
    }
}

fn word(value: &HeaderValue, most: usize) -> Result<String, String> {
    let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
    match (1..=most).contains(&text.len()) {
        true => Ok(text.to_owned()),
        false => Err(format!("must be text of 1 to {most} bytes (UTF-8)")),
    }
}

/// A string of RFC 8941 as the draft wants it, or the bare text as most clients send it.
fn idempotency_key(value: &HeaderValue) -> Result<String, String> {
    let rule = || format!("must be 1 to {MAX_WORD} printable ASCII characters");
    let text = value.to_str().map_err(|_| rule())?.trim();
    let quoted = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    let key = match quoted {
        Some(inner) => inner.replace("\\\"", "\"").replace("\\\\", "\\"),
        None => text.to_owned(),
    };
    match (1..=MAX_WORD).contains(&key.len()) {
        true => Ok(key),
        false => Err(rule()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn senders_may_ask_for_a_delay_a_key_and_a_word() {
        let asked = Asked::of(&headers(&[
            ("x-wakeful-delay", "1h30m"),
            ("x-wakeful-key", "Müller"),
            ("x-wakeful-dedup", "7"),
        ]));
        let expected = Asked {
            delay: Some(Duration::from_secs(5400)),
            key: Some("Müller".into()),
            dedup: Some("7".into()),
        };
        assert_eq!(asked.unwrap(), expected);
        assert_eq!(Asked::of(&headers(&[])).unwrap(), Asked::default());
        let now = Timestamp::from_millis(5);
        let wishes = expected.into_wishes(&Caller::Anyone, now);
        assert_eq!(wishes.not_before, Some(Timestamp::from_millis(5_400_005)));
        assert_eq!(wishes.dedup.as_deref(), Some("/7"));
    }

    #[test]
    fn a_word_belongs_to_its_caller() {
        let key = |name: &str| Caller::Key(name.parse().unwrap(), http::header::AUTHORIZATION);
        let words = [key("a"), key("b"), Caller::Anyone].map(|caller| caller.scoped("7"));
        assert_eq!(words, ["a/7", "b/7", "/7"]);
    }

    #[test]
    fn every_wrong_field_is_named() {
        let check = |fields: &[(&'static str, &str)], expected: &[&str]| {
            let Err(Refusal::WrongFields(wrong)) = Asked::of_request(&headers(fields)) else {
                panic!("{fields:?} should be refused");
            };
            let found: Vec<&str> = wrong.iter().map(|wrong| wrong.field).collect();
            assert_eq!(found, expected, "{fields:?}");
        };
        check(
            &[("x-wakeful-delay", "soon"), ("x-wakeful-key", "")],
            &["x-wakeful-delay", "x-wakeful-key"],
        );
        check(&[("x-wakeful-delay", "31d")], &["x-wakeful-delay"]);
        check(
            &[("x-wakeful-delay", "1s"), ("x-wakeful-delay", "2s")],
            &["x-wakeful-delay"],
        );
        check(
            &[("x-wakeful-dedup", &"x".repeat(257))],
            &["x-wakeful-dedup"],
        );
        check(
            &[("x-wakeful-dedup", "a"), ("idempotency-key", "b")],
            &["idempotency-key"],
        );
        check(&[("idempotency-key", "\"\"")], &["idempotency-key"]);
    }

    #[test]
    fn an_idempotency_key_is_a_string_or_bare() {
        for (value, expected) in [
            ("8e03978e-40d5", "8e03978e-40d5"),
            ("\"8e03978e-40d5\"", "8e03978e-40d5"),
            ("\"a\\\"b\\\\\"", "a\"b\\"),
            ("\"", "\""),
        ] {
            let found = key_of(&headers(&[("idempotency-key", value)])).unwrap();
            assert_eq!(found.as_deref(), Some(expected), "{value}");
        }
        assert_eq!(key_of(&headers(&[])).unwrap(), None);
    }
}
