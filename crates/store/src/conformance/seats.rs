//! Cases: so many at once per concurrency key.

use wakeful_core::{
    delivery::State,
    id::RunId,
    limits,
    port::{End, Held, Intervention, NewDelivery, Parked, Transaction},
    time::Timestamp,
};

use super::{
    lanes::{dead, finish, held, redrive},
    world::{NOON, World, failure, function, later, retry, scope, trigger},
};

fn keyed(key: &str, limit: u32) -> impl Fn(&mut NewDelivery) {
    move |new| {
        new.keys.concurrency = Some(key.to_owned());
        new.key_limit = Some(limit);
    }
}

fn at(limit: u32, ready_at: Timestamp) -> impl Fn(&mut NewDelivery) {
    move |new| {
        keyed("a", limit)(new);
        new.ready_at = ready_at;
    }
}

fn limit(limit: Option<u32>) -> Intervention {
    Intervention::Limit {
        scope: scope("dev"),
        trigger: trigger("thumbnail/new"),
        limit,
    }
}

pub(super) async fn so_many_at_once(world: World) {
    let mut runs = Vec::new();
    for _ in 0..4 {
        runs.push(world.enqueue_with(keyed("a", 2)).await);
    }
    let other = world.enqueue_with(keyed("b", 2)).await;
    assert_eq!(world.ready().await, [runs[0], runs[1], other]);
    assert_eq!(held(&world, runs[2]).await, Some(Held::Concurrency));
    let refused = world.store().claim(vec![runs[2]], NOON).await;
    assert_eq!(refused.ok(), Some(vec![]), "who is held is not claimed");
    let ended = finish(&world, runs[1], End::Succeeded).await;
    assert_eq!(ended.released, [trigger("thumbnail/new")]);
    assert_eq!(world.ready().await, [runs[0], runs[2], other]);
    finish(&world, runs[0], dead()).await;
    assert_eq!(world.ready().await, [runs[2], runs[3], other]);
    // Back from the dead it waits like any other, by its new time.
    world.intervene(redrive(runs[0])).await;
    assert_eq!(
        held(&world, runs[0]).await,
        None,
        "an older id at the same time has the seat"
    );
    assert_eq!(held(&world, runs[3]).await, Some(Held::Concurrency));
}

pub(super) async fn a_later_time_gives_its_seat_away(world: World) {
    let first = world.enqueue_with(at(1, NOON)).await;
    let second = world.enqueue_with(at(1, NOON)).await;
    finish(&world, first, retry(later(60), true)).await;
    assert_eq!(world.ready_at(later(100)).await, [second]);
    assert_eq!(held(&world, first).await, Some(Held::Concurrency));
    finish(&world, second, End::Succeeded).await;
    assert_eq!(world.ready_at(later(60)).await, [first]);
    // One that comes and could run sooner takes the seat of one that waits for a later time.
    let sooner = world.enqueue_with(at(1, later(5))).await;
    assert_eq!(world.ready_at(later(60)).await, [sooner]);
    assert_eq!(held(&world, first).await, Some(Held::Concurrency));
    let latest = world.enqueue_with(at(1, later(70))).await;
    assert_eq!(held(&world, latest).await, Some(Held::Concurrency));
    finish(&world, sooner, End::Succeeded).await;
    finish(&world, first, End::Succeeded).await;
    assert_eq!(world.ready_at(later(70)).await, [latest]);
    // Alone it keeps its seat, whatever its time.
    finish(&world, latest, retry(later(500), false)).await;
    assert_eq!(world.ready_at(later(500)).await, [latest]);
}

pub(super) async fn deferred_gives_its_seat_away(world: World) {
    let first = world.enqueue_with(at(1, NOON)).await;
    let second = world.enqueue_with(at(1, NOON)).await;
    let defer = |run, until| Intervention::Defer { run, until };
    assert!(
        world.intervene(defer(second, later(1))).await.is_empty(),
        "held"
    );
    assert_eq!(world.intervene(defer(first, later(60))).await, [first]);
    assert_eq!(world.ready_at(later(60)).await, [second]);
    assert_eq!(world.known(first).await.ready_at, later(60));
    assert_eq!(held(&world, first).await, Some(Held::Concurrency));
    let running = world.claim(second).await;
    assert!(
        world.intervene(defer(second, later(1))).await.is_empty(),
        "running"
    );
    world.settle(&running, End::Succeeded).await;
    assert_eq!(world.ready_at(later(60)).await, [first]);
}

pub(super) async fn what_is_held_keeps_its_seat(world: World) {
    let first = world.enqueue_with(at(1, NOON)).await;
    let second = world.enqueue_with(at(1, NOON)).await;
    let version = End::HeldForVersion {
        version: "v1".into(),
        failure: failure("x"),
    };
    finish(&world, first, version).await;
    assert!(world.ready().await.is_empty());
    let release = Intervention::ReleaseHeld {
        scope: scope("dev"),
        function: function("thumbnail"),
        live: "v2".into(),
        now: NOON,
    };
    assert_eq!(world.intervene(release).await, [first]);
    assert_eq!(world.ready().await, [first]);
    let park = Intervention::Park {
        run: first,
        why: Parked::Breaker,
        key: "k".into(),
    };
    assert_eq!(world.intervene(park).await, [first]);
    assert!(world.ready().await.is_empty());
    assert_eq!(held(&world, second).await, Some(Held::Concurrency));
}

pub(super) async fn order_comes_before_seats(world: World) {
    let both = |lane: &'static str| {
        move |new: &mut NewDelivery| {
            keyed("a", 1)(new);
            new.keys.ordering = Some(lane.to_owned());
        }
    };
    let first = world.enqueue_with(both("x")).await;
    let behind = world.enqueue_with(both("x")).await;
    let other = world.enqueue_with(both("y")).await;
    assert_eq!(world.ready().await, [first]);
    assert_eq!(held(&world, behind).await, Some(Held::Order));
    assert_eq!(held(&world, other).await, Some(Held::Concurrency));
    // Now both could have the seat: it is given by time and id.
    finish(&world, first, End::Succeeded).await;
    assert_eq!(world.ready().await, [behind]);
    assert_eq!(held(&world, other).await, Some(Held::Concurrency));
    // A retry keeps its turn though it lost its seat.
    finish(&world, behind, retry(later(60), true)).await;
    let last = world.enqueue_with(both("x")).await;
    assert_eq!(world.ready().await, [other]);
    assert_eq!(held(&world, behind).await, Some(Held::Concurrency));
    assert_eq!(held(&world, last).await, Some(Held::Order));
    let found = world.store().ahead_of(behind).await.expect("who is ahead");
    let ahead: Vec<RunId> = found.iter().map(|delivery| delivery.id).collect();
    assert_eq!(ahead, [other]);
}

pub(super) async fn born_claimed_only_with_a_seat(world: World) {
    let event = world.event("{}");
    let news: Vec<NewDelivery> = (0..2)
        .map(|_| {
            let mut new = world.owed(&event);
            keyed("a", 1)(&mut new);
            new.claimed = true;
            new
        })
        .collect();
    let ids: Vec<RunId> = news.iter().map(|new| new.id).collect();
    let committed = world
        .commit(Transaction {
            events: vec![event],
            deliveries: news,
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.unclaimed, [ids[1]]);
    assert_eq!(world.known(ids[0]).await.state, State::Running);
    assert_eq!(held(&world, ids[1]).await, Some(Held::Concurrency));
    let world = world.restart();
    assert_eq!(
        world.ready().await,
        [ids[0]],
        "a restart gives no one's seat away"
    );
}

pub(super) async fn a_limit_that_grows_and_shrinks(world: World) {
    let mut runs = Vec::new();
    for _ in 0..5 {
        runs.push(world.enqueue_with(keyed("a", 1)).await);
    }
    assert!(world.intervene(limit(Some(3))).await.is_empty());
    assert_eq!(world.ready().await, runs[..3]);
    let first = world.claim(runs[0]).await;
    world.intervene(limit(Some(1))).await;
    assert_eq!(world.ready().await, runs[1..3], "who has a seat keeps it");
    world.settle(&first, End::Succeeded).await;
    assert_eq!(
        world.ready().await,
        runs[1..3],
        "but it is given to no one else"
    );
    finish(&world, runs[1], retry(NOON, true)).await;
    assert_eq!(world.ready().await, [runs[1]], "nor kept for a retry");
    finish(&world, runs[1], End::Succeeded).await;
    assert_eq!(world.ready().await, [runs[2]]);
    let more = world.enqueue_with(keyed("a", 3)).await;
    assert_eq!(
        world.ready().await,
        [runs[2], runs[3], runs[4]],
        "a new delivery brings a new limit"
    );
    assert_eq!(held(&world, more).await, Some(Held::Concurrency));
    let world = world.restart();
    world.intervene(limit(None)).await;
    assert_eq!(world.ready().await, [runs[2], runs[3], runs[4], more]);
    // A limit holds for a trigger that has had no delivery yet.
    let unheard = Intervention::Limit {
        scope: scope("dev"),
        trigger: trigger("later/x"),
        limit: Some(1),
    };
    assert!(world.intervene(unheard).await.is_empty());
    let change = |new: &mut NewDelivery| {
        new.trigger = trigger("later/x");
        new.keys.concurrency = Some("a".into());
    };
    world.enqueue_with(change).await;
    let second = world.enqueue_with(change).await;
    assert_eq!(held(&world, second).await, Some(Held::Concurrency));
}

pub(super) async fn a_limit_grows_for_many_keys(world: World) {
    let count = limits::RELEASE_STEP + 100;
    let mut events = Vec::new();
    let mut deliveries = Vec::new();
    for number in 0..count {
        for _ in 0..2 {
            let event = world.event("{}");
            let mut new = world.owed(&event);
            keyed(&format!("k{number}"), 1)(&mut new);
            events.push(event);
            deliveries.push(new);
        }
    }
    world
        .commit(Transaction {
            events,
            deliveries,
            ..Transaction::default()
        })
        .await;
    let queued = async || world.store().backlog().await.expect("the backlog")[0].queued;
    assert_eq!(queued().await, count as u64);
    let committed = world
        .commit(Transaction {
            interventions: vec![limit(Some(2))],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.released, [trigger("thumbnail/new")]);
    assert_eq!(queued().await, 2 * count as u64);
}
