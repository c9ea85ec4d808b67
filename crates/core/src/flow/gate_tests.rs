use super::*;
use crate::{
    delivery::State,
    flow::{Batch, BreakerRule, KeyExpression, OnUnknown, Rate, Start},
    id::EventId,
    name::{Scope, TriggerId},
};

const MINUTE: i64 = 60_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000 + ms)
}

fn run(n: i64) -> RunId {
    RunId::from_raw(n)
}

/// A delivery of which all keys are `key`, ready since `ready`.
fn head(n: i64, key: &str, ready: i64) -> Delivery {
    let key = Some(key.to_owned());
    Delivery {
        id: run(n),
        scope: Scope {
            project: "photos".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        },
        event: EventId::from_raw(n),
        trigger: TriggerId::from_stored("thumbnail/bucket.photos.default"),
        function: "thumbnail".parse().unwrap(),
        keys: Keys {
            ordering: None,
            concurrency: None,
            rate: key.clone(),
            breaker: key,
        },
        blocks: false,
        on_unknown: OnUnknown::Retry,
        partition: 0,
        state: State::Queued,
        starts: 0,
        attempts: 0,
        ready_at: at(ready),
        expires_at: at(1000 * MINUTE),
        alone: false,
        held: None,
        dead: None,
        failure: None,
    }
}

fn heads(runs: &[i64], key: &str) -> Vec<Delivery> {
    runs.iter().map(|n| head(*n, key, 0)).collect()
}

fn key() -> Option<KeyExpression> {
    Some(KeyExpression::parse(&["subject"]).unwrap())
}

fn rate(key: Option<KeyExpression>) -> Flow {
    Flow {
        rate: Some(Rate {
            limit: 10,
            per: Duration::from_secs(1),
            burst: 2,
            key,
        }),
        ..Flow::default()
    }
}

fn breaker(key: Option<KeyExpression>) -> Flow {
    Flow {
        breaker: Some(BreakerRule {
            failures: 2,
            retry_after: Duration::from_secs(10),
            retry_most: Duration::from_secs(60),
            key,
        }),
        ..Flow::default()
    }
}

fn batch() -> Flow {
    Flow {
        batch: Some(Batch {
            size: 3,
            window: Duration::from_secs(5),
        }),
        ..Flow::default()
    }
}

fn gate(flow: Flow) -> Gate {
    Gate::new(Arc::new(flow), at(-MINUTE))
}

fn starts(plan: &Plan) -> Vec<Vec<i64>> {
    let raw = |start: &Start| start.runs.iter().map(|run| run.raw()).collect();
    plan.starts.iter().map(raw).collect()
}

/// Takes a head as a start of its own, and lets it end.
fn fails(gate: &mut Gate, n: i64, key: &str, ms: i64) -> Vec<Turn> {
    let head = head(n, key, ms);
    gate.take(&[(head.id, &head.keys)], at(ms)).unwrap();
    gate.ended(head.id, &head.keys, Outcome::Failed, at(ms))
}

fn pause(key: Option<&str>) -> Pause {
    let one = head(1, "", 0);
    Pause {
        scope: one.scope,
        function: one.function,
        trigger: Some(one.trigger),
        key: key.map(str::to_owned),
        at: at(0),
        why: "deploying".to_owned(),
    }
}

#[test]
fn without_rules_all_that_is_ready_starts() {
    let mut gate = gate(Flow::default());
    let mut page = heads(&[1, 2], "a");
    page[1].alone = true;
    page.push(head(3, "a", 500));
    let plan = gate.plan(&page, at(0));
    assert_eq!(starts(&plan), [[1], [2]]);
    assert!(plan.starts[1].alone && !plan.stopped);
    assert_eq!(plan.look_again, Some(at(500)));
    assert!(
        plan.interventions(&page[0].scope, &page[0].trigger, at(0))
            .is_empty()
    );
}

#[test]
fn what_is_too_old_is_told_apart_even_while_paused() {
    let mut gate = gate(Flow::default());
    gate.set_pauses(Some(pause(None)), Vec::new());
    let mut page = heads(&[1, 2, 3], "a");
    page[2].expires_at = at(0);
    let plan = gate.plan(&page, at(0));
    assert_eq!(
        (plan.expired.as_slice(), plan.starts.len()),
        ([run(3)].as_slice(), 0)
    );
    assert!(plan.stopped && !gate.may_start(&page[0].keys, at(0)));
    assert_eq!(gate.take(&[(run(1), &page[0].keys)], at(0)), Err(NotNow));
    assert_eq!(gate.holds(at(0)), [Hold::Paused(pause(None))]);
}

#[test]
fn after_a_start_the_rate_is_used_up_and_says_so() {
    let gate = Gate::new(Arc::new(rate(None)), at(0));
    let holds = gate.holds(at(0));
    let told = matches!(&holds[..], [Hold::Rate { key: None, until }] if *until > at(0));
    assert!(told, "{holds:?}");
    assert_eq!(gate.holds(at(MINUTE)), []);
}

#[test]
fn a_paused_key_is_parked_and_comes_back() {
    let mut gate = gate(Flow::default());
    assert_eq!(gate.set_pauses(None, vec![pause(Some("a"))]), []);
    let page = [head(1, "a", 0), head(2, "b", 0)];
    let plan = gate.plan(&page, at(0));
    assert_eq!(plan.parked, [(run(1), Parked::Pause, "a".to_owned())]);
    assert_eq!(starts(&plan), [[2]]);
    assert_eq!(gate.put_aside(&plan), []);
    let other = || pause(Some("b"));
    let back = |key: Option<&str>| {
        let key = key.map(str::to_owned);
        Turn::Unpark(Unpark::all(Parked::Pause, key))
    };
    gate.set_pauses(None, vec![pause(Some("a")), other()]);
    assert_eq!(gate.set_pauses(None, vec![other()]), [back(Some("a"))]);
    // It was parked after that all the same: its commit came late.
    assert_eq!(gate.put_aside(&plan), [back(Some("a"))]);
    assert!(!gate.begin().contains(&back(None)));
    assert_eq!(gate.set_pauses(None, Vec::new()), [back(None)]);
    assert!(gate.begin().contains(&back(None)));
}

#[test]
fn what_was_parked_too_late_comes_back() {
    let mut gate = gate(breaker(key()));
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    let plan = gate.plan(&[head(3, "a", 0), head(4, "a", 0)], at(0));
    assert_eq!(plan.parked.len(), 2);
    assert_eq!(gate.put_aside(&plan), []);
    let keys = head(5, "a", 0).keys;
    gate.take(&[(run(5), &keys)], at(10_000)).unwrap();
    gate.ended(run(5), &keys, Outcome::Succeeded, at(10_000));
    let back = Turn::Unpark(Unpark::all(Parked::Breaker, Some("a".to_owned())));
    assert_eq!(gate.put_aside(&plan), [back]);
}

#[test]
fn what_is_in_flight_is_not_planned_twice() {
    let mut gate = gate(Flow::default());
    let page = heads(&[1], "a");
    gate.take(&[(run(1), &page[0].keys)], at(0)).unwrap();
    let plan = gate.plan(&page, at(0));
    assert_eq!((plan.starts.len(), plan.look_again), (0, Some(at(100))));
    assert_eq!(gate.take(&[(run(1), &page[0].keys)], at(0)), Err(NotNow));
    gate.give_back(run(1));
    assert_eq!(starts(&gate.plan(&page, at(0))), [[1]]);
}

#[test]
fn a_rate_without_key_starts_as_many_as_it_has_and_names_the_next_time() {
    let mut gate = gate(rate(None));
    let page = heads(&[1, 2, 3, 4], "a");
    let plan = gate.plan(&page, at(0));
    assert_eq!(starts(&plan), [[1], [2]]);
    assert!(plan.stopped && plan.deferred.is_empty());
    assert_eq!(plan.look_again, Some(at(100)));
    for n in [1, 2] {
        gate.take(&[(run(n), &page[0].keys)], at(0)).unwrap();
    }
    assert_eq!(gate.take(&[(run(3), &page[0].keys)], at(0)), Err(NotNow));
    gate.give_back(run(2));
    gate.take(&[(run(3), &page[0].keys)], at(0)).unwrap();
    assert!(!gate.may_start(&page[0].keys, at(99)));
    assert!(gate.may_start(&page[0].keys, at(100)));
}

#[test]
fn a_rate_with_key_defers_each_to_its_own_slot_in_order() {
    let mut gate = gate(rate(key()));
    let mut page = heads(&[1, 2, 3, 4, 5], "a");
    page.push(head(6, "b", 0));
    let plan = gate.plan(&page, at(0));
    assert_eq!(starts(&plan), [[1], [2], [6]]);
    let slots = [(run(3), at(100)), (run(4), at(200)), (run(5), at(300))];
    assert_eq!(plan.deferred, slots);
    for n in [1, 2] {
        gate.take(&[(run(n), &page[0].keys)], at(0)).unwrap();
    }
    // Who comes later stands behind them, and overtakes nobody.
    assert!(!gate.may_start(&page[0].keys, at(50)));
    let later = gate.plan(&[head(7, "a", 50)], at(50));
    assert_eq!(later.deferred, [(run(7), at(400))]);
    let due = gate.plan(&[head(3, "a", 100)], at(130));
    assert_eq!(starts(&due), [[3]]);
}

#[test]
fn a_line_that_was_stuck_keeps_its_order() {
    let mut gate = gate(rate(key()));
    let runs: Vec<i64> = (1..=2000).collect();
    let mut waiting: BTreeMap<i64, i64> = runs.iter().map(|n| (*n, 0)).collect();
    let (mut started, mut deferrals) = (Vec::new(), 0);
    // Nobody serves the queue from the first second to the fourth minute.
    let ticks = (0..1000).chain(4 * MINUTE..20 * MINUTE);
    for now in ticks.step_by(20) {
        let mut due: Vec<(i64, i64)> = waiting
            .iter()
            .filter(|(_, slot)| **slot <= now)
            .map(|(n, slot)| (*slot, *n))
            .collect();
        due.sort_unstable();
        let page: Vec<Delivery> = due.iter().map(|(slot, n)| head(*n, "a", *slot)).collect();
        let plan = gate.plan(&page, at(now));
        deferrals += plan.deferred.len();
        for (run, until) in &plan.deferred {
            waiting.insert(run.raw(), until.as_millis() - at(0).as_millis());
        }
        for start in &plan.starts {
            let head = head(start.runs[0].raw(), "a", 0);
            gate.take(&[(head.id, &head.keys)], at(now)).unwrap();
            waiting.remove(&head.id.raw());
            started.push(head.id.raw());
        }
    }
    assert_eq!(started, runs);
    assert!(deferrals < 3 * runs.len(), "{deferrals}");
}

#[test]
fn an_open_breaker_stops_the_trigger_and_tries_one() {
    let mut gate = gate(breaker(None));
    assert_eq!(fails(&mut gate, 1, "a", 0), []);
    assert_eq!(fails(&mut gate, 1, "a", 0), []);
    let opened = |until, failures| Turn::Opened {
        key: None,
        until: at(until),
        failures,
    };
    assert_eq!(fails(&mut gate, 2, "b", 0), [opened(10_000, 2)]);
    let page = heads(&[3, 4], "c");
    let plan = gate.plan(&page, at(1));
    assert_eq!((plan.starts.len(), plan.stopped), (0, true));
    assert_eq!(plan.look_again, Some(at(10_000)));
    let probe = gate.plan(&page, at(10_000));
    assert_eq!((starts(&probe), probe.stopped), (vec![vec![3]], true));
    gate.take(&[(run(3), &page[0].keys)], at(10_000)).unwrap();
    assert_eq!(
        gate.take(&[(run(4), &page[1].keys)], at(10_000)),
        Err(NotNow)
    );
    let again = gate.ended(run(3), &page[0].keys, Outcome::Failed, at(11_000));
    assert_eq!(again, [opened(31_000, 3)]);
    gate.take(&[(run(4), &page[1].keys)], at(31_000)).unwrap();
    let closed = gate.ended(run(4), &page[1].keys, Outcome::Succeeded, at(31_000));
    assert_eq!(closed, [Turn::Closed { key: None }]);
    assert_eq!(starts(&gate.plan(&page, at(31_000))), [[3], [4]]);
}

#[test]
fn an_open_breaker_of_a_key_parks_and_asks_for_one() {
    let mut gate = gate(breaker(key()));
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    let plan = gate.plan(&[head(3, "a", 0), head(4, "b", 0)], at(0));
    assert_eq!(plan.parked, [(run(3), Parked::Breaker, "a".to_owned())]);
    assert_eq!(
        (starts(&plan), plan.look_again),
        (vec![vec![4]], Some(at(10_000)))
    );
    let asks = gate.plan(&[], at(10_000));
    let one = |most| Unpark {
        why: Parked::Breaker,
        key: Some("a".to_owned()),
        most,
    };
    assert_eq!(asks.unpark, [one(Some(1))]);
    assert_eq!(gate.plan(&[], at(10_001)).unpark, []);
    // Of two that are there one is tried and the other parked.
    let probe = gate.plan(&[head(3, "a", 10_000), head(5, "a", 10_001)], at(10_001));
    assert_eq!(starts(&probe), [[3]]);
    assert_eq!(probe.parked.len(), 1);
    let keys = head(3, "a", 0).keys;
    gate.take(&[(run(3), &keys)], at(10_001)).unwrap();
    let turns = gate.ended(run(3), &keys, Outcome::Succeeded, at(10_002));
    let closed = Turn::Closed {
        key: Some("a".to_owned()),
    };
    assert_eq!(turns, [closed, Turn::Unpark(one(None))]);
}

#[test]
fn a_probe_that_says_nothing_lets_the_next_be_tried() {
    let mut gate = gate(breaker(key()));
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    gate.plan(&[head(3, "a", 0), head(4, "a", 0)], at(0));
    assert_eq!(gate.plan(&[], at(10_000)).unpark.len(), 1);
    let keys = head(3, "a", 0).keys;
    gate.take(&[(run(3), &keys)], at(10_000)).unwrap();
    // Nobody can say when the probe ends: somebody looks again all the same.
    let meanwhile = gate.plan(&[], at(10_500));
    assert_eq!(
        (meanwhile.unpark.len(), meanwhile.look_again),
        (0, Some(at(20_000)))
    );
    assert_eq!(gate.ended(run(3), &keys, Outcome::Free, at(11_000)), []);
    assert_eq!(gate.plan(&[], at(11_000)).unpark.len(), 1);
    gate.none_parked("a");
    let idle = gate.plan(&[], at(11_000 + 5 * MINUTE));
    assert_eq!((idle.unpark.len(), idle.look_again), (0, None));
}

#[test]
fn a_batch_starts_when_it_is_full_or_has_waited() {
    let mut gate = gate(batch());
    let mut page = heads(&[1, 2, 3, 4, 5, 6, 7, 8], "a");
    page[1].alone = true;
    page[7].ready_at = at(1);
    let plan = gate.plan(&page, at(2));
    assert_eq!(starts(&plan), [vec![2], vec![1, 3, 4], vec![5, 6, 7]]);
    assert!(plan.starts[0].alone);
    assert_eq!(plan.look_again, Some(at(5001)));
    let later = gate.plan(&page[7..], at(5001));
    assert_eq!(starts(&later), [[8]]);
    assert!(!gate.may_start(&page[0].keys, at(0)));
}

#[test]
fn a_batch_is_one_start_of_its_rate() {
    let mut gate = gate(Flow {
        rate: rate(None).rate,
        ..batch()
    });
    let page = heads(&[1, 2, 3, 4, 5, 6, 7, 8, 9], "a");
    let plan = gate.plan(&page, at(0));
    assert_eq!(starts(&plan), [[1, 2, 3], [4, 5, 6]]);
    for three in page.chunks(3).take(2) {
        let runs: Vec<(RunId, &Keys)> = three.iter().map(|one| (one.id, &one.keys)).collect();
        gate.take(&runs, at(0)).unwrap();
    }
    assert_eq!(gate.in_flight(), 6);
    assert_eq!(gate.take(&[(run(7), &page[0].keys)], at(0)), Err(NotNow));
}

#[test]
fn a_clock_set_back_freezes_nothing() {
    let mut both = breaker(key());
    both.rate = rate(key()).rate;
    let mut gate = gate(both);
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    let day = 24 * 60 * MINUTE;
    let page = [head(3, "a", -day), head(4, "b", -day)];
    let plan = gate.plan(&page, at(-day));
    assert_eq!(
        (starts(&plan), plan.look_again),
        (vec![vec![4]], Some(at(-day + 10_000)))
    );
    let probe = gate.plan(&page[..1], at(-day + 10_000));
    assert_eq!(starts(&probe), [[3]]);
}

#[test]
fn a_reload_keeps_what_stays_and_releases_what_a_breaker_held() {
    let mut gate = gate(breaker(key()));
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    let mut same = breaker(key());
    same.rate = rate(None).rate;
    assert_eq!(gate.set_flow(Arc::new(same.clone())), []);
    assert!(!gate.may_start(&head(3, "b", 0).keys, at(99)));
    assert!(gate.may_start(&head(3, "b", 0).keys, at(300)));
    assert!(!gate.may_start(&head(3, "a", 0).keys, at(300)));
    same.breaker = None;
    let all = Turn::Unpark(Unpark::all(Parked::Breaker, None));
    assert_eq!(gate.set_flow(Arc::new(same)), [all]);
    assert!(gate.may_start(&head(3, "a", 0).keys, at(300)));
}

#[test]
fn what_holds_is_told() {
    let mut both = breaker(key());
    both.rate = rate(key()).rate;
    let mut gate = gate(both);
    for n in [1, 2] {
        fails(&mut gate, n, "a", 0);
    }
    let key = Some("a".to_owned());
    let holds = [
        Hold::Breaker {
            key: key.clone(),
            since: at(0),
            until: at(10_000),
            probe: None,
            failures: 2,
        },
        Hold::Rate {
            key,
            until: at(100),
        },
    ];
    assert_eq!(gate.holds(at(1)), holds);
}
