//! Cases: transactions that are applied whole or not at all, if all of it has an effect.

use wakeful_core::{
    id::RunId,
    port::{
        Claim, Condition, End, Epoch, Intervention, ObjectChange, Settled, Settlement, StoreError,
        Transaction,
    },
};

use super::{
    lanes::{discard, redrive},
    world::{NOON, World, checkpoint, checkpoint_key, later},
};

fn succeeded(claim: Claim) -> Settlement {
    Settlement {
        claim,
        end: End::Succeeded,
    }
}

pub(super) async fn a_stale_settlement_changes_nothing(world: World) {
    let run = world.enqueue().await;
    let other = world.enqueue().await;
    let (claimed, beside) = (world.claim(run).await, world.claim(other).await);
    let (claim, beside) = (world.claim_of(&claimed), world.claim_of(&beside));
    let event = world.event("{}");
    let new = world.owed(&event);
    let object = world.object("k");
    let transaction = |claim| Transaction {
        events: vec![event.clone()],
        deliveries: vec![new.clone()],
        checkpoints: vec![checkpoint("s", "1")],
        objects: vec![ObjectChange::Put {
            object: object.clone(),
            expect: None,
            completes: None,
        }],
        settlements: vec![succeeded(beside), succeeded(claim)],
        condition: Condition::IfApplied,
        ..Transaction::default()
    };
    let wrong = [
        Claim {
            epoch: Epoch(claim.epoch.0 - 1),
            ..claim
        },
        Claim { start: 7, ..claim },
        Claim {
            run: RunId::from_raw(1),
            ..claim
        },
        // The second of two for one claim is stale.
        beside,
    ];
    let before = world.store().greatest_id();
    for stale in wrong {
        let refused = world.commit(transaction(stale)).await;
        assert_eq!(refused.settled, [Settled::Stale, Settled::Stale]);
        assert!(!world.has_event(event.key).await);
        assert_eq!(world.get(new.id).await, None);
        assert_eq!(world.get_object("k").await, None);
        let value = world.store().checkpoint(checkpoint_key("s")).await;
        assert!(matches!(value, Ok(None)), "{value:?}");
        assert_eq!(world.known(run).await, claimed);
    }
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.events, stats.running, stats.stale), (2, 2, 8));
    assert_eq!(world.store().greatest_id(), before);
    let applied = world.commit(transaction(claim)).await;
    assert_eq!(applied.settled, [Settled::Applied, Settled::Applied]);
    assert_eq!(world.get(run).await, None);
    assert!(world.has_event(event.key).await);
    assert!(world.get_object("k").await.is_some());
}

pub(super) async fn a_conflict_changes_nothing_either(world: World) {
    let claimed = world.claim(world.enqueue().await).await;
    let object = world.object("k");
    let put = |expect| ObjectChange::Put {
        object: object.clone(),
        expect,
        completes: None,
    };
    let transaction = |expect, claim| Transaction {
        objects: vec![put(expect)],
        settlements: vec![succeeded(claim)],
        condition: Condition::IfApplied,
        ..Transaction::default()
    };
    let claim = world.claim_of(&claimed);
    let refused = world.try_commit(transaction(Some(5), claim)).await;
    assert!(
        matches!(refused, Err(StoreError::Conflict(_))),
        "{refused:?}"
    );
    assert_eq!(world.known(claimed.id).await, claimed);
    // Of a claim that is gone nobody is told that its effects do not fit.
    let stale = Claim { start: 9, ..claim };
    let refused = world.commit(transaction(Some(5), stale)).await;
    assert_eq!(refused.settled, [Settled::Stale]);
    let applied = world.commit(transaction(None, claim)).await;
    assert_eq!(applied.settled, [Settled::Applied]);
}

pub(super) async fn an_ignored_intervention_changes_nothing(world: World) {
    let (dead, queued) = (world.dead().await, world.enqueue().await);
    let expire = |run| Intervention::Expire { run, at: NOON };
    for ignored in [redrive(queued), discard(queued), expire(RunId::from_raw(1))] {
        let event = world.event("{}");
        let refused = world
            .commit(Transaction {
                events: vec![event.clone()],
                interventions: vec![redrive(dead), ignored],
                condition: Condition::IfApplied,
                ..Transaction::default()
            })
            .await;
        assert!(refused.intervened.is_empty());
        assert!(!world.has_event(event.key).await);
        assert!(world.known(dead).await.dead.is_some());
    }
    // What names no run is never in vain.
    let release = Intervention::Limit {
        scope: super::world::scope("dev"),
        trigger: super::world::trigger("nobody/x"),
        limit: None,
    };
    let defer = Intervention::Defer {
        run: dead,
        until: later(1),
    };
    let applied = world
        .commit(Transaction {
            interventions: vec![release, defer, expire(queued), discard(dead)],
            condition: Condition::IfApplied,
            ..Transaction::default()
        })
        .await;
    assert_eq!(applied.intervened, [queued, dead]);
    assert_eq!(world.get(dead).await, None);
}

pub(super) async fn what_was_refused_leaves_no_trace_in_lanes(world: World) {
    let ordered = |new: &mut wakeful_core::port::NewDelivery| {
        new.keys.ordering = Some("a".into());
    };
    let first = world.enqueue_with(ordered).await;
    let second = world.enqueue_with(ordered).await;
    let claimed = world.claim(first).await;
    let claim = world.claim_of(&claimed);
    let stale = Claim { start: 9, ..claim };
    let refused = world
        .commit(Transaction {
            settlements: vec![succeeded(claim), succeeded(stale)],
            condition: Condition::IfApplied,
            ..Transaction::default()
        })
        .await;
    assert!(refused.released.is_empty());
    assert!(world.ready().await.is_empty());
    world.settle(&claimed, End::Succeeded).await;
    assert_eq!(world.ready().await, [second]);
}
