//! SQLite.

mod capture;
mod names;
mod query;

pub(crate) use capture::follow;
pub(crate) use query::{Pool, Session, WriterSession};
