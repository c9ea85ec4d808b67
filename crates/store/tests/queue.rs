//! What waits for the writer: bounded, in order, and never lost by a caller who goes away.

mod support;

use bytes::Bytes;
use wakeful_core::{
    id::IdSource,
    limits,
    port::{Checkpoint, CheckpointKey, Store, Transaction},
};
use wakeful_store::SqliteStore;

use support::{options, work};

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
