//! What a table looks like, as far as capture needs to know.

use rusqlite::{Connection, OptionalExtension};
use wakeful_core::name::TableName;

use super::super::names::is_ours;

/// A table as the database has it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Table {
    /// Its name, in the letters in which it was created.
    pub(super) name: String,
    /// Its columns, in order.
    pub(super) columns: Vec<Column>,
    /// Places of the primary key's columns in `columns`; empty when none is declared.
    pub(super) key: Vec<usize>,
    /// How a row is found again.
    pub(super) locator: Locator,
    /// What must be unique, apart from the locator.
    pub(super) unique: Vec<Vec<UniqueColumn>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: String,
    /// Whether it is computed on every read. Computing it can fail, so it is only read where
    /// SQLite itself has just computed it: in the new row of an insert or update.
    pub(super) computed: bool,
}

/// How a row is found again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Locator {
    /// By its rowid, under the one of its three names that no column took.
    Rowid(&'static str),
    /// By its primary key: a table WITHOUT ROWID.
    Key,
}

/// A column of something unique, and how it compares there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct UniqueColumn {
    pub(super) name: String,
    pub(super) collation: String,
}

/// What became of looking for a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    Table(Table),
    Missing,
    Refused(String),
}

/// Looks for a table.
pub(super) fn find(conn: &Connection, name: &TableName) -> rusqlite::Result<Found> {
    let found = conn
        .prepare_cached(
            "SELECT name, type, wr FROM pragma_table_list \
             WHERE schema = 'main' AND name = ?1 COLLATE NOCASE",
        )?
        .query_row([name.as_str()], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, bool>(2)?,
            ))
        })
        .optional()?;
    let Some((name, kind, without_rowid)) = found else {
        return Ok(Found::Missing);
    };
    let refused = |why: &str| Ok(Found::Refused(why.to_owned()));
    match kind.as_str() {
        "view" => return refused("it is a view; watch the tables that it reads"),
        "virtual" => return refused("SQLite has no triggers on virtual tables"),
        "shadow" => return refused("it belongs to a virtual table"),
        _ => {}
    }
    if name.starts_with("sqlite_") || is_ours(&name) {
        return refused("it is an internal table");
    }
    describe(conn, name, without_rowid)
}

fn describe(conn: &Connection, name: String, without_rowid: bool) -> rusqlite::Result<Found> {
    let mut columns = Vec::new();
    let mut key = Vec::new();
    let mut statement =
        conn.prepare_cached("SELECT name, pk, hidden FROM pragma_table_xinfo(?1) ORDER BY cid")?;
    let mut rows = statement.query([&name])?;
    while let Some(row) = rows.next()? {
        let place: i64 = row.get(1)?;
        if place > 0 {
            key.push((place, columns.len()));
        }
        columns.push(Column {
            name: row.get(0)?,
            computed: row.get::<_, i64>(2)? == 2,
        });
    }
    key.sort_unstable();
    let locator = if without_rowid {
        Locator::Key
    } else {
        let taken = |alias: &str| {
            columns
                .iter()
                .any(|column| column.name.eq_ignore_ascii_case(alias))
        };
        match ["rowid", "_rowid_", "oid"]
            .into_iter()
            .find(|alias| !taken(alias))
        {
            Some(alias) => Locator::Rowid(alias),
            None => {
                return Ok(Found::Refused(
                    "its columns take all three names of the rowid (rowid, _rowid_, oid): \
                     rename one of them"
                        .to_owned(),
                ));
            }
        }
    };
    Ok(Found::Table(Table {
        unique: unique(conn, &name)?,
        name,
        columns,
        key: key.into_iter().map(|(_, at)| at).collect(),
        locator,
    }))
}

/// What must be unique by an index over plain columns of all rows. Indexes over expressions and
/// partial ones are left out: a trigger could not look into them without a scan.
fn unique(conn: &Connection, table: &str) -> rusqlite::Result<Vec<Vec<UniqueColumn>>> {
    let mut all = Vec::new();
    let mut indexes = conn.prepare_cached(
        "SELECT name FROM pragma_index_list(?1) WHERE \"unique\" AND NOT partial ORDER BY name",
    )?;
    let mut columns = conn.prepare_cached(
        "SELECT cid, name, coll FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno",
    )?;
    let names = indexes
        .query_map([table], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for index in names {
        let mut rows = columns.query([&index])?;
        let mut set = Some(Vec::new());
        while let Some(row) = rows.next()? {
            if row.get::<_, i64>(0)? < 0 {
                set = None;
                break;
            }
            if let Some(set) = &mut set {
                set.push(UniqueColumn {
                    name: row.get(1)?,
                    collation: row.get(2)?,
                });
            }
        }
        all.extend(set.filter(|set| !set.is_empty()));
    }
    Ok(all)
}
