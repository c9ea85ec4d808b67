//! The pure rules of Wakeful.
//!
//! Here live the words that everything else speaks: ids, events, the project that a manifest
//! describes, the rules by which a delivery ends or is tried again, and the ports (`port`) that
//! other crates implement. Nothing here does I/O, reads a clock, draws a random number or knows
//! an async runtime; what needs one of these takes it as an argument.

pub mod delivery;
pub mod event;
pub mod filter;
pub mod flow;
pub mod id;
pub mod limits;
pub mod manifest;
pub mod name;
pub mod port;
pub mod project;
pub mod retry;
pub mod routing;
pub mod run;
pub mod schedule;
mod suggest;
pub mod time;
