//! The ports: what other crates implement, each contract in prose.

mod clock;
mod error;
mod objects;
mod sink;
mod store;

pub use clock::Clock;
pub use error::{OpenError, StoreError};
pub use objects::*;
pub use sink::{Arrival, Kind, Receipt, Sink, Submission, SubmitError, Target, Wishes};
pub use store::*;

use std::{future::Future, pin::Pin};

/// A reply that arrives later. Dropping it does not undo what was asked for.
pub type Reply<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'static>>;
