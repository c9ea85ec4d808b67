//! Stops, crashes, locks, replaced files: nothing is missed, and nothing comes twice.

use std::{
    collections::HashSet,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use wakeful_databases::Report;

use crate::bench::{Bench, Mood};

const PLAIN: &str = "CREATE TABLE t(id INTEGER PRIMARY KEY, a)";

/// The keys of the events so far, in order.
fn keys(bench: &Bench) -> Vec<i64> {
    let all = bench.arrivals();
    let subjects = all.iter().map(|arrival| arrival.subject.clone().unwrap());
    subjects
        .map(|subject| subject.strip_prefix("t/").unwrap().parse().unwrap())
        .collect()
}

fn rows_sql(first: i64, last: i64) -> String {
    format!(
        "WITH RECURSIVE c(n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM c WHERE n < {last}) \
         INSERT INTO t SELECT n, 'row ' || n FROM c;"
    )
}

fn outbox_rows(bench: &Bench) -> i64 {
    let count = bench.sql("SELECT count(*) FROM \"_wakeful.shop.dev.shop.outbox\";");
    count.trim().parse().unwrap()
}

#[tokio::test]
async fn a_big_transaction_comes_in_batches_and_leaves_nothing_behind() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql(&rows_sql(1, 10_000));
    bench.until_events(10_000).await;
    assert_eq!(keys(&bench), (1..=10_000).collect::<Vec<_>>());
    assert!(bench.sink.submissions.load(Ordering::SeqCst) >= 20);
    // All but the row by which the outbox is known again.
    bench
        .until("an empty outbox", |bench| outbox_rows(bench) == 1)
        .await;
    bench.stop().await;
}

#[tokio::test]
async fn changes_made_while_nobody_looks_come_at_the_next_start() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql(&rows_sql(1, 10));
    bench.until_events(10).await;
    bench.stop().await;
    bench.sql(&rows_sql(11, 20));
    bench.start();
    bench.until_events(20).await;
    bench.stop().await;
    bench.start();
    bench.sql(&rows_sql(21, 30));
    bench.until_events(30).await;
    assert_eq!(keys(&bench), (1..=30).collect::<Vec<_>>());
    assert!(!bench.reports().contains(&Report::Replaced));
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_moment_nothing_is_missed_or_repeated() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    let mut last = 0;
    for round in 0..25u64 {
        bench.sql(&rows_sql(last + 1, last + 1500));
        last += 1500;
        // A different moment each time, before, within and after the batches.
        tokio::time::sleep(Duration::from_micros(round * 400)).await;
        bench.kill().await;
        bench.start();
    }
    bench.until_events(usize::try_from(last).unwrap()).await;
    bench.stop().await;
    bench.start();
    bench.sql(&rows_sql(last + 1, last + 1));
    bench.until_events(usize::try_from(last).unwrap() + 1).await;
    assert_eq!(keys(&bench), (1..=last + 1).collect::<Vec<_>>());
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_processes_write_at_once() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql("PRAGMA journal_mode = WAL;");
    std::thread::scope(|scope| {
        for writer in 0..4i64 {
            let bench = &bench;
            scope.spawn(move || {
                for at in 0..5 {
                    let first = writer * 10_000 + at * 50 + 1;
                    let rows: Vec<_> = (first..first + 50)
                        .map(|id| format!("INSERT INTO t VALUES ({id}, 'x');"))
                        .collect();
                    bench.sql(&rows.join("\n"));
                }
            });
        }
    });
    bench.until_events(1000).await;
    let keys = keys(&bench);
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), 1000);
    for writer in 0..4 {
        let own: Vec<_> = keys.iter().filter(|key| **key / 10_000 == writer).collect();
        assert!(own.is_sorted(), "{own:?}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_change_is_noticed_at_once() {
    let mut bench = Bench::new();
    // So long that only the notice of the file can be the reason.
    bench.poll = Duration::from_secs(3600);
    bench.sql(&format!("PRAGMA journal_mode = WAL; {PLAIN};"));
    bench.watch(&["t"]);
    bench.start();
    bench.until_captured(&["t"]).await;
    for id in 1..=50 {
        bench.sql(&format!("INSERT INTO t VALUES ({id}, 'x');"));
        bench.until_events(id).await;
    }
    bench.stop().await;
}

#[tokio::test]
async fn a_sink_that_fails_gets_it_again_and_one_that_lies_does_not() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.mood(Mood::Refusing);
    bench.sql(&rows_sql(1, 5));
    bench.until_reported("cannot be stored").await;
    bench.mood(Mood::Willing);
    bench.until_events(5).await;
    bench.until_reported("works again").await;
    bench.mood(Mood::Lying);
    bench.sql(&rows_sql(6, 10));
    bench.until_events(10).await;
    bench.mood(Mood::Willing);
    bench.sql(&rows_sql(11, 11));
    bench.until_events(11).await;
    assert_eq!(keys(&bench), (1..=11).collect::<Vec<_>>());
    bench.stop().await;
}

#[tokio::test]
async fn a_restored_backup_is_noticed_and_its_changes_are_read() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql(&rows_sql(1, 3));
    bench.until_events(3).await;
    bench.stop().await;
    let backup = bench.folder.path().join("backup.db");
    bench.sql(&format!("VACUUM INTO '{}';", backup.display()));
    bench.start();
    bench.sql(&rows_sql(4, 10));
    bench.until_events(10).await;
    bench.stop().await;
    for ending in ["", "-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", bench.path.display()));
    }
    std::fs::copy(&backup, &bench.path).unwrap();
    // As many as there were after the backup: the numbers alone would look right.
    bench.sql(
        "INSERT INTO t VALUES (104, 'x'), (105, 'x'), (106, 'x'), (107, 'x'), (108, 'x'), \
               (109, 'x'), (110, 'x'), (111, 'x');",
    );
    bench.start();
    bench.until_reported("was replaced").await;
    let seen = |bench: &Bench| keys(bench).contains(&111);
    bench.until("the changes of the backup", seen).await;
    let all: HashSet<_> = keys(&bench).into_iter().collect();
    assert!(
        (1..=10).chain(104..=111).all(|key| all.contains(&key)),
        "{all:?}"
    );
    let replaced = |bench: &Bench| {
        let reports = bench.reports().into_iter();
        reports.filter(|report| *report == Report::Replaced).count()
    };
    assert_eq!(replaced(&bench), 1);
    bench.stop().await;
    bench.start();
    bench.sql("INSERT INTO t VALUES (112, 'x');");
    let seen = |bench: &Bench| keys(bench).contains(&112);
    bench.until("the next change", seen).await;
    assert_eq!(replaced(&bench), 1);
    bench.stop().await;
}

#[tokio::test]
async fn another_file_in_its_place_is_noticed_while_running() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql(&rows_sql(1, 3));
    bench.until_events(3).await;
    let other = bench.folder.path().join("other.db");
    let made = std::process::Command::new("sqlite3")
        .arg(&other)
        .arg(PLAIN)
        .status()
        .unwrap();
    assert!(made.success());
    for ending in ["-wal", "-shm"] {
        let _ = std::fs::remove_file(format!("{}{ending}", bench.path.display()));
    }
    std::fs::rename(&other, &bench.path).unwrap();
    bench.until_reported("was replaced").await;
    bench.until_captured(&["t"]).await;
    bench.sql("INSERT INTO t VALUES (77, 'x');");
    bench.until_events(4).await;
    assert_eq!(keys(&bench)[3], 77);
    bench.stop().await;
}

#[tokio::test]
async fn a_missing_database_is_created_with_its_folder() {
    let mut bench = Bench::new();
    bench.path = bench.folder.path().join("some/new/folder/shop.db");
    bench.watch(&["t"]);
    bench.start();
    bench.until_reported("an empty one was created").await;
    bench.until_reported("no table `t`").await;
    assert_eq!(bench.sql("PRAGMA journal_mode;").trim(), "wal");
    bench.sql(&format!("{PLAIN};"));
    bench.until_reported("`t` appeared").await;
    bench.sql("INSERT INTO t VALUES (1, 'x');");
    bench.until_events(1).await;
    bench.stop().await;
}

#[tokio::test]
async fn trouble_is_named_once_and_overcome() {
    let mut bench = Bench::new();
    std::fs::write(
        &bench.path,
        "no database at all, but long enough for a header. ".repeat(99),
    )
    .unwrap();
    bench.watch(&["t"]);
    bench.start();
    bench.until_reported("is not a SQLite database").await;
    std::fs::remove_file(&bench.path).unwrap();
    bench.sql(&format!("{PLAIN};"));
    bench.until_reported("works again").await;
    bench.until_captured(&["t"]).await;
    bench.sql("INSERT INTO t VALUES (1, 'x');");
    bench.until_events(1).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_cleaner_that_empties_all_tables_stops_nothing() {
    let mut bench = Bench::with(PLAIN, &["t"]).await;
    bench.sql("INSERT INTO t VALUES (1, 'a');");
    bench.until_events(1).await;
    let all = bench.sql("SELECT name FROM sqlite_schema WHERE type = 'table';");
    let mut clean = String::from("BEGIN;");
    for table in all.lines() {
        clean += &format!("DELETE FROM \"{table}\";");
    }
    clean += "COMMIT;";
    for (round, running) in [(0, true), (1, false), (2, true)] {
        if !running {
            bench.stop().await;
        }
        bench.sql(&clean);
        // Its layout is gone with the rest.
        bench.sql("INSERT INTO t VALUES (7, 'lost or not');");
        if !running {
            bench.start();
        }
        let again = |bench: &Bench| {
            let meta = bench.sql("SELECT count(*) FROM \"_wakeful.shop.dev.shop.meta\";");
            let live = "SELECT count(*) FROM \"_wakeful.shop.dev.shop.layouts\" WHERE live;";
            meta.trim() == "3" && bench.sql(live).trim() == "1"
        };
        bench.until("tables made whole", again).await;
        let key = 100 + round;
        bench.sql(&format!("INSERT INTO t VALUES ({key}, 'seen');"));
        bench
            .until("the next change", |bench| keys(bench).contains(&key))
            .await;
    }
    bench.until_reported("could not be read").await;
    bench.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_held_by_someone_is_waited_for() {
    let mut bench = Bench::new();
    bench.sql(&format!("{PLAIN};"));
    let other = rusqlite::Connection::open(&bench.path).unwrap();
    other.execute_batch("BEGIN EXCLUSIVE").unwrap();
    bench.watch(&["t"]);
    bench.start();
    bench.until_reported("is locked by another process").await;
    other.execute_batch("COMMIT").unwrap();
    bench.until_captured(&["t"]).await;
    bench.sql("INSERT INTO t VALUES (1, 'x');");
    bench.until_events(1).await;
    bench.stop().await;
}

#[tokio::test]
async fn a_large_outbox_slows_no_insert_down() {
    let mut bench = Bench::with(
        "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, a)",
        &["t"],
    )
    .await;
    bench.stop().await;
    let insert = |bench: &Bench, first: i64| {
        let rows: Vec<_> = (first..first + 200)
            .map(|id| format!("INSERT INTO t VALUES ({id}, 'x');"))
            .collect();
        let start = Instant::now();
        bench.sql(&format!("PRAGMA synchronous = OFF; {}", rows.join("\n")));
        start.elapsed()
    };
    insert(&bench, 1);
    let empty = (0..3)
        .map(|at| insert(&bench, 1000 + at * 200))
        .min()
        .unwrap();
    bench.sql(&rows_sql(1_000_000, 1_060_000));
    let full = (0..3)
        .map(|at| insert(&bench, 2000 + at * 200))
        .min()
        .unwrap();
    assert!(
        full < empty * 5 + Duration::from_millis(50),
        "{empty:?} became {full:?}"
    );
    assert!(outbox_rows(&bench) > 60_000);
}

#[tokio::test]
async fn two_environments_capture_the_same_database() {
    let mut dev = Bench::with(PLAIN, &["t"]).await;
    let mut production = Bench::new();
    production.path = dev.path.clone();
    production.environment = "production";
    production.watch(&["t"]);
    production.start();
    production.until_reported("are captured").await;
    production
        .until("both triggers", |bench| {
            let names = bench.sql("SELECT name FROM sqlite_schema WHERE type = 'trigger';");
            names.contains(".dev.") && names.contains(".production.")
        })
        .await;
    dev.sql(&rows_sql(1, 100));
    dev.until_events(100).await;
    production.until_events(100).await;
    dev.stop().await;
    dev.sql(&rows_sql(101, 200));
    production.until_events(200).await;
    assert_eq!(keys(&production), (1..=200).collect::<Vec<_>>());
    dev.start();
    dev.until_events(200).await;
    dev.stop().await;
    production.stop().await;
}

#[tokio::test]
async fn a_database_that_nobody_listens_to_is_left_alone() {
    let mut bench = Bench::new();
    let tables = |bench: &Bench| {
        bench
            .sql("SELECT count(*) FROM sqlite_schema;")
            .trim()
            .to_owned()
    };
    bench.start();
    bench.until_reported("an empty one was created").await;
    // The turn that made the file ends before the stop is heard.
    bench.stop().await;
    assert_eq!(tables(&bench), "0");
    bench.start();
    bench.watch(&["t"]);
    bench.until_reported("no table `t`").await;
    bench.sql(&format!("{PLAIN};"));
    bench.until_captured(&["t"]).await;
    bench.sql(&rows_sql(1, 1));
    bench.until_events(1).await;
    bench.stop().await;
    // What is left over from before is taken away, though.
    bench.watch(&[]);
    bench.start();
    bench.until_captured(&[]).await;
    bench.stop().await;
}
