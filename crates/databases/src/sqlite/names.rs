//! How things are called in SQL.

use wakeful_core::name::{DatabaseName, Scope};

/// What the names of everything that we put into a user's database begin with.
pub(super) const OURS: &str = "_wakeful.";

/// The table of what was done once, for functions.
pub(super) const ONCE: &str = "_wakeful_once";

/// Whether a name is one of ours, in whatever letters.
pub(super) fn is_ours(name: &str) -> bool {
    let start = name.as_bytes().get(..OURS.len());
    start.is_some_and(|start| start.eq_ignore_ascii_case(OURS.as_bytes()))
        || name.eq_ignore_ascii_case(ONCE)
}

/// A name as SQL: quoted, so that it may contain anything.
pub(super) fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The names of one capture's tables and triggers. They carry the scope, so that two
/// environments can capture the same database without reading each other's outbox.
#[derive(Debug, Clone)]
pub(super) struct Names {
    prefix: String,
}

impl Names {
    pub(super) fn of(scope: &Scope, database: &DatabaseName) -> Self {
        Self {
            prefix: format!("{OURS}{}.{}.{database}", scope.project, scope.environment),
        }
    }

    /// The table of changes that wait to be read.
    pub(super) fn outbox(&self) -> String {
        self.table("outbox")
    }

    /// The table that says what the values of a change are.
    pub(super) fn layouts(&self) -> String {
        self.table("layouts")
    }

    /// The table of the outbox's identity and of what was consumed.
    pub(super) fn meta(&self) -> String {
        self.table("meta")
    }

    /// The table of rows that a statement under way may be about to replace.
    pub(super) fn replaced(&self) -> String {
        self.table("replaced")
    }

    /// The table of the locators of such rows, empty but while one statement runs.
    pub(super) fn candidates(&self) -> String {
        self.table("candidates")
    }

    /// All five tables, unquoted.
    pub(super) fn table_names(&self) -> [String; 5] {
        ["outbox", "layouts", "meta", "replaced", "candidates"]
            .map(|word| format!("{}.{word}", self.prefix))
    }

    fn table(&self, word: &str) -> String {
        ident(&format!("{}.{word}", self.prefix))
    }

    /// What the names of all triggers of all layouts begin with.
    pub(super) fn triggers(&self) -> String {
        format!("{}.on.", self.prefix)
    }

    /// What the names of the triggers of one layout begin with.
    pub(super) fn triggers_of(&self, layout: i64) -> String {
        format!("{}{layout}.", self.triggers())
    }
}
