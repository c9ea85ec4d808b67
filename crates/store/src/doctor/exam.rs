//! One examination under way: what is looked at, and where findings go.

use std::path::Path;

use rusqlite::Connection;
use wakeful_core::time::Timestamp;

use super::{
    Watch, blobs, deliveries, events, lanes, objects,
    report::{Code, Depth, Finding, Progress, Remedy, Report, Step},
    structure,
};
use crate::sqlite::anatomy;

/// Rows between two words about progress.
const TELL_EVERY: u64 = 4096;

/// An examination of a database that can be opened.
pub(super) struct Exam<'a> {
    pub(super) conn: &'a Connection,
    pub(super) folder: &'a Path,
    pub(super) now: Timestamp,
    pub(super) report: &'a mut Report,
    watch: Watch<'a>,
}

/// One check.
type Check = fn(&mut Exam<'_>) -> rusqlite::Result<()>;

impl<'a> Exam<'a> {
    pub(super) fn new(
        conn: &'a Connection,
        folder: &'a Path,
        now: Timestamp,
        report: &'a mut Report,
        watch: Watch<'a>,
    ) -> Self {
        Self {
            conn,
            folder,
            now,
            report,
            watch,
        }
    }

    /// Does every check; one that damage keeps from its end is itself a finding.
    pub(super) fn all(&mut self) {
        self.run("the structure", structure::check);
        self.run("events", events::check);
        if self.report.format != anatomy::FORMAT || self.report.has(Code::TableMissing) {
            // What the other checks mean, they mean for the newest tables.
            return;
        }
        let rest: [(&str, Check); 12] = [
            ("the states of deliveries", deliveries::states),
            ("the numbers of deliveries", deliveries::numbers),
            ("the events of deliveries", deliveries::events),
            ("the names that deliveries go by", deliveries::names),
            ("the partitions of deliveries", deliveries::partitions),
            ("the greatest id", deliveries::greatest),
            ("the counters", deliveries::counters),
            ("the lanes of keys", lanes::check),
            ("the object index", objects::check),
            ("uploads", objects::parts),
            ("the checksums of rows", objects::sums),
            ("the files of objects", blobs::check),
        ];
        for (what, check) in rest {
            self.run(what, check);
        }
    }

    fn run(&mut self, what: &str, check: Check) {
        if let Err(error) = check(self) {
            let only_indexes = self.report.has(Code::IndexDamaged)
                && !self.report.has(Code::TableMissing)
                && !self.report.has(Code::PageDamaged);
            self.report.add(Finding {
                code: Code::Unchecked,
                place: anatomy::FILE.to_owned(),
                what: format!("{what} could not be checked to the end: {error}"),
                consequence: "whatever needs the damaged pages fails; the rest works".to_owned(),
                remedy: match only_indexes {
                    true => recount("look again when the indexes are made anew"),
                    false => restore_or_salvage(),
                },
            });
        }
    }

    pub(super) fn tell(&mut self, step: Step, done: u64, total: Option<u64>) {
        (self.watch)(Progress { step, done, total });
    }

    /// Tells of every few thousandth row.
    pub(super) fn tell_now_and_then(&mut self, step: Step, done: u64, total: Option<u64>) {
        if done.is_multiple_of(TELL_EVERY) {
            self.tell(step, done, total);
        }
    }

    pub(super) fn is_deep(&self) -> bool {
        self.report.depth == Depth::Deep
    }

    pub(super) fn add(
        &mut self,
        code: Code,
        place: impl Into<String>,
        what: impl Into<String>,
        consequence: impl Into<String>,
        remedy: Remedy,
    ) {
        self.report.add(Finding {
            code,
            place: place.into(),
            what: what.into(),
            consequence: consequence.into(),
            remedy,
        });
    }

    /// A number that `sql` finds.
    pub(super) fn number(&self, sql: &str) -> rusqlite::Result<i64> {
        self.conn.query_row(sql, [], |row| row.get(0))
    }
}

/// What a person can do about damaged pages.
pub(super) fn restore_or_salvage() -> Remedy {
    Remedy::Person(
        "restore a backup; or save what can be read into a new folder with \
         `wakeful doctor --salvage NEW`"
            .to_owned(),
    )
}

/// A repair that puts right a number or a list that follows from the rest.
pub(super) fn recount(how: &str) -> Remedy {
    Remedy::Repair(how.to_owned())
}
