//! What events of our own sources hold, as far as a path can be held against it before there is
//! one. `docs/sources.md` and `docs/topics.md` list the same fields.

use super::super::{
    document::{Key, Kind, Node},
    problem::Problem,
    reader::Item,
};
use crate::{flow::KeyExpression, project::On, suggest};

/// The fields of the data of a source.
pub(super) struct Shape {
    fields: &'static [&'static str],
    /// The field in which names of the user's own stand, if there is one.
    inner: Option<&'static str>,
}

const BUCKET: Shape = Shape {
    fields: &[
        "bucket",
        "key",
        "size",
        "etag",
        "contentType",
        "sequencer",
        "operation",
    ],
    inner: None,
};
const DATABASE: Shape = Shape {
    fields: &["database", "table", "operation", "key", "before", "after"],
    inner: Some("after"),
};
const SCHEDULE: Shape = Shape {
    fields: &["schedule", "scheduledTime", "lastTime"],
    inner: None,
};
const HTTP: Shape = Shape {
    fields: &[
        "version", "method", "target", "path", "query", "params", "headers", "remote", "encoding",
        "body",
    ],
    inner: Some("body"),
};

impl Shape {
    /// Of what a trigger listens to; `None` where anybody says what an event holds.
    pub(super) fn of(on: &On) -> Option<Self> {
        match on {
            On::Bucket(_) => Some(BUCKET),
            On::Database(_) => Some(DATABASE),
            On::Schedule(_) => Some(SCHEDULE),
            On::Http(_) => Some(HTTP),
            On::Topic(_) | On::DeadLetters => None,
        }
    }

    /// Where something called `name` may stand in the data.
    pub(super) fn better(&self, name: &str) -> String {
        match self.inner {
            Some(inner) if !self.fields.contains(&name) => format!("data.{inner}.{name}"),
            _ => format!("data.{name}"),
        }
    }

    /// Warns of paths of the rule at `item` that lead nowhere.
    pub(super) fn check_key(&self, item: Item<'_>, key: &KeyExpression) {
        for (text, field, inner) in key.fields_of_data() {
            if let Some(help) = self.fault(field, inner, text.get("data.".len()..)) {
                let message = format!("{} finds nothing: no event here has `{text}`", item.title());
                (item.report).warning(Problem::at(item.span(), message).help(help));
            }
        }
    }

    /// Warns of what a filter asks of fields that no event here has.
    pub(super) fn check_filter(&self, filter: Item<'_>) {
        let mut groups = vec![filter.node];
        while let Some(group) = groups.pop() {
            for (key, node) in entries(group) {
                match (key.name.as_str(), &node.kind) {
                    ("$or", Kind::Array(items)) => groups.extend(items),
                    ("data", Kind::Table(_)) => self.check_fields(node, filter),
                    _ => {}
                }
            }
        }
    }

    fn check_fields(&self, data: &Node, filter: Item<'_>) {
        let mut groups = vec![data];
        while let Some(group) = groups.pop() {
            for (key, node) in entries(group) {
                if let ("$or", Kind::Array(items)) = (key.name.as_str(), &node.kind) {
                    groups.extend(items);
                    continue;
                }
                let inner = (entries(node).next()).map(|(key, _)| key.name.as_str());
                if let Some(help) = self.fault(&key.name, inner, Some(&key.name)) {
                    let message = format!("no event here has `data.{}`", key.name);
                    (filter.report).warning(Problem::at(&key.span, message).help(help));
                }
            }
        }
    }

    /// Why nothing is found under a field of the data, or a name in it; `rest` is the path behind
    /// `data.` as it was written.
    fn fault(&self, field: &str, inner: Option<&str>, rest: Option<&str>) -> Option<String> {
        if !self.fields.contains(&field) {
            let near = suggest::closest(field, self.fields.iter().copied());
            let list = format!(
                "a field of `data` is one of {}",
                suggest::one_of(self.fields.iter().copied())
            );
            return Some(match (near, rest) {
                (Some(near), _) => format!("did you mean `data.{near}`?"),
                (None, Some(rest)) if self.inner.is_some() => {
                    format!("did you mean \"{}\"? {list}", self.better(rest))
                }
                _ => list,
            });
        }
        let header = inner.filter(|_| field == "headers" && self.fields == HTTP.fields)?;
        let lower = header.to_ascii_lowercase();
        (lower != header).then(|| format!("names of header fields are in lower case: `{lower}`"))
    }
}

fn entries(node: &Node) -> impl Iterator<Item = &(Key, Node)> {
    node.as_table().into_iter().flat_map(|table| &table.0)
}
