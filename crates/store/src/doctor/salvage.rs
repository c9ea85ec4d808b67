//! Saving what can be read of a damaged folder into a new one, and naming what was lost.
//!
//! Rows are copied one by one, around pages that cannot be read; what follows from them (indexes,
//! counters, lanes) is made anew. The damaged folder is not touched.

use std::{fs, path::Path};

use rusqlite::{Connection, params_from_iter, types::Value};
use wakeful_core::{
    id::{EventId, RunId},
    port::BlobId,
    time::Timestamp,
};

use super::{
    Watch, around, events, hold,
    objects::{self, FOLDER},
    repair,
    report::{
        Checked, Code, Depth, DoctorError, Finding, Progress, Remedy, Report, Salvaged, Step,
    },
    scan::{self, Met},
};
use crate::sqlite::{
    anatomy::{self, Stored},
    folder as files,
};

/// Rows that one transaction copies.
const BATCH: u64 = 5_000;

/// Copies what can be read of `folder` into `into`, which is empty or does not exist. Blocks.
pub fn salvage(
    folder: &Path,
    into: &Path,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Salvaged, DoctorError> {
    let _lock = hold(folder)?;
    let doing = format!("reading {}", folder.join(anatomy::FILE).display());
    let from = anatomy::open_reader(&folder.join(anatomy::FILE))
        .map_err(|cause| DoctorError::failed(&doing, cause))?;
    let format = anatomy::format(&from).map_err(|cause| DoctorError::failed(&doing, cause))?;
    if format != anatomy::FORMAT {
        let cause = format!(
            "it has format {format}, and only format {} can be salvaged: use the version of \
             Wakeful that wrote it",
            anatomy::FORMAT
        );
        return Err(DoctorError::failed(doing, cause));
    }
    make_empty(into)?;
    let made = |cause: &dyn std::fmt::Display| DoctorError::failed("making the new folder", cause);
    let _new = anatomy::lock(into).map_err(|error| made(&error))?;
    let mut to = anatomy::open_writer(&into.join(anatomy::FILE)).map_err(|cause| made(&cause))?;
    anatomy::begin(&mut to).map_err(|cause| made(&cause))?;
    let mut report = Report::new(folder.to_owned(), Depth::Normal);
    let mut rescue = Rescue {
        from: &from,
        to: &to,
        report: &mut report,
        keep: Keep::Whole,
        watch,
    };
    rescue
        .all(now)
        .map_err(|error| DoctorError::failed("copying rows", error))?;
    let checked = rescue.files(folder, into)?;
    let seq = anatomy::count(&to, "SELECT seq FROM counters").map_err(|error| made(&error))?;
    to.close().map_err(|(_, error)| made(&error))?;
    anatomy::set_mark(into, seq)
        .and_then(|()| files::sync(into))
        .map_err(|error| made(&error))?;
    Ok(Salvaged {
        kept: checked,
        lost: report.findings,
        more: report.more,
    })
}

/// Makes `folder`, or sees that nothing is in it.
fn make_empty(folder: &Path) -> Result<(), DoctorError> {
    let failed = |error| DoctorError::failed(format!("making {}", folder.display()), error);
    files::create(folder).map_err(failed)?;
    if fs::read_dir(folder).map_err(failed)?.next().is_some() {
        return Err(DoctorError::Occupied {
            folder: folder.display().to_string(),
        });
    }
    Ok(())
}

/// Copies all tables of `from` to `to`, which has the tables of the newest format and no rows,
/// without a look at any index; replies what could not be copied. Nothing is left out because of
/// what it says.
pub(super) fn copy_tables(
    from: &Connection,
    to: &Connection,
    watch: Watch<'_>,
) -> rusqlite::Result<Vec<Finding>> {
    let mut report = Report::new(std::path::PathBuf::new(), Depth::Normal);
    let mut rescue = Rescue {
        from,
        to,
        report: &mut report,
        keep: Keep::All,
        watch,
    };
    rescue.tables()?;
    Ok(report.findings)
}

/// Which events are copied.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// All that can be read.
    All,
    /// Those whose bytes are as they were written.
    Whole,
}

struct Rescue<'a> {
    from: &'a Connection,
    to: &'a Connection,
    report: &'a mut Report,
    keep: Keep,
    watch: Watch<'a>,
}

impl Rescue<'_> {
    fn tables(&mut self) -> rusqlite::Result<()> {
        for (name, sql) in tables(self.from, self.to)? {
            if name.starts_with("dedup_") {
                self.to.execute_batch(&sql)?;
            }
            self.to.execute_batch("BEGIN")?;
            match by_id(self.to, &name)? {
                true => self.rows(&name)?,
                false => self.ends(&name)?,
            }
            self.to.execute_batch("COMMIT")?;
        }
        Ok(())
    }

    fn all(&mut self, now: Timestamp) -> rusqlite::Result<()> {
        self.tables()?;
        let first_now = EventId::first_at(now).raw();
        self.to.execute_batch("BEGIN")?;
        // Ids of what was lost are not given out again.
        self.to.execute(
            "UPDATE counters SET greatest = max(greatest, ?1), seq = seq + 1, epoch = epoch + 1",
            [first_now],
        )?;
        repair::bury_without_event(self.to, now)?;
        repair::recount(self.to)?;
        self.to.execute_batch("COMMIT")
    }

    /// A table with ids, around what cannot be read.
    fn rows(&mut self, table: &str) -> rusqlite::Result<()> {
        let columns = columns(self.to, table)?;
        let width = columns.len();
        let mut insert = self.to.prepare(&insert(table, &columns))?;
        let (mut done, mut lost) = (0, Vec::new());
        let (to, watch) = (self.to, &mut self.watch);
        let only_whole = table == "events" && self.keep == Keep::Whole;
        scan::rows(self.from, table, &columns.join(", "), |met| {
            let row = match met {
                Met::Gap(after, before) => {
                    lost.push(gap(table, after, before));
                    return Ok(());
                }
                Met::Row(row) => row,
            };
            let id: i64 = row.get(0)?;
            if only_whole && !matches!(events::read(row), Stored::Whole(_)) {
                let place = EventId::from_raw(id).to_string();
                lost.push(finding(Code::EventDamaged, place, "its bytes are damaged"));
                return Ok(());
            }
            let values: Vec<Value> = (0..width).map(|at| row.get(at)).collect::<Result<_, _>>()?;
            if let Err(error) = insert.execute(params_from_iter(values)) {
                let place = format!("{table} {id}");
                lost.push(finding(Code::DeliveryDamaged, place, &error.to_string()));
            }
            done += 1;
            if done % BATCH == 0 {
                to.execute_batch("COMMIT; BEGIN")?;
                tell(watch, done);
            }
            Ok(())
        })?;
        for finding in lost {
            self.report.add(finding);
        }
        Ok(())
    }

    /// A table without ids: from its beginning and from its end, as far as each can be read.
    fn ends(&mut self, table: &str) -> rusqlite::Result<()> {
        let columns = columns(self.to, table)?;
        let width = columns.len();
        let mut insert = self.to.prepare(&insert(table, &columns))?;
        let keys = keys(self.to, table)?;
        for order in ["ASC", "DESC"] {
            let by: Vec<String> = keys.iter().map(|key| format!("{key} {order}")).collect();
            let (columns, by) = (columns.join(", "), by.join(", "));
            let sql = format!("SELECT {columns} FROM {table} ORDER BY {by}");
            let copied = (|| {
                let mut statement = self.from.prepare(&sql)?;
                let mut rows = statement.query([])?;
                while let Some(row) = rows.next()? {
                    let values: Vec<Value> =
                        (0..width).map(|at| row.get(at)).collect::<Result<_, _>>()?;
                    insert.execute(params_from_iter(values))?;
                }
                Ok(())
            })();
            match copied {
                Ok(()) => break,
                Err(error) if scan::is_damage(&error) && order == "ASC" => {
                    self.report.add(finding(
                        Code::PageDamaged,
                        table.to_owned(),
                        "a page cannot be read: what was on it is lost",
                    ));
                }
                Err(error) if scan::is_damage(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Copies the files of objects, the vault and the history.
    fn files(&mut self, folder: &Path, into: &Path) -> Result<Checked, DoctorError> {
        let failed = |error: rusqlite::Error| DoctorError::failed("reading the saved rows", error);
        let scratch = objects::scratch().map_err(failed)?;
        objects::needed(self.to, &scratch).map_err(failed)?;
        let mut checked = Checked::default();
        let mut statement = scratch
            .prepare("SELECT id, place FROM needed ORDER BY id")
            .map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            let id = row.get(0).map(BlobId).map_err(failed)?;
            let place: String = row.get(1).map_err(failed)?;
            let name = Path::new(FOLDER).join(id.file());
            match copy(&folder.join(&name), &into.join(&name)) {
                Ok(_) => checked.blobs += 1,
                Err(error) => {
                    let what = format!("{}: {error}", name.display());
                    self.report.add(finding(Code::BlobMissing, place, &what));
                }
            }
        }
        for name in around::VAULT {
            let _ = copy(&folder.join(name), &into.join(name));
        }
        for path in &around::with_companions(Path::new(around::HISTORY))[..2] {
            let _ = copy(&folder.join(path), &into.join(path));
        }
        let count = |table: &str| -> Result<u64, DoctorError> {
            anatomy::count(self.to, &format!("SELECT count(*) FROM {table}")).map_err(failed)
        };
        checked.events = count("events")?;
        checked.deliveries = count("deliveries")?;
        checked.objects = count("objects")?;
        Ok(checked)
    }
}

fn tell(watch: &mut Watch<'_>, done: u64) {
    watch(Progress {
        step: Step::Repair,
        done,
        total: None,
    });
}

/// The tables to copy, each with the statement that makes it.
fn tables(from: &Connection, to: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let sql = "SELECT name, sql FROM sqlite_schema WHERE type = 'table' \
               AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let list = |conn: &Connection| -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = conn.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let ours = list(to)?;
    let known =
        |name: &str| name.starts_with("dedup_") || ours.iter().any(|(known, _)| known == name);
    Ok(list(from)?
        .into_iter()
        .filter(|(name, _)| known(name))
        .collect())
}

/// Whether the table goes by an id of its rows.
fn by_id(conn: &Connection, table: &str) -> rusqlite::Result<bool> {
    let sql = "SELECT 1 FROM pragma_table_info(?1) WHERE cid = 0 AND name = 'id' AND pk = 1 \
               AND type = 'INTEGER'";
    conn.prepare(sql)?.exists([table])
}

/// The columns that are kept; those that follow from others are not.
fn columns(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1) ORDER BY cid";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([table], |row| row.get(0))?;
    rows.collect()
}

fn keys(conn: &Connection, table: &str) -> rusqlite::Result<Vec<String>> {
    let sql = "SELECT name FROM pragma_table_info(?1) WHERE pk > 0 ORDER BY pk";
    let mut statement = conn.prepare(sql)?;
    let rows = statement.query_map([table], |row| row.get(0))?;
    rows.collect()
}

fn insert(table: &str, columns: &[String]) -> String {
    let marks = vec!["?"; columns.len()].join(", ");
    format!(
        "INSERT OR REPLACE INTO {table} ({}) VALUES ({marks})",
        columns.join(", ")
    )
}

fn gap(table: &str, after: i64, before: Option<i64>) -> Finding {
    let shown = |id: i64| match table {
        "events" => EventId::from_raw(id.max(0)).to_string(),
        "deliveries" => RunId::from_raw(id.max(0)).to_string(),
        _ => id.to_string(),
    };
    let place = match before {
        Some(before) => format!("{table} after {}, before {}", shown(after), shown(before)),
        None => format!("{table} after {}", shown(after)),
    };
    finding(Code::PageDamaged, place, "a page cannot be read")
}

fn finding(code: Code, place: String, what: &str) -> Finding {
    Finding {
        code,
        place,
        what: what.to_owned(),
        consequence: "it is not in the new folder".to_owned(),
        remedy: Remedy::Person("restore a backup if it matters".to_owned()),
    }
}

/// Copies one file, and makes the folder it goes to.
fn copy(from: &Path, to: &Path) -> std::io::Result<u64> {
    if let Some(parent) = to.parent() {
        files::create(parent)?;
    }
    fs::copy(from, to)
}
