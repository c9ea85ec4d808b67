//! Lambda's API with its own clients, unmodified, against the real binary.

mod clients;
mod inside;
mod outside;
mod project;
#[path = "../support/mod.rs"]
mod support;
