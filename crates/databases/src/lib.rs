//! The databases a project declares: capture of row changes, and queries for functions.
//!
//! `Capture` turns changes of rows into events for the sink; `Databases` runs the SQL of functions.
//! Both speak of databases by name and `DatabaseUrl`; what is special about an engine stays in its
//! folder (`sqlite/`). Nothing here knows what a function is, or who listens to an event.

mod capture;
mod query;
mod sqlite;
mod url;
mod value;

pub use capture::{
    Capture, CaptureHandle, CaptureOptions, Kinds, Observer, Report, Trouble, Watched, watched,
    withdraw,
};
pub use query::{
    Databases, ErrorCode, Memory, Options, Owner, Query, QueryError, QueryResult, Recall, Recalled,
    Remember, Target, TxId,
};
pub use url::{DatabaseUrl, InvalidUrl};
