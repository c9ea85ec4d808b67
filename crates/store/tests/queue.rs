//! What waits for the writer: bounded, in order, and never lost by a caller who goes away.

mod support;

use bytes::Bytes;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    id::IdSource,
    limits,
    port::{Checkpoint, CheckpointKey, Claim, End, Intervention, Settlement, Store, Transaction},
};
use wakeful_store::SqliteStore;

use support::{NOON, options, work};

fn key() -> CheckpointKey {
    let (_, delivery) = work(&IdSource::after(0), "");
    CheckpointKey {
        scope: delivery.scope,
        source: "s".into(),
    }
}

#[tokio::test]
async fn more_than_the_queue_takes_waits_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    // So heavy that the queue is full long before the writer has caught up.
    let weight = limits::COMMIT_QUEUE_BYTES as usize / 16;
    let mut replies = Vec::new();
    let mut events = Vec::new();
    for number in 0..64u8 {
        let (event, _) = work(&ids, vec![number; weight]);
        events.push(event.key);
        replies.push(store.commit(Transaction {
            events: vec![event],
            checkpoints: vec![Checkpoint {
                key: key(),
                value: Bytes::from(vec![number]),
            }],
            ..Transaction::default()
        }));
    }
    for reply in replies {
        reply.await.unwrap();
    }
    let value = store.checkpoint(key()).await.unwrap();
    assert_eq!(value.as_deref(), Some(&[63][..]));
    for event in events {
        assert!(store.event(event).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn who_goes_away_while_waiting_undoes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let weight = limits::COMMIT_QUEUE_BYTES as usize / 4;
    let mut replies = Vec::new();
    let mut events = Vec::new();
    for _ in 0..12 {
        let (event, _) = work(&ids, vec![1; weight]);
        events.push(event.key);
        replies.push(store.commit(Transaction {
            events: vec![event],
            ..Transaction::default()
        }));
    }
    drop(replies);
    // Whoever comes after them is behind them.
    store.commit(Transaction::default()).await.unwrap();
    for event in events {
        assert!(store.event(event).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn the_log_stays_bounded_while_someone_reads() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let mut last = None;
    for _ in 0..200 {
        let (event, _) = work(&ids, vec![1; 1 << 20]);
        let key = event.key;
        let commit = store.commit(Transaction {
            events: vec![event],
            ..Transaction::default()
        });
        if let Some(before) = last.replace(key) {
            let (read, committed) = tokio::join!(store.event(before), commit);
            assert!(read.unwrap().is_some());
            committed.unwrap();
        } else {
            commit.await.unwrap();
        }
    }
    let log = std::fs::metadata(folder.path().join("store.db-wal"))
        .unwrap()
        .len();
    let most = limits::STORE_WAL * 5 + limits::COMMIT_GROUP_BYTES;
    assert!(log < most, "{log} bytes of log for 200 MiB of events");
}

#[tokio::test]
async fn however_many_are_released_they_come_in_steps() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let ids = IdSource::after(0);
    let (events, deliveries): (Vec<_>, Vec<_>) = (0..limits::RELEASE_STEP * 2 + 1)
        .map(|_| work(&ids, "{}"))
        .unzip();
    let runs: Vec<_> = deliveries.iter().map(|delivery| delivery.id).collect();
    let release = Intervention::ReleaseHeld {
        scope: deliveries[0].scope.clone(),
        function: deliveries[0].function.clone(),
        live: "v2".into(),
        now: NOON,
    };
    let commit = async |transaction| store.commit(transaction).await.unwrap();
    commit(Transaction {
        events,
        deliveries,
        ..Transaction::default()
    })
    .await;
    store.claim(runs.clone(), NOON).await.unwrap();
    let hold = |run: &_| Settlement {
        claim: Claim {
            run: *run,
            epoch: store.epoch(),
            start: 1,
        },
        end: End::HeldForVersion {
            version: "v1".into(),
            failure: Failure {
                kind: FailureKind::UserError,
                name: "Error".into(),
                message: "its version is not there".into(),
                stack: None,
                advice: None,
            },
        },
    };
    commit(Transaction {
        settlements: runs.iter().map(hold).collect(),
        ..Transaction::default()
    })
    .await;
    let before = store.stats().await.unwrap().commits;
    let released = commit(Transaction {
        interventions: vec![release],
        ..Transaction::default()
    })
    .await;
    assert_eq!(released.intervened, runs);
    assert_eq!(store.stats().await.unwrap().commits - before, 3);
    assert_eq!(store.backlog().await.unwrap()[0].queued, runs.len() as u64);
}
