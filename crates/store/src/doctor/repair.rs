//! Repairs: only what loses nothing, each in one transaction or with the old file kept.
//!
//! A repair is done for a kind of finding, not for the findings that a report happens to list:
//! what it does is worked out anew from what is there.

use std::{
    collections::BTreeSet,
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    path::Path,
};

use rusqlite::{Connection, MAIN_DB, params, wal::CheckpointMode};
use wakeful_core::{delivery::DeadReason, time::Timestamp};

use super::{
    Watch, around, blobs,
    deliveries::{COUNTED, GREATEST, MOST_STATE, NONSENSE, STANDING, unsaid},
    events, hold, lanes, look,
    objects::{self, FOLDER, Known},
    report::{Code, DoctorError, Done, Progress, Remedy, Repaired, Report, Step},
    salvage,
    scan::{self, Met},
};
use crate::sqlite::{
    anatomy::{self, Stored},
    folder as files,
};

/// Deliveries that one transaction makes dead letters of.
const BURY_STEP: usize = 500;

/// Repairs what `report` says can be repaired without loss, and examines the folder again. Blocks.
pub fn repair(
    folder: &Path,
    report: &Report,
    now: Timestamp,
    watch: Watch<'_>,
) -> Result<Repaired, DoctorError> {
    let _lock = hold(folder)?;
    let codes: BTreeSet<Code> = report
        .findings
        .iter()
        .filter(|finding| matches!(finding.remedy, Remedy::Repair(_)))
        .map(|finding| finding.code)
        .collect();
    let mut done = Vec::new();
    if !codes.is_empty() {
        let mut repairs = Repairs {
            folder,
            now,
            done: &mut done,
            watch: &mut *watch,
        };
        repairs.all(&codes)?;
    }
    let left = look(folder, report.depth, now, watch)?;
    Ok(Repaired { done, left })
}

struct Repairs<'a> {
    folder: &'a Path,
    now: Timestamp,
    done: &'a mut Vec<Done>,
    watch: Watch<'a>,
}

impl Repairs<'_> {
    fn all(&mut self, codes: &BTreeSet<Code>) -> Result<(), DoctorError> {
        let has = |code| codes.contains(&code);
        if has(Code::OpenToOthers) {
            fs::set_permissions(self.folder, Permissions::from_mode(0o700))
                .map_err(|error| DoctorError::failed("closing the folder", error))?;
            self.did(
                Code::OpenToOthers,
                "the folder is closed to other users".to_owned(),
            );
        }
        if has(Code::HistoryDamaged) {
            self.set_history_aside()?;
        }
        if has(Code::IndexDamaged) || has(Code::PageDamaged) {
            self.rebuild()?;
        }
        let rows = [
            Code::EventDamaged,
            Code::EventMissing,
            Code::DeliveryDamaged,
            Code::LaneWrong,
            Code::LeftOver,
            Code::GreatestTooSmall,
            Code::CounterWrong,
            Code::PartOrphaned,
            Code::BlobCount,
        ];
        if rows.into_iter().any(has) {
            self.rows(codes)?;
        }
        if has(Code::BlobOrphaned) {
            self.remove_orphans()?;
        }
        if has(Code::MarkMissing) {
            self.write_mark()?;
        }
        Ok(())
    }

    fn did(&mut self, code: Code, what: String) {
        self.done.push(Done { code, what });
        let done = self.done.len() as u64;
        (self.watch)(Progress {
            step: Step::Repair,
            done,
            total: None,
        });
    }

    fn open(&self) -> Result<Connection, DoctorError> {
        anatomy::open_writer(&self.folder.join(anatomy::FILE))
            .map_err(|cause| DoctorError::failed("opening the database", cause))
    }

    fn set_history_aside(&mut self) -> Result<(), DoctorError> {
        let file = self.folder.join(around::HISTORY);
        let ending = format!("damaged-{}", self.now.as_millis());
        for path in around::with_companions(&file) {
            if path.exists() {
                let mut aside = path.clone().into_os_string();
                aside.push(format!(".{ending}"));
                fs::rename(&path, aside)
                    .map_err(|error| DoctorError::failed("setting the history aside", error))?;
            }
        }
        let what = format!(
            "the history is {}.{ending} now; a new one begins",
            around::HISTORY
        );
        self.did(Code::HistoryDamaged, what);
        Ok(())
    }

    /// Writes all tables into a new file with fresh indexes, and puts it in place of the old one.
    fn rebuild(&mut self) -> Result<(), DoctorError> {
        let failed = |error: &dyn std::fmt::Display| {
            DoctorError::failed("writing the tables anew (the old file is untouched)", error)
        };
        let file = self.folder.join(anatomy::FILE);
        let new = self.folder.join("store.db.new");
        for path in around::with_companions(&new) {
            let _ = fs::remove_file(path);
        }
        {
            let old = self.open()?;
            let mut conn = anatomy::open_writer(&new).map_err(|error| failed(&error))?;
            anatomy::begin(&mut conn).map_err(|error| failed(&error))?;
            let lost = salvage::copy_tables(&old, &conn, &mut *self.watch)
                .map_err(|error| failed(&error))?;
            if let Some(first) = lost.first() {
                return Err(failed(&format!("{}: {}", first.place, first.what)));
            }
            complete(conn).map_err(|error| failed(&error))?;
        }
        let aside = format!("{}.damaged-{}", anatomy::FILE, self.now.as_millis());
        let io =
            |error: std::io::Error| DoctorError::failed("putting the new file in place", error);
        fs::File::open(&new)
            .and_then(|file| file.sync_all())
            .map_err(io)?;
        // A link first: at no moment is there no database.
        fs::hard_link(&file, self.folder.join(&aside)).map_err(io)?;
        let [_, log, shared] = around::with_companions(&file);
        if log.exists() {
            fs::rename(&log, self.folder.join(format!("{aside}-wal"))).map_err(io)?;
        }
        let _ = fs::remove_file(shared);
        fs::rename(&new, &file).map_err(io)?;
        files::sync(self.folder).map_err(io)?;
        let what = format!("the tables were written anew; the old file is kept as {aside}");
        self.did(Code::IndexDamaged, what);
        Ok(())
    }

    /// Repairs within the tables, in one transaction.
    fn rows(&mut self, codes: &BTreeSet<Code>) -> Result<(), DoctorError> {
        let mut conn = self.open()?;
        let doing = "repairing rows (nothing was changed)";
        let buried = bury(&mut conn, self.now)
            .map_err(|error| DoctorError::failed("making dead letters", error))?;
        let transaction = conn
            .transaction()
            .map_err(|error| DoctorError::failed(doing, error))?;
        let parts = recount(&transaction).map_err(|error| DoctorError::failed(doing, error))?;
        transaction
            .commit()
            .map_err(|error| DoctorError::failed(doing, error))?;
        if buried > 0 {
            let what = format!("{buried} deliveries are dead letters with the reason `damaged`");
            self.did(Code::EventDamaged, what);
        }
        if parts > 0 {
            self.did(
                Code::PartOrphaned,
                format!("{parts} parts of no upload were dropped"),
            );
        }
        if codes.contains(&Code::LaneWrong) {
            self.did(
                Code::LaneWrong,
                "the lanes of keys were put in order".to_owned(),
            );
        }
        if codes.contains(&Code::LeftOver) {
            self.did(
                Code::LeftOver,
                "rows of events that are gone were dropped".to_owned(),
            );
        }
        let counted = [Code::CounterWrong, Code::GreatestTooSmall, Code::BlobCount];
        for code in counted.into_iter().filter(|code| codes.contains(code)) {
            self.did(code, "counted anew".to_owned());
        }
        Ok(())
    }

    fn remove_orphans(&mut self) -> Result<(), DoctorError> {
        let doing = "looking for files that nothing needs";
        let failed = |error: rusqlite::Error| DoctorError::failed(doing, error);
        let conn = self.open()?;
        let scratch = objects::scratch().map_err(failed)?;
        // An index that cannot be read to its end says nothing about what it does not need.
        if objects::needed(&conn, &scratch).map_err(failed)? == Known::NotAll {
            return Ok(());
        }
        let (mut removed, mut left) = (0, 0);
        let now = self.now;
        let folder = self.folder.join(FOLDER);
        blobs::each_orphan(&folder, &scratch, |path, id| {
            if blobs::is_old(id, now) {
                match fs::remove_file(&path) {
                    Ok(()) => removed += 1,
                    Err(_) => left += 1,
                }
            }
        })
        .map_err(failed)?
        .map_err(|error| DoctorError::failed(doing, error))?;
        let what =
            format!("of the files that nothing needs, {removed} were removed, {left} could not be");
        self.did(Code::BlobOrphaned, what);
        Ok(())
    }

    fn write_mark(&mut self) -> Result<(), DoctorError> {
        let conn = self.open()?;
        let seq = anatomy::count(&conn, "SELECT seq FROM counters")
            .map_err(|error| DoctorError::failed("reading the last commit", error))?;
        anatomy::set_mark(self.folder, seq)
            .and_then(|()| files::sync(self.folder))
            .map_err(|error| DoctorError::failed("writing the mark", error))?;
        self.did(
            Code::MarkMissing,
            format!("the mark stands at commit {seq}"),
        );
        Ok(())
    }
}

/// Brings all of a new database into its one file, and sees that SQLite finds nothing wrong.
fn complete(conn: Connection) -> rusqlite::Result<()> {
    conn.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE)?;
    let line: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if line != "ok" {
        let corrupt = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        return Err(rusqlite::Error::SqliteFailure(corrupt, Some(line)));
    }
    conn.close().map_err(|(_, error)| error)
}

/// Makes dead letters of deliveries that cannot run: their event is damaged or gone, or their
/// state is none. Replies how many.
fn bury(conn: &mut Connection, now: Timestamp) -> rusqlite::Result<u64> {
    let mut buried = 0;
    let mut unreadable = Vec::new();
    {
        let reader: &Connection = conn;
        scan::rows(reader, "events", events::COLUMNS, |met| {
            if let Met::Row(row) = met
                && !matches!(events::read(row), Stored::Whole(_))
            {
                unreadable.push(row.get::<_, i64>(0)?);
            }
            Ok(())
        })?;
    }
    for some in unreadable.chunks(BURY_STEP) {
        let transaction = conn.transaction()?;
        for event in some {
            buried += kill(&transaction, "event = ?3 AND state <> 2", *event, now)?;
        }
        transaction.commit()?;
    }
    let transaction = conn.transaction()?;
    buried += bury_without_event(&transaction, now)?;
    transaction.commit()?;
    Ok(buried)
}

/// Makes dead letters of deliveries whose event is not there, or whose state is none.
pub(super) fn bury_without_event(conn: &Connection, now: Timestamp) -> rusqlite::Result<u64> {
    let gone = "?3 = 0 AND state <> 2 \
                AND NOT EXISTS (SELECT 1 FROM events WHERE id = deliveries.event)";
    let strange = format!(
        "?3 = 0 AND (state NOT BETWEEN 0 AND {MOST_STATE} OR (state = 2 AND {}))",
        unsaid()
    );
    let nonsense = format!("?3 = 0 AND {NONSENSE}");
    let buried =
        kill(conn, gone, 0, now)? + kill(conn, &strange, 0, now)? + kill(conn, &nonsense, 0, now)?;
    conn.execute(
        &format!(
            "UPDATE deliveries SET starts = max(0, min(starts, 4294967295)), attempts = 0, \
             partition = partition & 255, alone = (alone <> 0), blocks = blocks & 3, \
             on_unknown = (on_unknown <> 0) WHERE {NONSENSE}"
        ),
        [],
    )?;
    Ok(buried)
}

fn kill(conn: &Connection, which: &str, value: i64, now: Timestamp) -> rusqlite::Result<u64> {
    let sql = format!(
        "UPDATE deliveries SET state = 2, held_for = NULL, dead_reason = ?1, dead_at = ?2 \
         WHERE {which}"
    );
    let reason = DeadReason::Damaged as u8;
    let changed = conn
        .prepare_cached(&sql)?
        .execute(params![reason, now.as_millis(), value])?;
    Ok(changed as u64)
}

/// Puts right all that follows from the rest; replies how many parts of no upload there were.
pub(super) fn recount(conn: &Connection) -> rusqlite::Result<usize> {
    let parts = conn.execute(
        "DELETE FROM parts WHERE NOT EXISTS (SELECT 1 FROM uploads WHERE id = parts.upload)",
        [],
    )?;
    let scratch = objects::scratch()?;
    let known = objects::needed(conn, &scratch)?;
    if known == Known::All && blobs::wrong_counts(conn, &scratch)? > 0 {
        conn.execute("DELETE FROM blobs", [])?;
        let mut needed = scratch.prepare("SELECT id, refs FROM needed")?;
        let mut rows = needed.query([])?;
        let mut insert = conn.prepare("INSERT INTO blobs (id, refs) VALUES (?1, ?2)")?;
        while let Some(row) = rows.next()? {
            insert.execute(params![row.get::<_, i64>(0)?, row.get::<_, i64>(1)?])?;
        }
    }
    lanes::put_in_order(conn)?;
    for (name, count) in COUNTED {
        conn.execute(&format!("UPDATE counters SET {name} = ({count})"), [])?;
    }
    conn.execute(
        &format!("UPDATE counters SET greatest = max(greatest, ({GREATEST}))"),
        [],
    )?;
    for (column, state) in STANDING {
        let sql = format!(
            "UPDATE triggers SET {column} = (SELECT count(*) FROM deliveries \
             WHERE trigger = triggers.id AND state = {state})"
        );
        conn.execute(&sql, [])?;
    }
    Ok(parts)
}
