//! What is gathered is committed with the success of its delivery: over a store that refuses.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use wakeful_core::{
    delivery::{Failure, FailureKind, State},
    event::Origin,
    name::BucketName,
    port::{Arrival, Delivery, Store, StoreError},
};
use wakeful_objects::{Body, Buckets, Headers, Options};
use wakeful_workers::WorkerRef;

use super::{gates::Taken, settle::Attempted, tests::Bench};
use crate::attempts::Effect;

struct World {
    bench: Bench,
    buckets: Buckets,
    claimed: Delivery,
}

fn notes() -> BucketName {
    "notes".parse().unwrap()
}

impl World {
    async fn new() -> Self {
        let bench = Bench::new();
        let parts = &bench.inner().parts;
        let options = Options {
            folder: bench.folder.path().join("objects"),
            scope: parts.scope.clone(),
            clock: parts.clock.clone(),
            ids: parts.ids.clone(),
        };
        let sink = std::sync::Arc::new(bench.dispatcher.clone());
        let buckets = Buckets::open(options, parts.store.clone(), sink).unwrap();
        buckets.set_buckets([notes()].into());
        let claimed = bench.stored(|new| new.claimed = true).await;
        Self {
            bench,
            buckets,
            claimed,
        }
    }

    /// Ends an attempt that has gathered an object and an event.
    async fn end(&self, outcome: Result<Bytes, Failure>) {
        self.end_as(self.claimed.clone(), outcome).await;
    }

    async fn end_as(&self, delivery: Delivery, outcome: Result<Bytes, Failure>) {
        let (attempted, taken) = self.attempted(delivery, outcome).await;
        self.bench.inner().conclude(attempted, &taken).await;
        self.bench.workers.shutdown(Duration::ZERO).await;
    }

    async fn attempted(
        &self,
        delivery: Delivery,
        outcome: Result<Bytes, Failure>,
    ) -> (Attempted, Taken) {
        let inner = self.bench.inner();
        let event = inner
            .parts
            .store
            .event(delivery.event)
            .await
            .unwrap()
            .unwrap();
        let attempts = &inner.parts.attempts;
        let key = (delivery.id, delivery.starts);
        let underway = attempts.serving(key, [(&delivery, &event)]);
        let attempt = attempts.calling(key);
        let id = attempt.begin("all", Some(delivery.id)).unwrap();
        let (cause, _) = attempt.look(id).unwrap();
        let body = Body::from(Bytes::from_static(b"x"));
        let buckets = self.buckets.caused_by(cause);
        let staged = buckets
            .stage(&notes(), "a", Headers::default(), body)
            .await
            .unwrap();
        let arrival = Arrival {
            lineage: cause,
            ..Arrival::new(
                Origin::Bucket(notes()),
                "created",
                inner.now(),
                Bytes::new(),
            )
        };
        let effects = vec![Effect::Object(staged), Effect::Event(Box::new(arrival))];
        attempt.add(id, effects).unwrap();
        attempt.commit(id, |_| ()).unwrap();
        attempt.committed(id);
        attempts.ended(key);
        let version = self.bench.version("v1");
        let duty = version.duty(&delivery.trigger).unwrap();
        let starts = [(delivery.id, &delivery.keys)];
        let mut taken = inner.take(&delivery.trigger, &duty.flow, &starts).unwrap();
        taken.started();
        let attempted = Attempted {
            deliveries: vec![(delivery.clone(), event.into())],
            outcomes: vec![outcome],
            worker: WorkerRef {
                pid: 0,
                cold: false,
            },
            version,
            duty,
            started_at: inner.now(),
            took: Duration::ZERO,
            underway,
        };
        (attempted, taken)
    }

    async fn is_visible(&self) -> bool {
        self.buckets.head(&notes(), "a").await.unwrap().is_some()
    }

    /// Events beside the one that was there.
    async fn new_events(&self) -> u64 {
        self.bench.store.store.stats().await.unwrap().events - 1
    }

    fn blobs(&self) -> usize {
        fn files(folder: &Path) -> usize {
            let entries = std::fs::read_dir(folder).unwrap();
            let count = entries.map(|entry| {
                let path = entry.unwrap().path();
                if path.is_dir() { files(&path) } else { 1 }
            });
            count.sum()
        }
        files(&self.bench.folder.path().join("objects"))
    }

    async fn delivery(&self) -> Option<Delivery> {
        self.bench
            .store
            .store
            .delivery(self.claimed.id)
            .await
            .unwrap()
    }
}

#[tokio::test]
async fn effects_apply_with_success() {
    let world = World::new().await;
    world.end(Ok(Bytes::new())).await;
    assert!(world.is_visible().await);
    assert_eq!(
        world.new_events().await,
        2,
        "one for the object, and the other"
    );
    assert_eq!(world.delivery().await, None);
    let children = world.bench.store.store.children(world.claimed.event).await;
    assert_eq!(children.unwrap().len(), 2, "both follow from its event");
}

#[tokio::test]
async fn effects_of_a_failure_are_dropped() {
    let world = World::new().await;
    world
        .end(Err(Failure::ours(FailureKind::UserError, "no")))
        .await;
    assert!(!world.is_visible().await);
    assert_eq!((world.new_events().await, world.blobs()), (0, 0));
    assert_eq!(world.delivery().await.unwrap().state, State::Queued);
}

#[tokio::test]
async fn effects_of_a_stale_settlement_are_dropped() {
    let world = World::new().await;
    let mut stale = world.claimed.clone();
    stale.starts += 1;
    world.end_as(stale, Ok(Bytes::new())).await;
    assert!(!world.is_visible().await);
    assert_eq!((world.new_events().await, world.blobs()), (0, 0));
    assert_eq!(world.delivery().await.unwrap().state, State::Running);
}

#[tokio::test]
async fn effects_are_worked_out_anew_after_a_conflict_and_tried_again_without_room() {
    let world = World::new().await;
    *world.bench.store.refusals.lock() = vec![
        StoreError::DiskFull,
        StoreError::Conflict("a".into()),
        StoreError::Conflict("a".into()),
    ];
    let before = world.bench.commits();
    world.end(Ok(Bytes::new())).await;
    assert_eq!(world.bench.commits() - before, 4);
    assert!(world.is_visible().await);
    assert_eq!((world.new_events().await, world.blobs()), (2, 1));
}

#[tokio::test]
async fn what_may_be_on_disk_keeps_its_bytes() {
    let world = World::new().await;
    *world.bench.store.refusals.lock() = vec![StoreError::Unknown("odd".into())];
    world.end(Ok(Bytes::new())).await;
    assert_eq!(world.blobs(), 1);
}

#[tokio::test]
async fn what_a_reload_made_impossible_is_no_success_and_no_charge() {
    let world = World::new().await;
    let (attempted, taken) = world
        .attempted(world.claimed.clone(), Ok(Bytes::new()))
        .await;
    world.buckets.set_buckets([].into());
    world.bench.inner().conclude(attempted, &taken).await;
    let again = world.delivery().await.unwrap();
    assert_eq!((again.state, again.attempts), (State::Queued, 0));
    let failure = again.failure.unwrap();
    assert!(failure.message.contains("[bucket.notes]"), "{failure:?}");
    assert_eq!(world.blobs(), 0);
    world.bench.workers.shutdown(Duration::ZERO).await;
}
