//! The doctor finds what is wrong, says what follows from it, and repairs what loses nothing.

mod doctor_world;
mod support;

use std::fs;

use wakeful_core::{
    delivery::{DeadReason, State},
    port::{DeadQuery, Store},
};
use wakeful_store::{
    SqliteStore,
    doctor::{self, Code, Depth, DoctorError, Finding, Verdict},
};

use doctor_world::{
    LATER,
    checks::{DAMAGED, REPAIRED, check, examine, fresh, repair},
    copy_folder,
};
use support::{options, work};

#[tokio::test]
async fn a_folder_as_it_should_be_is_clean() {
    let (_folder, world) = fresh().await;
    let before: Vec<_> = ["store.db", "high-water", "history.db"]
        .map(|name| fs::read(world.folder.join(name)).unwrap())
        .into();
    let mut steps = Vec::new();
    let report = doctor::examine(&world.folder, Depth::Deep, LATER, &mut |progress| {
        if !steps.contains(&progress.step) {
            steps.push(progress.step);
        }
    })
    .unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.verdict(), Verdict::Clean);
    assert_eq!(report.checked.events, world.events.len() as u64);
    assert_eq!(report.checked.deliveries, world.events.len() as u64);
    assert_eq!((report.checked.objects, report.checked.blobs), (2, 4));
    assert!(steps.len() >= 5, "{steps:?}");
    let after: Vec<_> = ["store.db", "high-water", "history.db"]
        .map(|name| fs::read(world.folder.join(name)).unwrap())
        .into();
    assert!(before == after, "it only looked");
}

#[tokio::test]
async fn what_the_last_process_left_in_its_log_is_examined_too() {
    let (_folder, world) = fresh().await;
    let left = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let ids = wakeful_core::id::IdSource::after(store.greatest_id());
    for claimed in [false, true, false] {
        let (event, mut delivery) = work(&ids, "{}");
        delivery.claimed = claimed;
        let transaction = wakeful_core::port::Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Default::default()
        };
        store.commit(transaction).await.unwrap();
    }
    // As kill -9 leaves it.
    copy_folder(&world.folder, left.path());
    store.close();
    fs::remove_file(left.path().join("lock")).unwrap();
    let log = left.path().join("store.db-wal");
    let before = fs::read(&log).unwrap();
    let report = examine(left.path(), Depth::Normal);
    assert_eq!(report.findings, []);
    assert_eq!(report.checked.events, world.events.len() as u64 + 3);
    assert!(fs::read(&log).unwrap() == before);
}

#[tokio::test]
async fn a_folder_in_use_or_without_a_store_is_refused() {
    let (folder, world) = fresh().await;
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let refused = doctor::examine(&world.folder, Depth::Normal, LATER, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, DoctorError::InUse { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains(&std::process::id().to_string())
    );
    store.close();
    let refused = doctor::examine(folder.path(), Depth::Normal, LATER, &mut |_| {}).unwrap_err();
    assert!(
        matches!(refused, DoctorError::NotAFolder { .. }),
        "{refused}"
    );
}

#[tokio::test]
async fn numbers_that_follow_from_others_are_counted_anew() {
    let (_folder, world) = fresh().await;
    let first = world.events[0].raw();
    for (name, sql, code) in [
        (
            "a counter",
            "UPDATE counters SET queued = 99".to_owned(),
            Code::CounterWrong,
        ),
        (
            "another",
            "UPDATE counters SET dead = 0".into(),
            Code::CounterWrong,
        ),
        (
            "nobody waits",
            "UPDATE triggers SET waiting = 0".into(),
            Code::CounterWrong,
        ),
        (
            "who is held",
            "UPDATE triggers SET for_order = 77".into(),
            Code::CounterWrong,
        ),
        (
            "the greatest id",
            "UPDATE counters SET greatest = 5".into(),
            Code::GreatestTooSmall,
        ),
        (
            "references",
            "UPDATE blobs SET refs = refs + 1".into(),
            Code::BlobCount,
        ),
        ("no references", "DELETE FROM blobs".into(), Code::BlobCount),
        (
            "a part of nothing",
            "INSERT INTO parts SELECT 1, 1, blob, size, etag, modified, meta, NULL FROM parts"
                .into(),
            Code::PartOrphaned,
        ),
        (
            "an ending",
            "INSERT INTO endings VALUES (1, 2, 1, 0, 0, NULL, NULL)".into(),
            Code::LeftOver,
        ),
        (
            "a child",
            format!("INSERT INTO children VALUES (1, {first})"),
            Code::LeftOver,
        ),
    ] {
        check(&world, name, |world| world.harm(&sql), code, REPAIRED).await;
    }
}

#[tokio::test]
async fn lanes_that_stand_still_go_on() {
    let (_folder, world) = fresh().await;
    let (head, second) = (world.lane[0].raw(), world.lane[1].raw());
    let seated = world.room[0].raw();
    for (name, sql) in [
        (
            "nobody has the turn",
            format!("UPDATE deliveries SET state = 4 WHERE id = {head}"),
        ),
        (
            "two have the turn",
            format!("UPDATE deliveries SET state = 0 WHERE id = {second}"),
        ),
        (
            "the wrong one has it",
            format!(
                "UPDATE deliveries SET state = 4 WHERE id = {head}; \
                 UPDATE deliveries SET state = 0 WHERE id = {second}"
            ),
        ),
        (
            "two run",
            format!(
                "UPDATE deliveries SET state = 1, starts = 1, attempts = 1 WHERE id IN ({head}, {second})"
            ),
        ),
        (
            "nobody has a seat",
            "UPDATE deliveries SET state = 5 WHERE concurrency_key = 't'".to_owned(),
        ),
        (
            "held for nothing",
            format!("UPDATE deliveries SET state = 3, held_for = NULL WHERE id = {seated}"),
        ),
    ] {
        check(
            &world,
            name,
            |world| world.harm(&sql),
            Code::LaneWrong,
            REPAIRED,
        )
        .await;
    }
}

#[tokio::test]
async fn deliveries_that_cannot_run_become_dead_letters() {
    let (_folder, world) = fresh().await;
    let first = world.events[0].raw();
    for (name, sql, code, verdicts) in [
        (
            "the event is gone",
            format!("DELETE FROM events WHERE id = {first}"),
            Code::EventMissing,
            REPAIRED,
        ),
        (
            "the state is none",
            format!("UPDATE deliveries SET state = 42 WHERE event = {first}"),
            Code::DeliveryDamaged,
            REPAIRED,
        ),
        (
            "fewer than no attempts",
            format!("UPDATE deliveries SET attempts = -1 WHERE event = {first}"),
            Code::DeliveryDamaged,
            REPAIRED,
        ),
        (
            "later than any delay",
            format!(
                "UPDATE deliveries SET ready_at = {} WHERE event = {first}",
                LATER.as_millis() + 40 * 86_400_000
            ),
            Code::DeliveryDamaged,
            DAMAGED,
        ),
        (
            "another key than it came with",
            format!("UPDATE deliveries SET ordering_key = 'c' WHERE event = {first}"),
            Code::DeliveryDamaged,
            DAMAGED,
        ),
        (
            "nobody says why it is dead",
            format!("UPDATE deliveries SET state = 2 WHERE event = {first}"),
            Code::DeliveryDamaged,
            REPAIRED,
        ),
        (
            "a payload is another",
            format!("UPDATE events SET data = x'7b7d' WHERE id = {first}"),
            Code::EventDamaged,
            (Verdict::Repairable, Verdict::Damaged),
        ),
        (
            "a name is gone",
            "DELETE FROM functions".to_owned(),
            Code::DeliveryDamaged,
            DAMAGED,
        ),
    ] {
        check(&world, name, |world| world.harm(&sql), code, verdicts).await;
    }
}

#[tokio::test]
async fn a_dead_letter_says_that_its_event_is_damaged() {
    let (_folder, world) = fresh().await;
    let first = world.events[0];
    world.harm(&format!(
        "UPDATE events SET data = x'7b7d' WHERE id = {}",
        first.raw()
    ));
    let repaired = repair(&examine(&world.folder, Depth::Normal));
    assert_eq!(repaired.done.len(), 1, "{:?}", repaired.done);
    let left: Vec<&Finding> = repaired.left.findings.iter().collect();
    assert!(
        matches!(
            left[..],
            [Finding {
                code: Code::EventDamaged,
                ..
            }]
        ),
        "{left:?}"
    );
    assert_eq!(left[0].place, first.to_string());
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let query = DeadQuery {
        limit: 10,
        ..DeadQuery::default()
    };
    let dead = store.dead(query).await.unwrap();
    let buried = dead.iter().find(|dead| dead.event == first).unwrap();
    assert_eq!(buried.dead, Some((DeadReason::Damaged, LATER)));
    assert_eq!(buried.state, State::Dead);
}

#[tokio::test]
async fn other_formats_are_told_apart() {
    let (_folder, world) = fresh().await;
    let version: i64 = world
        .sql()
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    world.harm(&format!("PRAGMA user_version = {}", version - 1));
    let report = examine(&world.folder, Depth::Normal);
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert_eq!(
        (codes, report.verdict()),
        (vec![Code::OlderFormat], Verdict::Clean)
    );
    assert_eq!(
        report.checked.events,
        world.events.len() as u64,
        "events are checked"
    );
    let into = world.folder.with_extension("saved");
    let refused = doctor::salvage(&world.folder, &into, LATER, &mut |_| {}).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the version of Wakeful that wrote it"),
        "{refused}"
    );
    world.harm(&format!("PRAGMA user_version = {}", version + 1));
    let refused = doctor::examine(&world.folder, Depth::Normal, LATER, &mut |_| {}).unwrap_err();
    assert!(matches!(refused, DoctorError::Newer { .. }), "{refused}");
    world.harm(&format!(
        "PRAGMA user_version = {version}; PRAGMA application_id = 7"
    ));
    let report = examine(&world.folder, Depth::Normal);
    assert_eq!(
        report.findings[0].code,
        Code::PageDamaged,
        "{:?}",
        report.findings
    );
    assert!(
        report.findings[0].what.contains("something else"),
        "{:?}",
        report.findings
    );
    assert_eq!(report.verdict(), Verdict::Damaged);
}

#[tokio::test]
async fn lost_commits_are_named() {
    let (_folder, world) = fresh().await;
    let seq: i64 = world
        .sql()
        .query_row("SELECT seq FROM counters", [], |row| row.get(0))
        .unwrap();
    world.harm("UPDATE counters SET seq = seq - 5");
    let report = examine(&world.folder, Depth::Normal);
    let lost: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.code == Code::CommitsLost)
        .collect();
    assert!(lost[0].what.contains(&seq.to_string()), "{lost:?}");
    assert_eq!(report.verdict(), Verdict::Damaged);
    fs::remove_file(world.folder.join("store.db")).unwrap();
    let report = examine(&world.folder, Depth::Normal);
    assert!(
        report.findings[0].what.contains("no database"),
        "{:?}",
        report.findings
    );
    assert_eq!(report.verdict(), Verdict::Damaged);
}

#[tokio::test]
async fn findings_are_bounded_and_counted() {
    let (_folder, world) = fresh().await;
    // All events of a folder whose envelopes are another's.
    world.harm(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000) \
         INSERT INTO events SELECT i, 0, x'', x'' FROM n",
    );
    let report = examine(&world.folder, Depth::Normal);
    assert_eq!(report.findings.len(), 1000);
    assert!(report.more > 2000, "{}", report.more);
    assert_eq!(report.verdict(), Verdict::Damaged);
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["verdict"], "damaged");
    assert_eq!(json["findings"][0]["code"], Code::EventDamaged.as_str());
}
