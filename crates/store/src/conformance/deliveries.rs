//! Cases: what waits, in which order, and what is left out as a repetition.

use std::time::Duration;

use wakeful_core::{
    id::RunId,
    port::{Backlog, End, NewDelivery, Transaction, partition},
    time::Timestamp,
};

use super::world::{NOON, World, dedup, failure, later, query, scope, trigger};

const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) async fn ready_is_by_time_and_id(world: World) {
    let mut runs = Vec::new();
    for offset in [5, 3, 3, 0, 9] {
        runs.push(world.enqueue_with(|new| new.ready_at = later(offset)).await);
    }
    assert_eq!(
        world.ready_at(later(5)).await,
        [runs[3], runs[1], runs[2], runs[0]]
    );
    assert_eq!(world.ready_at(NOON).await, [runs[3]]);
    assert!(world.ready_at(Timestamp::from_millis(0)).await.is_empty());
}

pub(super) async fn ready_goes_on_after_a_row(world: World) {
    let mut runs = Vec::new();
    for offset in [0, 0, 0, 1, 1, 2] {
        runs.push(world.enqueue_with(|new| new.ready_at = later(offset)).await);
    }
    let mut query = query(later(10));
    query.limit = 2;
    let mut seen = Vec::new();
    loop {
        let page = world.store().ready(query.clone()).await.expect("a page");
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 2);
        query.after = Some((last.ready_at, last.id));
        seen.extend(page.iter().map(|delivery| delivery.id));
    }
    assert_eq!(seen, runs);
    query.limit = 0;
    assert!(
        world
            .store()
            .ready(query)
            .await
            .expect("nothing")
            .is_empty()
    );
}

pub(super) async fn ready_is_of_one_trigger_and_scope(world: World) {
    let here = world.enqueue().await;
    world
        .enqueue_with(|new| new.trigger = trigger("thumbnail/other"))
        .await;
    world
        .enqueue_with(|new| new.scope = scope("production"))
        .await;
    assert_eq!(world.ready().await, [here]);
    let mut unknown = query(NOON);
    unknown.trigger = trigger("nobody/knows");
    assert!(
        world
            .store()
            .ready(unknown)
            .await
            .expect("nothing")
            .is_empty()
    );
}

pub(super) async fn the_backlog_counts_and_dates(world: World) {
    assert!(world.store().backlog().await.expect("empty").is_empty());
    let first = world.enqueue_with(|new| new.ready_at = later(7)).await;
    world.enqueue_with(|new| new.ready_at = later(8)).await;
    world.enqueue_with(|new| new.claimed = true).await;
    let other = |new: &mut NewDelivery| new.scope = scope("production");
    world.enqueue_with(other).await;
    let backlog = |environment, queued, earliest| Backlog {
        scope: scope(environment),
        trigger: trigger("thumbnail/new"),
        queued,
        earliest,
    };
    let read = async || {
        let mut found = world.store().backlog().await.expect("the backlog");
        found.sort_by(|a, b| (&a.scope, &a.trigger).cmp(&(&b.scope, &b.trigger)));
        found
    };
    let elsewhere = backlog("production", 1, NOON);
    assert_eq!(
        read().await,
        [backlog("dev", 2, later(7)), elsewhere.clone()]
    );
    let claimed = world.claim(first).await;
    assert_eq!(
        read().await,
        [backlog("dev", 1, later(8)), elsewhere.clone()]
    );
    world
        .settle(&claimed, super::world::retry(later(3), true))
        .await;
    assert_eq!(
        read().await,
        [backlog("dev", 2, later(3)), elsewhere.clone()]
    );
    for run in world.ready_at(later(100)).await {
        let claimed = world.claim(run).await;
        world.settle(&claimed, End::Succeeded).await;
    }
    assert_eq!(read().await, [elsewhere]);
}

pub(super) async fn what_is_held_is_in_no_backlog(world: World) {
    let run = world.enqueue().await;
    let claimed = world.claim(run).await;
    let held = End::HeldForVersion {
        version: "v1".into(),
        failure: failure("import"),
    };
    world.settle(&claimed, held).await;
    assert!(world.store().backlog().await.expect("empty").is_empty());
    assert!(world.ready_at(later(1000)).await.is_empty());
    assert_eq!(world.store().stats().await.expect("figures").queued, 1);
}

pub(super) async fn deliveries_of_an_event(world: World) {
    let event = world.event("{}");
    let news: Vec<_> = ["a/x", "b/x", "c/x"]
        .map(|name| NewDelivery {
            trigger: trigger(name),
            ..world.owed(&event)
        })
        .into();
    let runs: Vec<RunId> = news.iter().map(|new| new.id).collect();
    world
        .commit(Transaction {
            events: vec![event.clone()],
            deliveries: news,
            ..Transaction::default()
        })
        .await;
    world.enqueue().await;
    let of = async || {
        let found = world
            .store()
            .deliveries_of(event.key)
            .await
            .expect("deliveries");
        let mut ids: Vec<RunId> = found.iter().map(|delivery| delivery.id).collect();
        ids.sort();
        ids
    };
    assert_eq!(of().await, runs);
    let claimed = world.claim(runs[1]).await;
    world.settle(&claimed, End::Succeeded).await;
    assert_eq!(of().await, [runs[0], runs[2]]);
}

pub(super) async fn partitions_are_stored(world: World) {
    for key in [None, Some("a"), Some("")] {
        let run = world
            .enqueue_with(|new| new.keys.ordering = key.map(str::to_owned))
            .await;
        let found = world.known(run).await;
        assert_eq!(found.keys.ordering.as_deref(), key);
        assert_eq!(
            found.partition,
            partition(&found.scope, &found.trigger, key)
        );
    }
}

/// Commits an event with one delivery that has a key; whether it was left out.
async fn repeats(world: &World, drawn: Timestamp, change: impl FnOnce(&mut NewDelivery)) -> bool {
    let event = world.event("{}");
    let mut new = world.owed(&event);
    new.id = world.ids.run(drawn);
    new.dedup = dedup("key", DAY);
    change(&mut new);
    let id = new.id;
    let committed = world
        .commit(Transaction {
            events: vec![event.clone()],
            deliveries: vec![new],
            ..Transaction::default()
        })
        .await;
    assert!(
        world.has_event(event.key).await,
        "the event is kept either way"
    );
    let left_out = committed
        .duplicates
        .first()
        .is_some_and(|(left, _)| *left == id);
    assert_eq!(world.get(id).await.is_none(), left_out);
    left_out
}

pub(super) async fn repetitions_are_left_out(world: World) {
    assert!(!repeats(&world, NOON, |_| ()).await);
    assert!(repeats(&world, NOON, |_| ()).await);
    assert!(!repeats(&world, NOON, |new| new.dedup = dedup("other", DAY)).await);
    assert!(!repeats(&world, NOON, |new| new.dedup = None).await);
    // Remembered although the delivery has left the store, and after a restart.
    for run in world.ready().await {
        let claimed = world.claim(run).await;
        world.settle(&claimed, End::Succeeded).await;
    }
    assert!(repeats(&world, NOON, |_| ()).await);
    assert_eq!(world.store().stats().await.expect("figures").duplicates, 2);
    let world = world.restart();
    assert!(repeats(&world, NOON, |_| ()).await);
}

pub(super) async fn repetitions_are_per_trigger(world: World) {
    assert!(!repeats(&world, NOON, |_| ()).await);
    assert!(!repeats(&world, NOON, |new| new.trigger = trigger("other/x")).await);
    assert!(!repeats(&world, NOON, |new| new.scope = scope("production")).await);
    assert!(repeats(&world, NOON, |new| new.trigger = trigger("other/x")).await);
}

pub(super) async fn repetitions_in_one_transaction(world: World) {
    let event = world.event("{}");
    let news: Vec<_> = ["a", "b", "a", "a"]
        .map(|key| NewDelivery {
            dedup: dedup(key, DAY),
            ..world.owed(&event)
        })
        .into();
    let ids: Vec<RunId> = news.iter().map(|new| new.id).collect();
    let committed = world
        .commit(Transaction {
            events: vec![event],
            deliveries: news,
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.duplicates, [(ids[2], ids[0]), (ids[3], ids[0])]);
    assert_eq!(world.ready().await, [ids[0], ids[1]]);
}

pub(super) async fn a_window_passes(world: World) {
    assert!(!repeats(&world, NOON, |_| ()).await);
    assert!(repeats(&world, later(DAY.as_secs() - 60), |_| ()).await);
    assert!(!repeats(&world, later(DAY.as_secs() + 60), |_| ()).await);
    assert!(repeats(&world, later(DAY.as_secs() + 120), |_| ()).await);
}

pub(super) async fn windows_of_any_length(world: World) {
    for seconds in [0, 1, 900, 86_400, 86_400 * 365, u64::MAX] {
        let window = Duration::from_secs(seconds);
        let key = format!("key-{seconds}");
        let with = |new: &mut NewDelivery| new.dedup = dedup(&key, window);
        assert!(!repeats(&world, NOON, with).await, "{seconds}");
        if seconds >= 900 {
            assert!(repeats(&world, NOON, with).await, "{seconds}");
        }
    }
}
