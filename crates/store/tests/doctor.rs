//! The doctor finds what is wrong, says what follows from it, and repairs what loses nothing.

mod doctor_world;
mod support;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
    path::Path,
};

use tempfile::TempDir;
use wakeful_core::{
    delivery::{DeadReason, State},
    port::{DeadQuery, ReadyQuery, Store},
};
use wakeful_store::{
    SqliteStore,
    doctor::{self, Code, Depth, DoctorError, Finding, Remedy, Report, Verdict},
};

use doctor_world::{LATER, World, at, copy_folder, world};
use support::{NOON, options, work};

fn examine(folder: &Path, depth: Depth) -> Report {
    doctor::examine(folder, depth, LATER, &mut |_| {}).unwrap()
}

fn repair(report: &Report) -> doctor::Repaired {
    doctor::repair(&report.folder, report, LATER, &mut |_| {}).unwrap()
}

async fn fresh() -> (TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    (folder, world)
}

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

/// What is expected of a harm.
struct Expect {
    code: Code,
    /// Before the repair.
    before: Verdict,
    /// After it.
    after: Verdict,
}

const REPAIRED: (Verdict, Verdict) = (Verdict::Repairable, Verdict::Clean);
const DAMAGED: (Verdict, Verdict) = (Verdict::Damaged, Verdict::Damaged);
const NOTED: (Verdict, Verdict) = (Verdict::Clean, Verdict::Clean);

/// Harms a fresh copy of the world, and checks what the doctor says of it and does about it.
async fn check(
    world: &World,
    name: &str,
    harm: impl FnOnce(&World),
    code: Code,
    (before, after): (Verdict, Verdict),
) -> Report {
    let expect = Expect {
        code,
        before,
        after,
    };
    let folder = tempfile::tempdir().unwrap();
    let harmed = World {
        folder: folder.path().join("data"),
        events: world.events.clone(),
        lane: world.lane.clone(),
        room: world.room.clone(),
        dead: world.dead,
        blobs: relocated(world, &folder.path().join("data")),
    };
    copy_folder(&world.folder, &harmed.folder);
    harm(&harmed);
    let report = examine(&harmed.folder, Depth::Deep);
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert!(
        codes.contains(&expect.code),
        "{name}: {:#?}",
        report.findings
    );
    assert_eq!(
        report.verdict(),
        expect.before,
        "{name}: {:#?}",
        report.findings
    );
    for finding in &report.findings {
        assert!(
            !finding.what.is_empty() && !finding.consequence.is_empty(),
            "{finding:?}"
        );
        assert!(!finding.place.is_empty(), "{finding:?}");
    }
    let repaired = repair(&report);
    assert_eq!(
        repaired.verdict(),
        expect.after,
        "{name}: did {:#?}, left {:#?}",
        repaired.done,
        repaired.left.findings
    );
    assert!(
        !repaired.done.is_empty() || expect.before != Verdict::Repairable,
        "{name}"
    );
    if expect.after == Verdict::Clean {
        works(&harmed, name).await;
    }
    report
}

fn relocated(world: &World, folder: &Path) -> Vec<std::path::PathBuf> {
    let blobs = world.blobs.iter();
    blobs
        .map(|blob| folder.join(blob.strip_prefix(&world.folder).unwrap()))
        .collect()
}

/// A store opens there, and everything queued can be worked off, in the order of its lanes.
async fn works(world: &World, name: &str) {
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let (_, any) = work(&wakeful_core::id::IdSource::after(0), "");
    let mut order = Vec::new();
    loop {
        let ready = store
            .ready(ReadyQuery {
                scope: any.scope.clone(),
                trigger: any.trigger.clone(),
                now: NOON,
                after: None,
                limit: 1000,
            })
            .await
            .unwrap();
        if ready.is_empty() {
            break;
        }
        let runs = ready.iter().map(|delivery| delivery.id).collect();
        let claimed = store.claim(runs, NOON).await.unwrap();
        assert!(!claimed.is_empty(), "{name}");
        let settlements = claimed.iter().map(|delivery| {
            if delivery.keys.ordering.as_deref() == Some("a") {
                order.push(delivery.id);
            }
            wakeful_core::port::Settlement {
                claim: wakeful_core::port::Claim {
                    run: delivery.id,
                    epoch: store.epoch(),
                    start: delivery.starts,
                },
                end: wakeful_core::port::End::Succeeded,
            }
        });
        let transaction = wakeful_core::port::Transaction {
            settlements: settlements.collect(),
            ..Default::default()
        };
        store.commit(transaction).await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(
        (stats.queued, stats.running),
        (0, 0),
        "{name}: all was worked off"
    );
    assert!(
        order.is_sorted() && world.lane.ends_with(&order),
        "{name}: {order:?}"
    );
    assert!(store.object(at("cat.jpg")).await.unwrap().is_some());
    store.close();
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
async fn indexes_are_made_anew_and_the_old_file_is_kept() {
    let (_folder, world) = fresh().await;
    let drop_one = |world: &World| world.harm("DROP INDEX deliveries_lane");
    check(
        &world,
        "an index is gone",
        drop_one,
        Code::IndexDamaged,
        REPAIRED,
    )
    .await;
    // A page of an index, overwritten.
    let scribble = |world: &World| scribble_on(world, "deliveries_event", Where::Root);
    let report = check(
        &world,
        "an index page",
        scribble,
        Code::IndexDamaged,
        REPAIRED,
    )
    .await;
    assert!(
        report
            .findings
            .iter()
            .any(|finding| finding.place == "deliveries_event")
    );

    scribble_on(&world, "deliveries_event", Where::Root);
    let harmed = fs::read(world.folder.join("store.db")).unwrap();
    repair(&examine(&world.folder, Depth::Normal));
    let kept = fs::read_dir(&world.folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let kept: Vec<_> = kept
        .filter(|path| {
            let name = path.to_string_lossy();
            name.contains("store.db.damaged-") && !name.ends_with("-wal")
        })
        .collect();
    assert_eq!(kept.len(), 1);
    assert!(fs::read(&kept[0]).unwrap() == harmed);
}

enum Where {
    Root,
    /// A leaf in the middle.
    Leaf,
}

/// Overwrites a page of a table or index.
fn scribble_on(world: &World, name: &str, place: Where) {
    let (page, size) = {
        let conn = world.sql();
        let size: u64 = conn
            .query_row("PRAGMA page_size", [], |row| {
                row.get(0).map(|n: i64| n as u64)
            })
            .unwrap();
        let sql = match place {
            Where::Root => "SELECT rootpage FROM sqlite_schema WHERE name = ?1",
            Where::Leaf => {
                "SELECT pageno FROM dbstat WHERE name = ?1 AND pagetype = 'leaf' \
                 ORDER BY path LIMIT 1 OFFSET 3"
            }
        };
        let page: i64 = conn.query_row(sql, [name], |row| row.get(0)).unwrap();
        (page as u64, size)
    };
    let file = fs::File::options()
        .write(true)
        .open(world.folder.join("store.db"))
        .unwrap();
    file.write_all_at(&vec![0x5a; size as usize], (page - 1) * size)
        .unwrap();
}

#[tokio::test]
async fn files_of_objects_are_held_against_the_index() {
    let (_folder, world) = fresh().await;
    let gone = |world: &World| fs::remove_file(&world.blobs[0]).unwrap();
    check(&world, "a file is gone", gone, Code::BlobMissing, DAMAGED).await;
    let short = |world: &World| fs::write(&world.blobs[1], b"short").unwrap();
    check(&world, "a file is short", short, Code::BlobSize, DAMAGED).await;
    for number in [0, 2] {
        let flip = |world: &World| {
            let mut bytes = fs::read(&world.blobs[number]).unwrap();
            bytes[3] ^= 4;
            fs::write(&world.blobs[number], bytes).unwrap();
        };
        check(&world, "a bit of a file", flip, Code::BlobDamaged, DAMAGED).await;
    }
    let list = |world: &World| world.harm("UPDATE objects SET blobs = x'01'");
    check(&world, "no list", list, Code::ObjectDamaged, DAMAGED).await;
    let bucket = |world: &World| world.harm("DELETE FROM buckets");
    check(&world, "no bucket", bucket, Code::ObjectDamaged, DAMAGED).await;
    // Its name says that it is from the beginning of our time; and one that was just drawn.
    let old = |world: &World| {
        let folder = world.folder.join("objects/00");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("0000000000000000"), b"x").unwrap();
    };
    check(&world, "left over", old, Code::BlobOrphaned, REPAIRED).await;
    let young = |world: &World| {
        let blob = wakeful_core::port::BlobId(wakeful_core::id::EventId::first_at(LATER).raw());
        let path = world.folder.join("objects").join(blob.file());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    };
    check(&world, "just written", young, Code::BlobOrphaned, NOTED).await;
}

#[tokio::test]
async fn rows_that_are_not_what_was_written_are_named() {
    let (_folder, world) = fresh().await;
    for (table, sql, code) in [
        (
            "checkpoints",
            "UPDATE checkpoints SET value = x'00'",
            Code::CheckpointDamaged,
        ),
        (
            "checkpoints",
            "UPDATE checkpoints SET source = 'database:shoq'",
            Code::CheckpointDamaged,
        ),
        (
            "objects",
            "UPDATE objects SET etag = 'x'",
            Code::ObjectDamaged,
        ),
        (
            "uploads",
            "UPDATE uploads SET started = started + 1",
            Code::ObjectDamaged,
        ),
        (
            "parts",
            "UPDATE parts SET modified = 7",
            Code::ObjectDamaged,
        ),
    ] {
        let report = check(&world, sql, |world| world.harm(sql), code, DAMAGED).await;
        let named = report
            .findings
            .iter()
            .any(|finding| finding.place.starts_with(table));
        assert!(named, "{:#?}", report.findings);
    }
    // Rows of the format before have none.
    let old = |world: &World| {
        world.harm("UPDATE objects SET checksum = NULL; UPDATE checkpoints SET checksum = NULL");
    };
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("data");
    copy_folder(&world.folder, &at);
    let world = World {
        folder: at,
        ..world
    };
    old(&world);
    assert_eq!(examine(&world.folder, Depth::Deep).findings, []);
}

#[tokio::test]
async fn what_is_beside_the_database_is_looked_at() {
    let (_folder, world) = fresh().await;
    let write = |name: &'static str, text: &'static str| {
        move |world: &World| fs::write(world.folder.join(name), text).unwrap()
    };
    let remove =
        |name: &'static str| move |world: &World| fs::remove_file(world.folder.join(name)).unwrap();
    check(
        &world,
        "no mark",
        remove("high-water"),
        Code::MarkMissing,
        REPAIRED,
    )
    .await;
    check(
        &world,
        "no mark that can be read",
        write("high-water", "x"),
        Code::MarkDamaged,
        DAMAGED,
    )
    .await;
    check(
        &world,
        "no history",
        write(
            "history.db",
            "this is no database, but long enough to be \
          read as the first page of one, which begins with sixteen bytes that say so",
        ),
        Code::HistoryDamaged,
        REPAIRED,
    )
    .await;
    check(
        &world,
        "no vault",
        write("vault", "x"),
        Code::VaultDamaged,
        DAMAGED,
    )
    .await;
    check(
        &world,
        "no json",
        write("vault", "wakeful-vault 1 a b c\n{"),
        Code::VaultDamaged,
        DAMAGED,
    )
    .await;
    check(
        &world,
        "no key",
        write("vault.key", "x"),
        Code::VaultKey,
        DAMAGED,
    )
    .await;
    check(
        &world,
        "key elsewhere",
        remove("vault.key"),
        Code::VaultKey,
        NOTED,
    )
    .await;
    let open =
        |world: &World| fs::set_permissions(&world.folder, Permissions::from_mode(0o755)).unwrap();
    check(&world, "open", open, Code::OpenToOthers, REPAIRED).await;
    let versions = |world: &World| {
        fs::remove_dir(world.folder.join("versions")).unwrap();
        fs::write(world.folder.join("versions"), "").unwrap();
    };
    check(&world, "versions", versions, Code::VersionsDamaged, DAMAGED).await;
    let pause = |world: &World| world.harm("INSERT INTO pauses VALUES ('x', '{')");
    check(&world, "a pause", pause, Code::PauseDamaged, DAMAGED).await;
}

#[tokio::test]
async fn what_others_did_to_the_tables_is_seen() {
    let (_folder, world) = fresh().await;
    let table = |world: &World| world.harm("CREATE TABLE mine (x)");
    check(&world, "a table", table, Code::ForeignTable, NOTED).await;
    let trigger = |world: &World| {
        world.harm("CREATE TRIGGER mine AFTER INSERT ON events BEGIN DELETE FROM parts; END");
    };
    check(&world, "a trigger", trigger, Code::ForeignTable, DAMAGED).await;
    let gone = |world: &World| world.harm("DROP TABLE checkpoints");
    check(&world, "no checkpoints", gone, Code::TableMissing, DAMAGED).await;
    let other = |world: &World| world.harm("ALTER TABLE parts ADD COLUMN mine TEXT");
    check(&world, "a column", other, Code::TableMissing, DAMAGED).await;
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

#[tokio::test]
async fn what_can_be_read_of_a_damaged_page_is_saved() {
    let (folder, world) = fresh().await;
    let all: Vec<_> = world.events.clone();
    scribble_on(&world, "events", Where::Leaf);
    let report = examine(&world.folder, Depth::Normal);
    assert_eq!(report.verdict(), Verdict::Damaged);
    assert!(
        report
            .findings
            .iter()
            .any(|finding| matches!(finding.remedy, Remedy::Person(_)))
    );
    let before = fs::read(world.folder.join("store.db")).unwrap();
    let into = folder.path().join("saved");
    let saved = doctor::salvage(&world.folder, &into, LATER, &mut |_| {}).unwrap();
    assert!(
        fs::read(world.folder.join("store.db")).unwrap() == before,
        "the old one stays"
    );
    assert!(!saved.lost.is_empty());
    assert!(
        saved.kept.events as usize >= all.len() - 20,
        "{:?}",
        saved.kept
    );
    assert!((saved.kept.events as usize) < all.len(), "{:?}", saved.kept);
    assert_eq!(saved.kept.blobs, 4);

    // Nothing is half: each event is whole, and what is owed for a lost one is a dead letter.
    let report = examine(&into, Depth::Deep);
    assert_eq!(report.findings, []);
    let store = SqliteStore::open(options(&into)).unwrap();
    let mut lost = 0;
    for event in all {
        let owed = store.deliveries_of(event).await.unwrap();
        match store.event(event).await.unwrap() {
            Some(_) => assert!(
                owed.iter()
                    .all(|owed| owed.dead.is_none_or(|dead| dead.0 != DeadReason::Damaged))
            ),
            None => {
                lost += 1;
                assert!(
                    owed.iter().all(|owed| owed.state == State::Dead),
                    "{owed:?}"
                );
            }
        }
    }
    assert_eq!(lost + saved.kept.events, report.checked.deliveries);
    store.close();
    let again = doctor::salvage(&world.folder, &into, LATER, &mut |_| {}).unwrap_err();
    assert!(matches!(again, DoctorError::Occupied { .. }), "{again}");
}
