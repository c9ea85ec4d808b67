//! Cases: a transaction is applied whole or not at all, and in order.

use std::time::Duration;

use bytes::Bytes;
use wakeful_core::port::{Committed, NewDelivery, ObjectChange, StoreError, Transaction};

use super::world::{World, checkpoint, checkpoint_key, dedup, scope};

pub(super) async fn what_is_committed_can_be_read(world: World) {
    let event = world.event("{\"a\":1}");
    let new = world.owed(&event);
    let (key, run) = (event.key, new.id);
    let committed = world
        .commit(Transaction {
            events: vec![event.clone()],
            deliveries: vec![new],
            checkpoints: vec![checkpoint("database:shop", "7")],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed, Committed::default());
    assert_eq!(world.store().event(key).await.expect("read"), Some(event));
    assert_eq!(world.known(run).await.event, key);
    let value = world
        .store()
        .checkpoint(checkpoint_key("database:shop"))
        .await;
    assert_eq!(value.expect("read"), Some(Bytes::from_static(b"7")));
}

pub(super) async fn an_event_survives_with_every_field(world: World) {
    for subject in [None, Some(String::new()), Some("ü\0/x".to_owned())] {
        for (id, data) in [
            ("", Bytes::new()),
            ("outside", Bytes::from(vec![0xff; 100_000])),
        ] {
            let mut event = world.event("");
            event.subject.clone_from(&subject);
            id.clone_into(&mut event.id);
            event.data = data;
            let key = event.key;
            world
                .commit(Transaction {
                    events: vec![event.clone()],
                    ..Transaction::default()
                })
                .await;
            assert_eq!(world.store().event(key).await.expect("read"), Some(event));
        }
    }
}

pub(super) async fn a_known_event_is_refused_whole(world: World) {
    let event = world.event("first");
    world
        .commit(Transaction {
            events: vec![event.clone()],
            ..Transaction::default()
        })
        .await;
    let other = world.event("other");
    let mut again = event.clone();
    again.data = Bytes::from_static(b"second");
    let refused = world
        .try_commit(Transaction {
            events: vec![other.clone(), again],
            checkpoints: vec![checkpoint("s", "1")],
            ..Transaction::default()
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(!world.has_event(other.key).await);
    assert_eq!(
        world.store().event(event.key).await.expect("read"),
        Some(event)
    );
    assert_eq!(
        world
            .store()
            .checkpoint(checkpoint_key("s"))
            .await
            .expect("read"),
        None
    );
}

pub(super) async fn a_known_delivery_is_refused_whole(world: World) {
    let run = world.enqueue().await;
    let event = world.event("{}");
    let mut again = world.owed(&event);
    again.id = run;
    let refused = world
        .try_commit(Transaction {
            events: vec![event.clone()],
            deliveries: vec![world.owed(&event), again],
            ..Transaction::default()
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(!world.has_event(event.key).await);
    assert_eq!(world.ready().await, [run]);
}

pub(super) async fn a_delivery_needs_its_event(world: World) {
    let never = world.event("{}");
    let refused = world
        .try_commit(Transaction {
            deliveries: vec![world.owed(&never)],
            ..Transaction::default()
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Failed(_))), "{refused:?}");
    assert!(world.ready().await.is_empty());
}

pub(super) async fn refusals_leave_their_neighbours_alone(world: World) {
    let known = world.event("known");
    let commit = |events| {
        world.store().commit(Transaction {
            events,
            ..Transaction::default()
        })
    };
    commit(vec![known.clone()]).await.expect("the first");
    let good: Vec<_> = (0..20).map(|_| world.event("good")).collect();
    let mut object = world.object("a");
    let mut replies = Vec::new();
    for (number, event) in good.iter().enumerate() {
        replies.push(commit(vec![event.clone()]));
        if number % 5 == 0 {
            replies.push(commit(vec![known.clone()]));
            object.generation += 1;
            replies.push(world.store().commit(Transaction {
                objects: vec![ObjectChange::Put {
                    object: object.clone(),
                    expect: Some(1),
                    completes: None,
                }],
                ..Transaction::default()
            }));
        }
    }
    let mut failed = (0, 0);
    for reply in replies {
        match reply.await {
            Ok(_) => {}
            Err(StoreError::Failed(_)) => failed.0 += 1,
            Err(StoreError::Conflict(_)) => failed.1 += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(failed, (4, 4));
    for event in good {
        assert!(world.has_event(event.key).await);
    }
}

pub(super) async fn one_caller_keeps_its_order(world: World) {
    let values = ["1", "2", "3", "4", "5"];
    let replies: Vec<_> = (0..200)
        .map(|number| {
            world.store().commit(Transaction {
                checkpoints: vec![checkpoint("s", values[number % values.len()])],
                ..Transaction::default()
            })
        })
        .collect();
    for reply in replies {
        reply.await.expect("a commit");
    }
    let value = world
        .store()
        .checkpoint(checkpoint_key("s"))
        .await
        .expect("read");
    assert_eq!(value, Some(Bytes::from_static(b"5")));
}

pub(super) async fn a_dropped_reply_undoes_nothing(world: World) {
    let event = world.event("{}");
    drop(world.store().commit(Transaction {
        events: vec![event.clone()],
        ..Transaction::default()
    }));
    // What is handed in later is applied later.
    world.commit(Transaction::default()).await;
    assert!(world.has_event(event.key).await);
}

pub(super) async fn many_callers_at_once(world: World) {
    let mut replies = Vec::new();
    for _ in 0..3_000 {
        let event = world.event("{}");
        let new = world.owed(&event);
        replies.push(world.store().commit(Transaction {
            events: vec![event],
            deliveries: vec![new],
            ..Transaction::default()
        }));
    }
    for reply in replies {
        reply.await.expect("a commit");
    }
    let stats = world.store().stats().await.expect("figures");
    assert_eq!(
        (stats.events, stats.queued, stats.commits),
        (3_000, 3_000, 3_000)
    );
}

pub(super) async fn checkpoints_are_replaced(world: World) {
    for value in ["1", "2", ""] {
        world
            .commit(Transaction {
                checkpoints: vec![checkpoint("a", value)],
                ..Transaction::default()
            })
            .await;
        let found = world
            .store()
            .checkpoint(checkpoint_key("a"))
            .await
            .expect("read");
        assert_eq!(found.as_deref(), Some(value.as_bytes()));
    }
    let mut elsewhere = checkpoint_key("a");
    elsewhere.scope = scope("production");
    for unknown in [elsewhere, checkpoint_key("b")] {
        assert_eq!(world.store().checkpoint(unknown).await.expect("read"), None);
    }
}

pub(super) async fn the_greatest_id_is_remembered(world: World) {
    assert_eq!(world.store().greatest_id(), 0);
    let event = world.event("{}");
    let key = event.key;
    world
        .commit(Transaction {
            events: vec![event.clone()],
            ..Transaction::default()
        })
        .await;
    assert_eq!(world.store().greatest_id(), key.raw());
    let run = world.enqueue().await;
    assert_eq!(world.store().greatest_id(), run.raw());
    let claimed = world.claim(run).await;
    world
        .settle(&claimed, wakeful_core::port::End::Succeeded)
        .await;
    assert!(
        world
            .try_commit(Transaction {
                events: vec![event],
                ..Transaction::default()
            })
            .await
            .is_err()
    );
    let world = world.restart();
    assert_eq!(world.store().greatest_id(), run.raw());
}

pub(super) async fn figures_are_right(world: World) {
    let queued = world.enqueue().await;
    let running = world.enqueue().await;
    world.claim(running).await;
    world.dead().await;
    let world_stats = world.store().stats().await.expect("figures");
    assert_eq!(
        (
            world_stats.events,
            world_stats.queued,
            world_stats.running,
            world_stats.dead
        ),
        (3, 1, 1, 1)
    );
    assert_eq!((world_stats.commits, world_stats.stale), (4, 0));
    assert!(world_stats.syncs > 0 && world_stats.bytes > 0);
    world.claim(queued).await;
    let world = world.restart();
    let stats = world.store().stats().await.expect("figures");
    assert_eq!(
        (stats.events, stats.queued, stats.running, stats.dead),
        (3, 2, 0, 1)
    );
    assert_eq!((stats.commits, stats.stale, stats.duplicates), (0, 0, 0));
}

pub(super) async fn the_id_of_a_repetition_counts(world: World) {
    let event = world.event("{}");
    let repeated = |key: &str| NewDelivery {
        dedup: dedup(key, Duration::from_secs(60)),
        ..world.owed(&event)
    };
    world
        .commit(Transaction {
            events: vec![event.clone()],
            deliveries: vec![repeated("a")],
            ..Transaction::default()
        })
        .await;
    let again = repeated("a");
    let id = again.id;
    let committed = world
        .commit(Transaction {
            deliveries: vec![again],
            ..Transaction::default()
        })
        .await;
    assert_eq!(
        committed.duplicates.first().map(|(left, _)| *left),
        Some(id)
    );
    assert_eq!(world.store().greatest_id(), id.raw());
    assert_eq!(world.restart().store().greatest_id(), id.raw());
}
