//! `[topic.NAME]`: what may be published, and who refers to it.

use super::{
    document::quoted,
    problem::Problem,
    project::{Declared, header},
    reader::{Item, parse_name},
    sections::TOPIC,
};
use crate::{
    name::{TopicName, TopicPattern},
    project::Topic,
    suggest,
};

/// The topics that a manifest declares.
pub(super) struct Topics {
    declared: Declared,
    /// Those of them that are well-formed.
    patterns: Vec<TopicPattern>,
}

impl Topics {
    pub(super) fn of(declared: Declared) -> Self {
        let parsed = declared.names.iter().filter_map(|name| name.parse().ok());
        Self {
            patterns: parsed.collect(),
            declared,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.declared.names.is_empty()
    }

    /// Topics to listen to or to be allowed: some of them must be declared.
    pub(super) fn pattern(&self, item: Item<'_>) -> Option<TopicPattern> {
        let text = item.text("a topic, such as \"orders.paid\" or \"orders.*\"")?;
        if self.declared.names.contains(text) {
            return text.parse().ok();
        }
        let wanted: TopicPattern = parse_name(text, item.span(), item.report)?;
        if self.patterns.iter().any(|it| it.overlaps(&wanted)) {
            return Some(wanted);
        }
        self.refuse(item, text);
        None
    }

    /// A topic to publish: it must be declared.
    pub(super) fn name(&self, item: Item<'_>) -> Option<TopicName> {
        let text = item.text("a topic, such as \"orders.failed\"")?;
        if text.parse::<TopicName>().is_err() && text.parse::<TopicPattern>().is_ok() {
            item.refuse(
                format!(
                    "{} stands for many topics, and it is published under one",
                    quoted(text)
                ),
                "write a topic without `*` and `>`",
            );
            return None;
        }
        let wanted: TopicName = parse_name(text, item.span(), item.report)?;
        let known = self.declared.names.contains(text)
            || self.patterns.iter().any(|pattern| pattern.matches(&wanted));
        if !known {
            self.refuse(item, text);
        }
        known.then_some(wanted)
    }

    fn refuse(&self, item: Item<'_>, text: &str) {
        let declare = format!("declare it: [topic.{}]", header(text));
        let near = (!item.report.is_long())
            .then(|| suggest::closest(text, self.declared.names.iter().map(String::as_str)))
            .flatten();
        let help = match near {
            Some(near) => format!("did you mean `{near}`? Or {declare}"),
            None => declare,
        };
        item.refuse(format!("there is no topic `{text}`"), help);
    }
}

/// Reads `[topic.NAME]`.
pub(super) fn read(name: &TopicPattern, item: Item<'_>) -> Option<Topic> {
    let inner = item.node.as_table();
    let dotted =
        (inner.into_iter().flat_map(|table| &table.0)).find(|(_, node)| node.as_table().is_some());
    if let Some((key, _)) = dotted {
        let whole = format!("{name}.{}", key.name);
        item.report.problem(
            Problem::at(
                &key.span,
                format!("`{}` stands inside of topic `{name}`", key.name),
            )
            .help(format!(
                "a topic with dots goes in quotes: [topic.\"{whole}\"]"
            )),
        );
        return None;
    }
    item.fields(&TOPIC, format!("topic `{name}`"))
        .map(|_| Topic::default())
}
