//! SQLite.

mod capture;
mod names;
mod query;

pub(crate) use capture::{follow, withdraw};
pub(crate) use query::{Pool, Session, WriterSession};
