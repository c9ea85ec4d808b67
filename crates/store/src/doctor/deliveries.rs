//! Deliveries: their states, what they refer to, and the numbers that follow from them.

use std::time::Duration;

use wakeful_core::{
    delivery::DeadReason,
    id::{EventId, RunId},
    limits,
    name::{Scope, TriggerId},
    port::partition,
    time::Timestamp,
};

use super::{
    exam::{Exam, recount},
    report::{Code, Remedy, Step},
};
use crate::lanes::{PLACES, Place};

/// Findings of one kind that are listed one by one.
const MOST_OF_A_KIND: usize = 100;

/// How far the clock may have been set back without an alarm.
const SLACK: Duration = Duration::from_secs(3 * 24 * 3600);

/// The greatest number that a delivery's state may have.
pub(super) const MOST_STATE: usize = PLACES - 1;

/// What a trigger counts of its deliveries, and their state.
pub(super) const STANDING: [(&str, u8); 7] = [
    ("waiting", Place::Queued as u8),
    ("dead", Place::Dead as u8),
    ("for_version", Place::Version as u8),
    ("for_order", Place::Order as u8),
    ("for_concurrency", Place::Concurrency as u8),
    ("paused", Place::Paused as u8),
    ("by_breaker", Place::Breaker as u8),
];

/// Lists the first of what `sql` finds (an id and a number) as findings, and replies how many.
fn each(
    exam: &mut Exam<'_>,
    sql: &str,
    mut tell: impl FnMut(&mut Exam<'_>, i64, i64),
) -> rusqlite::Result<u64> {
    let conn = exam.conn;
    let mut statement = conn.prepare(sql)?;
    let mut rows = statement.query([])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        found += 1;
        if found <= MOST_OF_A_KIND {
            tell(exam, row.get(0)?, row.get(1)?);
        } else {
            exam.report.more += 1;
        }
    }
    Ok(found as u64)
}

/// Which dead letters do not say why or since when they are dead.
pub(super) fn unsaid() -> String {
    let reasons = (0..=u8::MAX).take_while(|number| DeadReason::from_stored(*number).is_some());
    format!(
        "(dead_at IS NULL OR dead_reason IS NULL OR dead_reason NOT BETWEEN 0 AND {})",
        reasons.count() as i64 - 1
    )
}

/// Which deliveries have numbers that cannot be.
pub(super) const NONSENSE: &str = "(attempts NOT BETWEEN 0 AND starts \
     OR starts NOT BETWEEN 0 AND 4294967295 OR partition NOT BETWEEN 0 AND 255 \
     OR alone NOT IN (0, 1) OR blocks NOT BETWEEN 0 AND 3 OR on_unknown NOT IN (0, 1))";

fn bury() -> Remedy {
    Remedy::Repair("make a dead letter of it, with the reason `damaged`".to_owned())
}

/// States are known ones, and dead letters say why and since when.
pub(super) fn states(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    exam.tell(Step::Deliveries, 0, None);
    let count = exam.number("SELECT count(*) FROM deliveries")?;
    exam.report.checked.deliveries = count.unsigned_abs();
    let strange =
        format!("SELECT id, state FROM deliveries WHERE state NOT BETWEEN 0 AND {MOST_STATE}");
    each(exam, &strange, |exam, id, state| {
        exam.add(
            Code::DeliveryDamaged,
            RunId::from_raw(id).to_string(),
            format!("its state {state} is none"),
            "it is never run, and no list shows it",
            bury(),
        );
    })?;
    let dead = format!(
        "SELECT id, coalesce(dead_reason, -1) FROM deliveries WHERE state = 2 AND {}",
        unsaid()
    );
    each(exam, &dead, |exam, id, _| {
        exam.add(
            Code::DeliveryDamaged,
            RunId::from_raw(id).to_string(),
            "a dead letter that does not say why or since when it is dead",
            "lists of dead letters pass it over",
            bury(),
        );
    })?;
    let future = "SELECT id, epoch FROM deliveries WHERE state = 1 \
                  AND epoch > (SELECT epoch FROM counters)";
    each(exam, future, |exam, id, epoch| {
        exam.add(
            Code::ClaimOfTheFuture,
            RunId::from_raw(id).to_string(),
            format!("it is claimed by epoch {epoch}, which has not begun"),
            "none: a start gives up all claims",
            Remedy::None,
        );
    })?;
    Ok(())
}

/// Their numbers and times are possible ones.
pub(super) fn numbers(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let numbers = format!("SELECT id, attempts FROM deliveries WHERE {NONSENSE}");
    each(exam, &numbers, |exam, id, _| {
        exam.add(
            Code::DeliveryDamaged,
            RunId::from_raw(id).to_string(),
            "its attempts, starts or settings are numbers that cannot be",
            "it is passed over: never run, and in no list",
            bury(),
        );
    })?;
    let far = exam.now.plus(limits::MOST_DELAY + SLACK).as_millis();
    let late = format!("SELECT id, ready_at FROM deliveries WHERE state <> 2 AND ready_at > {far}");
    each(exam, &late, |exam, id, ready_at| {
        exam.add(
            Code::DeliveryDamaged,
            RunId::from_raw(id).to_string(),
            format!(
                "it waits until {}, which is later than any delay may be",
                Timestamp::from_millis(ready_at)
            ),
            "it will have grown too old by then",
            Remedy::Person("discard it, or replay its event".to_owned()),
        );
    })?;
    Ok(())
}

/// Each delivery's event is there.
pub(super) fn events(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let sql = "SELECT id, event FROM deliveries WHERE state <> 2 \
               AND NOT EXISTS (SELECT 1 FROM events WHERE id = deliveries.event)";
    each(exam, sql, |exam, id, event| {
        let run = RunId::from_raw(id);
        exam.add(
            Code::EventMissing,
            run.to_string(),
            format!("its event {} is not there", EventId::from_raw(event.max(0))),
            "it cannot run",
            Remedy::Repair(format!(
                "make a dead letter of {run}, with the reason `damaged`"
            )),
        );
    })?;
    Ok(())
}

/// The numbers that stand for names have one.
pub(super) fn names(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    for (column, table) in [("trigger", "triggers"), ("function", "functions")] {
        let sql = format!(
            "SELECT id, {column} FROM deliveries \
             WHERE NOT EXISTS (SELECT 1 FROM {table} WHERE id = deliveries.{column})"
        );
        each(exam, &sql, |exam, id, number| {
            exam.add(
                Code::DeliveryDamaged,
                RunId::from_raw(id).to_string(),
                format!("the name of its {column} (number {number}) is not there"),
                "nobody can tell what it is for; it is never run, and no list shows it",
                Remedy::Person("restore a backup if it matters".to_owned()),
            );
        })?;
    }
    Ok(())
}

/// The partition of each delivery is the one that follows from its trigger and its key: a second
/// trace of both.
pub(super) fn partitions(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    let mut statement = conn.prepare(
        "SELECT d.id, d.partition, d.ordering_key, t.project, t.environment, t.name \
         FROM deliveries d JOIN triggers t ON t.id = d.trigger",
    )?;
    let mut rows = statement.query([])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        let (id, kept): (i64, i64) = (row.get(0)?, row.get(1)?);
        let key: Option<String> = row.get(2)?;
        let (project, environment): (String, String) = (row.get(3)?, row.get(4)?);
        let name: String = row.get(5)?;
        let scope = project.parse().ok().zip(environment.parse().ok());
        let follows = scope.map(|(project, environment)| {
            let scope = Scope {
                project,
                environment,
            };
            partition(&scope, &TriggerId::from_stored(&name), key.as_deref())
        });
        if follows.map(i64::from) == Some(kept) {
            continue;
        }
        found += 1;
        if found > MOST_OF_A_KIND {
            exam.report.more += 1;
            continue;
        }
        exam.add(
            Code::DeliveryDamaged,
            RunId::from_raw(id).to_string(),
            "its partition does not follow from its trigger and ordering key: one is damaged",
            "it may run in a wrong order, or for a trigger that is not its own",
            Remedy::Person("restore a backup if it matters; or discard it".to_owned()),
        );
    }
    Ok(())
}

/// The largest id of each kind that is there; those of one source must not be drawn again.
pub(super) const GREATEST: &str = "SELECT max(coalesce((SELECT max(id) FROM events), 0), \
     coalesce((SELECT max(id) FROM deliveries), 0), coalesce((SELECT max(id) FROM uploads), 0), \
     coalesce((SELECT max(id) FROM blobs), 0), \
     coalesce((SELECT max(generation) FROM objects), 0))";

/// No id is greater than the greatest one on record.
pub(super) fn greatest(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let kept = exam.number("SELECT greatest FROM counters")?;
    let found = exam.number(GREATEST)?;
    if found > kept {
        exam.add(
            Code::GreatestTooSmall,
            "counters.greatest",
            format!("{kept} is on record, {found} was given out"),
            "an id could be given out twice, and a commit be refused for it",
            recount("put the greatest id on record"),
        );
    }
    Ok(())
}

/// The counters, each with what it counts.
pub(super) const COUNTED: [(&str, &str); 4] = [
    ("events", "SELECT count(*) FROM events"),
    (
        "queued",
        "SELECT count(*) FROM deliveries WHERE state NOT IN (1, 2)",
    ),
    ("running", "SELECT count(*) FROM deliveries WHERE state = 1"),
    ("dead", "SELECT count(*) FROM deliveries WHERE state = 2"),
];

/// The counters fit what is there.
pub(super) fn counters(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    for (name, sql) in COUNTED {
        let kept = exam.number(&format!("SELECT {name} FROM counters"))?;
        let found = exam.number(sql)?;
        if kept != found {
            exam.add(
                Code::CounterWrong,
                format!("counters.{name}"),
                format!("{kept} on record, {found} there"),
                "figures are wrong; nothing else",
                recount("count anew"),
            );
        }
    }
    for (column, state) in STANDING {
        let sql = format!(
            "SELECT t.id, t.{column} FROM triggers t LEFT JOIN \
             (SELECT trigger, count(*) AS found FROM deliveries WHERE state = {state} \
             GROUP BY trigger) d ON d.trigger = t.id WHERE t.{column} <> coalesce(d.found, 0)"
        );
        each(exam, &sql, |exam, id, kept| {
            exam.add(
                Code::CounterWrong,
                format!("triggers.{column} of number {id}"),
                format!("{kept} on record, another number is there"),
                match (column, kept) {
                    ("waiting", 0) => "what waits for this trigger is never looked for",
                    _ => "figures are wrong; nothing else",
                },
                recount("count anew"),
            );
        })?;
    }
    Ok(())
}
