//! The doctor on pages, indexes, tables, and what lies beside the database.

mod doctor_world;
mod support;

use std::{
    fs::{self, Permissions},
    os::unix::fs::{FileExt, PermissionsExt},
};

use wakeful_core::{
    delivery::{DeadReason, State},
    port::Store,
};
use wakeful_store::{
    SqliteStore,
    doctor::{self, Code, Depth, DoctorError, Remedy, Verdict},
};

use doctor_world::{
    LATER, World,
    checks::{DAMAGED, NOTED, REPAIRED, check, examine, fresh, repair},
    copy_folder,
};
use support::options;

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
