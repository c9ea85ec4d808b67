//! Cases: what a restart changes, and what it leaves.

use std::sync::Arc;

use bytes::Bytes;
use wakeful_core::{
    delivery::State,
    port::{End, ObjectChange, Settled, StoreError, Transaction},
};

use super::world::{NOON, World, checkpoint, checkpoint_key, failure, later, retry};

pub(super) async fn an_epoch_begins(world: World) {
    let mut before = world.epoch();
    let mut world = world;
    for _ in 0..3 {
        world = world.restart();
        assert!(world.epoch() > before);
        before = world.epoch();
    }
}

pub(super) async fn claims_of_older_epochs_are_void(world: World) {
    let run = world.enqueue().await;
    let born = world.enqueue_with(|new| new.claimed = true).await;
    let charged = world.claim(run).await;
    world.settle(&charged, retry(NOON, true)).await;
    let interrupted = world.claim(run).await;
    assert_eq!((interrupted.starts, interrupted.attempts), (2, 2));
    let old = world.claim_of(&interrupted);

    let world = world.restart();
    let queued = world.known(run).await;
    assert_eq!(
        (queued.state, queued.starts, queued.attempts),
        (State::Queued, 2, 1)
    );
    let born = world.known(born).await;
    assert_eq!(
        (born.state, born.starts, born.attempts),
        (State::Queued, 1, 0)
    );
    assert_eq!(
        world.settle_claim(old, End::Succeeded).await,
        Settled::Stale
    );
    assert_eq!(world.ready().await.len(), 2);
    let backlog = world.store().backlog().await.expect("the backlog");
    assert_eq!(backlog.iter().map(|one| one.queued).sum::<u64>(), 2);

    let again = world.claim(run).await;
    assert_eq!((again.starts, again.attempts), (3, 2));
    assert_eq!(
        world.settle_claim(old, End::Succeeded).await,
        Settled::Stale
    );
    assert_eq!(world.settle(&again, End::Succeeded).await, Settled::Applied);
}

pub(super) async fn everything_else_is_still_there(world: World) {
    let (queued, dead) = (world.enqueue().await, world.dead().await);
    let late = world.enqueue_with(|new| new.ready_at = later(50)).await;
    let held = world.enqueue().await;
    let claimed = world.claim(held).await;
    let end = End::HeldForVersion {
        version: "v1".into(),
        failure: failure("import"),
    };
    world.settle(&claimed, end).await;
    let object = world.object("a");
    let upload = world.upload("b");
    world
        .commit(Transaction {
            checkpoints: vec![checkpoint("s", "9")],
            objects: vec![
                ObjectChange::Put {
                    object: object.clone(),
                    expect: None,
                    completes: None,
                },
                ObjectChange::Begin(upload.clone()),
            ],
            ..Transaction::default()
        })
        .await;
    let mut before = Vec::new();
    for run in [queued, dead, late, held] {
        let delivery = world.known(run).await;
        let event = world.store().event(delivery.event).await.expect("an event");
        assert!(event.is_some());
        before.push((delivery, event));
    }
    let world = world.restart();
    for (delivery, event) in before {
        assert_eq!(
            world.store().event(delivery.event).await.expect("an event"),
            event
        );
        assert_eq!(world.known(delivery.id).await, delivery);
    }
    assert_eq!(world.get_object("a").await, Some(object));
    let found = world.store().upload(upload.id).await.expect("an upload");
    assert_eq!(found, Some(upload));
    let value = world
        .store()
        .checkpoint(checkpoint_key("s"))
        .await
        .expect("read");
    assert_eq!(value, Some(Bytes::from_static(b"9")));
}

pub(super) async fn what_was_ended_finds_itself_closed(world: World) {
    let run = world.enqueue().await;
    let old = Arc::clone(world.store());
    let world = world.restart();
    let event = world.event("{}");
    let refused = old
        .commit(Transaction {
            events: vec![event.clone()],
            ..Transaction::default()
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    let refused = old.claim(vec![run], NOON).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    let refused = old.delivery(run).await;
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert!(!world.has_event(event.key).await);
    assert_eq!(world.ready().await, [run]);
}
