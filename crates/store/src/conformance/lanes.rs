//! Cases: order per key, and what a death, a redrive and a restart do to it.

use wakeful_core::{
    delivery::{DeadReason, State},
    flow::OnUnknown,
    id::RunId,
    limits,
    port::{Delivery, End, Held, Intervention, NewDelivery, Settled, Sweep, Transaction},
};

use super::world::{NOON, World, failure, function, later, retry, scope, trigger};

fn ordered(key: &str) -> impl Fn(&mut NewDelivery) {
    move |new| new.keys.ordering = Some(key.to_owned())
}

fn blocking(new: &mut NewDelivery) {
    ordered("a")(new);
    new.blocks = true;
}

pub(super) fn dead() -> End {
    End::Dead {
        reason: DeadReason::AttemptsExhausted,
        at: NOON,
        failure: None,
    }
}

pub(super) fn redrive(run: RunId) -> Intervention {
    Intervention::Redrive {
        run,
        now: NOON,
        expires_at: later(9000),
    }
}

pub(super) fn discard(run: RunId) -> Intervention {
    Intervention::Discard {
        run,
        at: NOON,
        why: String::new(),
    }
}

/// Claims what is there of `run`, and ends it; the reply of the commit that ended it.
pub(super) async fn finish(world: &World, run: RunId, end: End) -> wakeful_core::port::Committed {
    let claimed = world.claim(run).await;
    let settlement = wakeful_core::port::Settlement {
        claim: world.claim_of(&claimed),
        end,
    };
    let committed = world
        .commit(Transaction {
            settlements: vec![settlement],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.settled, [Settled::Applied]);
    committed
}

pub(super) async fn held(world: &World, run: RunId) -> Option<Held> {
    let found: Delivery = world.known(run).await;
    if found.held.is_some() {
        assert_eq!(found.state, State::Queued);
    }
    found.held
}

pub(super) async fn one_of_a_key_after_the_other(world: World) {
    let first = world.enqueue_with(ordered("a")).await;
    let second = world.enqueue_with(ordered("a")).await;
    let other = world.enqueue_with(ordered("b")).await;
    let empty = world.enqueue_with(ordered("")).await;
    let none = world.enqueue().await;
    let elsewhere = world
        .enqueue_with(|new| {
            ordered("a")(new);
            new.trigger = trigger("thumbnail/other");
        })
        .await;
    let abroad = world
        .enqueue_with(|new| {
            ordered("a")(new);
            new.scope = scope("production");
        })
        .await;
    assert_eq!(world.ready().await, [first, other, empty, none]);
    assert_eq!(held(&world, second).await, Some(Held::Order));
    for free in [elsewhere, abroad] {
        assert_eq!(held(&world, free).await, None);
    }
    let refused = world.store().claim(vec![second], NOON).await;
    assert_eq!(refused.ok(), Some(vec![]), "who is held is not claimed");
    let ended = finish(&world, first, End::Succeeded).await;
    assert_eq!(ended.released, [trigger("thumbnail/new")]);
    assert_eq!(world.ready().await, [second, other, empty, none]);
    assert!(
        finish(&world, second, End::Succeeded)
            .await
            .released
            .is_empty()
    );
    assert_eq!(world.ready().await, [other, empty, none]);
}

pub(super) async fn a_retry_keeps_its_place(world: World) {
    let first = world.enqueue_with(ordered("a")).await;
    let second = world.enqueue_with(ordered("a")).await;
    finish(&world, first, retry(later(60), true)).await;
    assert!(world.ready().await.is_empty(), "both wait for the first");
    assert_eq!(world.ready_at(later(60)).await, [first]);
    let version = End::HeldForVersion {
        version: "v1".into(),
        failure: failure("x"),
    };
    finish(&world, first, version).await;
    assert!(world.ready_at(later(60)).await.is_empty());
    let release = Intervention::ReleaseHeld {
        scope: scope("dev"),
        function: function("thumbnail"),
        live: "v2".into(),
        now: NOON,
    };
    world.intervene(release).await;
    assert_eq!(world.ready().await, [first]);
    assert_eq!(held(&world, second).await, Some(Held::Order));
}

pub(super) async fn a_dead_one_steps_aside(world: World) {
    let first = world.enqueue_with(ordered("a")).await;
    let second = world.enqueue_with(ordered("a")).await;
    let third = world.enqueue_with(ordered("a")).await;
    let ended = finish(&world, first, dead()).await;
    assert_eq!(ended.released, [trigger("thumbnail/new")]);
    assert_eq!(world.ready().await, [second]);
    // Back from the dead it takes its place: the one that runs is not disturbed.
    let running = world.claim(second).await;
    world.intervene(redrive(first)).await;
    assert_eq!(held(&world, first).await, Some(Held::Order));
    assert!(world.ready().await.is_empty());
    world.settle(&running, End::Succeeded).await;
    assert_eq!(world.ready().await, [first], "before the third");
    finish(&world, first, dead()).await;
    assert_eq!(world.ready().await, [third]);
    // One that has the turn but does not run makes way.
    assert_eq!(world.intervene(redrive(first)).await, [first]);
    assert_eq!(world.ready().await, [first]);
    assert_eq!(held(&world, third).await, Some(Held::Order));
    finish(&world, first, dead()).await;
    world.intervene(discard(first)).await;
    assert_eq!(world.ready().await, [third]);
}

pub(super) async fn one_that_is_redriven_while_another_is_retried(world: World) {
    let first = world.enqueue_with(ordered("a")).await;
    let second = world.enqueue_with(ordered("a")).await;
    finish(&world, first, dead()).await;
    let running = world.claim(second).await;
    world.intervene(redrive(first)).await;
    world.settle(&running, retry(NOON, true)).await;
    assert_eq!(world.ready().await, [first], "the second no longer runs");
    assert_eq!(held(&world, second).await, Some(Held::Order));
    finish(&world, first, End::Succeeded).await;
    assert_eq!(world.ready().await, [second]);
}

pub(super) async fn a_dead_one_blocks_its_key(world: World) {
    let first = world.enqueue_with(blocking).await;
    let second = world.enqueue_with(blocking).await;
    let third = world.enqueue_with(blocking).await;
    let ended = finish(&world, first, dead()).await;
    assert!(ended.released.is_empty());
    let fourth = world.enqueue_with(blocking).await;
    assert!(world.ready().await.is_empty());
    for run in [second, third, fourth] {
        assert_eq!(held(&world, run).await, Some(Held::Order));
    }
    // One behind it that dies too blocks when the first is gone.
    let expire = Intervention::Expire {
        run: third,
        at: NOON,
    };
    world.intervene(expire).await;
    world.intervene(redrive(first)).await;
    assert_eq!(world.ready().await, [first]);
    finish(&world, first, End::Succeeded).await;
    assert_eq!(world.ready().await, [second]);
    finish(&world, second, End::Succeeded).await;
    assert!(world.ready().await.is_empty());
    let committed = world
        .commit(Transaction {
            interventions: vec![discard(third)],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.intervened, [third]);
    assert_eq!(committed.released, [trigger("thumbnail/new")]);
    assert_eq!(world.ready().await, [fourth]);
}

pub(super) async fn what_blocks_is_swept_away(world: World) {
    let first = world.enqueue_with(blocking).await;
    let second = world.enqueue_with(blocking).await;
    finish(&world, first, dead()).await;
    let sweep = Sweep {
        now: NOON,
        events_before: NOON,
        dead_before: Some(later(1)),
    };
    world.store().sweep(sweep).await.expect("a sweep");
    assert_eq!(world.ready().await, [second]);
}

pub(super) async fn born_claimed_only_at_its_turn(world: World) {
    let event = world.event("{}");
    let news: Vec<NewDelivery> = (0..3)
        .map(|number| {
            let mut new = world.owed(&event);
            new.keys.ordering = (number < 2).then(|| "a".to_owned());
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
    assert_eq!(held(&world, ids[1]).await, Some(Held::Order));
    assert_eq!(world.known(ids[1]).await.starts, 0);
    for run in [ids[0], ids[2]] {
        assert_eq!(world.known(run).await.state, State::Running);
    }
    let first = world.known(ids[0]).await;
    world.settle(&first, End::Succeeded).await;
    assert_eq!(world.ready().await, [ids[1]]);
}

pub(super) async fn a_late_commit_of_an_older_id_overtakes_no_one_that_runs(world: World) {
    let event = world.event("{}");
    let mut old = world.owed(&event);
    ordered("a")(&mut old);
    let newer = world.enqueue_with(ordered("a")).await;
    let running = world.claim(newer).await;
    let last = world.enqueue_with(ordered("a")).await;
    let older = old.id;
    world
        .commit(Transaction {
            events: vec![event],
            deliveries: vec![old],
            ..Transaction::default()
        })
        .await;
    assert_eq!(held(&world, older).await, Some(Held::Order));
    world.settle(&running, End::Succeeded).await;
    assert_eq!(world.ready().await, [older]);
    assert_eq!(held(&world, last).await, Some(Held::Order));
}

pub(super) async fn lanes_survive_a_restart(world: World) {
    let first = world.enqueue_with(ordered("a")).await;
    let second = world.enqueue_with(ordered("a")).await;
    let hold = |new: &mut NewDelivery| {
        ordered("b")(new);
        new.on_unknown = OnUnknown::Hold;
    };
    let unknown = world.enqueue_with(hold).await;
    let behind = world.enqueue_with(hold).await;
    let blocks = |new: &mut NewDelivery| {
        ordered("c")(new);
        new.on_unknown = OnUnknown::Hold;
        new.blocks = true;
    };
    let blocker = world.enqueue_with(blocks).await;
    let blocked = world.enqueue_with(blocks).await;
    for run in [first, unknown, blocker] {
        world.claim(run).await;
    }
    let world = world.restart();
    assert_eq!(world.ready().await, [first, behind]);
    assert_eq!(held(&world, second).await, Some(Held::Order));
    assert_eq!(held(&world, blocked).await, Some(Held::Order));
    for run in [unknown, blocker] {
        let found = world.known(run).await;
        let (reason, _) = found.dead.expect("it is dead");
        assert_eq!(reason, DeadReason::OutcomeUnknown);
        assert_eq!((found.starts, found.attempts), (1, 1), "it was started");
    }
    assert_eq!(world.known(first).await.attempts, 0);
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.queued, stats.running, stats.dead), (4, 0, 2));
    finish(&world, first, End::Succeeded).await;
    world.intervene(redrive(blocker)).await;
    assert_eq!(world.ready().await, [second, behind, blocker]);
}

pub(super) async fn born_dead_blocks_nobody(world: World) {
    let born = world
        .enqueue_with(|new| {
            blocking(new);
            new.dead = Some(DeadReason::NotRetriable);
        })
        .await;
    let found = world.known(born).await;
    assert_eq!((found.state, found.starts), (State::Dead, 0));
    assert_eq!(
        found.dead.map(|(reason, _)| reason),
        Some(DeadReason::NotRetriable)
    );
    assert!(found.blocks);
    let next = world.enqueue_with(blocking).await;
    assert_eq!(world.ready().await, [next]);
    assert_eq!(world.store().stats().await.expect("figures").dead, 1);
    // Redriven it is one like any other.
    world.intervene(redrive(born)).await;
    assert_eq!(world.ready().await, [born]);
    finish(&world, born, dead()).await;
    assert!(world.ready().await.is_empty(), "now it blocks");
}

pub(super) async fn who_is_ahead(world: World) {
    let first = world.enqueue_with(blocking).await;
    let second = world.enqueue_with(blocking).await;
    let third = world.enqueue_with(blocking).await;
    let ahead = async |run| {
        let found = world.store().ahead_of(run).await.expect("who is ahead");
        found.iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    assert!(ahead(first).await.is_empty());
    assert_eq!(ahead(second).await, [first]);
    assert_eq!(ahead(third).await, [first], "the second only waits");
    finish(&world, first, dead()).await;
    assert_eq!(ahead(second).await, [first], "it blocks");
    let expire = Intervention::Expire {
        run: second,
        at: NOON,
    };
    world.intervene(expire).await;
    assert_eq!(ahead(third).await, [first, second]);
    assert!(ahead(RunId::from_raw(1)).await.is_empty());
}

pub(super) async fn a_long_lane_goes_on_to_its_end(world: World) {
    let events: Vec<_> = (0..limits::RELEASE_STEP + 10)
        .map(|_| world.event("{}"))
        .collect();
    let deliveries: Vec<_> = events
        .iter()
        .map(|event| {
            let mut new = world.owed(event);
            ordered("a")(&mut new);
            new
        })
        .collect();
    let runs: Vec<RunId> = deliveries.iter().map(|new| new.id).collect();
    world
        .commit(Transaction {
            events,
            deliveries,
            ..Transaction::default()
        })
        .await;
    for run in runs.iter().take(20) {
        assert_eq!(world.ready().await, [*run]);
        finish(&world, *run, End::Succeeded).await;
    }
}
