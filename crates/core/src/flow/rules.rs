//! What a manifest says about the flow of a trigger.

use std::time::Duration;

use super::KeyExpression;
use crate::{
    limits,
    name::{FunctionName, HandlerName, TopicName},
};

/// Everything a trigger says about how its deliveries flow. The default: no order, no limits but
/// those of its function, one event per attempt, and a breaker.
#[derive(Debug, Clone, PartialEq)]
pub struct Flow {
    /// First in, first out per key.
    pub ordering: Option<Ordering>,
    /// So many attempts at once per key.
    pub concurrency: Option<KeyConcurrency>,
    /// So many starts per time.
    pub rate: Option<Rate>,
    /// Of several events with one key in a short time only the last one runs.
    pub debounce: Option<Debounce>,
    /// Several events to one attempt.
    pub batch: Option<Batch>,
    /// A head start over other deliveries that wait for the same function.
    pub priority: Option<Priority>,
    /// What repeats an earlier event is left out.
    pub dedup: Option<DedupRule>,
    /// When failing deliveries hold the others; `None` when turned off.
    pub breaker: Option<BreakerRule>,
    /// What happens when nobody knows how an attempt ended.
    pub on_unknown: OnUnknown,
    /// Where results go.
    pub on_success: Option<Destination>,
    /// Where dead letters are told of.
    pub on_failure: Option<Destination>,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            ordering: None,
            concurrency: None,
            rate: None,
            debounce: None,
            batch: None,
            priority: None,
            dedup: None,
            breaker: Some(BreakerRule::default()),
            on_unknown: OnUnknown::Retry,
            on_success: None,
            on_failure: None,
        }
    }
}

/// `ordering_key`: deliveries with the same key run one after the other, in the order in which
/// they were committed. An event without the key has the empty one, as all others without it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ordering {
    /// Where the key is found.
    pub key: KeyExpression,
    /// What a dead letter does to those behind it.
    pub on_exhausted: OnExhausted,
}

/// What happens behind an ordered delivery that became a dead letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExhausted {
    /// It steps aside: the next one of its key runs.
    #[default]
    StepAside,
    /// Its key waits until someone redrives or discards it.
    Block,
}

/// `concurrency_key`: of the deliveries with one key at most `limit` run at once. A delivery that
/// waits to be tried again holds no place while others of its key could run.
#[derive(Debug, Clone, PartialEq)]
pub struct KeyConcurrency {
    /// Where the key is found; as for order, no key is the empty key.
    pub key: KeyExpression,
    /// At least 1.
    pub limit: u32,
}

/// `rate`: `limit` starts per `per`, evenly spread after a burst of `burst`; any single `per` sees
/// at most `limit + burst` of them. Retries count: it is user code that is started; a batch is one
/// start. What exceeds it is held, never dropped.
#[derive(Debug, Clone, PartialEq)]
pub struct Rate {
    /// At least 1.
    pub limit: u32,
    /// The time they are counted in.
    pub per: Duration,
    /// Starts that may come together; at least 1, at most `limit`.
    pub burst: u32,
    /// Each key has a rate of its own; `None`: the trigger has one.
    pub key: Option<KeyExpression>,
}

/// `debounce`: a delivery waits `wait`; a further event with its key takes its place and the wait
/// begins anew, but never longer than `most` after the first. An event without the key is not
/// debounced, since that would lose it.
#[derive(Debug, Clone, PartialEq)]
pub struct Debounce {
    /// Where the key is found; `None`: all events of the trigger have one.
    pub key: Option<KeyExpression>,
    /// How long it must be quiet.
    pub wait: Duration,
    /// The longest wait, counted from the first event.
    pub most: Duration,
}

/// `batch`: one attempt gets up to `size` events, as soon as there are so many, or when the first
/// of them has waited for `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Batch {
    /// At least 2, at most `limits::MOST_BATCH`.
    pub size: u32,
    /// How long the first one waits for company.
    pub window: Duration,
}

/// `priority`: a delivery is treated as though it had come that much earlier, so that it overtakes
/// those that wait, and nobody waits for ever.
#[derive(Debug, Clone, PartialEq)]
pub enum Priority {
    /// The same for all events of the trigger.
    Fixed(Duration),
    /// Seconds, found in the event; no number is none, and more than
    /// `limits::MOST_PRIORITY` is that.
    Key(KeyExpression),
}

/// `dedup`: an event whose key was seen within the window, by the same trigger, is left out. An
/// event without the key is never left out.
#[derive(Debug, Clone, PartialEq)]
pub struct DedupRule {
    /// Where the key is found.
    pub key: KeyExpression,
    /// How long a key is remembered.
    pub window: Duration,
}

/// `breaker`: after `failures` different deliveries failed in a row, nothing more is started until
/// `retry_after`; then one delivery is tried. If it succeeds all go on, otherwise the wait doubles
/// up to `retry_most`.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerRule {
    /// At least 1.
    pub failures: u32,
    /// How long it holds before the first probe.
    pub retry_after: Duration,
    /// The longest time between probes.
    pub retry_most: Duration,
    /// Each key has a breaker of its own; `None`: the trigger has one.
    pub key: Option<KeyExpression>,
}

impl Default for BreakerRule {
    fn default() -> Self {
        Self {
            failures: limits::BREAKER_FAILURES,
            retry_after: limits::BREAKER_RETRY_AFTER,
            retry_most: limits::BREAKER_RETRY_MOST,
            key: None,
        }
    }
}

/// `on_unknown`: what happens to a delivery whose worker, or the server, died in mid-attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnUnknown {
    /// It runs again, uncharged or charged as the table of the guarantees says.
    #[default]
    Retry,
    /// It is a dead letter with the reason `outcome_unknown`, for a person to decide.
    Hold,
}

/// Where the outcome of a delivery goes, as a CloudEvent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// It is published.
    Topic(TopicName),
    /// The function is called with it, as a delivery of its own.
    Function(FunctionName, Option<HandlerName>),
    /// It is sent with POST, as a delivery of its own with retries.
    Http {
        /// `https://…` or `http://…`, already resolved.
        url: String,
        /// As one JSON document instead of header fields and body.
        structured: bool,
    },
}
