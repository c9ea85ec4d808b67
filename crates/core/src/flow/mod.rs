//! How the deliveries of a trigger flow: in which order, how many at once, at what pace, and
//! where their outcomes go.
//!
//! `rules` is what a manifest says, `key` (with `path`) how a rule finds its key in an event. What the rules
//! mean for deliveries that wait is kept in two places: order and concurrency per key by the
//! store (`port::store`, "Lanes"), which must keep them across restarts; pace, breakers and
//! pauses by the `gate` of a trigger, which the dispatcher asks before it starts anything.

mod breaker;
mod gate;
mod key;
mod moment;
mod path;
mod plan;
mod rate;
mod results;
mod rules;

pub use gate::{Gate, Hold, NotNow, Outcome, Turn};
pub use key::{KeyExpression, KeyMistake};
pub use plan::{Plan, Start, Unpark};
pub use results::{BatchMistake, batch_failures};
pub use rules::{
    Batch, BreakerRule, Debounce, DedupRule, Destination, Flow, KeyConcurrency, OnExhausted,
    OnUnknown, Ordering, Priority, Rate,
};
