//! What the values of a recorded change mean.
//!
//! A change is recorded in one or more consecutive rows of the outbox: its images one after the
//! other, each cut into chunks of `CHUNK` values; `rest` counts down to 0 at the last row. The
//! numbers here are stored in users' databases: they never change their meaning.

use serde::{Deserialize, Serialize};
use wakeful_core::event::RowVerb;

use super::table::Table;

/// Values in one row of the outbox.
pub(super) const CHUNK: usize = 16;

/// The columns and key of a table when its triggers were made; stored as JSON beside the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Layout {
    /// The table, as triggers of the project name it.
    pub(super) table: String,
    /// Its columns.
    pub(super) columns: Vec<LayoutColumn>,
    /// Places of the key's columns in `columns`; empty when the rowid is the key.
    pub(super) key: Vec<usize>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LayoutColumn {
    pub(super) name: String,
    /// Whether it is computed on every read; such a column has no place in `before`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) computed: bool,
}

/// What stands at one place of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Slot {
    /// The column at this place in `Layout::columns`.
    Column(usize),
    /// The rowid, where it is the key.
    Rowid,
}

/// A row before or after its change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Image {
    Before,
    After,
}

impl Layout {
    pub(super) fn of(table: &Table, watched_as: &str) -> Self {
        Self {
            table: watched_as.to_owned(),
            columns: table
                .columns
                .iter()
                .map(|column| LayoutColumn {
                    name: column.name.clone(),
                    computed: column.computed,
                })
                .collect(),
            key: table.key.clone(),
        }
    }

    /// What an image holds, in order.
    pub(super) fn slots(&self, image: Image) -> Vec<Slot> {
        let columns = self.columns.iter().enumerate();
        let mut slots: Vec<_> = columns
            .filter(|(_, column)| image == Image::After || !column.computed)
            .map(|(at, _)| Slot::Column(at))
            .collect();
        if self.key.is_empty() {
            slots.push(Slot::Rowid);
        }
        slots
    }

    /// How many values an image holds.
    pub(super) fn count(&self, image: Image) -> usize {
        let columns = self.columns.iter();
        let columns = columns.filter(|column| image == Image::After || !column.computed);
        columns.count() + usize::from(self.key.is_empty())
    }
}

impl Image {
    /// The images that a change has, in the order in which they are recorded.
    pub(super) fn of(verb: RowVerb) -> &'static [Self] {
        match verb {
            RowVerb::Insert => &[Self::After],
            RowVerb::Update => &[Self::Before, Self::After],
            RowVerb::Delete => &[Self::Before],
        }
    }

    pub(super) const fn number(self) -> i64 {
        match self {
            Self::Before => 0,
            Self::After => 1,
        }
    }

    pub(super) fn numbered(number: i64) -> Option<Self> {
        [Self::Before, Self::After]
            .into_iter()
            .find(|image| image.number() == number)
    }

    /// What a trigger calls it.
    pub(super) const fn alias(self) -> &'static str {
        match self {
            Self::Before => "old",
            Self::After => "new",
        }
    }
}

pub(super) const fn verb_number(verb: RowVerb) -> i64 {
    match verb {
        RowVerb::Insert => 0,
        RowVerb::Update => 1,
        RowVerb::Delete => 2,
    }
}

pub(super) fn verb_of(number: i64) -> Option<RowVerb> {
    RowVerb::ALL
        .iter()
        .copied()
        .find(|verb| verb_number(*verb) == number)
}
