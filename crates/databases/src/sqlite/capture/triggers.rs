//! The triggers that record changes, as SQL.
//!
//! A trigger runs inside the user's own statement, on whatever SQLite version their program
//! brings, so it must not be able to fail, and must not stand in the way of their migrations:
//!
//! - Values are copied as they are, into columns without a type; nothing is converted to JSON,
//!   which fails on blobs, or joined to one text, which meets limits. A row with many columns is
//!   spread over several rows of the outbox. Values too long to be carried are replaced by their
//!   length.
//! - `ALTER TABLE … DROP COLUMN` refuses to drop a column that a trigger names, because the name
//!   would no longer resolve. Ours does: every value is read as `(SELECT new."c")` from within
//!   `FROM (SELECT NULL AS "c") AS new`. Names are looked up from the inside out, so the
//!   innermost level finds the real `new` while the column is there, and the stand-in, NULL,
//!   once it is gone.
//! - No statement here can violate a constraint: the conflict clause of the user's statement
//!   would take the place of ours.
//! - `INSERT OR REPLACE` deletes the rows in its way without running delete triggers. So before
//!   each insert and update, the rows that it might replace are set aside, and after it those
//!   that are gone are recorded as deleted.
//!
//! Only what SQLite 3.15 knows is used.

use wakeful_core::{event::RowVerb, limits};

use super::{
    super::names::{Names, ident},
    layout::{CHUNK, Image, Layout, Slot, verb_number},
    table::{Locator, Table},
};
use crate::capture::Kinds;

/// Columns of a primary key by which a table of replaced rows can find them again.
const MAX_LOCATOR: usize = 8;
/// Now, in milliseconds since 1970, in words that old versions understand.
const NOW: &str = "CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)";

/// A trigger's SQL.
pub(super) struct Trigger {
    /// What its name ends with.
    pub(super) suffix: &'static str,
    /// The statement that creates it.
    pub(super) sql: String,
}

/// The statements that create our own tables; each harmless when the table is there.
pub(super) fn tables(names: &Names) -> [String; 5] {
    let values = value_columns(CHUNK);
    let keys = key_columns("k", MAX_LOCATOR).join(", ");
    [
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, layout, verb, \
             at, image, rest, big, {values})",
            names.outbox()
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY AUTOINCREMENT, tbl, live, \
             fingerprint, layout)",
            names.layouts()
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (key TEXT PRIMARY KEY, value)",
            names.meta()
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY, layout, {keys}, rest, big, \
             {values})",
            names.replaced()
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS {} (id INTEGER PRIMARY KEY, layout, {keys})",
            names.candidates()
        ),
    ]
}

/// The triggers for `kinds` of changes of `table`, under the number `id` of their layout.
pub(super) fn triggers(
    names: &Names,
    table: &Table,
    layout: &Layout,
    kinds: Kinds,
    id: i64,
) -> Vec<Trigger> {
    Writer {
        names,
        table,
        layout,
        id,
        target: ident(&table.name),
    }
    .all(kinds)
}

struct Writer<'a> {
    names: &'a Names,
    table: &'a Table,
    layout: &'a Layout,
    id: i64,
    target: String,
}

impl Writer<'_> {
    fn all(&self, kinds: Kinds) -> Vec<Trigger> {
        let replaces = kinds.contains(RowVerb::Delete) && self.locator().len() <= MAX_LOCATOR;
        let mut all = Vec::new();
        if replaces {
            for (verb, suffix) in [
                (RowVerb::Insert, "before_insert"),
                (RowVerb::Update, "before_update"),
            ] {
                let mut body = vec![self.clear()];
                body.extend(self.set_aside(verb));
                all.push(self.trigger(suffix, "BEFORE", verb, body));
            }
        }
        for (verb, suffix) in [
            (RowVerb::Insert, "insert"),
            (RowVerb::Update, "update"),
            (RowVerb::Delete, "delete"),
        ] {
            let mut body = Vec::new();
            if replaces && verb != RowVerb::Delete {
                body.push(self.record_replaced());
            }
            if kinds.contains(verb) {
                body.extend(self.record(verb));
            }
            if replaces {
                body.push(match verb {
                    RowVerb::Delete => self.clear_deleted(),
                    _ => self.clear(),
                });
            }
            if !body.is_empty() {
                all.push(self.trigger(suffix, "AFTER", verb, body));
            }
        }
        all
    }

    fn trigger(
        &self,
        suffix: &'static str,
        when: &str,
        verb: RowVerb,
        body: Vec<String>,
    ) -> Trigger {
        let name = ident(&format!("{}{suffix}", self.names.triggers_of(self.id)));
        let event = verb.as_str().to_uppercase();
        Trigger {
            suffix,
            sql: format!(
                "CREATE TRIGGER {name} {when} {event} ON {} FOR EACH ROW BEGIN {} END",
                self.target,
                body.join(" ")
            ),
        }
    }

    /// Records a change: the images that its verb has, each over as many rows as it takes.
    fn record(&self, verb: RowVerb) -> Vec<String> {
        let mut rows = Vec::new();
        for image in Image::of(verb) {
            let slots = self.layout.slots(*image);
            for chunk in slots.chunks(CHUNK) {
                rows.push((*image, chunk.to_vec()));
            }
        }
        let count = rows.len();
        rows.into_iter()
            .enumerate()
            .map(|(at, (image, chunk))| {
                let alias = image.alias();
                let reference = |name: &str| format!("{alias}.{name}");
                format!(
                    "INSERT INTO {}(layout, verb, at, image, rest, big, {}) \
                     SELECT {}, {}, {NOW}, {}, {}, (SELECT {}), {} FROM {};",
                    self.names.outbox(),
                    value_columns(chunk.len()),
                    self.id,
                    verb_number(verb),
                    image.number(),
                    count - 1 - at,
                    self.mask(&chunk, &reference),
                    self.values(&chunk, &reference, "(SELECT ", ")"),
                    self.stand_in(&self.names_in(&chunk), alias),
                )
            })
            .collect()
    }

    /// Before an insert or update: copies the rows that it might replace. First their locators are
    /// searched, one search for each thing that must be unique; there are none, nearly always,
    /// and then nothing here opens a temporary table, which would cost more than all the rest.
    fn set_aside(&self, verb: RowVerb) -> Vec<String> {
        let locator = self.locator();
        let keys = key_columns("k", locator.len());
        let same: Vec<_> = locator
            .iter()
            .zip(&keys)
            .map(|(key, k)| format!("y.{key} = r.{k}"))
            .collect();
        let earlier: Vec<_> = keys.iter().map(|k| format!("e.{k} IS r.{k}")).collect();
        let from_row = format!(" FROM {} AS y WHERE {})", self.target, same.join(" AND "));
        let copied = |name: &str| format!("y.{name}");
        let candidates = self.names.candidates();
        let mut body = self.search(verb);
        let slots = self.layout.slots(Image::Before);
        let count = slots.len().div_ceil(CHUNK);
        for (at, chunk) in slots.chunks(CHUNK).enumerate() {
            let values = chunk.iter().map(|slot| {
                let one = [*slot];
                let value = self.values(&one, &copied, "(SELECT ", &from_row);
                let stand_in = self.stand_in(&self.names_in(&one), "y");
                format!("(SELECT {value} FROM {stand_in})")
            });
            let values: Vec<_> = values.collect();
            body.push(format!(
                "INSERT INTO {}(layout, {}, rest, big, {}) SELECT {}, {}, {}, \
                 (SELECT (SELECT {}{from_row} FROM {}), {} FROM {candidates} AS r \
                 WHERE r.layout = {} AND NOT EXISTS (SELECT 1 FROM {candidates} AS e \
                 WHERE e.layout = r.layout AND {} AND e.id < r.id);",
                self.names.replaced(),
                keys.join(", "),
                value_columns(chunk.len()),
                self.id,
                keys.iter()
                    .map(|k| format!("r.{k}"))
                    .collect::<Vec<_>>()
                    .join(", "),
                count - 1 - at,
                self.mask(chunk, &copied),
                self.stand_in(&self.names_in(chunk), "y"),
                values.join(", "),
                self.id,
                earlier.join(" AND "),
            ));
        }
        body.push(format!(
            "DELETE FROM {candidates} WHERE layout = {};",
            self.id
        ));
        body
    }

    /// Searches the rows that have what the new row wants to have; each search finds one at most.
    ///
    /// The table is called `new` there, so that the stand-in of that name catches its columns as
    /// well as those of the new row; what is not qualified is the table's.
    fn search(&self, verb: RowVerb) -> Vec<String> {
        let locator = self.locator();
        let here = locator
            .iter()
            .map(|key| format!("{key} = (SELECT new.{key})"));
        let mut searches = vec![(here.collect::<Vec<_>>(), Vec::new())];
        for set in &self.table.unique {
            let equal = set.iter().map(|column| {
                let name = ident(&column.name);
                format!(
                    "new.{name} = (SELECT new.{name}) COLLATE {}",
                    ident(&column.collation)
                )
            });
            let names = set.iter().map(|column| column.name.as_str());
            searches.push((equal.collect(), names.collect()));
        }
        let itself: Vec<_> = locator
            .iter()
            .map(|key| format!("old.{key} IS {key}"))
            .collect();
        let others = match verb {
            RowVerb::Update => format!(" AND NOT ({})", itself.join(" AND ")),
            _ => String::new(),
        };
        let searches = searches.into_iter().map(|(equal, names)| {
            let found: Vec<_> = locator
                .iter()
                .map(|key| {
                    format!(
                        "(SELECT {key} FROM {} AS new WHERE {}{others})",
                        self.target,
                        equal.join(" AND ")
                    )
                })
                .collect();
            format!(
                "INSERT INTO {}(layout, {}) SELECT {}, {} FROM {} WHERE {} IS NOT NULL;",
                self.names.candidates(),
                key_columns("k", locator.len()).join(", "),
                self.id,
                found.join(", "),
                self.stand_in(&names, "new"),
                found[0],
            )
        });
        searches.collect()
    }

    /// After it: of the rows that were set aside, those that are gone were deleted; also the one
    /// whose place the new row has taken.
    fn record_replaced(&self) -> String {
        let locator = self.locator();
        let keys = key_columns("k", locator.len());
        let pairs = || locator.iter().zip(&keys);
        let there: Vec<_> = pairs().map(|(key, k)| format!("x.{key} = r.{k}")).collect();
        let new: Vec<_> = pairs()
            .map(|(key, k)| format!("new.{key} IS r.{k}"))
            .collect();
        let values = value_columns(CHUNK);
        format!(
            "INSERT INTO {}(layout, verb, at, image, rest, big, {values}) \
             SELECT r.layout, {}, {NOW}, {}, r.rest, r.big, {values} FROM {} AS r \
             WHERE r.layout = {} AND NOT (EXISTS (SELECT 1 FROM {} AS x WHERE {}) \
             AND NOT ({})) ORDER BY {}, r.id;",
            self.names.outbox(),
            verb_number(RowVerb::Delete),
            Image::Before.number(),
            self.names.replaced(),
            self.id,
            self.target,
            there.join(" AND "),
            new.join(" AND "),
            keys.join(", "),
        )
    }

    fn clear(&self) -> String {
        format!(
            "DELETE FROM {} WHERE layout = {};",
            self.names.replaced(),
            self.id
        )
    }

    /// With `recursive_triggers` on, SQLite tells of a replaced row itself.
    fn clear_deleted(&self) -> String {
        let locator = self.locator();
        let keys = key_columns("k", locator.len());
        let same: Vec<_> = locator
            .iter()
            .zip(&keys)
            .map(|(key, k)| format!("old.{key} IS {k}"))
            .collect();
        format!(
            "DELETE FROM {} WHERE layout = {} AND {};",
            self.names.replaced(),
            self.id,
            same.join(" AND ")
        )
    }

    /// What a row is found by, as SQL names.
    fn locator(&self) -> Vec<String> {
        match self.table.locator {
            Locator::Rowid(alias) => vec![alias.to_owned()],
            Locator::Key => {
                let names = self
                    .table
                    .key
                    .iter()
                    .map(|at| &self.table.columns[*at].name);
                names.map(|name| ident(name)).collect()
            }
        }
    }

    fn slot_name(&self, slot: Slot) -> Option<&str> {
        match slot {
            Slot::Column(at) => Some(self.layout.columns[at].name.as_str()),
            Slot::Rowid => None,
        }
    }

    fn names_in(&self, chunk: &[Slot]) -> Vec<&str> {
        chunk
            .iter()
            .filter_map(|slot| self.slot_name(*slot))
            .collect()
    }

    /// Each value of a chunk, or its length when it is too long to be carried.
    fn values(
        &self,
        chunk: &[Slot],
        reference: &dyn Fn(&str) -> String,
        open: &str,
        close: &str,
    ) -> String {
        let limit = limits::MAX_CAPTURED_VALUE;
        let values = chunk.iter().map(|slot| match self.slot_name(*slot) {
            Some(name) => {
                let value = reference(&ident(name));
                format!(
                    "{open}CASE WHEN length({value}) > {limit} THEN length({value}) \
                     ELSE {value} END{close}"
                )
            }
            None => format!("{open}{}{close}", reference(self.rowid())),
        });
        values.collect::<Vec<_>>().join(", ")
    }

    /// A bit for each value of a chunk that is too long to be carried.
    fn mask(&self, chunk: &[Slot], reference: &dyn Fn(&str) -> String) -> String {
        let limit = limits::MAX_CAPTURED_VALUE;
        let bits: Vec<_> = chunk
            .iter()
            .enumerate()
            .filter_map(|(at, slot)| {
                let value = reference(&ident(self.slot_name(*slot)?));
                Some(format!("(ifnull(length({value}) > {limit}, 0) << {at})"))
            })
            .collect();
        if bits.is_empty() {
            "0".to_owned()
        } else {
            bits.join(" | ")
        }
    }

    fn rowid(&self) -> &'static str {
        match self.table.locator {
            Locator::Rowid(alias) => alias,
            Locator::Key => "rowid",
        }
    }

    /// A row of NULLs under the names that may disappear.
    fn stand_in(&self, names: &[&str], alias: &str) -> String {
        let mut names = names.to_vec();
        names.sort_unstable();
        names.dedup();
        let nulls: Vec<_> = names
            .into_iter()
            .map(|name| format!("NULL AS {}", ident(name)))
            .collect();
        if nulls.is_empty() {
            return format!("(SELECT NULL) AS {alias}");
        }
        format!("(SELECT {}) AS {alias}", nulls.join(", "))
    }
}

fn key_columns(letter: &str, count: usize) -> Vec<String> {
    (0..count).map(|at| format!("{letter}{at}")).collect()
}

fn value_columns(count: usize) -> String {
    key_columns("v", count).join(", ")
}
