//! Cases: what people can ask about events and deliveries.

use std::time::Duration;

use wakeful_core::{
    delivery::DeadReason,
    event::{Event, Extension, Lineage},
    id::{EventId, RunId},
    port::{
        Census, DeadQuery, End, Ended, EventsQuery, Intervention, NewDelivery, Parked, Sweep,
        Transaction,
    },
    time::Timestamp,
};

use super::{
    lanes::{dead, discard, finish, redrive},
    world::{NOON, World, dedup, failure, function, later, retry, scope, trigger},
};

async fn keep(world: &World, events: Vec<Event>) {
    world
        .commit(Transaction {
            events,
            ..Transaction::default()
        })
        .await;
}

pub(super) async fn what_an_event_came_of(world: World) {
    let first = world.event("{}");
    keep(&world, vec![first.clone()]).await;
    let child = |parent: Option<EventId>, replay_of: Option<EventId>| {
        let mut event = world.event("{}");
        event.lineage = Lineage {
            run: Some(RunId::from_raw(7)),
            parent,
            depth: 3,
            replay_of,
        };
        event.extensions = [
            ("traceparent".to_owned(), Extension::Text("ü".into())),
            ("n".to_owned(), Extension::Integer(i32::MIN)),
            ("yes".to_owned(), Extension::Boolean(true)),
        ]
        .into();
        event
    };
    let caused = child(Some(first.key), None);
    let replayed = child(None, Some(first.key));
    let both = child(Some(first.key), Some(first.key));
    let of_both = child(Some(both.key), Some(first.key));
    let orphan = child(Some(EventId::from_raw(3)), None);
    let all = [caused, replayed, both.clone(), of_both.clone(), orphan];
    keep(&world, all.to_vec()).await;
    let world = world.restart();
    for event in &all {
        let found = world.store().event(event.key).await.expect("an event");
        assert_eq!(found.as_ref(), Some(event));
    }
    let children = async |world: &World, event| {
        let found = world.store().children(event).await;
        found.expect("its children")
    };
    let keys: Vec<EventId> = all[..4].iter().map(|event| event.key).collect();
    assert_eq!(children(&world, first.key).await, keys);
    assert_eq!(children(&world, both.key).await, [of_both.key]);
    assert!(children(&world, EventId::from_raw(3)).await.is_empty());
    // They go with the event, and before it.
    let new = world.owed(&first);
    world
        .commit(Transaction {
            deliveries: vec![new.clone()],
            ..Transaction::default()
        })
        .await;
    let sweep = Sweep {
        now: NOON,
        events_before: later(1),
        dead_before: None,
    };
    assert_eq!(world.store().sweep(sweep).await.ok(), Some(5));
    assert!(children(&world, first.key).await.is_empty());
    finish(&world, new.id, End::Succeeded).await;
    assert_eq!(world.store().sweep(sweep).await.ok(), Some(1));
    assert!(children(&world, first.key).await.is_empty());
}

pub(super) async fn how_deliveries_ended(world: World) {
    let event = world.event("{}");
    let mut first = world.owed(&event);
    first.dedup = dedup("x", Duration::from_secs(60));
    let mut again = world.owed(&event);
    again.dedup.clone_from(&first.dedup);
    let (kept, left_out) = (first.id, again.id);
    world
        .commit(Transaction {
            events: vec![event.clone()],
            deliveries: vec![first, again],
            ..Transaction::default()
        })
        .await;
    finish(&world, kept, dead()).await;
    let why = "the \"order\" is void\0";
    world
        .intervene(Intervention::Discard {
            run: kept,
            at: later(3),
            why: why.into(),
        })
        .await;
    let world = world.restart();
    let ends = world
        .store()
        .endings(event.key)
        .await
        .expect("how it ended");
    let how: Vec<_> = ends.iter().map(|end| (end.run, &end.how)).collect();
    assert_eq!(
        how,
        [
            (kept, &Ended::Discarded(why.into())),
            (left_out, &Ended::Duplicate(kept))
        ]
    );
    assert_eq!(ends[0].at, later(3));
    assert!(
        ends.iter()
            .all(|end| end.trigger == trigger("thumbnail/new"))
    );
    assert!(ends.iter().all(|end| end.event == event.key));
    let sweep = Sweep {
        now: NOON,
        events_before: later(1),
        dead_before: None,
    };
    assert_eq!(world.store().sweep(sweep).await.ok(), Some(1));
    assert_eq!(world.store().endings(event.key).await.ok(), Some(vec![]));
}

pub(super) async fn events_by_id(world: World) {
    let events: Vec<Event> = (0..10)
        .map(|number| world.event(&number.to_string()))
        .collect();
    keep(&world, events.clone()).await;
    let read = async |from: EventId, before: EventId, limit| {
        let query = EventsQuery {
            from,
            before,
            limit,
        };
        let found = world.store().events(query).await.expect("events");
        let found: Result<Vec<Event>, EventId> = found.into_iter().collect();
        found.expect("none is damaged")
    };
    let last = EventId::from_raw(i64::MAX);
    assert_eq!(read(EventId::from_raw(0), last, 100).await, events);
    assert_eq!(read(events[3].key, last, 2).await, events[3..5]);
    assert_eq!(read(events[3].key, events[6].key, 100).await, events[3..6]);
    assert!(read(events[3].key, events[3].key, 100).await.is_empty());
    assert!(read(events[6].key, events[3].key, 100).await.is_empty());
    assert!(read(last, last, 100).await.is_empty());
}

pub(super) async fn large_events_come_in_pieces(world: World) {
    let data = "x".repeat(3 * 1024 * 1024);
    let events: Vec<Event> = (0..7).map(|_| world.event(&data)).collect();
    for event in &events {
        keep(&world, vec![event.clone()]).await;
    }
    let mut from = EventId::from_raw(0);
    let (mut seen, mut reads) = (Vec::new(), 0);
    loop {
        let query = EventsQuery {
            from,
            before: EventId::from_raw(i64::MAX),
            limit: 100,
        };
        let found = world.store().events(query).await.expect("events");
        reads += 1;
        assert!(found.len() <= 4, "it is bounded by bytes");
        let Some(Ok(last)) = found.last() else {
            assert!(found.is_empty());
            break;
        };
        from = EventId::from_raw(last.key.raw() + 1);
        seen.extend(found.iter().flatten().map(|event| event.key));
    }
    let keys: Vec<EventId> = events.iter().map(|event| event.key).collect();
    assert_eq!(seen, keys);
    assert!(reads >= 3);
}

pub(super) async fn dead_letters_by_all_that_is_known_of_them(world: World) {
    let die = async |name: &str, of: &str, reason, at: Timestamp| {
        let change = |new: &mut NewDelivery| {
            new.function = function(name);
            new.trigger = trigger(of);
        };
        let run = world.enqueue_with(change).await;
        let end = End::Dead {
            reason,
            at,
            failure: None,
        };
        finish(&world, run, end).await;
        run
    };
    let (exhausted, old) = (DeadReason::AttemptsExhausted, DeadReason::TooOld);
    let runs = [
        die("f", "f/x", exhausted, later(1)).await,
        die("f", "f/y", old, later(2)).await,
        die("g", "f/x", old, later(3)).await,
        die("f", "f/x", old, later(3)).await,
        die("f", "f/x", exhausted, later(2)).await,
    ];
    let all = DeadQuery::default;
    let f = || Some(function("f"));
    let x = || Some(trigger("f/x"));
    check(&world, &runs, all(), &[4, 3, 2, 1, 0]).await;
    check(
        &world,
        &runs,
        DeadQuery {
            trigger: x(),
            ..all()
        },
        &[4, 3, 2, 0],
    )
    .await;
    check(
        &world,
        &runs,
        DeadQuery {
            function: f(),
            trigger: x(),
            ..all()
        },
        &[4, 3, 0],
    )
    .await;
    check(
        &world,
        &runs,
        DeadQuery {
            reason: Some(old),
            ..all()
        },
        &[3, 2, 1],
    )
    .await;
    check(
        &world,
        &runs,
        DeadQuery {
            function: f(),
            reason: Some(old),
            ..all()
        },
        &[3, 1],
    )
    .await;
    check(
        &world,
        &runs,
        DeadQuery {
            since: Some(later(2)),
            ..all()
        },
        &[4, 3, 2, 1],
    )
    .await;
    check(
        &world,
        &runs,
        DeadQuery {
            until: Some(later(2)),
            ..all()
        },
        &[0],
    )
    .await;
    let between = DeadQuery {
        trigger: x(),
        since: Some(later(2)),
        until: Some(later(3)),
        ..all()
    };
    check(&world, &runs, between, &[4]).await;
    check(
        &world,
        &runs,
        DeadQuery {
            reason: Some(DeadReason::Damaged),
            ..all()
        },
        &[],
    )
    .await;
}

/// Asks in pages of several sizes.
async fn check(world: &World, runs: &[RunId], query: DeadQuery, expected: &[usize]) {
    for limit in [1, 2, 100] {
        let mut before = None;
        let mut found = Vec::new();
        loop {
            let query = DeadQuery {
                before,
                limit,
                ..query.clone()
            };
            let page = world.store().dead(query).await.expect("dead letters");
            before = page.last().map(|delivery| delivery.id);
            found.extend(page.iter().map(|delivery| delivery.id));
            if page.len() < limit {
                break;
            }
        }
        let expected: Vec<RunId> = expected.iter().map(|number| runs[*number]).collect();
        assert_eq!(found, expected, "{limit} of {query:?}");
    }
}

pub(super) async fn a_census_counts_all_that_waits(world: World) {
    let census = async |world: &World| {
        let found = world
            .store()
            .census(scope("dev"), trigger("thumbnail/new"))
            .await;
        found.expect("a census")
    };
    assert_eq!(census(&world).await, Census::default());
    let lane = |blocks| {
        move |new: &mut NewDelivery| {
            new.keys.ordering = Some(format!("lane {blocks}"));
            new.blocks = blocks;
        }
    };
    let room = |new: &mut NewDelivery| {
        new.keys.concurrency = Some("a".into());
        new.key_limit = Some(1);
    };
    let first = world.enqueue_with(lane(true)).await;
    world.enqueue_with(lane(true)).await;
    world.enqueue_with(lane(false)).await;
    world.enqueue_with(lane(false)).await;
    world.enqueue_with(room).await;
    world.enqueue_with(room).await;
    world.enqueue_with(room).await;
    world.enqueue_with(|new| new.ready_at = later(50)).await;
    world.enqueue_with(|new| new.claimed = true).await;
    let elsewhere = world.enqueue_with(|new| new.trigger = trigger("x/y")).await;
    finish(&world, first, dead()).await;
    let aside = world.dead().await;
    for why in [Parked::Pause, Parked::Pause, Parked::Breaker] {
        let run = world.enqueue().await;
        let key = "k".to_owned();
        world.intervene(Intervention::Park { run, why, key }).await;
    }
    let version = End::HeldForVersion {
        version: "v".into(),
        failure: failure("x"),
    };
    let late = world.enqueue().await;
    finish(&world, late, version).await;
    let expected = Census {
        queued: 3,
        earliest: Some(NOON),
        running: 1,
        for_version: 1,
        for_order: 2,
        for_concurrency: 2,
        paused: 2,
        by_breaker: 1,
        dead: 2,
        blocking: vec![first],
    };
    assert_eq!(census(&world).await, expected);
    let world = world.restart();
    let expected = Census {
        queued: 4,
        running: 0,
        ..expected
    };
    assert_eq!(
        census(&world).await,
        expected,
        "the running one is queued again"
    );
    world.intervene(discard(aside)).await;
    world.intervene(redrive(first)).await;
    let later_on = census(&world).await;
    assert_eq!((later_on.dead, later_on.queued), (0, 5));
    assert!(later_on.blocking.is_empty());
    finish(&world, elsewhere, retry(NOON, true)).await;
    assert_eq!(
        census(&world).await,
        later_on,
        "of other triggers it knows nothing"
    );
}
