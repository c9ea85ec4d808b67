//! A pattern, ready to be put to events.

use std::fmt;

use serde_json::Value;

use super::{
    condition::{Condition, Verdict},
    event::{EventView, Seen},
    explain::{self, Explanation},
    mistake::{Mistake, Part, Path},
    parse::{self, Group},
    plan::{self, All},
};
use crate::limits;

/// An event pattern: read once, then put to any number of events.
#[derive(Clone)]
pub struct Pattern {
    /// As it was written, as JSON.
    text: Box<str>,
    /// What each array of the pattern asks for.
    conditions: Box<[Condition]>,
    /// Where each of them stands in the pattern, and what it says there.
    written: Box<[(Path, Box<str>)]>,
    root: Group,
    plan: All,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// All its mistakes, each with its place; never an empty list.
    pub fn parse(value: &Value) -> Result<Self, Vec<Mistake>> {
        let tree = parse::parse(value)?;
        let plan = plan::plan(&tree.root).map_err(|plan::TooMany| {
            vec![Mistake {
                path: Path::default(),
                part: Part::Value,
                message: "the alternatives of its `$or`s multiply to too many combinations".into(),
                help: format!(
                    "at most {} conditions are checked; name a key either in a `$or` or beside it",
                    limits::MAX_FILTER_STEPS
                ),
            }]
        })?;
        Ok(Self {
            text: value.to_string().into(),
            conditions: tree.conditions.into(),
            written: tree.written.into(),
            root: tree.root,
            plan,
        })
    }

    /// Whether it wants this event.
    pub fn matches(&self, event: &EventView<'_>) -> bool {
        self.plan.meets(Seen::Event(event), &self.conditions) != Verdict::No
    }

    /// Whether it wants this event, and what each of its conditions found there.
    pub fn explain(&self, event: &EventView<'_>) -> Explanation {
        let matches = self.matches(event);
        explain::explain(&self.root, &self.conditions, &self.written, event, matches)
    }

    /// The pattern as compact JSON.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({})", self.text)
    }
}
