//! Cases: what a sweep drops, and what it must leave.

use std::time::Duration;

use wakeful_core::{
    id::RunId,
    limits,
    port::{End, ExpiredQuery, NewDelivery, Sweep, Transaction},
    time::Timestamp,
};

use super::world::{EVENING, NOON, World, dedup, failure, later};

fn sweep_at(now: Timestamp) -> Sweep {
    Sweep {
        now,
        events_before: Timestamp::from_millis(0),
        dead_before: None,
    }
}

async fn sweep(world: &World, sweep: Sweep) -> u64 {
    world.store().sweep(sweep).await.expect("a sweep")
}

pub(super) async fn events_go_when_nothing_is_owed(world: World) {
    let unmatched = world.event("{}");
    world
        .commit(Transaction {
            events: vec![unmatched.clone()],
            ..Transaction::default()
        })
        .await;
    let queued = world.enqueue().await;
    let dead = world.dead().await;
    let running = world.enqueue_with(|new| new.claimed = true).await;
    let done = world.enqueue_with(|new| new.claimed = true).await;
    let done = world.known(done).await;
    world.settle(&done, End::Succeeded).await;
    let events_before = later(1);
    assert_eq!(
        sweep(
            &world,
            Sweep {
                events_before: NOON,
                ..sweep_at(NOON)
            }
        )
        .await,
        0
    );
    assert_eq!(
        sweep(
            &world,
            Sweep {
                events_before,
                ..sweep_at(NOON)
            }
        )
        .await,
        2
    );
    assert!(!world.has_event(unmatched.key).await);
    assert!(!world.has_event(done.event).await);
    for run in [queued, dead, running] {
        let delivery = world.known(run).await;
        assert!(world.has_event(delivery.event).await);
    }
    let stats = world.store().stats().await.expect("figures");
    assert_eq!(
        (stats.events, stats.queued, stats.dead, stats.running),
        (3, 1, 1, 1)
    );
}

pub(super) async fn dead_letters_go_when_asked(world: World) {
    let dead = world.dead().await;
    let keep = Sweep {
        dead_before: Some(NOON),
        ..sweep_at(NOON)
    };
    for harmless in [sweep_at(later(1_000_000)), keep] {
        sweep(&world, harmless).await;
        assert!(world.get(dead).await.is_some());
    }
    let all = Sweep {
        events_before: later(1),
        dead_before: Some(later(1)),
        ..sweep_at(NOON)
    };
    assert_eq!(
        sweep(&world, all).await,
        1,
        "its event goes in the same sweep"
    );
    assert_eq!(world.get(dead).await, None);
    assert_eq!(world.store().stats().await.expect("figures").dead, 0);
}

async fn repeats(world: &World, drawn: Timestamp) -> bool {
    let event = world.event("{}");
    let new = NewDelivery {
        id: world.ids.run(drawn),
        dedup: dedup("key", Duration::from_secs(3600)),
        ..world.owed(&event)
    };
    let committed = world
        .commit(Transaction {
            events: vec![event],
            deliveries: vec![new],
            ..Transaction::default()
        })
        .await;
    !committed.duplicates.is_empty()
}

pub(super) async fn keys_are_forgotten(world: World) {
    assert!(!repeats(&world, NOON).await);
    sweep(&world, sweep_at(later(3599))).await;
    assert!(repeats(&world, later(3599)).await, "not before its time");
    sweep(&world, sweep_at(later(8 * 3600))).await;
    assert!(!repeats(&world, later(8 * 3600)).await);
    assert!(repeats(&world, later(8 * 3600)).await);
}

pub(super) async fn a_sweep_takes_many_steps(world: World) {
    let mut owed = Vec::new();
    for batch in 0..4 {
        let events: Vec<_> = (0..500).map(|_| world.event("{}")).collect();
        let deliveries: Vec<_> = events
            .iter()
            .filter(|_| batch % 2 == 0)
            .map(|event| world.owed(event))
            .collect();
        owed.extend(deliveries.iter().map(|new| new.id));
        world
            .commit(Transaction {
                events,
                deliveries,
                ..Transaction::default()
            })
            .await;
    }
    let all = Sweep {
        events_before: later(1),
        ..sweep_at(NOON)
    };
    // What is committed meanwhile goes on.
    let (swept, fresh) = tokio::join!(world.store().sweep(all), world.enqueue());
    assert_eq!(swept.expect("a sweep"), 1000);
    assert_eq!(world.store().stats().await.expect("figures").events, 1001);
    assert!(world.known(fresh).await.starts == 0);
    for run in owed.into_iter().step_by(100) {
        assert!(world.has_event(world.known(run).await.event).await);
    }
}

pub(super) async fn what_grew_too_old_is_found(world: World) {
    let aged = |seconds: u64| move |new: &mut NewDelivery| new.expires_at = later(seconds);
    let queued = world.enqueue_with(aged(10)).await;
    let held = world.enqueue_with(aged(10)).await;
    let claimed = world.claim(held).await;
    let version = "v1".to_owned();
    let failure = failure("import");
    world
        .settle(&claimed, End::HeldForVersion { version, failure })
        .await;
    let last = world.enqueue_with(aged(11)).await;
    world
        .enqueue_with(|new| {
            new.claimed = true;
            new.expires_at = NOON;
        })
        .await;
    world.dead_with(aged(1)).await;
    assert!(expired(&world, later(9)).await.is_empty());
    assert_eq!(expired(&world, later(10)).await, [queued, held]);
    assert_eq!(expired(&world, later(11)).await, [queued, held, last]);
}

pub(super) async fn what_grew_too_old_is_found_in_steps(world: World) {
    let event = world.event("{}");
    let deliveries: Vec<_> = (0..limits::EXPIRY_STEP + 1)
        .map(|_| world.owed(&event))
        .collect();
    let runs: Vec<_> = deliveries.iter().map(|new| new.id).collect();
    world
        .commit(Transaction {
            events: vec![event],
            deliveries,
            ..Transaction::default()
        })
        .await;
    let (first, last) = (runs[0], runs[limits::EXPIRY_STEP]);
    assert_eq!(expired(&world, EVENING).await, runs);
    let query = |after| ExpiredQuery {
        now: EVENING,
        after: Some(after),
    };
    let whole = world.store().expired(query(first)).await.expect("a look");
    assert_eq!(whole.deliveries.len(), limits::EXPIRY_STEP);
    let none = world.store().expired(query(last)).await.expect("a look");
    assert_eq!((none.deliveries, none.next), (Vec::new(), None));
}

/// All that `expired` finds, step by step.
async fn expired(world: &World, now: Timestamp) -> Vec<RunId> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let query = ExpiredQuery { now, after };
        let step = world.store().expired(query).await.expect("a look");
        assert!(step.deliveries.len() <= limits::EXPIRY_STEP);
        found.extend(step.deliveries.iter().map(|delivery| delivery.id));
        match step.next {
            Some(next) => after = Some(next),
            None => return found,
        }
    }
}
