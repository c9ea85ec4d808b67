//! HTTP requests: to functions, and with events.
//!
//! The hot path is one road: `connection` (hyper) → `serve::Gateway::serve` → `route` →
//! `request` (what the worker is sent) → `exchange` (a worker, and back) → `respond`. Nothing on
//! it is stored; its run is recorded when the answer is complete. Three ways lead off it, each
//! bounded in the memory that bodies take (`body`): `events` takes events in, `later` keeps
//! requests to asynchronous endpoints (`stored`), and `once` answers those with an idempotency
//! key.

mod auth;
mod body;
mod connection;
mod error;
mod events;
mod exchange;
mod later;
mod once;
mod record;
mod request;
mod respond;
mod route;
mod serve;
mod shared;
mod stored;
mod wishes;

pub use body::{Memory, linger};
pub use connection::listen;
pub use error::{Detail, Refusal};
pub use record::HttpEnded;
pub use respond::ResponseBody;
pub use route::{Endpoint, Routed, Router};
pub use serve::Gateway;
pub use shared::GatewayParts;
pub use stored::stored_request;
