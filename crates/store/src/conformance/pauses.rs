//! Cases: pauses are remembered, and what is parked comes back in order.

use wakeful_core::{
    delivery::State,
    id::RunId,
    limits,
    port::{End, Held, Intervention, NewDelivery, Parked, Pause, Settled, Transaction},
    time::Timestamp,
};

use super::{
    lanes::held,
    world::{EVENING, NOON, World, function, later, scope, trigger},
};

fn pause(of: Option<&str>, key: Option<&str>, at: Timestamp) -> Pause {
    Pause {
        scope: scope("dev"),
        function: function("thumbnail"),
        trigger: of.map(trigger),
        key: key.map(str::to_owned),
        at,
        why: "as the test wants".into(),
    }
}

pub(super) async fn pauses_are_remembered(world: World) {
    let all = [
        pause(None, None, NOON),
        pause(None, Some(""), NOON),
        pause(Some("thumbnail/new"), None, NOON),
        pause(Some("thumbnail/new"), Some("a\"[\0"), NOON),
    ];
    let put = async |world: &World, pauses: Vec<(Pause, bool)>| {
        world
            .commit(Transaction {
                pauses,
                ..Transaction::default()
            })
            .await;
    };
    put(&world, all.iter().map(|one| (one.clone(), true)).collect()).await;
    let world = world.restart();
    let list = async |world: &World| world.store().pauses().await.expect("pauses");
    let found = list(&world).await;
    assert_eq!(found.len(), all.len());
    assert!(all.iter().all(|one| found.contains(one)));
    // The same again is one, and what ends is not asked when it began.
    put(&world, vec![(pause(None, None, later(5)), true)]).await;
    assert_eq!(list(&world).await.len(), all.len());
    assert!(list(&world).await.contains(&pause(None, None, later(5))));
    let end = pause(Some("thumbnail/new"), None, later(9));
    put(&world, vec![(end.clone(), false), (end, false)]).await;
    assert_eq!(list(&world).await.len(), all.len() - 1);
}

fn park(run: RunId, why: Parked, key: &str) -> Intervention {
    Intervention::Park {
        run,
        why,
        key: key.into(),
    }
}

fn unpark(why: Parked, key: Option<&str>, most: Option<usize>) -> Intervention {
    Intervention::Unpark {
        scope: scope("dev"),
        trigger: trigger("thumbnail/new"),
        why,
        key: key.map(str::to_owned),
        now: later(7),
        most,
    }
}

pub(super) async fn what_is_parked_comes_back(world: World) {
    let mut runs = Vec::new();
    for (why, key) in [
        (Parked::Pause, "a"),
        (Parked::Pause, "b"),
        (Parked::Breaker, "a"),
        (Parked::Pause, "a"),
    ] {
        let run = world.enqueue().await;
        assert_eq!(world.intervene(park(run, why, key)).await, [run]);
        assert!(
            world.intervene(park(run, why, key)).await.is_empty(),
            "once"
        );
        runs.push(run);
    }
    assert!(world.ready_at(later(100)).await.is_empty());
    assert!(world.store().backlog().await.expect("none").is_empty());
    assert_eq!(held(&world, runs[0]).await, Some(Held::Paused));
    assert_eq!(held(&world, runs[2]).await, Some(Held::Breaker));
    let refused = world.store().claim(runs.clone(), NOON).await;
    assert_eq!(refused.ok(), Some(vec![]), "what is parked is not claimed");
    let world = world.restart();
    let released = world
        .intervene(unpark(Parked::Pause, Some("c"), None))
        .await;
    assert!(released.is_empty());
    let released = world
        .intervene(unpark(Parked::Pause, Some("a"), Some(1)))
        .await;
    assert_eq!(released, [runs[0]], "the first");
    assert_eq!(world.known(runs[0]).await.ready_at, later(7));
    let committed = world
        .commit(Transaction {
            interventions: vec![unpark(Parked::Pause, None, None)],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.intervened, [runs[1], runs[3]]);
    assert_eq!(committed.released, [trigger("thumbnail/new")]);
    assert_eq!(world.ready_at(later(7)).await, [runs[0], runs[1], runs[3]]);
    let released = world.intervene(unpark(Parked::Breaker, None, None)).await;
    assert_eq!(released, [runs[2]]);
    let stats = world.store().stats().await.expect("figures");
    assert_eq!(stats.queued, 4);
}

pub(super) async fn only_the_ready_are_parked(world: World) {
    let dead = world.dead().await;
    let running = world.enqueue_with(|new| new.claimed = true).await;
    let ordered = |new: &mut NewDelivery| new.keys.ordering = Some("a".into());
    let first = world.enqueue_with(ordered).await;
    let behind = world.enqueue_with(ordered).await;
    for run in [dead, running, behind, RunId::from_raw(1)] {
        let ignored = world.intervene(park(run, Parked::Pause, "a")).await;
        assert!(ignored.is_empty());
    }
    // It keeps its place in its lane; what grows too old there does not.
    world.intervene(park(first, Parked::Pause, "a")).await;
    assert!(world.ready().await.is_empty());
    let expire = Intervention::Expire {
        run: first,
        at: EVENING,
    };
    assert_eq!(world.intervene(expire).await, [first]);
    assert_eq!(world.known(first).await.state, State::Dead);
    assert_eq!(world.ready().await, [behind]);
    assert!(
        world
            .intervene(unpark(Parked::Pause, None, None))
            .await
            .is_empty()
    );
}

pub(super) async fn many_that_are_parked_come_back_in_steps(world: World) {
    let count = 2 * limits::RELEASE_STEP + 5;
    let events: Vec<_> = (0..count).map(|_| world.event("{}")).collect();
    let deliveries: Vec<_> = events.iter().map(|event| world.owed(event)).collect();
    let runs: Vec<RunId> = deliveries.iter().map(|new| new.id).collect();
    world
        .commit(Transaction {
            events,
            deliveries,
            ..Transaction::default()
        })
        .await;
    let parking = runs.iter().map(|run| park(*run, Parked::Breaker, "a"));
    world
        .commit(Transaction {
            interventions: parking.collect(),
            ..Transaction::default()
        })
        .await;
    let most = limits::RELEASE_STEP + 3;
    let released = world
        .intervene(unpark(Parked::Breaker, None, Some(most)))
        .await;
    assert_eq!(released, runs[..most]);
    let step = Some(limits::RELEASE_STEP);
    let released = world
        .intervene(unpark(Parked::Breaker, Some("a"), step))
        .await;
    assert_eq!(released, runs[most..most + limits::RELEASE_STEP]);
    let released = world.intervene(unpark(Parked::Breaker, None, None)).await;
    assert_eq!(released, runs[most + limits::RELEASE_STEP..]);
    let claimed = world.claim(runs[0]).await;
    assert_eq!(
        world.settle(&claimed, End::Succeeded).await,
        Settled::Applied
    );
}
