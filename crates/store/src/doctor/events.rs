//! Each event: its bytes are those that were written, and can be understood.

use rusqlite::{Connection, Row};
use wakeful_core::id::EventId;

use super::{
    exam::{Exam, restore_or_salvage},
    report::{Code, Remedy, Step},
    scan::{self, Met},
};
use crate::sqlite::anatomy::{self, Stored};

/// What a scan of events reads.
pub(super) const COLUMNS: &str = "id, checksum, envelope, data";

/// Checks all of them, one in memory at a time.
pub(super) fn check(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    let total = total(conn);
    let mut done = 0;
    scan::rows(conn, "events", COLUMNS, |met| {
        match met {
            Met::Row(row) => {
                done += 1;
                exam.tell_now_and_then(Step::Events, done, total);
                one(exam, row)?;
            }
            Met::Gap(after, before) => gap(exam, after, before),
        }
        Ok(())
    })?;
    exam.report.checked.events = done;
    exam.tell(Step::Events, done, total);
    Ok(())
}

/// How many there should be.
fn total(conn: &Connection) -> Option<u64> {
    anatomy::count(conn, "SELECT events FROM counters").ok()
}

/// How an event's row stands.
pub(super) fn read(row: &Row<'_>) -> Stored {
    let parts = (|| -> rusqlite::Result<Option<_>> {
        let (id, sum) = (row.get::<_, i64>(0)?, row.get::<_, i64>(1)?);
        let stored = row.get_ref(2)?.as_blob().ok();
        Ok(stored
            .zip(row.get_ref(3)?.as_blob().ok())
            .map(|(stored, data)| (id, sum, stored, data)))
    })();
    match parts {
        Ok(Some((id, sum, stored, data))) => anatomy::event(id, sum, stored, data),
        _ => Stored::Checksum,
    }
}

fn one(exam: &mut Exam<'_>, row: &Row<'_>) -> rusqlite::Result<()> {
    let id: i64 = row.get(0)?;
    let what = match read(row) {
        Stored::Whole(event) => {
            exam.report.checked.bytes += event.data.len() as u64;
            if event.key.raw() == id {
                return Ok(());
            }
            "it says that it is another event"
        }
        Stored::Checksum => "its bytes are not those that were written",
        Stored::Envelope => "no version of this program wrote such an event",
    };
    let event = EventId::from_raw(id);
    let owed: i64 = exam
        .conn
        .prepare_cached("SELECT count(*) FROM deliveries WHERE event = ?1 AND state <> 2")?
        .query_row([id], |row| row.get(0))?;
    let (consequence, remedy) = match owed {
        0 => (
            "nothing is owed for it: it cannot be shown or replayed".to_owned(),
            Remedy::Person(
                "restore a backup if it matters; otherwise it goes with the retention of events"
                    .to_owned(),
            ),
        ),
        owed => (
            match owed {
                1 => "1 delivery cannot run".to_owned(),
                owed => format!("{owed} deliveries cannot run"),
            },
            Remedy::Repair(
                "make dead letters of its deliveries, with the reason `damaged`".to_owned(),
            ),
        ),
    };
    exam.add(
        Code::EventDamaged,
        event.to_string(),
        what,
        consequence,
        remedy,
    );
    Ok(())
}

fn gap(exam: &mut Exam<'_>, after: i64, before: Option<i64>) {
    let from = EventId::from_raw(after.max(0));
    let place = match before {
        Some(before) => format!("after {from}, before {}", EventId::from_raw(before)),
        None => format!("after {from}"),
    };
    exam.add(
        Code::EventDamaged,
        place,
        "a page with events cannot be read",
        "the events on it are lost, and what is owed for them cannot run",
        restore_or_salvage(),
    );
}
