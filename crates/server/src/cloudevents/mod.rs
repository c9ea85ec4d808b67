//! CloudEvents 1.0.2 over HTTP, in and out.
//!
//! `rules` says what an attribute may be (specification, "Context Attributes" and "Type System"),
//! `draft` turns attributes as they came into an event with all its mistakes named, `json` reads
//! the JSON event format and `binding` the three content modes of the HTTP binding; `write` is the
//! other direction. Nothing here knows of topics, requests or answers.
//!
//! Written by hand: it is a data format of a few rules, the official crate brings clients of old
//! message brokers with it, and it stops at the first mistake where we name them all.

mod binding;
mod draft;
mod json;
mod percent;
pub(crate) mod rules;
mod write;

#[cfg(test)]
mod tests;

pub(crate) use binding::is_json;
pub use binding::{Batch, Mode, Refused, mode, parse};
pub use draft::{CloudEvent, Mistake};
pub(crate) use rules::{declares_json, media_type};
pub use write::{Written, binary, structured};
