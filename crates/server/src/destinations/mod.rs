//! Where outcomes of deliveries go: what is told (`outcome`), and how it is sent to an address
//! (`send`).

mod outcome;
mod send;
#[cfg(test)]
mod send_tests;

pub use outcome::{Told, outcome_event};
pub use send::send;
