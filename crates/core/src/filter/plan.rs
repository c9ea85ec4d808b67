//! From the tree that a pattern is written as to the order in which it is evaluated.
//!
//! A pattern is met by an array when one and the same element meets all that is asked of an
//! element. So conditions that go through the same key must be asked together, wherever in the
//! pattern they stand: a `$or` whose alternatives name a key that is also named beside it is
//! multiplied out, so that each alternative asks everything of one element. Alternatives that
//! share no key with anything stay as they are; most patterns need no multiplication.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    condition::{Condition, Verdict},
    event::Seen,
    parse::{ConditionId, Group, Node},
};
use crate::limits;

/// Everything that must hold at one place.
#[derive(Debug, Clone, Default)]
pub(super) struct All(Box<[Step]>);

#[derive(Debug, Clone)]
enum Step {
    /// What stands under a key: each of these conditions holds for it, and all of that inside it.
    Field(Box<str>, Box<[ConditionId]>, Option<All>),
    /// One of these holds.
    Any(Box<[All]>),
}

/// The alternatives of a pattern multiply to more than is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooMany;

/// The plan of a pattern.
pub(super) fn plan(root: &Group) -> Result<All, TooMany> {
    let mut planner = Planner {
        left: limits::MAX_FILTER_STEPS,
    };
    planner.all(&Demands::of(&[root]))
}

/// What is asked at one place, gathered from all groups that go there.
#[derive(Clone, Default)]
struct Demands<'a> {
    fields: BTreeMap<&'a str, Vec<&'a Node>>,
    choices: Vec<&'a [Group]>,
}

impl<'a> Demands<'a> {
    fn of(groups: &[&'a Group]) -> Self {
        let mut demands = Self::default();
        for group in groups {
            demands.add(group);
        }
        demands
    }

    fn add(&mut self, group: &'a Group) {
        for (key, node) in &group.fields {
            self.fields.entry(key).or_default().push(node);
        }
        self.choices.extend(group.choices.iter().map(Vec::as_slice));
    }

    /// Split so that no two parts name the same key.
    fn parts(&self) -> Vec<Demands<'a>> {
        let mut parts: Vec<Demands<'a>> = Vec::new();
        let mut joined: Vec<BTreeSet<&'a str>> = Vec::new();
        for choice in &self.choices {
            let mut keys = BTreeSet::new();
            choice.iter().for_each(|group| keys_of(group, &mut keys));
            let mut part = Demands {
                fields: BTreeMap::new(),
                choices: vec![*choice],
            };
            let mut index = 0;
            while index < parts.len() {
                if !joined[index].is_disjoint(&keys) {
                    part.choices.extend(parts.swap_remove(index).choices);
                    keys.extend(joined.swap_remove(index));
                } else {
                    index += 1;
                }
            }
            parts.push(part);
            joined.push(keys);
        }
        for (key, nodes) in &self.fields {
            let owner = joined.iter().position(|keys| keys.contains(key));
            let part = match owner {
                Some(index) => &mut parts[index],
                None => {
                    parts.push(Demands::default());
                    joined.push(BTreeSet::new());
                    let last = parts.len() - 1;
                    &mut parts[last]
                }
            };
            part.fields.insert(key, nodes.clone());
        }
        // What is cheap comes first: keys before alternatives.
        parts.sort_by_key(|part| part.choices.len());
        parts
    }
}

/// The keys that a group names at its own place, also in its alternatives.
fn keys_of<'a>(group: &'a Group, keys: &mut BTreeSet<&'a str>) {
    keys.extend(group.fields.iter().map(|(key, _)| &**key));
    for inner in group.choices.iter().flatten() {
        keys_of(inner, keys);
    }
}

struct Planner {
    /// Steps that may still be made.
    left: usize,
}

impl Planner {
    fn all(&mut self, demands: &Demands<'_>) -> Result<All, TooMany> {
        let mut steps = Vec::new();
        for part in demands.parts() {
            self.left = self.left.checked_sub(1).ok_or(TooMany)?;
            match part.choices.split_first() {
                None => {
                    for (key, nodes) in &part.fields {
                        steps.push(self.field(key, nodes)?);
                    }
                }
                Some((choice, others)) => {
                    let mut rest = part.clone();
                    rest.choices = others.to_vec();
                    let alternatives = choice.iter().map(|group| {
                        let mut demands = rest.clone();
                        demands.add(group);
                        self.all(&demands)
                    });
                    steps.push(Step::Any(alternatives.collect::<Result<_, _>>()?));
                }
            }
        }
        Ok(All(steps.into()))
    }

    fn field(&mut self, key: &str, nodes: &[&Node]) -> Result<Step, TooMany> {
        let mut conditions = Vec::new();
        let mut groups = Vec::new();
        for node in nodes {
            match node {
                Node::Condition(id) => conditions.push(*id),
                Node::Group(group) => groups.push(group),
            }
        }
        let inner = match groups.as_slice() {
            [] => None,
            groups => Some(self.all(&Demands::of(groups))?),
        };
        Ok(Step::Field(key.into(), conditions.into(), inner))
    }
}

impl All {
    /// Whether everything holds for what was found. An array meets what one of its elements
    /// meets; what only holds because something is missing must hold for every element.
    pub(super) fn meets(&self, seen: Seen<'_>, conditions: &[Condition]) -> Verdict {
        let Some(elements) = seen.elements() else {
            return self.meets_one(seen, conditions);
        };
        let mut all_lack = true;
        for element in elements {
            match self.meets(element, conditions) {
                Verdict::ByPresence => return Verdict::ByPresence,
                Verdict::ByAbsence => {}
                Verdict::No => all_lack = false,
            }
        }
        if all_lack {
            Verdict::ByAbsence
        } else {
            Verdict::No
        }
    }

    fn meets_one(&self, seen: Seen<'_>, conditions: &[Condition]) -> Verdict {
        let mut verdict = Verdict::ByAbsence;
        for step in &self.0 {
            let held = match step {
                Step::Field(key, ids, inner) => {
                    field(seen.get(key), ids, inner.as_ref(), conditions)
                }
                Step::Any(alternatives) => any(alternatives, seen, conditions),
            };
            if held == Verdict::No {
                return Verdict::No;
            }
            verdict = verdict.max(held);
        }
        verdict
    }
}

fn field(
    seen: Seen<'_>,
    ids: &[ConditionId],
    inner: Option<&All>,
    conditions: &[Condition],
) -> Verdict {
    let mut verdict = Verdict::ByAbsence;
    for id in ids {
        match conditions[id.0].meets(seen) {
            Verdict::No => return Verdict::No,
            held => verdict = verdict.max(held),
        }
    }
    match inner.map_or(Verdict::ByAbsence, |inner| inner.meets(seen, conditions)) {
        Verdict::No => Verdict::No,
        held => verdict.max(held),
    }
}

fn any(alternatives: &[All], seen: Seen<'_>, conditions: &[Condition]) -> Verdict {
    let mut verdict = Verdict::No;
    for alternative in alternatives {
        match alternative.meets_one(seen, conditions) {
            Verdict::ByPresence => return Verdict::ByPresence,
            held => verdict = verdict.max(held),
        }
    }
    verdict
}
