//! The durable store of Wakeful: events, deliveries, checkpoints and the object index in one
//! transaction.
//!
//! [`SqliteStore`] is what a server runs on, [`MemoryStore`] what a simulation runs on; both
//! implement `wakeful_core::port::Store` and pass the same [`conformance`] suite. [`History`]
//! keeps what people look at afterwards, runs and logs, in a file of its own that may be lost
//! without losing work.
//!
//! Nothing here knows what a function or a source does: events and deliveries come in, are kept,
//! and are handed out again.

pub mod backup;
pub mod conformance;
mod debounce;
pub mod doctor;
mod history;
mod ids;
mod lanes;
mod memory;
mod pauses;
mod sqlite;

pub use history::{History, HistoryError, HistoryOptions, LogRow, LogsQuery, RunDetail, RunsQuery};
pub use memory::MemoryStore;
pub use sqlite::{Options, SqliteStore};
