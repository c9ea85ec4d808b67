//! HTTP requests to functions: the synchronous way through the house.
//!
//! The hot path is one road: `connection` (hyper) → `serve::Gateway::serve` → `route` →
//! `request` (what the worker is sent) → a worker → `respond`. Nothing on it is stored; its run
//! is recorded when the answer is complete.

mod connection;
mod error;
mod record;
mod request;
mod respond;
mod route;
mod serve;

pub use connection::listen;
pub use error::{Detail, Refusal};
pub use record::HttpEnded;
pub use respond::ResponseBody;
pub use route::{Endpoint, Routed, Router};
pub use serve::Gateway;
