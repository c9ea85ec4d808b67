//! The ports: what other crates implement, each contract in prose.

mod answer;
mod clock;
mod delivery;
mod error;
mod objects;
mod query;
mod sink;
mod store;
mod transaction;

pub use answer::*;
pub use clock::Clock;
pub use delivery::*;
pub use error::{OpenError, StoreError};
pub use objects::*;
pub use query::*;
pub use sink::{Arrival, Kind, Receipt, Sink, Submission, SubmitError, Target, Wishes};
pub use store::*;
pub use transaction::*;

use std::{future::Future, pin::Pin};

/// A reply that arrives later. Dropping it does not undo what was asked for.
pub type Reply<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;
