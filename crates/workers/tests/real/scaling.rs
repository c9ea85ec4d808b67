//! How many workers there are, and who gets a place.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant},
};

use wakeful_core::project::Style;
use wakeful_workers::{
    Call, Limit, Pool, Reserve, ReserveError, VersionSpec, WorkerEvent, WorkerState,
};

use crate::support::*;

/// For both styles: in that of Lambda, data stand under `detail`.
const CODE: &str = "exports.handler = async (event) => {
    await new Promise((f) => setTimeout(f, (event.data ?? event.detail).ms ?? 0)); return process.pid; };
    exports.spin = async (event) => { const end = Date.now() + event.data.ms; while (Date.now() < end); return process.pid; };";
const HANDLERS: [&str; 2] = ["handler", "spin"];

fn spec(bench: &Bench, style: Style) -> VersionSpec {
    let mut spec = bench.spec(CODE, &HANDLERS);
    spec.style = Some(style);
    spec
}

fn sleep_of(ms: u64) -> wakeful_workers::Invocation {
    event_with(0, &format!(r#"{{"ms":{ms}}}"#))
}

/// Starts that many attempts at once and returns the workers they ran on.
async fn burst(pool: &Pool, count: usize, ms: u64) -> HashSet<String> {
    let run = |pool: Pool| async move { answer(start(&pool, sleep_of(ms)).await).await.unwrap() };
    let calls: Vec<_> = (0..count)
        .map(|_| tokio::spawn(run(pool.clone())))
        .collect();
    let mut pids = HashSet::new();
    for call in calls {
        pids.insert(within(call).await.unwrap());
    }
    pids
}

fn started(bench: &Bench) -> usize {
    let events = bench.events();
    let started = events
        .iter()
        .filter(|e| matches!(e, WorkerEvent::Started { .. }));
    started.count()
}

#[tokio::test]
async fn a_burst_that_one_worker_can_take_starts_one() {
    let bench = Bench::with(|options| options.blank_workers = 0);
    let pool = bench.workers.pool(spec(&bench, Style::Native));
    assert_eq!(burst(&pool, 80, 50).await.len(), 1);
    assert_eq!(started(&bench), 1);
    bench.close().await;
}

#[tokio::test]
async fn a_burst_of_short_attempts_is_not_over_provisioned() {
    let bench = Bench::with(|options| {
        options.blank_workers = 0;
        options.max_starting = 2;
    });
    let pool = bench.workers.pool(spec(&bench, Style::Lambda));
    let pids = burst(&pool, 40, 0).await;
    assert!(
        pids.len() <= 4,
        "{} workers for what two or three can do",
        pids.len()
    );
    assert!(started(&bench) <= 4, "{} processes", started(&bench));
    assert_eq!(pool.stats().waiting, 0);
    bench.close().await;
}

#[tokio::test]
async fn long_attempts_that_need_a_worker_each_get_one() {
    let bench = Bench::new();
    let pool = bench.workers.pool(spec(&bench, Style::Lambda));
    assert_eq!(burst(&pool, 6, 3000).await.len(), 6);
    bench.close().await;
}

#[tokio::test]
async fn the_style_says_how_many_share_a_worker() {
    let bench = Bench::new();
    let lambda = "exports.handler = async () => { await new Promise((f) => setTimeout(f, 1500)); return process.pid; };";
    let mut unknown = bench.spec(lambda, &[]);
    unknown.limit = Limit::new(3);
    let pool = bench.workers.pool(unknown);
    let info = within(pool.load()).await.unwrap();
    assert_eq!(info.style, Style::Lambda);
    assert_eq!(burst(&pool, 3, 0).await.len(), 3, "one each");
    bench.close().await;
}

#[tokio::test]
async fn concurrency_is_the_total_over_all_versions() {
    let bench = Bench::new();
    let limit = Limit::new(2);
    let of = |version: &str| {
        let mut spec = spec(&bench, Style::Native);
        spec.limit = Arc::clone(&limit);
        spec.version = version.into();
        bench.workers.pool(spec)
    };
    let (old, new) = (of("v1"), of("v2"));
    let first = start(&old, sleep_of(10_000)).await;
    let second = start(&new, sleep_of(200)).await;
    assert_eq!(limit.used(), 2);
    assert!(new.try_reserve().is_none() && old.try_reserve().is_none());
    let waiting = tokio::spawn({
        let old = old.clone();
        async move { slot(&old).await }
    });
    until("it waits", || old.stats().waiting == 1).await;
    answer(second).await.unwrap();
    let third = within(waiting).await.unwrap();
    assert_eq!(
        limit.used(),
        2,
        "the place went from one version to the other"
    );
    drop(third);
    drop(first);
    bench.close().await;
}

/// Two versions of one function, the first with a worker that is loaded, the second with none.
async fn two_versions(bench: &Bench, concurrency: u32) -> (Pool, Pool) {
    let limit = Limit::new(concurrency);
    let of = |version: &str| {
        let mut spec = spec(bench, Style::Native);
        spec.limit = Arc::clone(&limit);
        spec.version = version.into();
        bench.workers.pool(spec)
    };
    let (old, new) = (of("v1"), of("v2"));
    drop(slot(&old).await);
    (old, new)
}

#[tokio::test]
async fn a_new_version_without_a_worker_gets_the_permit_that_the_old_one_gives_back() {
    let bench = Bench::new();
    let (old, new) = two_versions(&bench, 1).await;
    let held = slot(&old).await;
    let waiting = tokio::spawn({
        let new = new.clone();
        async move { slot(&new).await }
    });
    until("it waits", || new.stats().waiting == 1).await;
    assert_eq!(new.stats().starting, 0, "it could not use a worker yet");
    drop(held);
    drop(within(waiting).await.unwrap());
    bench.close().await;
}

#[tokio::test]
async fn a_start_called_off_for_want_of_permits_comes_back_with_them() {
    let bench = Bench::with(|options| {
        options.max_workers = 2;
        options.blank_workers = 0;
    });
    let (old, new) = two_versions(&bench, 2).await;
    let other = bench.workers.pool(spec(&bench, Style::Native));
    let first = slot(&old).await;
    let elsewhere = slot(&other).await;
    let waiting = tokio::spawn({
        let new = new.clone();
        async move { slot(&new).await }
    });
    until("its start waits for room", || {
        new.stats().starting == 1 && other.stats().leaving == 1
    })
    .await;
    let second = old.try_reserve().expect("a permit and a place");
    until("its start is called off", || new.stats().starting == 0).await;
    assert_eq!(new.stats().waiting, 1);
    drop(second);
    until("its start is back", || new.stats().starting == 1).await;
    drop(elsewhere);
    drop(within(waiting).await.unwrap());
    drop(first);
    bench.close().await;
}

#[tokio::test]
async fn code_that_takes_long_to_load_keeps_nobody_else_from_starting() {
    let bench = Bench::with(|options| {
        options.blank_workers = 0;
        options.max_starting = 1;
        options.load_timeout = 3 * PATIENCE;
    });
    let code = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);";
    let slow = bench.pool(code, &[]);
    let loading = tokio::spawn({
        let slow = slow.clone();
        async move { slow.load().await }
    });
    until("it loads", || {
        let workers = bench.workers.snapshot();
        workers.iter().any(|w| w.state == WorkerState::Loading)
    })
    .await;
    let quick = bench.workers.pool(spec(&bench, Style::Native));
    drop(slot(&quick).await);
    assert!(!loading.is_finished());
    bench.close().await;
}

#[tokio::test]
async fn a_reservation_that_is_dropped_gives_its_place_up() {
    let bench = Bench::new();
    let mut spec = spec(&bench, Style::Native);
    spec.limit = Limit::new(1);
    spec.max_waiting = 2;
    let pool = bench.workers.pool(spec);
    let held = slot(&pool).await;
    let wait = |pool: Pool| tokio::spawn(async move { slot(&pool).await });
    let (given_up, patient) = (wait(pool.clone()), wait(pool.clone()));
    until("both wait", || pool.stats().waiting == 2).await;
    let refused = pool.reserve(Reserve::Shared).await.unwrap_err();
    assert_eq!(refused, ReserveError::Overloaded);
    given_up.abort();
    until("one waits", || pool.stats().waiting == 1).await;
    drop(held);
    let place = within(patient).await.unwrap();
    assert_eq!((pool.stats().in_flight, pool.spec().limit.used()), (1, 1));
    drop(place);
    assert_eq!((pool.stats().in_flight, pool.spec().limit.used()), (0, 0));
    assert!(pool.try_reserve().is_some());
    bench.close().await;
}

#[tokio::test]
async fn idle_workers_end_and_come_back() {
    let bench = Bench::new();
    let mut spec = spec(&bench, Style::Lambda);
    spec.scale_down_after = Duration::from_millis(100);
    let pool = bench.workers.pool(spec);
    burst(&pool, 3, 200).await;
    until("all of them end", || {
        pool.stats() == Default::default() && bench.pids_of(&pool).is_empty()
    })
    .await;
    assert_eq!(burst(&pool, 1, 0).await.len(), 1);
    bench.close().await;
}

#[tokio::test]
async fn a_blank_worker_waits_and_is_replaced() {
    let bench = Bench::new();
    let blank = || {
        let workers = bench.workers.snapshot();
        let blank = workers
            .iter()
            .find(|worker| worker.state == WorkerState::Blank);
        blank.map(|worker| worker.pid)
    };
    assert_eq!(blank(), None);
    let pool = bench.workers.pool(spec(&bench, Style::Native));
    until("a blank worker is ready", || {
        blank().is_some() && started(&bench) == 1
    })
    .await;
    let ready = blank().unwrap();
    let begun = Instant::now();
    let place = slot(&pool).await;
    let took = begun.elapsed();
    assert_eq!(place.info().pid, ready, "the cold start took the blank one");
    assert!(took < Duration::from_secs(2), "{took:?}");
    until("another one is ready", || {
        blank().is_some_and(|pid| pid != ready)
    })
    .await;
    drop(place);
    bench.close().await;
}

#[tokio::test]
async fn blank_workers_of_an_unused_class_end() {
    let bench = Bench::with(|options| options.blank_linger = Duration::from_millis(100));
    let pool = bench.workers.pool(spec(&bench, Style::Native));
    until("a blank worker is there", || started(&bench) == 1).await;
    pool.retire();
    assert_eq!(
        pool.reserve(Reserve::Shared).await.unwrap_err(),
        ReserveError::Retired
    );
    until("nothing is left", || bench.workers.snapshot().is_empty()).await;
    bench.close().await;
}

#[tokio::test]
async fn when_all_room_is_taken_the_longest_idle_worker_makes_way() {
    let bench = Bench::with(|options| {
        options.max_workers = 2;
        options.blank_workers = 0;
    });
    let pools: Vec<Pool> = (0..3)
        .map(|_| bench.workers.pool(spec(&bench, Style::Native)))
        .collect();
    for pool in &pools {
        assert_eq!(burst(pool, 1, 0).await.len(), 1);
        assert!(bench.workers.snapshot().len() <= 2);
    }
    assert_eq!(pools[0].stats().serving, 0, "the first was idle longest");
    assert_eq!((pools[1].stats().serving, pools[2].stats().serving), (1, 1));
    bench.close().await;
}

#[tokio::test]
async fn a_pool_that_has_none_gets_a_worker_although_all_are_busy() {
    let bench = Bench::with(|options| {
        options.max_workers = 2;
        options.blank_workers = 0;
    });
    let greedy = bench.workers.pool(spec(&bench, Style::Lambda));
    let modest = bench.workers.pool(spec(&bench, Style::Lambda));
    let busy = {
        let greedy = greedy.clone();
        tokio::spawn(async move {
            loop {
                burst(&greedy, 4, 100).await;
            }
        })
    };
    until("all room is taken", || greedy.stats().serving == 2).await;
    assert_eq!(burst(&modest, 1, 0).await.len(), 1);
    busy.abort();
    bench.close().await;
}

#[tokio::test]
async fn one_who_must_be_alone_is_not_kept_out_by_a_busy_worker() {
    let bench = Bench::with(|options| {
        options.max_workers = 1;
        options.blank_workers = 0;
    });
    let pool = bench.workers.pool(spec(&bench, Style::Native));
    let stream_of_calls = {
        let pool = pool.clone();
        tokio::spawn(async move {
            let mut last: Option<Call> = None;
            loop {
                let next = start(&pool, sleep_of(60)).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
                if let Some(call) = last.replace(next) {
                    answer(call).await.unwrap();
                }
            }
        })
    };
    until("it is busy", || pool.stats().in_flight > 0).await;
    let place = within(pool.reserve(Reserve::Alone)).await.unwrap();
    assert_eq!(pool.stats().in_flight, 1, "nobody else is on it");
    assert!(pool.try_reserve().is_none());
    drop(place);
    until("the others go on", || pool.stats().in_flight > 0).await;
    stream_of_calls.abort();
    bench.close().await;
}

#[tokio::test]
async fn a_late_event_loop_gets_no_more_while_another_can_take_it() {
    let bench = Bench::new();
    let pool = bench.workers.pool(spec(&bench, Style::Native));
    let spin = start(&pool, event_with(1, r#"{"ms":2500}"#)).await;
    let late = spin.worker().pid;
    until("its lateness is noticed", || {
        pool.try_reserve()
            .is_none_or(|slot| slot.info().pid != late)
    })
    .await;
    let other = start(&pool, sleep_of(0)).await;
    assert_ne!(other.worker().pid, late);
    answer(other).await.unwrap();
    answer(spin).await.unwrap();
    bench.close().await;
}
