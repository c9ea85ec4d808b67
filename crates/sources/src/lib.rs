//! Event sources of Wakeful: each turns what happens outside into events for the sink.

pub mod schedule;
