//! Lambda's API with its own clients, unmodified, against the real binary.

#[path = "../support/brought.rs"]
mod brought;
mod clients;
mod inside;
mod outside;
mod project;
#[path = "../support/mod.rs"]
mod support;
