//! Keeps the triggers of the watched tables what they should be.

use std::collections::{BTreeMap, HashSet};

use rusqlite::{Connection, Transaction, TransactionBehavior, params};
use wakeful_core::name::TableName;

use super::{
    super::names::{Names, OURS, ident},
    layout::Layout,
    table::{self, Found},
    triggers,
};
use crate::capture::{CaptureHandle, Kinds, Watched};

/// Counts up when what the triggers write changes, so that older ones are made anew.
const GENERATION: u32 = 1;

/// How a watched table stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// Its triggers are there.
    Captured(Renewal),
    /// There is no such table.
    Missing,
    /// It cannot be captured.
    Refused(String),
}

/// What had to be done for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewal {
    /// Nothing.
    None,
    /// It had no triggers.
    First,
    /// Its triggers were made anew; with a gap when some had been dropped.
    Again { gap: bool },
}

/// An installed layout.
#[derive(Debug, Clone)]
struct Installed {
    id: i64,
    fingerprint: String,
}

/// What should be installed for a table.
struct Wanted {
    table: table::Table,
    layout: Layout,
    kinds: Kinds,
    fingerprint: String,
    suffixes: Vec<&'static str>,
}

/// Brings the triggers in line with `watched`. Writes only when something differs.
pub(super) fn reconcile(
    conn: &mut Connection,
    names: &Names,
    watched: &Watched,
) -> rusqlite::Result<BTreeMap<TableName, Standing>> {
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Deferred)?;
    if let Some(standings) = unchanged(&tx, names, watched)? {
        return Ok(standings);
    }
    drop(tx);
    let tx = Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
    let standings = renew(&tx, names, watched)?;
    tx.commit()?;
    Ok(standings)
}

/// The same within a transaction that changed the schema, such as a migration of the user's.
/// That must not fail because of us: what does not work now is done once it is committed.
pub(crate) fn renew_within(conn: &Connection, capture: &CaptureHandle) {
    let names = Names::of(&capture.scope, &capture.database);
    let watched = capture.tables.borrow().clone();
    let attempt = || -> rusqlite::Result<()> {
        if !is_prepared(conn, &names)? {
            return Ok(());
        }
        conn.execute_batch("SAVEPOINT wakeful_renew")?;
        let renewed = match unchanged(conn, &names, &watched) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => renew(conn, &names, &watched).map(|_| ()),
            Err(error) => Err(error),
        };
        if renewed.is_err() {
            conn.execute_batch("ROLLBACK TO wakeful_renew")?;
        }
        conn.execute_batch("RELEASE wakeful_renew")?;
        renewed
    };
    if let Err(error) = attempt() {
        tracing::warn!(database = %capture.database, %error,
            "capture could not be renewed within a migration; it is right after it");
    }
}

/// Whether our tables are there.
pub(super) fn is_prepared(conn: &Connection, names: &Names) -> rusqlite::Result<bool> {
    let known = "SELECT count(*) FROM sqlite_schema WHERE type = 'table' \
                 AND name IN (?1, ?2, ?3, ?4, ?5)";
    let there: i64 = conn.query_row(known, names.table_names(), |row| row.get(0))?;
    Ok(there == 5)
}

/// How the tables stand, when nothing needs to be written.
fn unchanged(
    conn: &Connection,
    names: &Names,
    watched: &Watched,
) -> rusqlite::Result<Option<BTreeMap<TableName, Standing>>> {
    let installed = installed(conn, names)?;
    let mut ours = trigger_names(conn, names)?;
    let mut standings = BTreeMap::new();
    let mut live = 0;
    for (name, kinds) in watched {
        let standing = match want(conn, names, name, *kinds)? {
            Err(standing) => standing,
            Ok(wanted) => {
                let Some(now) = installed.get(name.as_str()) else {
                    return Ok(None);
                };
                live += 1;
                if now.fingerprint != wanted.fingerprint
                    || !take_triggers(&mut ours, names, now.id, &wanted)
                    || !first_in_line(conn, names, &wanted.table.name)?
                {
                    return Ok(None);
                }
                Standing::Captured(Renewal::None)
            }
        };
        standings.insert(name.clone(), standing);
    }
    let nothing_left_over = ours.is_empty() && live == installed.len();
    Ok(nothing_left_over.then_some(standings))
}

fn renew(
    conn: &Connection,
    names: &Names,
    watched: &Watched,
) -> rusqlite::Result<BTreeMap<TableName, Standing>> {
    let installed = installed(conn, names)?;
    let mut ours = trigger_names(conn, names)?;
    let mut standings = BTreeMap::new();
    let mut kept = HashSet::new();
    for (name, kinds) in watched {
        let standing = match want(conn, names, name, *kinds)? {
            Err(standing) => standing,
            Ok(wanted) => {
                let now = installed.get(name.as_str());
                let whole = now.is_some_and(|now| has_triggers(&ours, names, now.id, &wanted));
                let same = now.is_some_and(|now| now.fingerprint == wanted.fingerprint);
                if let Some(now) = now
                    && whole
                    && same
                    && first_in_line(conn, names, &wanted.table.name)?
                {
                    take_triggers(&mut ours, names, now.id, &wanted);
                    kept.insert(now.id);
                    Standing::Captured(Renewal::None)
                } else {
                    let had_some = now.is_some_and(|now| {
                        let prefix = names.triggers_of(now.id);
                        ours.iter().any(|trigger| trigger.starts_with(&prefix))
                    });
                    match install(conn, names, &wanted)? {
                        Ok(id) => {
                            kept.insert(id);
                            Standing::Captured(match now {
                                None => Renewal::First,
                                Some(_) => Renewal::Again { gap: !had_some },
                            })
                        }
                        Err(why) => Standing::Refused(why),
                    }
                }
            }
        };
        standings.insert(name.clone(), standing);
    }
    for trigger in ours {
        conn.execute_batch(&format!("DROP TRIGGER IF EXISTS {}", ident(&trigger)))?;
    }
    for old in installed.values().filter(|old| !kept.contains(&old.id)) {
        conn.execute(
            &format!("UPDATE {} SET live = 0 WHERE id = ?1", names.layouts()),
            [old.id],
        )?;
    }
    Ok(standings)
}

/// What should be there for a table; or how it stands when nothing can be.
fn want(
    conn: &Connection,
    names: &Names,
    name: &TableName,
    kinds: Kinds,
) -> rusqlite::Result<Result<Wanted, Standing>> {
    let table = match table::find(conn, name)? {
        Found::Table(table) => table,
        Found::Missing => return Ok(Err(Standing::Missing)),
        Found::Refused(why) => return Ok(Err(Standing::Refused(why))),
    };
    let layout = Layout::of(&table, name.as_str());
    let triggers = triggers::triggers(names, &table, &layout, kinds, 0);
    let mut hash = Fnv::new(GENERATION);
    for trigger in &triggers {
        hash.add(trigger.sql.as_bytes());
    }
    Ok(Ok(Wanted {
        fingerprint: hash.text(),
        suffixes: triggers.iter().map(|trigger| trigger.suffix).collect(),
        table,
        layout,
        kinds,
    }))
}

/// Makes the triggers of a table; its number, or SQLite's reason why it will not have them.
fn install(
    conn: &Connection,
    names: &Names,
    wanted: &Wanted,
) -> rusqlite::Result<Result<i64, String>> {
    let layout = serde_json::to_string(&wanted.layout)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
    conn.execute_batch("SAVEPOINT wakeful_install")?;
    let id = unused(conn, names)?;
    conn.execute(
        &format!(
            "INSERT INTO {}(id, tbl, live, fingerprint, layout) VALUES (?1, ?2, 1, ?3, ?4)",
            names.layouts()
        ),
        params![id, wanted.layout.table, wanted.fingerprint, layout],
    )?;
    for trigger in triggers::triggers(names, &wanted.table, &wanted.layout, wanted.kinds, id) {
        if let Err(error) = conn.execute_batch(&trigger.sql) {
            if !super::trouble::is_about_sql(&error) {
                return Err(error);
            }
            conn.execute_batch("ROLLBACK TO wakeful_install; RELEASE wakeful_install")?;
            return Ok(Err(format!("SQLite refuses a trigger on it: {error}")));
        }
    }
    conn.execute_batch("RELEASE wakeful_install")?;
    Ok(Ok(id))
}

/// A number that no layout, change or trigger has, also when someone emptied the table of
/// layouts together with SQLite's own of the numbers it gave out.
fn unused(conn: &Connection, names: &Names) -> rusqlite::Result<i64> {
    let sql = format!(
        "SELECT max(coalesce((SELECT max(id) FROM {layouts}), 0), \
         coalesce((SELECT max(layout) FROM {}), 0), \
         coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = ?1), 0))",
        names.outbox(),
        layouts = names.layouts(),
    );
    let [_, layouts, ..] = names.table_names();
    let known: i64 = conn.query_row(&sql, [layouts], |row| row.get(0))?;
    let prefix = names.triggers();
    let of_triggers = trigger_names(conn, names)?
        .into_iter()
        .filter_map(|name| {
            let (number, _) = name.strip_prefix(&prefix)?.split_once('.')?;
            number.parse::<i64>().ok()
        })
        .max();
    Ok(known.max(of_triggers.unwrap_or(0)) + 1)
}

/// The layouts whose triggers should be there, by table.
fn installed(conn: &Connection, names: &Names) -> rusqlite::Result<BTreeMap<String, Installed>> {
    let mut statement = conn.prepare(&format!(
        "SELECT tbl, id, fingerprint FROM {} WHERE live",
        names.layouts()
    ))?;
    let rows = statement.query_map([], |row| {
        Ok((
            row.get(0)?,
            Installed {
                id: row.get(1)?,
                fingerprint: row.get(2)?,
            },
        ))
    })?;
    rows.collect()
}

/// The triggers of ours that are there, each as its name.
fn trigger_names(conn: &Connection, names: &Names) -> rusqlite::Result<HashSet<String>> {
    let prefix = names.triggers();
    let mut statement =
        conn.prepare_cached("SELECT name FROM sqlite_schema WHERE type = 'trigger'")?;
    let all = statement.query_map([], |row| row.get::<_, String>(0))?;
    all.filter(|name| name.as_ref().map_or(true, |name| name.starts_with(&prefix)))
        .collect()
}

/// Whether all triggers of a layout are there, and no other ones under its number.
fn has_triggers(ours: &HashSet<String>, names: &Names, id: i64, wanted: &Wanted) -> bool {
    let prefix = names.triggers_of(id);
    let expected = wanted
        .suffixes
        .iter()
        .map(|suffix| format!("{prefix}{suffix}"));
    expected.clone().all(|name| ours.contains(&name))
        && ours.iter().filter(|name| name.starts_with(&prefix)).count() == expected.count()
}

/// The same, and takes them out.
fn take_triggers(ours: &mut HashSet<String>, names: &Names, id: i64, wanted: &Wanted) -> bool {
    let all = has_triggers(ours, names, id, wanted);
    if all {
        let prefix = names.triggers_of(id);
        ours.retain(|name| !name.starts_with(&prefix));
    }
    all
}

/// Whether our triggers on a table are newer than the user's. SQLite runs the newest first, and
/// a change must be recorded before what the user's triggers make of it.
fn first_in_line(conn: &Connection, names: &Names, table: &str) -> rusqlite::Result<bool> {
    let prefix = names.triggers();
    let mut statement = conn.prepare_cached(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE \
         ORDER BY rowid DESC",
    )?;
    let mut newest_first = statement.query([table])?;
    let mut met_the_users = false;
    while let Some(row) = newest_first.next()? {
        let name: String = row.get(0)?;
        if !name.starts_with(OURS) {
            met_the_users = true;
        } else if met_the_users && name.starts_with(&prefix) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// FNV-1a over 64 bits: stored, so it must stay the same in every version.
struct Fnv(u64);

impl Fnv {
    fn new(generation: u32) -> Self {
        let mut hash = Self(0xcbf2_9ce4_8422_2325);
        hash.add(&generation.to_le_bytes());
        hash
    }

    fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn text(&self) -> String {
        format!("{:016x}", self.0)
    }
}
