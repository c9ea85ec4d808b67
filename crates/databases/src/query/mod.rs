//! Queries of functions, for every engine: who may ask what, transactions, and their ends.

mod error;
mod running;
mod service;
mod types;

pub use error::{ErrorCode, QueryError};
pub use service::Databases;
pub use types::{Options, Owner, Query, QueryResult, Target, TxId};
