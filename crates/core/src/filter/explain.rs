//! Why a pattern wants an event, or not: condition by condition.

use serde::Serialize;
use serde_json::Value;

use super::{
    condition::{Condition, Verdict},
    event::{EventView, Seen},
    mistake::{Path, Step},
    parse::{Group, Node},
};

/// What a pattern says of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether it wants the event.
    pub matches: bool,
    /// Each condition of the pattern, in its order.
    pub conditions: Vec<Why>,
    /// What the conditions one by one do not show.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// One condition and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Why {
    /// Where it stands in the pattern: `data.after.total`, `$or[1].data.after.vip`.
    pub path: String,
    /// What was wanted, as the pattern writes it.
    pub wanted: String,
    /// What the event has there, as JSON, cut when it is long; none when nothing is there.
    pub found: Option<String>,
    /// Whether this condition by itself is met.
    pub holds: bool,
}

const NOT_TOGETHER: &str = "each condition holds somewhere in an array, \
     but no single element meets all that is asked of an element";

/// What `found` and `wanted` show at most, characters.
const LONGEST: usize = 200;
/// Values of an array that are shown.
const MOST_SHOWN: usize = 10;

pub(super) fn explain(
    root: &Group,
    conditions: &[Condition],
    written: &[(Path, Box<str>)],
    event: &EventView<'_>,
    matches: bool,
) -> Explanation {
    let whys: Vec<Why> = (conditions.iter().zip(written))
        .map(|(condition, (path, wanted))| why(condition, path, wanted, event))
        .collect();
    let note = (!matches && holds(root, &whys)).then_some(NOT_TOGETHER);
    Explanation {
        matches,
        conditions: whys,
        note,
    }
}

fn why(condition: &Condition, path: &Path, wanted: &str, event: &EventView<'_>) -> Why {
    let mut found = Vec::new();
    gather(Seen::Event(event), keys(path).as_slice(), &mut found);
    let verdicts = found.iter().map(|seen| condition.meets(*seen));
    Why {
        path: path.to_string(),
        wanted: cut(wanted.to_owned()),
        holds: verdicts.max().unwrap_or(Verdict::No) != Verdict::No,
        found: show(&found),
    }
}

/// The keys that lead to a condition's value in an event: `$or` and its places are no part of it.
fn keys(path: &Path) -> Vec<&str> {
    let mut keys = Vec::new();
    let mut steps = path.steps().iter().peekable();
    while let Some(step) = steps.next() {
        let Step::Key(key) = step else { continue };
        if key == "$or" && matches!(steps.peek(), Some(Step::Index(_))) {
            continue;
        }
        keys.push(key.as_str());
    }
    keys
}

/// All that is found by way of `keys`, through arrays; one `Nothing` for each end of the way.
fn gather<'a>(seen: Seen<'a>, keys: &[&str], found: &mut Vec<Seen<'a>>) {
    let Some((key, rest)) = keys.split_first() else {
        found.push(seen);
        return;
    };
    match seen.elements() {
        None => gather(seen.get(key), rest, found),
        Some(elements) => elements.for_each(|element| gather(element, keys, found)),
    }
}

fn show(found: &[Seen<'_>]) -> Option<String> {
    let shown = found.iter().filter_map(|seen| show_one(*seen));
    let shown: Vec<String> = shown.take(MOST_SHOWN).collect();
    match shown.as_slice() {
        [] => None,
        [one] => Some(one.clone()),
        several => Some(cut(several.join(" and "))),
    }
}

fn show_one(seen: Seen<'_>) -> Option<String> {
    match seen {
        Seen::Nothing | Seen::Event(_) => None,
        Seen::Text(text) => Some(cut(Value::from(text).to_string())),
        Seen::Boolean(value) => Some(value.to_string()),
        Seen::Integer(number) => Some(number.to_string()),
        Seen::Json(value) => Some(cut(value.to_string())),
    }
}

fn cut(mut text: String) -> String {
    if let Some((at, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(at);
        text.push('…');
    }
    text
}

/// Whether the pattern would be met if each condition could be met by itself.
fn holds(group: &Group, whys: &[Why]) -> bool {
    let field = |node: &Node| match node {
        Node::Condition(id) => whys[id.0].holds,
        Node::Group(inner) => holds(inner, whys),
    };
    group.fields.iter().all(|(_, node)| field(node))
        && (group.choices.iter()).all(|choice| choice.iter().any(|group| holds(group, whys)))
}
