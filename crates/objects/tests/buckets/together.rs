//! Many at once, and callers who do not wait for the end.

use std::sync::Arc;

use bytes::Bytes;
use wakeful_core::port::StoreError;
use wakeful_objects::{Body, Expect, Headers, ObjectError};

use crate::support::{Fault, World, bucket, noise, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_writers_of_one_key_take_turns() {
    let world = Arc::new(World::new());
    let writes = (1..=64).map(|size| {
        let world = world.clone();
        tokio::spawn(async move { world.put("k", noise(size)).await })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    let events = world.events();
    assert_eq!(
        events
            .iter()
            .filter(|event| event.verb == "created")
            .count(),
        1
    );
    assert_eq!(events.len(), 64);
    let last = events
        .iter()
        .max_by_key(|event| event.data["sequencer"].to_string())
        .unwrap();
    assert_eq!(
        world.read("k").await.unwrap().len() as u64,
        last.data["size"].as_u64().unwrap()
    );
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_demand_absence_one_succeeds() {
    let world = Arc::new(World::new());
    let writes = (0..32).map(|_| {
        let world = world.clone();
        tokio::spawn(async move {
            let body = Body::from(Bytes::from("x"));
            world
                .buckets
                .put(&bucket(), "k", Headers::default(), body, Expect::Absent)
                .await
        })
    });
    let mut created = 0;
    for write in writes.collect::<Vec<_>>() {
        match write.await.unwrap() {
            Ok(_) => created += 1,
            Err(error) => assert!(
                matches!(error, ObjectError::Precondition { .. }),
                "{error:?}"
            ),
        }
    }
    assert_eq!((created, world.verbs()), (1, vec!["created"]));
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test]
async fn a_conflict_is_decided_anew() {
    let world = World::new();
    let conflict = || Fault::Refuse(StoreError::Conflict("k".into()));
    world.faults((0..3).map(|_| conflict()));
    world.put("k", "x").await.unwrap();
    assert_eq!(world.verbs(), ["created"]);
    world.faults((0..100).map(|_| conflict()));
    let error = world.put("k", "y").await.unwrap_err();
    assert!(
        matches!(error, ObjectError::Contended { .. }) && !error.may_have_happened(),
        "{error:?}"
    );
    assert_eq!(world.read("k").await.unwrap(), "x");
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test]
async fn a_change_is_seen_through_when_its_caller_goes_away() {
    let world = Arc::new(World::new());
    world.put("old", "x").await.unwrap();
    for change in ["put", "remove"] {
        let gate = world.close_gate().await;
        let caller = tokio::spawn({
            let world = world.clone();
            async move {
                match change {
                    "put" => drop(world.put("new", "body").await),
                    _ => drop(world.buckets.remove(&bucket(), "old").await),
                }
            }
        });
        world.submission().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
        drop(gate);
        world.buckets.close().await;
    }
    assert_eq!(world.verbs(), ["created", "created", "removed"]);
    assert_eq!(world.read("new").await.unwrap(), "body");
    assert_eq!(world.read("old").await, None);
    assert_eq!(world.blob_count(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_in_the_body_leaves_nothing() {
    let world = Arc::new(World::new());
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let stream = futures::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (Ok(chunk), receiver))
    });
    let caller = tokio::spawn({
        let world = world.clone();
        async move { world.put_body("k", Body::new(stream)).await }
    });
    for _ in 0..8 {
        sender.send(noise(200_000)).await.unwrap();
    }
    until("the blob has begun", || world.blob_count() == 1).await;
    caller.abort();
    until("the blob is gone", || world.blob_count() == 0).await;
    assert_eq!(world.read("k").await, None);
    assert!(world.events().is_empty());
}
