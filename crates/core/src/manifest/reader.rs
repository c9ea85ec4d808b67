//! Cursors over the tree: they take values of the kind that is expected and report all others.
//!
//! [`Item`] is one value with what it is called; [`Fields`] is a table whose keys are fixed by a
//! [`Section`]. Every method reports what it refuses and answers `None`, so that reading goes on
//! and all mistakes come to light at once.

use std::{ops::RangeInclusive, str::FromStr};

use super::{
    document::{Key, Kind, Node, Span, Table, quoted},
    keys::Section,
    problem::{Problem, Report},
};
use crate::{name::InvalidName, suggest};

/// One value, with the key it stands under and where problems with it go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Item<'a> {
    /// What it is called in messages: its key, or that of the array around it.
    pub(super) name: &'a str,
    /// Where the key stands, if the value has one.
    pub(super) key: Option<&'a Span>,
    pub(super) node: &'a Node,
    pub(super) report: &'a Report,
}

impl<'a> Item<'a> {
    pub(super) fn of(key: &'a Key, node: &'a Node, report: &'a Report) -> Self {
        Self {
            name: &key.name,
            key: Some(&key.span),
            node,
            report,
        }
    }

    /// The value's place.
    pub(super) fn span(&self) -> &'a Span {
        &self.node.span
    }

    /// The key's place; the value's where it has no key.
    pub(super) fn key_span(&self) -> &'a Span {
        self.key.unwrap_or(&self.node.span)
    }

    /// Its name in backquotes.
    pub(super) fn title(&self) -> String {
        let quoted = quoted(self.name);
        format!("`{}`", quoted.trim_matches('"'))
    }

    /// Reports a mistake in the value.
    pub(super) fn refuse(&self, message: impl Into<String>, help: impl Into<String>) {
        self.report
            .problem(Problem::at(self.span(), message).help(help));
    }

    /// Reports a value of the wrong kind.
    pub(super) fn wrong_kind(&self, expected: &str) {
        let found = self.node.describe();
        self.refuse(
            format!("{} is {found}", self.title()),
            format!("expected {expected}"),
        );
    }

    pub(super) fn text(self, expected: &str) -> Option<&'a str> {
        let Kind::Text(text) = &self.node.kind else {
            self.wrong_kind(expected);
            return None;
        };
        Some(text)
    }

    /// An integer as it was written, if the value is one.
    pub(super) fn as_integer_text(self) -> Option<&'a str> {
        match &self.node.kind {
            Kind::Integer(text, _) => Some(text),
            _ => None,
        }
    }

    /// A boolean, if the value is one.
    pub(super) fn as_boolean(self) -> Option<bool> {
        match self.node.kind {
            Kind::Boolean(value) => Some(value),
            _ => None,
        }
    }

    /// `true` or `false`.
    pub(super) fn boolean(self) -> Option<bool> {
        let value = self.as_boolean();
        if value.is_none() {
            self.wrong_kind("true or false, without quotes");
        }
        value
    }

    /// Whether the value is a table.
    pub(super) fn is_table(self) -> bool {
        matches!(self.node.kind, Kind::Table(_))
    }

    /// A text that follows the rule of a name.
    pub(super) fn name_of<N: FromStr<Err = InvalidName>>(self, expected: &str) -> Option<N> {
        let text = self.text(expected)?;
        parse_name(text, self.span(), self.report)
    }

    /// A count within bounds.
    pub(super) fn count(self, bounds: RangeInclusive<u32>) -> Option<u32> {
        let expected = format!("a whole number from {} to {}", bounds.start(), bounds.end());
        let Kind::Integer(text, value) = &self.node.kind else {
            self.wrong_kind(&expected);
            return None;
        };
        let fitting = value
            .and_then(|value| u32::try_from(value).ok())
            .filter(|value| bounds.contains(value));
        if fitting.is_none() {
            self.refuse(
                format!("{} is {text}, which is out of bounds", self.title()),
                format!("expected {expected}"),
            );
        }
        fitting
    }

    /// One of a few words. `meanings` lists words of other systems and what they are called here;
    /// `later` lists those that are not supported yet.
    pub(super) fn word<T: Copy>(self, words: &Words<'_, T>) -> Option<T> {
        let known = || words.known.iter().map(|(word, _)| *word);
        let expected = suggest::one_of(known());
        let text = self.text(&expected)?;
        if let Some((_, value)) = words.known.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        if words.later.contains(&text) {
            self.refuse(
                format!(
                    "{} = {} is not supported yet by this version",
                    self.title(),
                    quoted(text)
                ),
                format!("expected {expected}"),
            );
            return None;
        }
        let lower = text.to_ascii_lowercase();
        let synonym = words.meanings.iter().find(|(word, _)| *word == lower);
        let meant = synonym
            .map(|(_, meant)| *meant)
            .or_else(|| suggest::closest(text, known()));
        let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
        self.refuse(
            format!("{} cannot be {}", self.title(), quoted(text)),
            format!("expected {expected}{meant}"),
        );
        None
    }

    /// The items of an array.
    pub(super) fn array(
        self,
        expected: &str,
    ) -> Option<impl ExactSizeIterator<Item = Item<'a>> + use<'a>> {
        let Kind::Array(items) = &self.node.kind else {
            self.wrong_kind(expected);
            return None;
        };
        Some(items.iter().map(move |node| Item {
            key: None,
            node,
            ..self
        }))
    }

    /// The entries of a table whose keys the user chose, in the order of the text.
    pub(super) fn entries(
        self,
        expected: &str,
    ) -> Option<impl Iterator<Item = (&'a Key, Item<'a>)> + use<'a>> {
        let Kind::Table(table) = &self.node.kind else {
            self.wrong_kind(expected);
            return None;
        };
        let report = self.report;
        Some((table.0.iter()).map(move |(key, node)| (key, Item::of(key, node, report))))
    }

    /// A table with fixed keys; `what` names it in messages. Unknown keys are reported here.
    pub(super) fn fields(
        self,
        section: &'static Section,
        what: impl Into<String>,
    ) -> Option<Fields<'a>> {
        let Kind::Table(table) = &self.node.kind else {
            self.wrong_kind(&format!("a table with {}", section.examples()));
            return None;
        };
        let fields = Fields {
            what: what.into(),
            at: self.key_span(),
            section,
            table,
            report: self.report,
        };
        fields.check_keys();
        Some(fields)
    }
}

/// The words that a value may be.
pub(super) struct Words<'w, T> {
    pub(super) known: &'w [(&'w str, T)],
    pub(super) meanings: &'w [(&'w str, &'w str)],
    pub(super) later: &'w [&'w str],
}

/// Parses a name that stands at `span`.
pub(super) fn parse_name<N: FromStr<Err = InvalidName>>(
    text: &str,
    span: &Span,
    report: &Report,
) -> Option<N> {
    let parsed = text.parse::<N>();
    parsed
        .map_err(|error| {
            let what = error.what();
            let message = format!("{} is no valid {what}", quoted(text));
            report.problem(Problem::at(span, message).help(format!("expected {}", error.rule())));
        })
        .ok()
}

/// A table whose keys are fixed.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    /// How messages name it: ``function `thumbnail` ``.
    pub(super) what: String,
    /// Where it is named.
    pub(super) at: &'a Span,
    section: &'static Section,
    table: &'a Table,
    pub(super) report: &'a Report,
}

impl<'a> Fields<'a> {
    /// The value under a key of the section.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        assert!(self.section.knows(key), "`{key}` stands in no list of keys");
        let (key, node) = self.table.get(key)?;
        Some(Item::of(key, node, self.report))
    }

    /// The value under a key, if this section has such a key at all.
    pub(super) fn find(&self, key: &'static str) -> Option<Item<'a>> {
        self.section.knows(key).then(|| self.get(key)).flatten()
    }

    /// The one of the section's alternatives that is there. None, and several, are reported:
    /// `missing` ends the sentence that something "does not say …", `alone` says why there is one.
    pub(super) fn only_one(&self, missing: &str, many: &str, alone: &str) -> Option<Item<'a>> {
        let names = self.section.one_of;
        let given: Vec<_> = self.keys(|key| names.contains(&key)).collect();
        match given.as_slice() {
            [one] => Some(*one),
            [] => {
                // One that is misspelt or not supported yet was reported already.
                let later = self.keys(|key| self.section.later.contains(&key)).next();
                if later.is_none() && !names.iter().any(|name| self.attempts(name)) {
                    let message = format!("{} does not say {missing}", self.what);
                    let help = format!("add one of {}", suggest::one_of(names.iter().copied()));
                    self.report
                        .problem(Problem::at(self.at, message).help(help));
                }
                None
            }
            [first, second, ..] => {
                let (what, one, other) = (&self.what, first.name, second.name);
                let message = format!("{what} has two {many}: `{one}` and `{other}`");
                self.report.problem(
                    Problem::at(second.key_span(), message)
                        .also(first.key_span(), "the first one")
                        .help(alone),
                );
                None
            }
        }
    }

    /// The value under a key that must be there; `example` shows how to write it.
    pub(super) fn required(&self, key: &'static str, example: &str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() && !self.attempts(key) {
            let message = format!("{} has no `{key}`", self.what);
            (self.report).problem(Problem::at(self.at, message).help(format!("write {example}")));
        }
        item
    }

    /// Whether an unknown key stands for `key`, so that its absence need not be reported as well.
    pub(super) fn attempts(&self, key: &str) -> bool {
        let unknown = (self.table.0.iter()).filter(|(it, _)| !self.section.knows(&it.name));
        unknown
            .map(|(it, _)| it.name.as_str())
            .any(|name| match self.section.meaning(name) {
                Some(help) => help.contains(key),
                None => suggest::closest(name, self.section.names()) == Some(key),
            })
    }

    /// Those of its keys that `wanted` picks, in the order of the text.
    pub(super) fn keys(&self, wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = Item<'a>> {
        let report = self.report;
        (self.table.0.iter())
            .filter(move |(key, _)| wanted(&key.name))
            .map(move |(key, node)| Item::of(key, node, report))
    }

    fn check_keys(&self) {
        for (key, _) in &self.table.0 {
            if !self.section.knows(&key.name) {
                self.report.problem(self.unknown(key));
            }
        }
    }

    fn unknown(&self, key: &Key) -> Problem {
        let (name, what) = (&key.name, &self.what);
        if self.section.later.contains(&name.as_str()) {
            return Problem::at(
                &key.span,
                format!("`{name}` in {what} is not supported yet by this version"),
            )
            .help("leave it out for now");
        }
        let problem = Problem::at(&key.span, format!("unknown key {} in {what}", quoted(name)));
        if let Some(other) = (self.section.neighbours.iter()).find(|other| other.has(name)) {
            let later = if other.knows(name) {
                ""
            } else {
                ", and is not supported yet by this version"
            };
            return problem.help(format!("`{name}` belongs {}{later}", other.place));
        }
        if let Some(help) = self.section.meaning(name) {
            return problem.help(help);
        }
        if self.section.keys.is_empty() {
            return problem.help(format!("{what} has no settings yet: leave it out"));
        }
        problem.help(suggest::did_you_mean(name, self.section.names()))
    }
}
