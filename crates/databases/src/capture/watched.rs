use std::{collections::BTreeMap, fmt};

use wakeful_core::{
    event::RowVerb,
    name::{DatabaseName, TableName},
    project::{On, Project},
};

/// The tables of one database that triggers listen to, each with the kinds of change that matter.
pub type Watched = BTreeMap<TableName, Kinds>;

/// A set of kinds of change.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kinds(u8);

impl Kinds {
    /// All of them.
    pub const ALL: Self = Self(0b111);

    /// Whether `verb` is among them.
    pub fn contains(self, verb: RowVerb) -> bool {
        self.0 & bit(verb) != 0
    }

    /// This set and `verb`.
    #[must_use]
    pub fn with(self, verb: RowVerb) -> Self {
        Self(self.0 | bit(verb))
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

fn bit(verb: RowVerb) -> u8 {
    match verb {
        RowVerb::Insert => 0b001,
        RowVerb::Update => 0b010,
        RowVerb::Delete => 0b100,
    }
}

impl FromIterator<RowVerb> for Kinds {
    fn from_iter<I: IntoIterator<Item = RowVerb>>(verbs: I) -> Self {
        verbs.into_iter().fold(Self::default(), Self::with)
    }
}

impl fmt::Debug for Kinds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = RowVerb::ALL.iter().filter(|verb| self.contains(**verb));
        f.debug_set().entries(all).finish()
    }
}

/// What the triggers of `project` want to know about `database`.
pub fn watched(project: &Project, database: &DatabaseName) -> Watched {
    let mut tables = Watched::new();
    for trigger in project.triggers() {
        if let On::Database(on) = &trigger.on
            && on.database == *database
        {
            let kinds = tables.entry(on.table.clone()).or_default();
            *kinds = on.events.iter().fold(*kinds, |all, verb| all.with(*verb));
        }
    }
    tables
}
