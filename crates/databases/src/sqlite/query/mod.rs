//! Queries of functions in SQLite: one fair writer and a few readers for each database.

mod failure;
mod gate;
mod once;
mod params;
mod pool;
mod run;

pub(crate) use pool::{Pool, Session, WriterSession};
