//! Times and words as they stand in JSON, and their schemas.

use std::{borrow::Cow, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr, Schema,
        schema::{KnownFormat, SchemaFormat, Type},
    },
};
use wakeful_core::{
    delivery::{DeadReason, FailureKind},
    project::Style,
    run::{LogLevel, LogStream, RunKind, RunState},
    time::Timestamp,
};

/// A point in time, in RFC 3339 with milliseconds: `2026-11-20T12:00:00.000Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Timestamp);

impl From<Timestamp> for Time {
    fn from(at: Timestamp) -> Self {
        Self(at)
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no point in time.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a point in time: expected RFC 3339, such as 2026-11-20T12:00:00Z")]
pub struct InvalidTime(String);

impl FromStr for Time {
    type Err = InvalidTime;

    fn from_str(text: &str) -> Result<Self, InvalidTime> {
        let at: jiff::Timestamp = text
            .parse()
            .map_err(|_| InvalidTime(text.chars().take(80).collect()))?;
        Ok(Self(Timestamp::from_millis(at.as_millisecond())))
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Cow::<str>::deserialize(from)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A point in time, RFC 3339 in UTC with milliseconds."))
            .into()
    }
}

impl ToSchema for Time {}

/// The schema of a word out of a fixed list.
fn words(list: impl IntoIterator<Item = &'static str>) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(list))
        .into()
}

pub(super) fn run_state() -> RefOr<Schema> {
    words(RunState::ALL.iter().map(|state| state.as_str()))
}

pub(super) fn run_kind() -> RefOr<Schema> {
    words(RUN_KINDS.map(run_kind_word))
}

pub(super) fn log_level() -> RefOr<Schema> {
    words(LOG_LEVELS.map(LogLevel::as_str))
}

pub(super) fn log_stream() -> RefOr<Schema> {
    words(LOG_STREAMS.map(log_stream_word))
}

pub(super) fn failure_kind() -> RefOr<Schema> {
    words(FAILURE_KINDS.map(FailureKind::as_str))
}

pub(super) fn dead_reason() -> RefOr<Schema> {
    words(DEAD_REASONS.map(dead_reason_word))
}

pub(super) fn style() -> RefOr<Schema> {
    words(STYLES.map(style_word))
}

/// Why deliveries die.
pub const DEAD_REASONS: [DeadReason; 6] = [
    DeadReason::AttemptsExhausted,
    DeadReason::TooOld,
    DeadReason::Damaged,
    DeadReason::NotRetriable,
    DeadReason::OutcomeUnknown,
    DeadReason::Loop,
];
const RUN_KINDS: [RunKind; 3] = [RunKind::Delivery, RunKind::Http, RunKind::Invoke];
const LOG_LEVELS: [LogLevel; 4] = [
    LogLevel::Debug,
    LogLevel::Info,
    LogLevel::Warn,
    LogLevel::Error,
];
const LOG_STREAMS: [LogStream; 3] = [LogStream::Console, LogStream::Stdout, LogStream::Stderr];
const STYLES: [Style; 5] = [
    Style::Lambda,
    Style::Web,
    Style::Native,
    Style::Spica,
    Style::Cloudevents,
];
const FAILURE_KINDS: [FailureKind; 11] = [
    FailureKind::UserError,
    FailureKind::Timeout,
    FailureKind::MissingResponse,
    FailureKind::BlockedLoop,
    FailureKind::OutOfMemory,
    FailureKind::Crash,
    FailureKind::Suspect,
    FailureKind::Bystander,
    FailureKind::Load,
    FailureKind::NotStarted,
    FailureKind::Interrupted,
];

/// The word for how a run came about.
pub fn run_kind_word(kind: RunKind) -> &'static str {
    match kind {
        RunKind::Delivery => "delivery",
        RunKind::Http => "http",
        RunKind::Invoke => "invoke",
    }
}

/// The word for why a delivery is dead.
pub const fn dead_reason_word(reason: DeadReason) -> &'static str {
    match reason {
        DeadReason::AttemptsExhausted => "attempts_exhausted",
        DeadReason::TooOld => "too_old",
        DeadReason::Damaged => "damaged",
        DeadReason::NotRetriable => "not_retriable",
        DeadReason::OutcomeUnknown => "outcome_unknown",
        DeadReason::Loop => "loop",
    }
}

fn log_stream_word(stream: LogStream) -> &'static str {
    match stream {
        LogStream::Console => "console",
        LogStream::Stdout => "stdout",
        LogStream::Stderr => "stderr",
    }
}

/// The word for how handlers are called.
pub fn style_word(style: Style) -> &'static str {
    match style {
        Style::Lambda => "lambda",
        Style::Web => "web",
        Style::Native => "native",
        Style::Spica => "spica",
        Style::Cloudevents => "cloudevents",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words in the schema are those in the bodies.
    #[test]
    fn words_are_what_serde_writes() {
        fn check<T: Serialize + Copy>(list: &[T], word: impl Fn(T) -> &'static str) {
            for item in list {
                assert_eq!(serde_json::to_value(item).unwrap(), word(*item));
            }
        }
        check(RunState::ALL, RunState::as_str);
        check(&RUN_KINDS, run_kind_word);
        check(&LOG_LEVELS, LogLevel::as_str);
        check(&LOG_STREAMS, log_stream_word);
        check(&STYLES, style_word);
        check(&FAILURE_KINDS, FailureKind::as_str);
        check(&DEAD_REASONS, dead_reason_word);
    }

    #[test]
    fn times_survive_their_text() {
        let time = Time(Timestamp::from_millis(1_800_000_000_123));
        let text = serde_json::to_string(&time).unwrap();
        assert_eq!(text, "\"2027-01-15T08:00:00.123Z\"");
        assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), time);
        assert!("yesterday".parse::<Time>().is_err());
    }
}
