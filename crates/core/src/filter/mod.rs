//! Event filters: which events a trigger wants, written as Amazon EventBridge's event patterns.
//!
//! The way through: `parse` reads a pattern (all mistakes at once, each with its place) into a
//! tree of conditions, `plan` puts the tree into the order in which it is evaluated, `condition`
//! is what one place of an event is asked, `event` is the event as a pattern sees it, and
//! `explain` says for each condition what was found. What a pattern means is documented in
//! `docs/filters.md`. Nothing here knows triggers or the manifest.

mod address;
mod condition;
mod event;
mod explain;
mod mistake;
mod number;
mod operator;
mod parse;
mod pattern;
mod plan;
mod text;

pub(crate) use self::event::{Seen, is_extension};
pub use self::{
    event::{ATTRIBUTES, EventView},
    explain::{Explanation, Why},
    mistake::{Mistake, Part, Path, Step},
    operator::OPERATORS,
    pattern::Pattern,
};
