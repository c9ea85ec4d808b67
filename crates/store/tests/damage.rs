//! What is wrong with a folder is noticed, and nothing is lost in silence.

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use tempfile::TempDir;
use wakeful_core::{
    flow::OnUnknown,
    id::{EventId, IdSource, RunId},
    port::{
        Answer, AnswerKey, BeginAnswer, Begun, DeadQuery, Delivery, EventsQuery, ExpiredQuery,
        OpenError, ReadyQuery, Store, StoreError, Sweep, Transaction,
    },
    time::Timestamp,
};
use wakeful_store::{History, HistoryOptions, SqliteStore};

use support::{NOON, options, work};

async fn commit(store: &SqliteStore, ids: &IdSource, data: Vec<u8>) -> RunId {
    let (event, delivery) = work(ids, data);
    let run = delivery.id;
    let transaction = Transaction {
        events: vec![event],
        deliveries: vec![delivery],
        ..Transaction::default()
    };
    store.commit(transaction).await.unwrap();
    run
}

/// A folder as a power cut would leave it after `count` acknowledged commits.
async fn cut_off(count: usize) -> (TempDir, Vec<RunId>) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut runs = Vec::new();
    for _ in 0..count {
        runs.push(commit(&store, &ids, b"{}".into()).await);
    }
    let left = tempfile::tempdir().unwrap();
    copy(folder.path(), left.path());
    store.close();
    (left, runs)
}

fn copy(from: &Path, to: &Path) {
    for name in ["store.db", "store.db-wal", "high-water"] {
        if from.join(name).exists() {
            fs::copy(from.join(name), to.join(name)).unwrap();
        }
    }
}

fn again(folder: &Path) -> TempDir {
    let left = tempfile::tempdir().unwrap();
    copy(folder, left.path());
    left
}

fn change(file: PathBuf, by: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = fs::read(&file).unwrap();
    by(&mut bytes);
    fs::write(&file, bytes).unwrap();
}

async fn all_there(store: &SqliteStore, runs: &[RunId]) -> bool {
    for run in runs {
        if store.delivery(*run).await.unwrap().is_none() {
            return false;
        }
    }
    true
}

#[tokio::test]
async fn what_was_cut_off_is_whole() {
    let (left, runs) = cut_off(50).await;
    let store = SqliteStore::open(options(left.path())).unwrap();
    assert!(all_there(&store, &runs).await);
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_log_loses_nothing_in_silence() {
    let (left, runs) = cut_off(40).await;
    let len = fs::metadata(left.path().join("store.db-wal"))
        .unwrap()
        .len() as usize;
    let mut lost = 0;
    for step in 0..60 {
        let left = again(left.path());
        let at = (len - 1) * step / 59;
        change(left.path().join("store.db-wal"), |bytes| bytes[at] ^= 1);
        match SqliteStore::open(options(left.path())) {
            Ok(store) => assert!(all_there(&store, &runs).await, "byte {at} of {len}"),
            Err(OpenError::Lost {
                expected, found, ..
            }) => {
                assert!(found < expected, "byte {at}: {found} of {expected}");
                lost += 1;
            }
            Err(OpenError::Failed { .. }) => {}
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
    assert!(lost > 20, "most bits matter, {lost} were noticed");
}

#[tokio::test]
async fn a_refused_folder_stays_as_it_is_until_someone_decides() {
    let (left, runs) = cut_off(40).await;
    let wal = left.path().join("store.db-wal");
    let middle = fs::metadata(&wal).unwrap().len() as usize / 2;
    change(wal.clone(), |bytes| bytes[middle] ^= 1);
    let before = (
        fs::read(&wal).unwrap(),
        fs::read(left.path().join("store.db")).unwrap(),
    );
    for _ in 0..2 {
        let error = SqliteStore::open(options(left.path())).unwrap_err();
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        assert!(error.to_string().contains("high-water"), "{error}");
    }
    let after = (
        fs::read(&wal).unwrap(),
        fs::read(left.path().join("store.db")).unwrap(),
    );
    assert!(before == after, "what could be rescued was touched");
    fs::remove_file(left.path().join("high-water")).unwrap();
    let store = SqliteStore::open(options(left.path())).unwrap();
    assert!(store.delivery(runs[0]).await.unwrap().is_some());
    assert!(!all_there(&store, &runs).await);
    store.close();
    SqliteStore::open(options(left.path())).unwrap();
}

#[tokio::test]
async fn a_lost_log_or_database_is_noticed() {
    let (left, runs) = cut_off(10).await;
    let torn = |folder: &Path| {
        change(folder.join("store.db-wal"), |bytes| {
            bytes.truncate(bytes.len() * 3 / 4)
        });
    };
    let no_log = |folder: &Path| fs::remove_file(folder.join("store.db-wal")).unwrap();
    let no_database = |folder: &Path| fs::remove_file(folder.join("store.db")).unwrap();
    let nothing = |folder: &Path| {
        no_log(folder);
        no_database(folder);
    };
    for harm in [&torn as &dyn Fn(&Path), &no_log, &no_database, &nothing] {
        let left = again(left.path());
        harm(left.path());
        let error = SqliteStore::open(options(left.path())).unwrap_err();
        assert!(
            matches!(error, OpenError::Lost { .. } | OpenError::Failed { .. }),
            "{error}"
        );
    }
    // A commit that was never acknowledged may be torn.
    change(left.path().join("store.db-wal"), |bytes| {
        bytes.extend([7; 5000])
    });
    let store = SqliteStore::open(options(left.path())).unwrap();
    assert!(all_there(&store, &runs).await);
}

#[tokio::test]
async fn a_damaged_mark_is_said_so() {
    let (left, _) = cut_off(3).await;
    change(left.path().join("high-water"), |bytes| bytes.fill(9));
    let error = SqliteStore::open(options(left.path())).unwrap_err();
    assert!(error.to_string().contains("remove that file"), "{error}");
}

#[tokio::test]
async fn a_damaged_payload_is_noticed_and_others_read_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut events = Vec::new();
    for number in 0..6u8 {
        // Small ones live in a page with others, large ones in pages of their own.
        let len = if number % 2 == 0 { 40 } else { 100_000 };
        let run = commit(
            &store,
            &ids,
            [b"payload", &vec![b'a' + number; len][..]].concat(),
        )
        .await;
        events.push(store.delivery(run).await.unwrap().unwrap().event);
    }
    store.close();
    for (number, text) in [(2, "payloadcccc"), (3, "payloaddddd")] {
        change(folder.path().join("store.db"), |bytes| {
            // Freed space may hold older copies of it.
            let found = |at: &usize| bytes[*at..].starts_with(text.as_bytes());
            let places: Vec<usize> = (0..bytes.len()).filter(found).collect();
            assert!(!places.is_empty());
            for at in places {
                bytes[at + 8] ^= 1;
            }
        });
        let store = SqliteStore::open(options(folder.path())).unwrap();
        let read = store.event(events[number]).await;
        assert!(
            matches!(read, Err(StoreError::Damaged(id)) if id == events[number]),
            "{read:?}"
        );
        for intact in [0, 1, 4, 5] {
            assert!(store.event(events[intact]).await.unwrap().is_some());
        }
        store.close();
    }
}

#[tokio::test]
async fn a_sweep_goes_around_a_damaged_page() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut events = Vec::new();
    for number in 0..60 {
        // One to a page.
        let text = [format!("payload-{number:02}").as_bytes(), &[b'x'; 3000]].concat();
        let (event, _) = work(&ids, text);
        events.push(event.key);
        let transaction = Transaction {
            events: vec![event],
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
    }
    store.close();
    let damaged = [0, 20, 21, 40];
    for number in damaged {
        let text = format!("payload-{number:02}");
        change(folder.path().join("store.db"), |bytes| {
            let found = |at: &usize| bytes[*at..].starts_with(text.as_bytes());
            let places: Vec<usize> = (0..bytes.len()).filter(found).collect();
            assert!(!places.is_empty());
            for at in places {
                let page = &mut bytes[at / 4096 * 4096..][..4096];
                // A leaf; the root may still hold what it held when it was one.
                if page[0] == 13 {
                    page.fill(0x55);
                }
            }
        });
    }
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let sweep = Sweep {
        now: NOON,
        dead_before: Some(NOON),
        events_before: NOON.plus(Duration::from_secs(1)),
    };
    let gone = store.sweep(sweep).await.unwrap();
    // The neighbours of a damaged page cannot go without it.
    assert!((50..=56).contains(&gone), "{gone}");
    let mut left = 0;
    for (number, event) in events.iter().enumerate() {
        let read = store.event(*event).await;
        match damaged.contains(&number) {
            true => assert!(matches!(read, Err(StoreError::Damaged(_))), "{read:?}"),
            false => left += u64::from(read.unwrap().is_some()),
        }
    }
    assert_eq!(left, 56 - gone);
    // Nothing else suffers, now or at the next sweep.
    let run = commit(&store, &ids, b"{}".into()).await;
    assert_eq!(store.sweep(sweep).await.unwrap(), 0);
    assert!(store.delivery(run).await.unwrap().is_some());
}

#[tokio::test]
async fn a_delivery_that_cannot_be_read_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(commit(&store, &ids, b"{}".into()).await);
    }
    store.close();
    let conn = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let harm = |run: RunId, set: &str| {
        let sql = format!("UPDATE deliveries SET {set} WHERE id = ?1");
        assert_eq!(conn.execute(&sql, [run.raw()]).unwrap(), 1);
    };
    harm(runs[0], "failure = '{broken'");
    harm(runs[1], "function = 999");
    harm(runs[2], "ordering_key = CAST(x'ff' AS TEXT)");
    drop(conn);
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let (_, delivery) = work(&ids, "{}");
    let ready = ReadyQuery {
        scope: delivery.scope,
        trigger: delivery.trigger,
        now: NOON,
        after: None,
        limit: 10,
    };
    let ids_of = |found: &[Delivery]| found.iter().map(|one| one.id).collect::<Vec<_>>();
    // Without its failure it is as good as any other.
    let readable = [runs[0], runs[3]];
    let found = store.ready(ready).await.unwrap();
    assert_eq!(ids_of(&found), readable);
    let expired = ExpiredQuery {
        now: Timestamp::from_millis(i64::MAX),
        after: None,
    };
    let found = store.expired(expired).await.unwrap();
    assert_eq!(ids_of(&found.deliveries), readable);
    let claimed = store.claim(runs.clone(), NOON).await.unwrap();
    assert_eq!(ids_of(&claimed), readable);
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running, stats.dead), (0, 2, 2));
    assert!(
        store
            .dead(DeadQuery {
                limit: 10,
                ..DeadQuery::default()
            })
            .await
            .is_ok()
    );
    assert!(store.delivery(runs[1]).await.is_err());
}

#[tokio::test]
async fn nobody_else_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;

    let folder = tempfile::tempdir().unwrap();
    let ids = IdSource::after(0);
    for round in 0..2 {
        let store = SqliteStore::open(options(folder.path())).unwrap();
        let clock = options(folder.path()).clock;
        let history = History::open(HistoryOptions::new(folder.path(), clock)).unwrap();
        commit(&store, &ids, b"{}".into()).await;
        let mut seen = 0;
        for entry in fs::read_dir(folder.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "{round}: {:?}", entry.file_name());
            seen += 1;
        }
        assert!(seen >= 8, "databases, logs and indexes: {seen}");
        history.close();
        store.close();
        for name in ["store.db", "history.db"] {
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(folder.path().join(name), open).unwrap();
        }
    }
}

#[tokio::test]
async fn someone_who_reads_for_long_stops_no_commit() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    commit(&store, &ids, b"{}".into()).await;
    let reader = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    reader
        .execute_batch("BEGIN; SELECT * FROM counters")
        .unwrap();
    let count = |conn: &rusqlite::Connection| -> i64 {
        conn.query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(&reader), 1);
    // Far more than the log may hold before it is insisted that it be copied.
    let mut slowest = Duration::ZERO;
    for _ in 0..120 {
        let start = Instant::now();
        commit(&store, &ids, vec![b'x'; 1024 * 1024]).await;
        slowest = slowest.max(start.elapsed());
    }
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(count(&reader), 1);
}

#[tokio::test]
async fn a_newer_format_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    SqliteStore::open(options(folder.path())).unwrap().close();
    let file = folder.path().join("store.db");
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.pragma_update(None, "user_version", 3).unwrap();
    drop(conn);
    let before = fs::read(&file).unwrap();
    match SqliteStore::open(options(folder.path())) {
        Err(OpenError::Newer {
            found, supported, ..
        }) => assert_eq!((found, supported), (3, 2)),
        other => panic!("{other:?}"),
    }
    assert!(fs::read(&file).unwrap() == before);
}

#[tokio::test]
async fn what_is_no_store_is_refused() {
    let garbage = |file: &Path| fs::write(file, vec![7; 10_000]).unwrap();
    let other = |file: &Path| {
        let conn = rusqlite::Connection::open(file).unwrap();
        conn.execute_batch("CREATE TABLE t (a)").unwrap();
    };
    for harm in [&garbage as &dyn Fn(&Path), &other] {
        let folder = tempfile::tempdir().unwrap();
        harm(&folder.path().join("store.db"));
        let before = fs::read(folder.path().join("store.db")).unwrap();
        let error = SqliteStore::open(options(folder.path())).unwrap_err();
        assert!(matches!(error, OpenError::Failed { .. }), "{error}");
        assert!(fs::read(folder.path().join("store.db")).unwrap() == before);
    }
}

#[tokio::test]
async fn a_folder_has_one_holder() {
    use std::os::unix::fs::PermissionsExt;

    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("made/here");
    let store = SqliteStore::open(options(&folder)).unwrap();
    assert_eq!(
        fs::metadata(&folder).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let error = SqliteStore::open(options(&folder)).unwrap_err();
    let pid = std::process::id();
    assert!(matches!(error, OpenError::InUse { .. }), "{error}");
    assert!(
        error.to_string().contains(&format!("process {pid}")),
        "{error}"
    );
    let epoch = store.epoch();
    store.close();
    // A handle that is left over holds nothing.
    let next = SqliteStore::open(options(&folder)).unwrap();
    assert!(next.epoch() > epoch);
    assert!(matches!(store.stats().await, Err(StoreError::Closed)));
    drop(next);
    SqliteStore::open(options(&folder)).unwrap();
}

#[tokio::test]
async fn a_start_does_not_read_the_backlog() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    for _ in 0..100 {
        let (events, deliveries) = (0..1000).map(|_| work(&ids, "{}")).unzip();
        let transaction = Transaction {
            events,
            deliveries,
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
    }
    store.close();
    let start = std::time::Instant::now();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let stats = store.stats().await.unwrap();
    let backlog = store.backlog().await.unwrap();
    let took = start.elapsed();
    assert_eq!((stats.queued, backlog[0].queued), (100_000, 100_000));
    assert!(took.as_secs() < 2, "{took:?}");
}

#[tokio::test]
async fn a_scan_names_what_is_damaged_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut events = Vec::new();
    for _ in 0..4 {
        let run = commit(&store, &ids, b"{}".into()).await;
        events.push(store.delivery(run).await.unwrap().unwrap().event);
    }
    store.close();
    let conn = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    for (event, set) in [(events[1], "data = x'00'"), (events[2], "envelope = x'01'")] {
        let sql = format!("UPDATE events SET {set} WHERE id = ?1");
        assert_eq!(conn.execute(&sql, [event.raw()]).unwrap(), 1);
    }
    drop(conn);
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let query = EventsQuery {
        from: EventId::from_raw(0),
        before: EventId::from_raw(i64::MAX),
        limit: 10,
    };
    let found = store.events(query).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|one| one.as_ref().map(|event| event.key))
        .collect();
    let damaged = [&events[1], &events[2]];
    let expected = [
        Ok(events[0]),
        Err(damaged[0]),
        Err(damaged[1]),
        Ok(events[3]),
    ];
    assert_eq!(found, expected);
}

#[tokio::test]
async fn an_answer_that_is_damaged_is_not_given_and_not_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let (_, delivery) = work(&ids, "{}");
    let key = AnswerKey {
        scope: delivery.scope,
        trigger: delivery.trigger,
        key: "a".into(),
    };
    let begin = BeginAnswer {
        key: key.clone(),
        fingerprint: [1; 32],
        run: ids.run(NOON),
        now: NOON,
        until: Timestamp::from_millis(i64::MAX),
        again: OnUnknown::Retry,
    };
    assert_eq!(
        store.begin_answer(begin.clone()).await.unwrap(),
        Begun::Fresh
    );
    let answer = Answer {
        status: 200,
        headers: Vec::new(),
        body: "made".into(),
    };
    store.finish_answer(key, Some(answer)).await.unwrap();
    store.close();
    let conn = rusqlite::Connection::open(folder.path().join("store.db")).unwrap();
    let sql = "UPDATE answers SET body = CAST('fake' AS BLOB)";
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let stands = store.begin_answer(begin.clone()).await.unwrap();
    assert_eq!(stands, Begun::Unknown(begin.run));
}
