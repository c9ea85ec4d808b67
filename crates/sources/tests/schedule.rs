//! Ticks over time that the test moves: tokio's clock is paused, the clock of the day follows it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{task::JoinHandle, time::Instant};
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    event::Origin,
    name::{Scope, TriggerId},
    port::{
        Arrival, Clock, Epoch, Kind, Receipt, Reply, Sink, Store, StoreError, Submission,
        SubmitError, Transaction,
    },
    project::{ScheduleTrigger, When},
    time::Timestamp,
};
use wakeful_sources::schedule::{Scheduler, SchedulerHandle};
use wakeful_store::MemoryStore;

struct TestClock {
    start: Instant,
    base: AtomicI64,
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        let elapsed = self.start.elapsed().as_millis() as i64;
        Timestamp::from_millis(self.base.load(Ordering::SeqCst) + elapsed)
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Willing,
    Refusing,
    Lying,
}

struct TestSink {
    store: Arc<MemoryStore>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    mood: Mutex<Mood>,
}

impl Sink for TestSink {
    fn submit(&self, submission: Submission) -> Reply<Receipt, SubmitError> {
        let (store, arrivals) = (Arc::clone(&self.store), Arc::clone(&self.arrivals));
        let mood = *self.mood.lock();
        let failed = || SubmitError::Store(StoreError::Failed("as the test wants it".into()));
        Box::pin(async move {
            if mood == Mood::Refusing {
                return Err(failed());
            }
            let transaction = Transaction {
                checkpoints: submission.checkpoint.into_iter().collect(),
                ..Transaction::default()
            };
            store.commit(transaction).await?;
            arrivals.lock().extend(submission.arrivals);
            match mood {
                Mood::Lying => Err(failed()),
                _ => Ok(Receipt::default()),
            }
        })
    }
}

struct Bench {
    clock: Arc<TestClock>,
    store: Arc<MemoryStore>,
    sink: Arc<TestSink>,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

fn at(text: &str) -> Timestamp {
    let ms = humantime(text);
    Timestamp::from_millis(ms)
}

/// Milliseconds of a time of day on 2026-11-20, `HH:MM:SS`, with days added by a leading `+1 `.
fn humantime(text: &str) -> i64 {
    let (days, text) = match text.strip_prefix('+') {
        Some(rest) => {
            let (days, rest) = rest.split_once(' ').unwrap();
            (days.parse::<i64>().unwrap(), rest)
        }
        None => (0, text),
    };
    let parts: Vec<i64> = text.split(':').map(|part| part.parse().unwrap()).collect();
    let day = 1_795_132_800_000 + days * 86_400_000;
    day + (parts[0] * 3600 + parts[1] * 60 + parts[2]) * 1000
}

fn id(name: &str) -> TriggerId {
    TriggerId::new(&"report".parse().unwrap(), name)
}

fn cron(expression: &str) -> ScheduleTrigger {
    ScheduleTrigger {
        when: When::Cron(expression.to_owned()),
        timezone: "UTC".to_owned(),
    }
}

fn every(seconds: u64) -> ScheduleTrigger {
    ScheduleTrigger {
        when: When::Every(Duration::from_secs(seconds)),
        timezone: "UTC".to_owned(),
    }
}

impl Bench {
    fn new(now: &str) -> Self {
        let store = Arc::new(MemoryStore::new(Epoch(1)));
        Self {
            clock: Arc::new(TestClock {
                start: Instant::now(),
                base: AtomicI64::new(humantime(now)),
            }),
            sink: Arc::new(TestSink {
                store: Arc::clone(&store),
                arrivals: Arc::default(),
                mood: Mutex::new(Mood::Willing),
            }),
            store,
            running: None,
        }
    }

    fn start(&mut self, triggers: Vec<(TriggerId, ScheduleTrigger)>) -> SchedulerHandle {
        let scope = Scope {
            project: "p".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        };
        let (scheduler, handle) = Scheduler::new(
            scope,
            Arc::clone(&self.store) as Arc<dyn Store>,
            Arc::clone(&self.sink) as Arc<dyn Sink>,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
        );
        handle.set(triggers);
        let shutdown = CancellationToken::new();
        self.running = Some((shutdown.clone(), tokio::spawn(scheduler.run(shutdown))));
        handle
    }

    async fn stop(&mut self) {
        let (shutdown, task) = self.running.take().unwrap();
        shutdown.cancel();
        task.await.unwrap();
    }

    /// Sets the clock of the day, as an administrator would.
    fn set_clock(&self, text: &str) {
        let elapsed = self.clock.start.elapsed().as_millis() as i64;
        self.clock
            .base
            .store(humantime(text) - elapsed, Ordering::SeqCst);
    }

    /// Lets time pass until the clock says so.
    async fn pass_until(&self, text: &str) {
        let wait = at(text).since(self.clock.now());
        tokio::time::sleep(wait + Duration::from_millis(5)).await;
    }

    /// The scheduled times so far, as `HH:MM:SS` with the day where it is another.
    fn ticks(&self) -> Vec<String> {
        let all = self.sink.arrivals.lock();
        let day = humantime("00:00:00");
        all.iter()
            .map(|arrival| {
                let time = arrival.time.to_string();
                let days = (arrival.time.as_millis() - day).div_euclid(86_400_000);
                match days {
                    0 => time[11..19].to_owned(),
                    days => format!("+{days} {}", &time[11..19]),
                }
            })
            .collect()
    }
}

#[tokio::test(start_paused = true)]
async fn ticks_come_at_their_time_and_say_so() {
    let mut bench = Bench::new("11:58:20");
    let _handle = bench.start(vec![(id("a"), cron("*/5 * * * *"))]);
    bench.pass_until("11:59:59").await;
    assert!(bench.ticks().is_empty());
    bench.pass_until("12:05:00").await;
    assert_eq!(bench.ticks(), ["12:00:00", "12:05:00"]);
    let arrival = bench.sink.arrivals.lock()[1].clone();
    assert_eq!(arrival.origin, Origin::Schedule(id("a")));
    assert_eq!(
        (&arrival.kind, arrival.subject.as_deref()),
        (&Kind::Verb("tick"), Some("report/a"))
    );
    let data: serde_json::Value = serde_json::from_slice(&arrival.data).unwrap();
    assert_eq!(
        data,
        serde_json::json!({
            "schedule": "*/5 * * * *",
            "scheduledTime": "2026-11-20T12:05:00.000Z",
            "lastTime": "2026-11-20T12:00:00.000Z",
        })
    );
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_repeats_nothing_and_skips_what_was_missed() {
    let mut bench = Bench::new("11:58:20");
    let triggers = vec![(id("a"), every(60))];
    let _handle = bench.start(triggers.clone());
    bench.pass_until("12:00:00").await;
    bench.stop().await;
    assert_eq!(bench.ticks(), ["11:59:00", "12:00:00"]);
    // Right after a tick: it does not come again.
    let handle = bench.start(triggers.clone());
    bench.pass_until("12:00:30").await;
    assert_eq!((bench.ticks().len(), handle.missed()), (2, 0));
    bench.stop().await;
    bench.set_clock("14:00:30");
    let handle = bench.start(triggers);
    bench.pass_until("14:01:00").await;
    assert_eq!(bench.ticks()[2..], ["14:01:00"]);
    assert_eq!(handle.missed(), 120);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_trigger_that_was_away_missed_nothing() {
    let mut bench = Bench::new("11:58:20");
    let triggers = vec![(id("a"), every(60))];
    let handle = bench.start(triggers.clone());
    bench.pass_until("12:00:00").await;
    handle.set(Vec::new());
    bench.pass_until("13:00:30").await;
    handle.set(triggers);
    bench.pass_until("13:01:00").await;
    assert_eq!(bench.ticks()[2..], ["13:01:00"]);
    assert_eq!(handle.missed(), 0);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_back_ticks_nothing_twice() {
    let mut bench = Bench::new("11:58:20");
    let triggers = vec![(id("a"), every(60))];
    let _handle = bench.start(triggers.clone());
    bench.pass_until("12:00:00").await;
    bench.set_clock("11:30:00");
    bench.pass_until("12:00:30").await;
    assert_eq!(bench.ticks(), ["11:59:00", "12:00:00"]);
    bench.pass_until("12:01:00").await;
    assert_eq!(bench.ticks()[2..], ["12:01:00"]);
    // The same across a restart.
    bench.stop().await;
    bench.set_clock("11:50:00");
    let _handle = bench.start(triggers);
    bench.pass_until("12:02:00").await;
    assert_eq!(bench.ticks()[3..], ["12:02:00"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_set_forward_ticks_once() {
    let mut bench = Bench::new("11:58:20");
    let handle = bench.start(vec![(id("a"), every(60)), (id("b"), cron("0 * * * * *"))]);
    bench.pass_until("11:59:00").await;
    bench.set_clock("+2 12:30:30");
    bench.pass_until("+2 12:31:00").await;
    let mut ticks = bench.ticks();
    ticks.sort();
    let expected = [
        "+2 12:30:00",
        "+2 12:30:00",
        "+2 12:31:00",
        "+2 12:31:00",
        "11:59:00",
        "11:59:00",
    ];
    assert_eq!(ticks, expected);
    // Two days of minutes, of which no more than a thousand are counted.
    assert_eq!(handle.missed(), 2 * 999);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_was_years_ahead_is_forgotten() {
    let mut bench = Bench::new("+4000 11:58:20");
    let triggers = vec![(id("a"), every(60))];
    let _handle = bench.start(triggers.clone());
    bench.pass_until("+4000 11:59:00").await;
    bench.set_clock("12:00:10");
    bench.pass_until("12:01:00").await;
    assert_eq!(bench.ticks(), ["+4000 11:59:00", "12:01:00"]);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn hot_reload_disturbs_nobody_else() {
    let mut bench = Bench::new("11:59:50");
    let handle = bench.start(vec![(id("a"), every(60)), (id("b"), every(60))]);
    bench.pass_until("12:00:00").await;
    handle.set(vec![
        (id("a"), every(60)),
        (id("b"), every(30)),
        (id("c"), every(3600)),
    ]);
    bench.pass_until("12:00:30").await;
    handle.set(vec![(id("a"), every(60))]);
    bench.pass_until("12:01:00").await;
    assert_eq!(
        bench.ticks(),
        ["12:00:00", "12:00:00", "12:00:30", "12:01:00"]
    );
    drop(handle);
    bench.pass_until("12:02:00").await;
    assert_eq!(bench.ticks().len(), 5);
    bench.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_tick_that_could_not_be_stored_comes_later_and_once() {
    for (mood, expected) in [
        (Mood::Refusing, vec!["12:00:00", "12:01:00"]),
        (Mood::Lying, vec!["12:00:00", "12:01:00"]),
    ] {
        let mut bench = Bench::new("11:59:50");
        let _handle = bench.start(vec![(id("a"), every(60))]);
        *bench.sink.mood.lock() = mood;
        bench.pass_until("12:00:10").await;
        *bench.sink.mood.lock() = Mood::Willing;
        bench.pass_until("12:01:00").await;
        assert_eq!(bench.ticks(), expected);
        bench.stop().await;
    }
}
