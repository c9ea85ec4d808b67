//! Cases: of several events with one key in a short time only the last one runs.

use std::time::Duration;

use wakeful_core::{
    id::RunId,
    port::{Committed, End, Ended, Held, Intervention, NewDebounce, NewDelivery, Transaction},
    time::Timestamp,
};

use super::{
    lanes::{dead, finish, held, redrive},
    world::{NOON, World, dedup, later, scope, trigger},
};

fn rule(key: &str) -> Option<NewDebounce> {
    Some(NewDebounce {
        key: key.to_owned(),
        wait: Duration::from_secs(10),
        most: Duration::from_secs(25),
    })
}

async fn comes(
    world: &World,
    at: Timestamp,
    change: impl FnOnce(&mut NewDelivery),
) -> (RunId, Committed) {
    let event = world.event("{}");
    let mut new = world.owed(&event);
    new.ready_at = at;
    new.debounce = rule("a");
    change(&mut new);
    let run = new.id;
    let committed = world
        .commit(Transaction {
            events: vec![event],
            deliveries: vec![new],
            ..Transaction::default()
        })
        .await;
    (run, committed)
}

pub(super) async fn the_last_one_runs(world: World) {
    let (first, committed) = comes(&world, NOON, |_| ()).await;
    assert!(committed.superseded.is_empty());
    let waits = world.known(first).await;
    assert_eq!(waits.ready_at, later(10));
    assert!(world.ready_at(later(9)).await.is_empty());
    let (second, committed) = comes(&world, later(9), |_| ()).await;
    assert_eq!(committed.superseded, [(first, second)]);
    assert_eq!(world.get(first).await, None);
    assert_eq!(world.known(second).await.ready_at, later(19));
    let ends = world
        .store()
        .endings(waits.event)
        .await
        .expect("how it ended");
    assert_eq!(ends.len(), 1);
    assert_eq!(ends[0].how, Ended::Superseded(second));
    assert_eq!((ends[0].run, ends[0].event), (first, waits.event));
    // Not later than `most` after the first, and across a restart.
    let world = world.restart();
    let (third, _) = comes(&world, later(18), |_| ()).await;
    assert_eq!(world.known(third).await.ready_at, later(25));
    let stats = world.store().stats().await.expect("figures");
    assert_eq!((stats.queued, stats.events), (1, 3));
    finish(&world, third, End::Succeeded).await;
    // Its chain has ended.
    let (fourth, committed) = comes(&world, later(30), |_| ()).await;
    assert!(committed.superseded.is_empty());
    assert_eq!(world.known(fourth).await.ready_at, later(40));
}

pub(super) async fn only_what_was_never_started(world: World) {
    let (first, _) = comes(&world, NOON, |_| ()).await;
    let running = world.claim(first).await;
    let (second, committed) = comes(&world, NOON, |_| ()).await;
    assert!(committed.superseded.is_empty());
    assert_eq!(world.known(second).await.ready_at, later(10));
    let retry = super::world::retry(NOON, false);
    world.settle(&running, retry).await;
    let (third, committed) = comes(&world, NOON, |_| ()).await;
    assert_eq!(committed.superseded, [(second, third)]);
    // A dead one, and one that somebody redrove, are left alone.
    let expire = Intervention::Expire {
        run: third,
        at: NOON,
    };
    world.intervene(expire).await;
    let (fourth, committed) = comes(&world, NOON, |_| ()).await;
    assert!(committed.superseded.is_empty());
    world.intervene(redrive(third)).await;
    let (fifth, committed) = comes(&world, NOON, |_| ()).await;
    assert_eq!(committed.superseded, [(fourth, fifth)]);
    assert!(world.get(third).await.is_some());
}

pub(super) async fn keys_and_triggers_are_apart(world: World) {
    comes(&world, NOON, |_| ()).await;
    let other = |new: &mut NewDelivery| new.debounce = rule("b");
    let elsewhere = |new: &mut NewDelivery| new.trigger = trigger("thumbnail/other");
    let abroad = |new: &mut NewDelivery| new.scope = scope("production");
    let without = |new: &mut NewDelivery| new.debounce = None;
    for (_, committed) in [
        comes(&world, NOON, other).await,
        comes(&world, NOON, elsewhere).await,
        comes(&world, NOON, abroad).await,
        comes(&world, NOON, without).await,
    ] {
        assert!(committed.superseded.is_empty());
    }
}

pub(super) async fn it_is_not_born_claimed(world: World) {
    let (run, committed) = comes(&world, NOON, |new| new.claimed = true).await;
    assert_eq!(committed.unclaimed, [run]);
    assert_eq!(world.known(run).await.starts, 0);
}

pub(super) async fn what_is_published_for_later_waits_for_that(world: World) {
    let (first, _) = comes(&world, NOON, |_| ()).await;
    let (second, committed) = comes(&world, later(1000), |_| ()).await;
    assert_eq!(committed.superseded, [(first, second)]);
    assert_eq!(world.known(second).await.ready_at, later(1000));
}

pub(super) async fn a_repetition_supersedes_nothing(world: World) {
    let remember = |new: &mut NewDelivery| new.dedup = dedup("x", Duration::from_secs(60));
    let (first, _) = comes(&world, NOON, remember).await;
    let (second, committed) = comes(&world, NOON, remember).await;
    assert_eq!(committed.duplicates, [(second, first)]);
    assert!(committed.superseded.is_empty());
    assert!(world.get(first).await.is_some());
}

pub(super) async fn its_place_in_a_lane_is_given_up(world: World) {
    let ordered = |new: &mut NewDelivery| new.keys.ordering = Some("lane".into());
    let (first, _) = comes(&world, NOON, ordered).await;
    let behind = world.enqueue_with(ordered).await;
    assert_eq!(held(&world, behind).await, Some(Held::Order));
    let (second, committed) = comes(&world, NOON, ordered).await;
    assert_eq!(committed.superseded, [(first, second)]);
    assert_eq!(world.ready().await, [behind]);
    assert_eq!(held(&world, second).await, Some(Held::Order));
    // One that is held may be superseded too.
    let (third, committed) = comes(&world, NOON, ordered).await;
    assert_eq!(committed.superseded, [(second, third)]);
    finish(&world, behind, dead()).await;
    assert_eq!(world.ready_at(later(10)).await, [third]);
}
