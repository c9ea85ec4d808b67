//! Cases: who holds a delivery, how that ends, and what people do to those that nobody holds.

use wakeful_core::{
    delivery::{DeadReason, State},
    id::RunId,
    port::{Claim, DeadQuery, End, Epoch, Held, Intervention, Settled, Settlement, Transaction},
};

use super::world::{EVENING, NOON, World, failure, function, later, retry, scope, trigger};

pub(super) async fn a_claim_is_exclusive(world: World) {
    let run = world.enqueue().await;
    let other = world.enqueue().await;
    let claimed = world.claim(run).await;
    assert_eq!(
        (claimed.state, claimed.starts, claimed.attempts),
        (State::Running, 1, 1)
    );
    assert_eq!(world.known(run).await, claimed);
    let again = world
        .store()
        .claim(vec![run, other, other], NOON)
        .await
        .expect("a claim");
    assert_eq!(
        again.iter().map(|delivery| delivery.id).collect::<Vec<_>>(),
        [other]
    );
    assert!(world.ready().await.is_empty());
}

pub(super) async fn what_expired_is_not_claimed(world: World) {
    let run = world.enqueue().await;
    let claim = async |at| {
        world
            .store()
            .claim(vec![run], at)
            .await
            .expect("a claim")
            .len()
    };
    assert_eq!(claim(EVENING).await, 0);
    assert_eq!(claim(later(100_000_000)).await, 0);
    assert_eq!(world.known(run).await.starts, 0);
    assert_eq!(claim(NOON).await, 1);
}

pub(super) async fn unknown_runs_are_left_out(world: World) {
    let unknown = vec![RunId::from_raw(1), RunId::from_raw(i64::MAX)];
    assert!(
        world
            .store()
            .claim(unknown, NOON)
            .await
            .expect("a claim")
            .is_empty()
    );
    assert!(
        world
            .store()
            .claim(Vec::new(), NOON)
            .await
            .expect("a claim")
            .is_empty()
    );
}

pub(super) async fn born_claimed(world: World) {
    let run = world.enqueue_with(|new| new.claimed = true).await;
    let delivery = world.known(run).await;
    assert_eq!(
        (delivery.state, delivery.starts, delivery.attempts),
        (State::Running, 1, 1)
    );
    assert!(world.ready().await.is_empty());
    assert_eq!(
        world.settle(&delivery, End::Succeeded).await,
        Settled::Applied
    );
    assert_eq!(world.get(run).await, None);
}

pub(super) async fn success_leaves_the_store(world: World) {
    let run = world.enqueue().await;
    let claimed = world.claim(run).await;
    assert_eq!(
        world.settle(&claimed, End::Succeeded).await,
        Settled::Applied
    );
    assert_eq!(world.get(run).await, None);
    assert!(
        world
            .store()
            .deliveries_of(claimed.event)
            .await
            .expect("none")
            .is_empty()
    );
    assert!(
        world.has_event(claimed.event).await,
        "the event stays for a while"
    );
}

pub(super) async fn a_charged_retry(world: World) {
    let run = world.enqueue().await;
    let claimed = world.claim(run).await;
    world.settle(&claimed, retry(later(5), true)).await;
    let waits = world.known(run).await;
    assert_eq!(
        (waits.state, waits.starts, waits.attempts),
        (State::Queued, 1, 1)
    );
    assert_eq!(waits.ready_at, later(5));
    assert!(world.ready().await.is_empty());
    assert_eq!(world.ready_at(later(5)).await, [run]);
    let claimed = world.claim(run).await;
    assert_eq!((claimed.starts, claimed.attempts), (2, 2));
}

pub(super) async fn an_uncharged_retry(world: World) {
    let run = world.enqueue().await;
    let claimed = world.claim(run).await;
    let end = End::Retry {
        at: NOON,
        charged: false,
        alone: true,
        failure: None,
    };
    world.settle(&claimed, end).await;
    let waits = world.known(run).await;
    assert_eq!((waits.starts, waits.attempts, waits.alone), (1, 0, true));
    let claimed = world.claim(run).await;
    assert_eq!(
        (claimed.starts, claimed.attempts, claimed.alone),
        (2, 1, true)
    );
    world.settle(&claimed, retry(NOON, true)).await;
    assert!(!world.known(run).await.alone);
}

pub(super) async fn a_failure_is_kept(world: World) {
    let run = world.enqueue().await;
    let mut end = End::Retry {
        at: NOON,
        charged: true,
        alone: false,
        failure: Some(failure("ü \"quoted\"\n\0")),
    };
    for _ in 0..2 {
        let claimed = world.claim(run).await;
        world.settle(&claimed, end).await;
        assert_eq!(
            world.known(run).await.failure,
            Some(failure("ü \"quoted\"\n\0"))
        );
        end = retry(NOON, true);
    }
    let claimed = world.claim(run).await;
    let dead = End::Dead {
        reason: DeadReason::TooOld,
        at: NOON,
        failure: None,
    };
    world.settle(&claimed, dead).await;
    assert_eq!(
        world.known(run).await.failure,
        Some(failure("ü \"quoted\"\n\0"))
    );
}

async fn hold(world: &World, run: RunId, version: &str) {
    let claimed = world.claim(run).await;
    let end = End::HeldForVersion {
        version: version.into(),
        failure: failure(version),
    };
    assert_eq!(world.settle(&claimed, end).await, Settled::Applied);
}

pub(super) async fn held_for_a_version(world: World) {
    let (first, second) = (world.enqueue().await, world.enqueue().await);
    let elsewhere = world
        .enqueue_with(|new| new.function = function("other"))
        .await;
    for (run, version) in [(first, "v1"), (second, "v2"), (elsewhere, "v1")] {
        hold(&world, run, version).await;
    }
    let held = world.known(first).await;
    assert_eq!(
        (held.state, held.starts, held.attempts),
        (State::Queued, 1, 0)
    );
    assert_eq!(
        (held.held, held.failure),
        (Some(Held::Version("v1".into())), Some(failure("v1")))
    );
    assert!(world.ready_at(later(1000)).await.is_empty());
    let release = |environment, live: &str| Intervention::ReleaseHeld {
        scope: scope(environment),
        function: function("thumbnail"),
        live: live.into(),
        now: later(9),
    };
    assert!(
        world
            .intervene(release("production", "v2"))
            .await
            .is_empty()
    );
    assert_eq!(world.intervene(release("dev", "v2")).await, [first]);
    assert!(world.intervene(release("dev", "v2")).await.is_empty());
    let ready = world.known(first).await;
    assert_eq!((ready.held, ready.ready_at), (None, later(9)));
    assert_eq!(world.ready_at(later(9)).await, [first]);
    // A held delivery may still be claimed, and is then held no more.
    let claimed = world.claim(second).await;
    assert_eq!((claimed.held.clone(), claimed.starts), (None, 2));
    world.settle(&claimed, retry(NOON, false)).await;
    assert_eq!(world.ready().await, [second]);
}

pub(super) async fn dead_letters_are_listed(world: World) {
    let mut dead = Vec::new();
    for name in ["thumbnail", "other", "thumbnail"] {
        let change = |new: &mut wakeful_core::port::NewDelivery| new.function = function(name);
        dead.push(world.dead_with(change).await);
    }
    let elsewhere = world.dead_with(|new| new.scope = scope("production")).await;
    world.enqueue().await;
    let list = async |query| {
        let found = world.store().dead(query).await.expect("dead letters");
        found.iter().map(|delivery| delivery.id).collect::<Vec<_>>()
    };
    let mut query = DeadQuery {
        limit: 10,
        ..DeadQuery::default()
    };
    assert_eq!(
        list(query.clone()).await,
        [elsewhere, dead[2], dead[1], dead[0]]
    );
    query.limit = 2;
    assert_eq!(list(query.clone()).await, [elsewhere, dead[2]]);
    query.before = Some(dead[2]);
    assert_eq!(list(query.clone()).await, [dead[1], dead[0]]);
    query.function = Some(function("thumbnail"));
    assert_eq!(list(query.clone()).await, [dead[0]]);
    query.before = None;
    query.limit = 10;
    assert_eq!(list(query.clone()).await, [elsewhere, dead[2], dead[0]]);
    query.function = Some(function("nobody"));
    assert!(list(query).await.is_empty());
    let found = world.known(dead[0]).await;
    assert_eq!(found.dead, Some((DeadReason::AttemptsExhausted, NOON)));
    assert_eq!(
        (found.state, found.failure),
        (State::Dead, Some(failure("last")))
    );
    assert_eq!((found.starts, found.attempts), (1, 1));
}

pub(super) async fn stale_settlements_change_nothing(world: World) {
    let run = world.enqueue().await;
    let first = world.claim(run).await;
    world.settle(&first, retry(NOON, true)).await;
    let queued = world.known(run).await;
    assert_eq!(
        world.settle(&first, End::Succeeded).await,
        Settled::Stale,
        "not running"
    );
    let second = world.claim(run).await;
    let present = world.claim_of(&second);
    let wrong = [
        Claim {
            start: 1,
            ..present
        },
        Claim {
            start: 3,
            ..present
        },
        Claim {
            epoch: Epoch(present.epoch.0 + 1),
            ..present
        },
        Claim {
            epoch: Epoch(present.epoch.0 - 1),
            ..present
        },
        Claim {
            run: RunId::from_raw(5),
            ..present
        },
    ];
    for claim in wrong {
        for end in ends() {
            assert_eq!(world.settle_claim(claim, end).await, Settled::Stale);
        }
    }
    assert_eq!(world.known(run).await, second);
    assert_eq!((second.starts, queued.starts), (2, 1));
    // The rest of its transaction stands.
    let event = world.event("{}");
    let settled = world
        .commit(Transaction {
            events: vec![event.clone()],
            settlements: vec![
                Settlement {
                    claim: wrong[0],
                    end: End::Succeeded,
                },
                Settlement {
                    claim: present,
                    end: End::Succeeded,
                },
                Settlement {
                    claim: present,
                    end: End::Succeeded,
                },
            ],
            ..Transaction::default()
        })
        .await
        .settled;
    assert_eq!(settled, [Settled::Stale, Settled::Applied, Settled::Stale]);
    assert!(world.has_event(event.key).await);
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.stale, stats.running), (1 + 20 + 2, 0));
}

fn discard(run: RunId) -> Intervention {
    Intervention::Discard {
        run,
        at: NOON,
        why: "as tests do".into(),
    }
}

fn ends() -> [End; 4] {
    [
        End::Succeeded,
        retry(NOON, true),
        End::HeldForVersion {
            version: "v".into(),
            failure: failure("x"),
        },
        End::Dead {
            reason: DeadReason::TooOld,
            at: NOON,
            failure: None,
        },
    ]
}

pub(super) async fn redrive_gives_fresh_attempts(world: World) {
    let run = world.dead().await;
    let redrive = |run| Intervention::Redrive {
        run,
        now: later(60),
        expires_at: later(1_000_000),
    };
    assert_eq!(world.intervene(redrive(run)).await, [run]);
    let queued = world.known(run).await;
    assert_eq!(
        (queued.state, queued.starts, queued.attempts),
        (State::Queued, 1, 0)
    );
    assert_eq!(
        (queued.ready_at, queued.expires_at),
        (later(60), later(1_000_000))
    );
    assert_eq!(queued.dead, None);
    assert_eq!(world.ready_at(later(60)).await, [run]);
    for other in [run, RunId::from_raw(1)] {
        assert!(
            world.intervene(redrive(other)).await.is_empty(),
            "only the dead"
        );
    }
    let claimed = world.claim(run).await;
    assert_eq!((claimed.starts, claimed.attempts), (2, 1));
    assert!(
        world.intervene(redrive(run)).await.is_empty(),
        "not the running"
    );
}

pub(super) async fn discard_only_the_dead(world: World) {
    let (dead, queued) = (world.dead().await, world.enqueue().await);
    let running = world.enqueue_with(|new| new.claimed = true).await;
    for run in [queued, running, RunId::from_raw(1)] {
        assert!(world.intervene(discard(run)).await.is_empty());
    }
    assert_eq!(world.intervene(discard(dead)).await, [dead]);
    assert_eq!(world.get(dead).await, None);
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.dead, stats.queued, stats.running), (0, 1, 1));
}

pub(super) async fn expire_only_the_queued(world: World) {
    let (queued, held, dead) = (
        world.enqueue().await,
        world.enqueue().await,
        world.dead().await,
    );
    hold(&world, held, "v1").await;
    let running = world.enqueue_with(|new| new.claimed = true).await;
    let expire = |run| Intervention::Expire { run, at: later(3) };
    for run in [dead, running, RunId::from_raw(1)] {
        assert!(world.intervene(expire(run)).await.is_empty());
    }
    for run in [queued, held] {
        assert_eq!(world.intervene(expire(run)).await, [run]);
        let found = world.known(run).await;
        assert_eq!((found.state, found.held), (State::Dead, None));
        assert_eq!(found.dead, Some((DeadReason::TooOld, later(3))));
    }
    assert!(world.ready().await.is_empty());
    assert!(world.store().backlog().await.expect("none").is_empty());
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.dead, stats.queued, stats.running), (3, 0, 1));
}

pub(super) async fn settled_and_created_together(world: World) {
    let run = world.enqueue_with(|new| new.claimed = true).await;
    let claim = world.claim_of(&world.known(run).await);
    let event = world.event("{}");
    let mut next = world.owed(&event);
    next.trigger = trigger("failed/x");
    let next_run = next.id;
    let dead = End::Dead {
        reason: DeadReason::AttemptsExhausted,
        at: NOON,
        failure: None,
    };
    let committed = world
        .commit(Transaction {
            events: vec![event],
            deliveries: vec![next],
            settlements: vec![Settlement { claim, end: dead }],
            interventions: vec![discard(run)],
            ..Transaction::default()
        })
        .await;
    assert_eq!(committed.settled, [Settled::Applied]);
    assert_eq!(
        committed.intervened,
        [run],
        "interventions come after settlements"
    );
    assert_eq!(world.get(run).await, None);
    assert_eq!(world.known(next_run).await.state, State::Queued);
}
