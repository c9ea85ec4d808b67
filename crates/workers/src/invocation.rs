//! What a worker is asked to do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, uri::PathAndQuery};
use wakeful_core::id::RunId;

use crate::Body;

/// One attempt to run user code.
#[derive(Debug)]
pub struct Invocation {
    /// The run it belongs to.
    pub run: RunId,
    /// 1 for the first start of that run.
    pub attempt: u32,
    /// Index into the version's `handlers`.
    pub handler: u16,
    /// How long it may take; `None` is the function's own.
    pub timeout: Option<Duration>,
    /// What it is about.
    pub what: What,
}

/// What an attempt is about.
#[derive(Debug)]
pub enum What {
    /// A request; its answer is the response.
    Http(HttpRequest),
    /// An event; its answer is a JSON result.
    Event {
        /// The CloudEvent as JSON; at most `limits::MAX_FRAME` bytes.
        json: Bytes,
    },
    /// Several events at once; its answer is a JSON result, whose `batchItemFailures` name those
    /// that failed. At most `limits::MAX_FRAME` bytes together.
    Batch(Vec<Batched>),
}

/// One event of a batch.
#[derive(Debug, Clone)]
pub struct Batched {
    /// The run of its delivery: its idempotency key, whichever batch it is in.
    pub run: RunId,
    /// 1 for the first start of that run.
    pub attempt: u32,
    /// The CloudEvent as JSON.
    pub json: Bytes,
}

impl Batched {
    /// Bytes that it takes in INVOKE beside its JSON.
    const HEAD: usize = 16;

    /// Bytes that these take in INVOKE.
    pub(crate) fn size(events: &[Self]) -> usize {
        let one = |event: &Self| Self::HEAD + event.json.len();
        events.iter().map(one).sum::<usize>()
    }
}

/// A request for user code.
#[derive(Debug)]
pub struct HttpRequest {
    /// At most 255 bytes; longer ones are cut.
    pub method: http::Method,
    /// Path and query as they came; at most 65,535 bytes.
    pub target: PathAndQuery,
    /// The caller's address.
    pub remote: Arc<str>,
    /// What the route captured from the path, percent-decoded.
    pub params: Vec<(String, String)>,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
}
