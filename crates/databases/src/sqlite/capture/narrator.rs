//! Tells the observer what changed, each thing once.

use std::{collections::BTreeMap, sync::Arc};

use wakeful_core::name::{DatabaseName, TableName};

use super::install::{Renewal, Standing};
use crate::capture::{Observer, Report, Trouble};

pub(super) struct Narrator {
    database: DatabaseName,
    observer: Arc<dyn Observer>,
    started: bool,
    trouble: Option<Trouble>,
    standings: BTreeMap<TableName, Standing>,
}

impl Narrator {
    pub(super) fn new(database: DatabaseName, observer: Arc<dyn Observer>) -> Self {
        Self {
            database,
            observer,
            started: false,
            trouble: None,
            standings: BTreeMap::new(),
        }
    }

    pub(super) fn tell(&self, report: Report) {
        self.observer.report(&self.database, report);
    }

    /// The database was opened; told the first time only.
    pub(super) fn started(&mut self) {
        if !self.started {
            self.started = true;
            self.tell(Report::Started);
        }
    }

    /// It does not work; told once for each cause in a row.
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        if self.trouble.as_ref() != Some(&trouble) {
            self.tell(Report::Trouble(trouble.clone()));
            self.trouble = Some(trouble);
        }
    }

    /// It works; told when it did not.
    pub(super) fn recovered(&mut self) {
        if self.trouble.take().is_some() {
            self.tell(Report::Recovered);
        }
    }

    /// How the watched tables stand now; what differs from before is told.
    pub(super) fn standings(&mut self, now: BTreeMap<TableName, Standing>) {
        for (table, standing) in &now {
            let before = self.standings.get(table);
            if let Some(report) = report(table, before, standing) {
                self.tell(report);
            }
        }
        self.standings = now;
    }
}

fn report(table: &TableName, before: Option<&Standing>, now: &Standing) -> Option<Report> {
    let table = table.clone();
    match (before, now) {
        (Some(Standing::Missing), Standing::Missing) => None,
        (_, Standing::Missing) => Some(Report::TableMissing { table }),
        (Some(Standing::Refused(before)), Standing::Refused(now)) if before == now => None,
        (_, Standing::Refused(why)) => Some(Report::TableRefused {
            table,
            why: why.clone(),
        }),
        (Some(Standing::Missing | Standing::Refused(_)), Standing::Captured(_)) => {
            Some(Report::TableAppeared { table })
        }
        (_, Standing::Captured(Renewal::Again { gap })) => {
            Some(Report::SchemaChanged { table, gap: *gap })
        }
        (_, Standing::Captured(_)) => None,
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[derive(Default)]
    struct Heard(Mutex<Vec<Report>>);

    impl Observer for Heard {
        fn report(&self, _: &DatabaseName, report: Report) {
            self.0.lock().push(report);
        }
    }

    #[test]
    fn each_thing_is_told_once() {
        let heard = Arc::new(Heard::default());
        let mut narrator = Narrator::new("shop".parse().unwrap(), Arc::clone(&heard) as _);
        let locked = || Trouble::Locked {
            path: "shop.db".into(),
        };
        let full = || Trouble::DiskFull {
            path: "shop.db".into(),
        };
        narrator.recovered();
        for trouble in [locked(), locked(), full(), locked()] {
            narrator.trouble(trouble);
        }
        narrator.recovered();
        narrator.recovered();
        let table: TableName = "t".parse().unwrap();
        for standing in [
            Standing::Missing,
            Standing::Missing,
            Standing::Captured(Renewal::First),
            Standing::Captured(Renewal::None),
            Standing::Captured(Renewal::Again { gap: true }),
            Standing::Refused("why".into()),
            Standing::Refused("why".into()),
        ] {
            narrator.standings(BTreeMap::from([(table.clone(), standing)]));
        }
        let expected = [
            Report::Trouble(locked()),
            Report::Trouble(full()),
            Report::Trouble(locked()),
            Report::Recovered,
            Report::TableMissing {
                table: table.clone(),
            },
            Report::TableAppeared {
                table: table.clone(),
            },
            Report::SchemaChanged {
                table: table.clone(),
                gap: true,
            },
            Report::TableRefused {
                table,
                why: "why".into(),
            },
        ];
        assert_eq!(*heard.0.lock(), expected);
    }
}
