//! Tests of the format: that of format 1 lives on, and no question on the hot path looks at more
//! than it answers.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use rusqlite::{Connection, params};
use wakeful_core::{
    delivery::{DeadReason, State},
    event::{Event, Extensions, Lineage},
    flow::OnUnknown,
    id::{EventId, IdSource, RunId},
    name::{Scope, TriggerId},
    port::{
        CheckpointKey, Clock, Dedup, End, Held, Keys, NewDelivery, ReadyQuery, Settlement, Store,
        Transaction,
    },
    time::Timestamp,
};

use super::{Options, SqliteStore, census, dead, envelope, intervene, lanes, schema};

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOON
    }
}

fn open(folder: &Path) -> SqliteStore {
    let options = Options {
        reserve: 1,
        ..Options::new(folder, Arc::new(Still))
    };
    SqliteStore::open(options).unwrap()
}

fn scope() -> Scope {
    Scope {
        project: "p".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    }
}

fn event(key: EventId) -> Event {
    Event {
        key,
        origin: "bucket:photos".parse().unwrap(),
        id: key.to_string(),
        source: "/s".into(),
        kind: "wakeful.bucket.created".into(),
        subject: Some("cat.jpg".into()),
        time: NOON,
        content_type: "text/plain".into(),
        data: Bytes::from_static(b"data"),
        extensions: Extensions::new(),
        lineage: Lineage::default(),
    }
}

fn owed(id: RunId, event: EventId) -> NewDelivery {
    NewDelivery {
        id,
        scope: scope(),
        event,
        trigger: TriggerId::from_stored("f/x"),
        function: "f".parse().unwrap(),
        keys: Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: OnUnknown::Retry,
        debounce: None,
        ready_at: NOON,
        expires_at: NOON.plus(Duration::from_secs(9000)),
        claimed: false,
        dead: None,
        dedup: None,
    }
}

/// What format 1 wrote of a delivery: state, attempts, ordering key, version it is held for.
type Old = (u8, u32, Option<&'static str>, Option<&'static str>);

const OLD: [Old; 8] = [
    (0, 0, None, None),
    (1, 2, None, None),
    (2, 5, None, None),
    (3, 0, None, Some("v1")),
    // Format 1 kept ordering keys and did not obey them.
    (1, 1, Some("a"), None),
    (0, 1, Some("a"), None),
    (3, 0, Some("a"), Some("v1")),
    (0, 0, Some("b"), None),
];

/// A folder as the last version with format 1 left it when it was killed.
fn write_format_1(folder: &Path, ids: &IdSource) -> (EventId, Vec<RunId>) {
    let conn = Connection::open(folder.join(schema::FILE)).unwrap();
    conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")
        .unwrap();
    conn.pragma_update(None, "journal_mode", "WAL").unwrap();
    conn.execute_batch(schema::FORMAT_1).unwrap();
    conn.pragma_update(None, "user_version", 1).unwrap();
    conn.pragma_update(None, "application_id", 0x574b_464c)
        .unwrap();
    conn.execute_batch(
        "INSERT INTO triggers VALUES (7, 'p', 'dev', 'f/x', 3);
         INSERT INTO functions VALUES (9, 'p', 'dev', 'f');
         INSERT INTO checkpoints VALUES ('p', 'dev', 's', x'3132');
         CREATE TABLE dedup_3_1125000 (trigger INTEGER NOT NULL, key BLOB NOT NULL,
            until INTEGER NOT NULL, PRIMARY KEY (trigger, key)) STRICT, WITHOUT ROWID;",
    )
    .unwrap();
    conn.execute(
        "INSERT INTO dedup_3_1125000 VALUES (7, CAST('seen' AS BLOB), ?1)",
        [NOON.plus(Duration::from_secs(60)).as_millis()],
    )
    .unwrap();
    let key = ids.event(NOON);
    let envelope = envelope::encode(&event(key));
    assert_eq!(envelope[0], 1, "as format 1 wrote it");
    conn.execute(
        "INSERT INTO events VALUES (?1, ?2, ?3, ?4)",
        params![
            key.raw(),
            envelope::checksum(key, &envelope, b"data"),
            envelope,
            b"data"
        ],
    )
    .unwrap();
    let mut runs = Vec::new();
    for (state, attempts, ordering, held) in OLD {
        let run = ids.run(NOON);
        let died = (state == 2).then(|| NOON.as_millis());
        conn.execute(
            "INSERT INTO deliveries VALUES (?1, ?2, 7, 9, 103, ?3, 1, ?4, ?4, ?5, ?6, 0, ?7, ?8, \
             ?9, ?10, NULL)",
            params![
                run.raw(),
                key.raw(),
                state,
                attempts,
                NOON.as_millis(),
                NOON.plus(Duration::from_secs(9000)).as_millis(),
                ordering,
                held,
                died.map(|_| DeadReason::AttemptsExhausted as u8),
                died
            ],
        )
        .unwrap();
        runs.push(run);
    }
    let greatest = runs.last().unwrap().raw();
    conn.execute(
        "UPDATE counters SET seq = 40, epoch = 1, greatest = ?1, events = 1, queued = 5, \
         running = 2, dead = 1",
        [greatest],
    )
    .unwrap();
    (key, runs)
}

#[tokio::test]
async fn a_folder_of_format_1_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let ids = IdSource::after(0);
    let (key, runs) = write_format_1(folder.path(), &ids);
    let store = open(folder.path());
    assert_eq!(store.epoch().0, 2);
    assert_eq!(store.event(key).await.unwrap(), Some(event(key)));
    let mut found = Vec::new();
    for run in &runs {
        found.push(store.delivery(*run).await.unwrap().unwrap());
    }
    let seen: Vec<_> = found
        .iter()
        .map(|one| (one.state, one.attempts, one.held.clone()))
        .collect();
    assert_eq!(
        seen,
        [
            (State::Queued, 0, None),
            (State::Queued, 1, None),
            (State::Dead, 5, None),
            (State::Queued, 0, Some(Held::Version("v1".into()))),
            (State::Queued, 0, None),
            (State::Queued, 1, Some(Held::Order)),
            (State::Queued, 0, Some(Held::Order)),
            (State::Queued, 0, None),
        ]
    );
    assert!(
        found
            .iter()
            .all(|one| !one.blocks && one.on_unknown == OnUnknown::Retry)
    );
    assert_eq!(found[2].dead, Some((DeadReason::AttemptsExhausted, NOON)));
    let stats = store.stats().await.unwrap();
    assert_eq!(
        (stats.events, stats.queued, stats.running, stats.dead),
        (1, 7, 0, 1)
    );
    let of = TriggerId::from_stored("f/x");
    let census = store.census(scope(), of.clone()).await.unwrap();
    assert_eq!(
        (
            census.queued,
            census.dead,
            census.for_version,
            census.for_order
        ),
        (4, 1, 1, 2)
    );
    let key_of = CheckpointKey {
        scope: scope(),
        source: "s".into(),
    };
    let value = store.checkpoint(key_of).await.unwrap();
    assert_eq!(value, Some(Bytes::from_static(b"12")));
    // A key of format 1 is remembered, though not for whom.
    let again = NewDelivery {
        dedup: Some(Dedup {
            key: "seen".into(),
            window: Duration::from_secs(60),
        }),
        ..owed(ids.run(NOON), key)
    };
    let repeated = again.id;
    let committed = store
        .commit(Transaction {
            deliveries: vec![again],
            ..Transaction::default()
        })
        .await
        .unwrap();
    assert_eq!(committed.duplicates, [(repeated, RunId::from_raw(0))]);
    the_lane_goes_on(&store, &runs[4..7]).await;
    store.close();
    assert_eq!(open(folder.path()).epoch().0, 3);
}

async fn the_lane_goes_on(store: &SqliteStore, lane: &[RunId]) {
    for run in lane {
        let claimed = store.claim(vec![*run], NOON).await.unwrap();
        assert_eq!(claimed.len(), 1, "{run}");
        let settlement = Settlement {
            claim: claimed[0].claim(store.epoch()),
            end: End::Succeeded,
        };
        let transaction = Transaction {
            settlements: vec![settlement],
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
    }
    let query = ReadyQuery {
        scope: scope(),
        trigger: TriggerId::from_stored("f/x"),
        now: NOON,
        after: None,
        limit: 10,
    };
    assert_eq!(store.ready(query).await.unwrap().len(), 3);
}

/// The steps of the plan of `sql`.
fn plan(conn: &Connection, sql: &str) -> Vec<String> {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // What is not bound is NULL, which changes no plan.
    let mut rows = statement.raw_query();
    let mut steps = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        steps.push(row.get(3).unwrap());
    }
    steps
}

#[test]
fn questions_are_answered_by_indexes() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path()).close();
    let conn = Connection::open(folder.path().join(schema::FILE)).unwrap();
    let constraints = [
        (lanes::TURN, "(trigger=? AND ordering_key=? AND turn=?)"),
        (
            lanes::FIRST_WAITING,
            "(trigger=? AND ordering_key=? AND turn=?)",
        ),
        (
            lanes::FIRST_BLOCKING,
            "(trigger=? AND ordering_key=? AND turn=?)",
        ),
        (lanes::TAKEN, "(trigger=? AND concurrency_key=? AND seat<?)"),
        (lanes::FIRST_UNSEATED, "(trigger=? AND concurrency_key=?)"),
        (
            lanes::LAST_QUEUED,
            "(trigger=? AND concurrency_key=? AND seat=?)",
        ),
        (lanes::NEXT_ROOM, "(trigger=? AND concurrency_key>?)"),
        (intervene::PARKED, "(trigger=? AND state=?)"),
        (
            intervene::PARKED_WITH_KEY,
            "(trigger=? AND state=? AND held_for=?)",
        ),
        (census::RUNNING, "(trigger=?)"),
        (census::BLOCKING, "(trigger=?)"),
    ];
    let dead = dead::statements().map(|sql| (sql, "id<?)"));
    for (sql, constraint) in constraints.into_iter().chain(dead) {
        let steps = plan(&conn, sql);
        assert_eq!(
            steps.len(),
            1,
            "neither sorted nor scanned: {sql}: {steps:?}"
        );
        assert!(
            steps[0].starts_with("SEARCH deliveries USING"),
            "{sql}: {steps:?}"
        );
        assert!(steps[0].ends_with(constraint), "{sql}: {steps:?}");
    }
    // These sort the few that stand before one.
    for sql in [census::AHEAD_IN_LANE, census::AHEAD_IN_ROOM] {
        let steps = plan(&conn, sql);
        assert!(
            steps[0].starts_with("SEARCH deliveries USING INDEX"),
            "{steps:?}"
        );
    }
}
