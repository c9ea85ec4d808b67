//! What the rules of triggers remember, over reloads, restarts and batches that fall apart.

use std::time::Duration;

use wakeful_core::{
    flow::{Batch, BreakerRule, Debounce, Flow, KeyExpression, Outcome, Priority, Rate},
    limits,
    name::TriggerId,
    port::{Delivery, Held, Intervention, Keys, Parked, ReadyQuery, Sink, Store, Transaction},
};

use super::tests::{Bench, until};
use crate::internal::invoke_trigger;

const KEY: &str = "a";

/// A breaker and a rate for each key.
fn keyed() -> Flow {
    let key = KeyExpression::parse(&["subject"]).unwrap();
    Flow {
        breaker: Some(BreakerRule {
            key: Some(key.clone()),
            ..BreakerRule::default()
        }),
        rate: Some(Rate {
            limit: 1000,
            per: Duration::from_secs(1),
            burst: 1000,
            key: Some(key),
        }),
        ..Flow::default()
    }
}

async fn parked(bench: &Bench, trigger: Option<TriggerId>, why: Parked) -> Delivery {
    let delivery = bench
        .stored(|new| {
            new.keys.breaker = Some(KEY.to_owned());
            new.trigger = trigger.unwrap_or(new.trigger.clone());
        })
        .await;
    let park = Intervention::Park {
        run: delivery.id,
        why,
        key: KEY.to_owned(),
    };
    let transaction = Transaction {
        interventions: vec![park],
        ..Transaction::default()
    };
    bench.store.store.commit(transaction).await.unwrap();
    delivery
}

async fn held(bench: &Bench, delivery: &Delivery) -> Option<Held> {
    let found = bench.store.delivery(delivery.id).await.unwrap();
    found.unwrap().held
}

#[tokio::test]
async fn what_a_batch_left_out_is_not_in_flight() {
    let bench = Bench::new();
    let flow = std::sync::Arc::new(Flow {
        batch: Some(Batch {
            size: 2,
            window: Duration::ZERO,
        }),
        ..Flow::default()
    });
    let (first, second) = (bench.stored(|_| ()).await, bench.stored(|_| ()).await);
    let inner = bench.inner();
    let runs = [(first.id, &first.keys), (second.id, &second.keys)];
    let mut taken = inner.take(&first.trigger, &flow, &runs).unwrap();
    taken.only(&[second.id].into(), inner.now());
    taken.started();
    let both = [first.clone(), second.clone()];
    let plan = inner.plan(&first.trigger, &flow, &both);
    let starts: Vec<_> = plan
        .starts
        .into_iter()
        .flat_map(|start| start.runs)
        .collect();
    assert_eq!(starts, [first.id], "the one that was given back");
    taken.ended(&second, Outcome::Succeeded, inner.now());
    let plan = inner.plan(&first.trigger, &flow, &both);
    assert_eq!(plan.starts[0].runs.len(), 2, "nothing is in flight");
}

#[tokio::test]
async fn what_was_parked_comes_back_with_its_trigger() {
    let mut bench = Bench::new();
    bench.set_flow(keyed());
    let version = bench.version("v1");
    let function = version.function.name.clone();
    let invoked = invoke_trigger(&function, None);
    // As a server leaves them that is killed.
    let mut all = Vec::new();
    for trigger in [None, Some(invoked.clone())] {
        for why in [Parked::Breaker, Parked::Pause] {
            all.push(parked(&bench, trigger.clone(), why).await);
        }
    }
    bench.go_live(&version);
    bench.dispatcher.wake_all().await.unwrap();
    for delivery in &all {
        assert_eq!(held(&bench, delivery).await, None, "{}", delivery.trigger);
    }
    // As a reload leaves them that takes their trigger away.
    let again = [
        parked(&bench, None, Parked::Breaker).await,
        parked(&bench, Some(invoked), Parked::Breaker).await,
    ];
    bench.dispatcher.wake_all().await.unwrap();
    for delivery in &again {
        let held = held(&bench, delivery).await;
        assert_eq!(held, Some(Held::Breaker), "{}", delivery.trigger);
    }
    bench.go_dark();
    bench.dispatcher.wake_all().await.unwrap();
    bench.go_live(&version);
    bench.dispatcher.wake_all().await.unwrap();
    for delivery in &again {
        assert_eq!(held(&bench, delivery).await, None, "{}", delivery.trigger);
    }
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn limits_are_told_again_when_the_store_did_not_take_them() {
    let mut bench = Bench::new();
    bench.set_flow(keyed());
    let delivery = parked(&bench, None, Parked::Breaker).await;
    bench.go_live(&bench.version("v1"));
    let odd = wakeful_core::port::StoreError::Failed("odd".into());
    *bench.store.refusals.lock() = vec![odd];
    bench.dispatcher.wake_all().await.unwrap_err();
    assert_eq!(held(&bench, &delivery).await, Some(Held::Breaker));
    bench.dispatcher.wake_all().await.unwrap();
    assert_eq!(held(&bench, &delivery).await, None);
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_page_of_batches_that_are_not_full_is_looked_at_again_in_time() {
    let mut bench = Bench::new();
    bench.set_flow(Flow {
        batch: Some(Batch {
            size: 2,
            window: Duration::from_secs(2),
        }),
        ..keyed()
    });
    for n in 0..limits::QUEUE_HEADS {
        let rate = Some(n.to_string());
        bench
            .stored(|new| {
                new.keys = Keys {
                    rate,
                    ..Keys::default()
                }
            })
            .await;
    }
    bench.go_live(&bench.version("v1"));
    bench.dispatcher.wake_all().await.unwrap();
    until("it looks for what is behind them, and again", || {
        bench.looks().len() >= 3
    })
    .await;
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn a_head_start_does_not_cut_short_the_wait_for_quiet() {
    let mut bench = Bench::new();
    bench.set_flow(Flow {
        debounce: Some(Debounce {
            key: None,
            wait: Duration::from_secs(10),
            most: Duration::from_secs(60),
        }),
        priority: Some(Priority::Fixed(Duration::from_secs(60))),
        ..Flow::default()
    });
    bench.go_live(&bench.version("v1"));
    let before = bench.inner().now();
    let receipt = bench.dispatcher.submit(bench.arrival()).await.unwrap();
    let found = bench.store.delivery(receipt.runs[0]).await.unwrap();
    assert!(found.unwrap().ready_at >= before.plus(Duration::from_secs(10)));
    bench.workers.shutdown(Duration::ZERO).await;
}

#[tokio::test]
async fn claims_are_given_back_together_and_keep_their_places() {
    let bench = Bench::new();
    let mut claimed = Vec::new();
    for _ in 0..3 {
        claimed.push(bench.stored(|new| new.claimed = true).await);
    }
    let trigger = claimed[0].trigger.clone();
    let waiting = bench.stored(|_| ()).await;
    let before = bench.commits();
    bench.inner().give_back(claimed.clone()).await;
    assert_eq!(bench.commits(), before + 1);
    let query = ReadyQuery {
        scope: waiting.scope.clone(),
        trigger,
        now: bench.inner().now(),
        after: None,
        limit: 10,
    };
    let queue = bench.store.ready(query).await.unwrap();
    let expected: Vec<_> = claimed.iter().chain([&waiting]).map(|one| one.id).collect();
    let runs: Vec<_> = queue.iter().map(|one| one.id).collect();
    assert_eq!(runs, expected);
    assert!(queue.iter().all(|one| one.attempts == 0));
}
