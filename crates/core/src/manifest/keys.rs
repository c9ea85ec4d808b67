//! What a key of the manifest is: its name, its meaning, what may stand under it. Which keys there
//! are stands in `sections`.

/// A table with fixed keys.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name in the schema.
    pub(super) id: &'static str,
    /// Its keys, in the order in which they are documented.
    pub(super) keys: &'static [Key],
    /// Keys that the contract names and this version does not support.
    pub(super) later: &'static [&'static str],
    /// Keys of which exactly one must be there; none when that does not hold for this table.
    pub(super) one_of: &'static [&'static str],
    /// Where its keys belong, to finish the sentence "`x` belongs …".
    pub(super) place: &'static str,
    /// Sections whose keys are easily written here.
    pub(super) neighbours: &'static [&'static Section],
    /// Words of other systems, each with what to write instead.
    pub(super) meanings: &'static [(&'static str, &'static str)],
}

/// A key, what it means and what may stand under it.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) shape: Shape,
    /// The default as it would be written, for editors.
    pub(super) default: Option<&'static str>,
    pub(super) need: Need,
}

/// Whether a key may be left out. (In an environment's section all of them may.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    Optional,
    Required,
}

/// What may stand under a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// Any text; with examples for editors.
    Text(&'static [&'static str]),
    /// Texts in an array.
    Texts(&'static [&'static str]),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Some of these words, in an array.
    SomeOf(&'static [&'static str]),
    Duration,
    /// A shortest and a longest duration, in an array.
    Durations,
    Size,
    Count {
        least: u32,
        most: u32,
    },
    NodeMajor,
    Boolean,
    DurationOrBoolean,
    /// A key expression: a path into the event, or several.
    Key,
    /// A rule about deliveries: a table, a short form of it, or `false` for no such rule.
    Rule(Short, &'static Section),
    /// A text, or where it is read from.
    Setting,
    /// Settings under names of the user's.
    Settings,
    /// Words under names of the user's.
    Levels,
    /// An event pattern.
    Filter,
    Table(&'static Section),
    /// Tables under names of the user's.
    Named(&'static Section),
    /// Tables in an array.
    Tables(&'static Section),
    /// A text or a table.
    TextOr(&'static Section),
    /// A text or a table, under names of the user's.
    TextOrNamed(&'static Section),
}

/// How a rule may be written without its table.
#[derive(Debug, Clone, Copy)]
pub(super) enum Short {
    None,
    Text(&'static [&'static str]),
    Duration,
    /// As a key expression.
    Key,
    /// As `true`, for what holds when nothing is said.
    Default,
}

impl Section {
    /// Whether a reader may ask for `name` and a user may write it.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.keys.iter().any(|key| key.name == name)
    }

    /// Whether it knows `name` now or will.
    pub(super) fn has(&self, name: &str) -> bool {
        self.knows(name) || self.later.contains(&name)
    }

    /// What to write instead of a word of another system.
    pub(super) fn meaning(&self, name: &str) -> Option<&'static str> {
        let found = self.meanings.iter().find(|(word, _)| *word == name);
        found.map(|(_, help)| *help)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.keys.iter().map(|key| key.name)
    }

    /// Some of its keys, for messages.
    pub(super) fn examples(&self) -> String {
        if self.keys.is_empty() {
            return "no keys in it".to_owned();
        }
        let shown: Vec<String> = (self.names().take(4))
            .map(|name| format!("`{name}`"))
            .collect();
        let more = if self.keys.len() > 4 { ", …" } else { "" };
        format!("{}{more}", shown.join(", "))
    }
}

pub(super) const fn key(name: &'static str, shape: Shape, about: &'static str) -> Key {
    Key {
        name,
        about,
        shape,
        default: None,
        need: Need::Optional,
    }
}

impl Key {
    pub(super) const fn default(self, default: &'static str) -> Self {
        Self {
            default: Some(default),
            ..self
        }
    }

    pub(super) const fn required(self) -> Self {
        Self {
            need: Need::Required,
            ..self
        }
    }
}
