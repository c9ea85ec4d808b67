//! Queries of functions, for every engine: who may ask what, transactions, and their ends.

mod error;
mod once;
mod running;
mod service;
mod types;

pub use error::{ErrorCode, QueryError};
pub use once::{Memory, Recall, Recalled, Remember};
pub use service::Databases;
pub use types::{Options, Owner, Query, QueryResult, Target, TxId};
