//! `[environment.NAME]`: settings of one environment, merged over the rest.

use std::collections::HashMap;

use super::{
    document::{Key, Kind, Node, Span, Table},
    keys::Shape,
    sections::{ENVIRONMENT, ROUTE},
};
use crate::name::EnvironmentName;

/// Environments that exist without being declared.
pub(super) const ALWAYS: [&str; 2] = ["dev", "production"];

/// The environments a manifest declares, in the order of the text; those with impossible names
/// are left out.
pub(super) fn declared(document: &Table) -> impl Iterator<Item = (EnvironmentName, &Node)> {
    let section = document.get("environment");
    let table = section.and_then(|(_, node)| node.as_table());
    let entries = table.into_iter().flat_map(|table| table.0.iter());
    entries.filter_map(|(key, node)| Some((key.name.parse().ok()?, node)))
}

/// The manifest with one environment's settings over it, and without `environment`.
pub(super) fn merged(document: &Table, over: Option<&Node>) -> Table {
    let rest = document
        .0
        .iter()
        .filter(|(key, _)| key.name != "environment");
    let mut result = Table(rest.cloned().collect());
    if let Some(over) = over.and_then(Node::as_table) {
        merge(&mut result, over, &mut Vec::new());
    }
    result
}

fn merge(base: &mut Table, over: &Table, path: &mut Vec<String>) {
    let places: HashMap<String, usize> = (base.0.iter().enumerate())
        .map(|(index, (key, _))| (key.name.clone(), index))
        .collect();
    for (key, node) in &over.0 {
        // What an environment cannot say is reported once, where it stands, and not merged.
        if path.is_empty() && !ENVIRONMENT.knows(&key.name) {
            continue;
        }
        path.push(key.name.clone());
        match places.get(&key.name) {
            None => base.0.push((key.clone(), node.clone())),
            Some(index) => {
                let (existing_key, existing) = &mut base.0[*index];
                replace(existing_key, existing, key, node, path);
            }
        }
        path.pop();
    }
}

fn replace(base_key: &mut Key, base: &mut Node, key: &Key, node: &Node, path: &mut Vec<String>) {
    match (&mut base.kind, &node.kind) {
        (Kind::Table(below), Kind::Table(above)) if !is_setting(path) => merge(below, above, path),
        _ => {
            *base_key = key.clone();
            *base = node.clone();
        }
    }
}

/// Whether a table at this path is one value: `{ env = … }` over `{ secret = … }` replaces it, and
/// so does a rule about deliveries, which is taken whole wherever it stands.
fn is_setting(path: &[String]) -> bool {
    let path: Vec<&str> = path.iter().map(String::as_str).collect();
    match path.as_slice() {
        ["database", _, "url"] | ["function", _, "env", _] => true,
        ["function", _, rule] | ["function", _, "routes", _, rule] => is_rule(rule),
        _ => false,
    }
}

fn is_rule(key: &str) -> bool {
    (ROUTE.keys.iter()).any(|it| it.name == key && matches!(it.shape, Shape::Rule(..)))
}

/// The places of all keys and plain values below `node`: what a problem of this environment's own
/// settings can point at.
pub(super) fn places(node: &Node, found: &mut Vec<Span>) {
    match &node.kind {
        Kind::Table(table) => {
            for (key, node) in &table.0 {
                found.push(key.span.clone());
                places(node, found);
            }
        }
        Kind::Array(items) => {
            found.push(node.span.clone());
            items.iter().for_each(|item| places(item, found));
        }
        _ => found.push(node.span.clone()),
    }
}
