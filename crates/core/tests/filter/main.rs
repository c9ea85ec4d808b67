//! Event patterns: what each operator means, what is refused, what holds for all of them, and that
//! the documentation tells the truth.

mod documentation;
mod meaning;
mod mistakes;
mod properties;

use serde_json::{Value, json};
use wakeful_core::filter::{EventView, Explanation, Pattern};

/// A pattern of what is under `data`.
fn of_data(pattern: &Value) -> Pattern {
    Pattern::parse(&json!({ "data": pattern }))
        .unwrap_or_else(|mistakes| panic!("{pattern}: {mistakes:#?}"))
}

/// Puts a pattern to an event with this data, in both ways that there are.
fn matches(pattern: &Pattern, data: &Value) -> bool {
    let event = EventView::of_json(json!({ "data": data }));
    let found = pattern.matches(&event);
    assert_eq!(pattern.explain(&event).matches, found, "{pattern:?} {data}");
    found
}

fn explain(pattern: &Pattern, data: &Value) -> Explanation {
    pattern.explain(&EventView::of_json(json!({ "data": data })))
}
