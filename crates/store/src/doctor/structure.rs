//! Pages, tables and indexes: what SQLite says of them, and whether they are the ones we make.

use std::collections::{BTreeMap, HashMap};

use rusqlite::Connection;

use super::{
    exam::{Exam, restore_or_salvage},
    report::{Code, Remedy, Step},
    scan,
};
use crate::sqlite::anatomy;

/// What SQLite's own check says at most.
const MOST_LINES: usize = 200;

/// What a rebuild does.
const REBUILD: &str = "write the tables anew with fresh indexes; the old file is kept beside it";

/// Checks the database as SQLite sees it.
pub(super) fn check(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    exam.tell(Step::Structure, 0, None);
    tables(exam)?;
    pages(exam)
}

/// The tables and indexes by name; those of repeated keys come and go, and are told by their name.
type Shape = BTreeMap<String, (String, String)>;

fn shape(conn: &Connection) -> rusqlite::Result<Shape> {
    let mut statement = conn.prepare(
        "SELECT name, type, coalesce(sql, '') FROM sqlite_schema WHERE name NOT LIKE 'sqlite\\_%' \
         ESCAPE '\\' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

/// Whether a table holds keys of outside events for a time, and nothing else.
fn is_dedup(name: &str, sql: &str) -> bool {
    let numbers = name.strip_prefix("dedup_").and_then(|rest| {
        let (class, n) = rest.split_once('_')?;
        Some(class.parse::<u32>().is_ok() && n.parse::<i64>().is_ok())
    });
    let columns = [
        "trigger INTEGER",
        "key BLOB",
        "until INTEGER",
        "PRIMARY KEY (trigger, key)",
    ];
    numbers == Some(true) && columns.iter().all(|column| sql.contains(column))
}

fn tables(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    if exam.report.format != anatomy::FORMAT {
        return Ok(());
    }
    let mut expected = shape(&anatomy::model()?)?;
    for (name, (kind, sql)) in shape(exam.conn)? {
        match expected.remove(&name) {
            Some((_, made)) if words(&made) == words(&sql) => {}
            Some(_) => wrong(exam, &kind, &name, "is not the one that this version makes"),
            None if is_dedup(&name, &sql) => {}
            None => exam.add(
                Code::ForeignTable,
                format!("{kind} {name}"),
                "it is none of ours",
                "nothing uses it; a trigger among them could change what we write",
                match kind.as_str() {
                    "trigger" => Remedy::Person(format!(
                        "find out who made it, and drop it: sqlite3 store.db 'DROP TRIGGER {name}'"
                    )),
                    _ => Remedy::None,
                },
            ),
        }
    }
    for (name, (kind, _)) in expected {
        if kind == "index" {
            exam.add(
                Code::IndexDamaged,
                format!("index {name}"),
                "it is not there",
                "what it is for gets slow, or fails",
                Remedy::Repair(REBUILD.to_owned()),
            );
        } else {
            wrong(exam, &kind, &name, "is not there");
        }
    }
    Ok(())
}

/// A statement without the spaces that do not matter.
fn words(sql: &str) -> Vec<&str> {
    sql.split_whitespace().collect()
}

fn wrong(exam: &mut Exam<'_>, kind: &str, name: &str, what: &str) {
    exam.add(
        Code::TableMissing,
        format!("{kind} {name}"),
        format!("{kind} `{name}` {what}"),
        "what needs it fails, and further checks make no sense",
        restore_or_salvage(),
    );
}

fn pages(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let roots = roots(exam.conn)?;
    let mut statement = exam
        .conn
        .prepare(&format!("PRAGMA integrity_check({MOST_LINES})"))?;
    let mut lines = Vec::new();
    for line in statement.query_map([], |row| row.get::<_, String>(0))? {
        match line {
            Ok(line) => lines.push(line),
            // It has said what is damaged, and cannot go on because of that.
            Err(error) if scan::is_damage(&error) && !lines.is_empty() => break,
            Err(error) => return Err(error),
        }
    }
    // A message may have several lines.
    for line in lines.iter().flat_map(|text| text.lines()) {
        if line != "ok" && !line.starts_with("*** in database") {
            tell(exam, &roots, line);
        }
    }
    Ok(())
}

/// Which tree begins at which page, and whether it is an index.
fn roots(conn: &Connection) -> rusqlite::Result<HashMap<u32, (String, bool)>> {
    let mut statement = conn
        .prepare("SELECT rootpage, name, type = 'index' FROM sqlite_schema WHERE rootpage > 0")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, (row.get(1)?, row.get(2)?))))?;
    rows.collect()
}

fn tell(exam: &mut Exam<'_>, roots: &HashMap<u32, (String, bool)>, line: &str) {
    let tree = line
        .strip_prefix("Tree ")
        .and_then(|rest| rest.split(' ').next()?.parse().ok())
        .and_then(|root: u32| roots.get(&root));
    let (place, of_index) = match tree {
        Some((name, is_index)) => (name.clone(), *is_index),
        None => (anatomy::FILE.to_owned(), is_of_index(line)),
    };
    if of_index {
        exam.add(
            Code::IndexDamaged,
            place,
            line,
            "what looks through this index may miss rows or fail; the rows are in their table",
            Remedy::Repair(REBUILD.to_owned()),
        );
    } else if line.contains("never used") || line.starts_with("Freelist") {
        exam.add(
            Code::PageDamaged,
            place,
            line,
            "room in the file that is not used; no data is in it",
            Remedy::Repair(REBUILD.to_owned()),
        );
    } else {
        exam.add(
            Code::PageDamaged,
            place,
            line,
            "what is on this page cannot be read; the rest works",
            restore_or_salvage(),
        );
    }
}

/// Whether a line that names no tree is about an index.
fn is_of_index(line: &str) -> bool {
    line.contains("missing from index")
        || line.contains("entries in index")
        || line.contains("entry in index")
        || line.contains("of index ")
        || line.contains("from index")
}
