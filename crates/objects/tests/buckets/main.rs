//! The rules of buckets, over a memory store and a temporary folder.

#[path = "../support/mod.rs"]
mod support;

mod crash;
mod keys;
mod listing;
mod multipart;
mod objects;
mod reading;
mod staged;
mod together;
