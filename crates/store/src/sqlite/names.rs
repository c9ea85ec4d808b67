//! Names as small integers: rows on the hot path carry a number where a name would stand.
//!
//! A name once interned stays, so a number may be remembered for ever; only a writer whose
//! transaction was rolled back must forget what it learnt in it.

use std::{collections::HashMap, hash::Hash};

use foldhash::fast::RandomState;
use rusqlite::{Connection, OptionalExtension, params};
use wakeful_core::name::{BucketName, FunctionName, Scope, TriggerId};

use super::fault::{Fault, malformed};

/// A kind of name with a table of its own.
pub(super) trait Name: Clone + Eq + Hash {
    /// The table: `id`, `project`, `environment`, `name`.
    const TABLE: &'static str;
    /// The name as text.
    fn text(&self) -> &str;
    /// From the text that the store keeps.
    fn from_stored(text: &str) -> Option<Self>;
}

impl Name for TriggerId {
    const TABLE: &'static str = "triggers";
    fn text(&self) -> &str {
        self.as_str()
    }
    fn from_stored(text: &str) -> Option<Self> {
        Some(Self::from_stored(text))
    }
}

impl Name for FunctionName {
    const TABLE: &'static str = "functions";
    fn text(&self) -> &str {
        self.as_str()
    }
    fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl Name for BucketName {
    const TABLE: &'static str = "buckets";
    fn text(&self) -> &str {
        self.as_str()
    }
    fn from_stored(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// What one connection has learnt of one table of names.
#[derive(Debug)]
pub(super) struct Interned<N> {
    ids: HashMap<(Scope, N), i64, RandomState>,
    names: HashMap<i64, (Scope, N), RandomState>,
}

impl<N> Default for Interned<N> {
    fn default() -> Self {
        Self {
            ids: HashMap::default(),
            names: HashMap::default(),
        }
    }
}

impl<N: Name> Interned<N> {
    /// The number of a name; `None` when it was never interned.
    pub(super) fn find(
        &mut self,
        conn: &Connection,
        scope: &Scope,
        name: &N,
    ) -> Result<Option<i64>, Fault> {
        let key = (scope.clone(), name.clone());
        if let Some(id) = self.ids.get(&key) {
            return Ok(Some(*id));
        }
        let sql = format!(
            "SELECT id FROM {} WHERE project = ?1 AND environment = ?2 AND name = ?3",
            N::TABLE
        );
        let found: Option<i64> = conn
            .prepare_cached(&sql)?
            .query_row(
                params![
                    scope.project.as_str(),
                    scope.environment.as_str(),
                    name.text()
                ],
                |row| row.get(0),
            )
            .optional()?;
        if let Some(id) = found {
            self.learn(id, key);
        }
        Ok(found)
    }

    /// The number of a name, given to it now if it has none.
    pub(super) fn intern(
        &mut self,
        conn: &Connection,
        scope: &Scope,
        name: &N,
    ) -> Result<i64, Fault> {
        if let Some(id) = self.find(conn, scope, name)? {
            return Ok(id);
        }
        let sql = format!(
            "INSERT INTO {} (project, environment, name) VALUES (?1, ?2, ?3)",
            N::TABLE
        );
        conn.prepare_cached(&sql)?.execute(params![
            scope.project.as_str(),
            scope.environment.as_str(),
            name.text()
        ])?;
        let id = conn.last_insert_rowid();
        self.learn(id, (scope.clone(), name.clone()));
        Ok(id)
    }

    /// The name behind a number.
    pub(super) fn name(&mut self, conn: &Connection, id: i64) -> Result<(Scope, N), Fault> {
        if let Some(key) = self.names.get(&id) {
            return Ok(key.clone());
        }
        let sql = format!(
            "SELECT project, environment, name FROM {} WHERE id = ?1",
            N::TABLE
        );
        let (project, environment, name): (String, String, String) = conn
            .prepare_cached(&sql)?
            .query_row([id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let scope =
            project
                .parse()
                .ok()
                .zip(environment.parse().ok())
                .map(|(project, environment)| Scope {
                    project,
                    environment,
                });
        let key = scope
            .zip(N::from_stored(&name))
            .ok_or_else(|| malformed("a name"))?;
        self.learn(id, key.clone());
        Ok(key)
    }

    fn learn(&mut self, id: i64, key: (Scope, N)) {
        self.names.insert(id, key.clone());
        self.ids.insert(key, id);
    }
}

/// What one connection has learnt of all names.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) triggers: Interned<TriggerId>,
    pub(super) functions: Interned<FunctionName>,
    pub(super) buckets: Interned<BucketName>,
}
