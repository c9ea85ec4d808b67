//! What a store costs when very much waits in it, against one in which little waits.
//!
//! Shared by the test, which holds the figures against their bounds, and by the example, which
//! prints them for any number.

use std::{
    fmt,
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use wakeful_core::{
    event::{Event, Extensions, Lineage},
    flow::OnUnknown,
    id::{IdSource, RunId},
    name::{Scope, TriggerId},
    port::{
        Claim, Clock, End, ExpiredQuery, Keys, NewDelivery, ReadyQuery, Settlement, Store,
        Transaction,
    },
    time::Timestamp,
};
use wakeful_store::{Options, SqliteStore};

const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Deliveries that one commit brings while a store is filled.
const BATCH: usize = 1000;
/// Deliveries of one step of a measurement: what a busy server settles together.
const GROUP: usize = 50;
/// Rooms of the shape with concurrency keys.
const ROOMS: usize = 1000;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOON
    }
}

fn open(folder: &Path) -> SqliteStore {
    let options = Options {
        reserve: 1,
        ..Options::new(folder, Arc::new(Still))
    };
    SqliteStore::open(options).unwrap()
}

/// By which keys the deliveries wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// None.
    Unkeyed,
    /// Each has an ordering key of its own.
    Lanes,
    /// All have the same ordering key.
    OneLane,
    /// A thousand concurrency keys with two seats each.
    Rooms,
}

impl Shape {
    /// So few that nothing can depend on how many there are, and enough that a settlement makes
    /// room for somebody, as it does with very many.
    const fn little(self) -> usize {
        match self {
            Self::Unkeyed | Self::Lanes | Self::OneLane => 100,
            Self::Rooms => 5 * ROOMS,
        }
    }

    fn keys(self, number: usize) -> Keys {
        let mut keys = Keys::default();
        match self {
            Self::Unkeyed => {}
            Self::Lanes => keys.ordering = Some(format!("order {number}")),
            Self::OneLane => keys.ordering = Some("the one".into()),
            Self::Rooms => keys.concurrency = Some(format!("tenant {}", number % ROOMS)),
        }
        keys
    }
}

/// One store with its ids.
struct Yard {
    store: SqliteStore,
    ids: IdSource,
    shape: Shape,
    brought: usize,
}

impl Yard {
    fn open(folder: &Path, shape: Shape, brought: usize) -> Self {
        let store = open(folder);
        let ids = IdSource::after(store.greatest_id());
        Self {
            store,
            ids,
            shape,
            brought,
        }
    }

    fn next(&mut self) -> (Event, NewDelivery) {
        let key = self.ids.event(NOON);
        let event = Event {
            key,
            origin: "bucket:photos".parse().unwrap(),
            id: key.to_string(),
            source: "/p/dev/bucket/photos".into(),
            kind: "wakeful.bucket.created".into(),
            subject: None,
            time: NOON,
            content_type: "application/json".into(),
            data: bytes::Bytes::from_static(b"{\"some\":\"payload of an ordinary event\"}"),
            extensions: Extensions::new(),
            lineage: Lineage::default(),
        };
        self.brought += 1;
        let delivery = NewDelivery {
            id: self.ids.run(NOON),
            scope: scope(),
            event: key,
            trigger: trigger(),
            function: "thumbnail".parse().unwrap(),
            keys: self.shape.keys(self.brought),
            key_limit: (self.shape == Shape::Rooms).then_some(2),
            blocks: false,
            on_unknown: OnUnknown::Retry,
            debounce: None,
            dead: None,
            ready_at: NOON,
            expires_at: Timestamp::from_millis(i64::MAX),
            claimed: false,
            dedup: None,
        };
        (event, delivery)
    }

    async fn append(&mut self, count: usize) {
        let (events, deliveries) = (0..count).map(|_| self.next()).unzip();
        let transaction = Transaction {
            events,
            deliveries,
            ..Transaction::default()
        };
        self.store.commit(transaction).await.unwrap();
    }

    async fn ready(&self, limit: usize) -> Vec<RunId> {
        let query = ReadyQuery {
            scope: scope(),
            trigger: trigger(),
            now: NOON,
            after: None,
            limit,
        };
        let ready = self.store.ready(query).await.unwrap();
        ready.iter().map(|delivery| delivery.id).collect()
    }

    async fn claim(&self, runs: Vec<RunId>) -> Vec<Claim> {
        let wanted = runs.len();
        let claimed = self.store.claim(runs, NOON).await.unwrap();
        assert_eq!(claimed.len(), wanted);
        let epoch = self.store.epoch();
        let claims = claimed.iter().map(|delivery| Claim {
            run: delivery.id,
            epoch,
            start: delivery.starts,
        });
        claims.collect()
    }

    async fn settle(&self, claims: Vec<Claim>) {
        let settlements = claims.into_iter().map(|claim| Settlement {
            claim,
            end: End::Succeeded,
        });
        let transaction = Transaction {
            settlements: settlements.collect(),
            ..Transaction::default()
        };
        self.store.commit(transaction).await.unwrap();
    }
}

fn scope() -> Scope {
    Scope {
        project: "photos".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    }
}

fn trigger() -> TriggerId {
    TriggerId::from_stored("thumbnail/new")
}

/// What one step costs, per delivery, with little waiting and with very much.
#[derive(Debug, Clone)]
pub struct Cost {
    /// What is done.
    pub step: &'static str,
    /// The median with little waiting, nanoseconds.
    pub little: u64,
    /// The median with very much, nanoseconds.
    pub full: u64,
}

impl Cost {
    /// How many times as much it costs with very much.
    pub fn ratio(&self) -> f64 {
        self.full as f64 / self.little as f64
    }
}

/// What was measured of one shape.
#[derive(Debug)]
pub struct Figures {
    /// Which.
    pub shape: Shape,
    /// How many waited.
    pub count: usize,
    /// Deliveries brought in a second while it was filled.
    pub filled_per_second: f64,
    /// Bytes of the files.
    pub bytes: u64,
    /// How long a fresh process needed to open the store.
    pub open: Duration,
    /// Its memory before it opened the store, bytes.
    pub before: u64,
    /// And after it had opened it and asked for the backlog, the census and what is ready.
    pub after: u64,
    /// Steps of work.
    pub costs: Vec<Cost>,
    /// Questions, each with its median time.
    pub questions: Vec<(&'static str, Duration)>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes as f64 / 1_048_576.0;
        writeln!(
            f,
            "{:?}, {} waiting: filled at {:.0}/s, {:.0} MiB on disk; opens in {:.0?}, \
             memory {:.1} → {:.1} MiB",
            self.shape,
            self.count,
            self.filled_per_second,
            mib(self.bytes),
            self.open,
            mib(self.before),
            mib(self.after)
        )?;
        for cost in &self.costs {
            writeln!(
                f,
                "  {:<22} {:>8.1} µs with little waiting, {:>8.1} µs: × {:.2}",
                cost.step,
                cost.little as f64 / 1000.0,
                cost.full as f64 / 1000.0,
                cost.ratio()
            )?;
        }
        for (question, time) in &self.questions {
            writeln!(f, "  {question:<22} {time:>8.0?}")?;
        }
        Ok(())
    }
}

/// Fills a store with `count` deliveries of `shape` and measures it. `probe` is the program that
/// calls [`probe_if_asked`].
pub async fn measure(shape: Shape, count: usize, rounds: usize, probe: Command) -> Figures {
    let folder = tempfile::tempdir().unwrap();
    let (full, little) = (folder.path().join("full"), folder.path().join("little"));
    let mut yard = Yard::open(&full, shape, 0);
    let begun = Instant::now();
    while yard.brought < count {
        yard.append(BATCH.min(count - yard.brought)).await;
    }
    let filled_per_second = count as f64 / begun.elapsed().as_secs_f64();
    let bytes = yard.store.stats().await.unwrap().bytes;
    yard.store.close();
    let (open, before, after) = ask_probe(probe, &full);
    let mut full = Yard::open(&full, shape, count);
    let mut little = Yard::open(&little, shape, 0);
    while little.brought < shape.little() {
        little.append(shape.little().min(BATCH)).await;
    }
    let costs = costs(&mut little, &mut full, rounds).await;
    let questions = questions(&full, rounds).await;
    full.store.close();
    little.store.close();
    Figures {
        shape,
        count,
        filled_per_second,
        bytes,
        open,
        before,
        after,
        costs,
        questions,
    }
}

const STEPS: [&str; 8] = [
    "append one",
    "look for one",
    "claim one",
    "settle one",
    "append, of fifty",
    "look, of fifty",
    "claim, of fifty",
    "settle, of fifty",
];

/// Both in turns, so that whatever else the machine does meets both.
async fn costs(little: &mut Yard, full: &mut Yard, rounds: usize) -> Vec<Cost> {
    let mut times: [[Vec<u64>; 2]; STEPS.len()] = Default::default();
    for round in 0..rounds {
        // Who goes first changes too.
        for side in [round % 2, 1 - round % 2] {
            let yard = if side == 0 { &mut *little } else { &mut *full };
            for (step, took) in one_round(yard).await.into_iter().enumerate() {
                times[step][side].push(took);
            }
        }
    }
    let medians = STEPS.iter().zip(&mut times);
    medians
        .map(|(step, [little, full])| Cost {
            step,
            little: median(little),
            full: median(full),
        })
        .collect()
}

async fn one_round(yard: &mut Yard) -> [u64; STEPS.len()] {
    let mut took = [0; STEPS.len()];
    let mut at = Instant::now();
    let mut lap = |step: usize, per: usize| {
        took[step] = at.elapsed().as_nanos() as u64 / per as u64;
        at = Instant::now();
    };
    yard.append(1).await;
    lap(0, 1);
    let runs = yard.ready(1).await;
    lap(1, 1);
    let claims = yard.claim(runs).await;
    lap(2, 1);
    yard.settle(claims).await;
    lap(3, 1);
    yard.append(GROUP).await;
    lap(4, GROUP);
    let runs = yard.ready(GROUP).await;
    // Of one lane there is one, and of it fifty would be fifty rounds.
    let per = runs.len();
    lap(5, per);
    let claims = yard.claim(runs).await;
    lap(6, per);
    yard.settle(claims).await;
    lap(7, per);
    took
}

async fn questions(yard: &Yard, rounds: usize) -> Vec<(&'static str, Duration)> {
    let mut times: [Vec<u64>; 4] = Default::default();
    let last = yard.ready(1).await;
    for _ in 0..rounds.min(50) {
        let mut at = Instant::now();
        let mut lap = |question: usize| {
            times[question].push(at.elapsed().as_nanos() as u64);
            at = Instant::now();
        };
        assert_eq!(yard.store.backlog().await.unwrap().len(), 1);
        lap(0);
        let census = yard.store.census(scope(), trigger()).await.unwrap();
        assert!(census.queued > 0);
        lap(1);
        yard.store.ahead_of(last[0]).await.unwrap();
        lap(2);
        let query = ExpiredQuery {
            now: NOON,
            after: None,
        };
        yard.store.expired(query).await.unwrap();
        lap(3);
    }
    let names = ["backlog", "census", "who is ahead", "one look for old ones"];
    let medians = names.into_iter().zip(&mut times);
    medians
        .map(|(name, times)| (name, Duration::from_nanos(median(times))))
        .collect()
}

fn median(times: &mut [u64]) -> u64 {
    times.sort_unstable();
    times[times.len() / 2]
}

const PROBE: &str = "WAKEFUL_MANY_PENDING_PROBE";

/// When this process was started as a probe: opens the store, says how long it took and how much
/// memory it needs, and replies that it was one.
pub async fn probe_if_asked() -> bool {
    let Some(folder) = std::env::var_os(PROBE) else {
        return false;
    };
    let before = memory();
    let begun = Instant::now();
    let yard = Yard::open(folder.as_ref(), Shape::Unkeyed, 0);
    let took = begun.elapsed();
    yard.store.backlog().await.unwrap();
    yard.store.census(scope(), trigger()).await.unwrap();
    yard.ready(wakeful_core::limits::QUEUE_HEADS).await;
    println!("\nprobe {} {before} {}", took.as_nanos(), memory());
    yard.store.close();
    true
}

fn ask_probe(mut probe: Command, folder: &Path) -> (Duration, u64, u64) {
    let output = probe.env(PROBE, folder).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("probe "));
    let line = line.unwrap_or_else(|| panic!("{output:?}"));
    let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().unwrap()).collect();
    (Duration::from_nanos(numbers[0]), numbers[1], numbers[2])
}

/// Memory of this process, bytes.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib: u64 = line
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    kib * 1024
}
