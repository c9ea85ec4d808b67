//! Ten thousand simulations: nothing that must not be happens in any of them.
//!
//! `SEEDS=100000 cargo test -p wakeful-simulation` runs more, `FROM=…` others;
//! `SEED=123 cargo test -p wakeful-simulation -- --nocapture` replays one and prints its course.

use std::{
    collections::BTreeMap,
    env,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Instant,
};

use wakeful_simulation::{Report, run};

/// How many seeds a run has.
const SEEDS: u64 = 10_000;

/// Seeds that failed once.
const KEPT: &str = include_str!("regressions.txt");

/// What must have happened somewhere in a whole run: a simulation in which nothing happens proves
/// nothing.
const HAPPENS: &[&str] = &[
    "a destination was told",
    "a settlement tried again",
    "alone",
    "attempt",
    "batch",
    "batch with failures",
    "blocked_loop",
    "blocking dead letters discarded",
    "born claimed",
    "breaker closed",
    "breaker opened",
    "bystander",
    "claimed fewer than asked",
    "clock set back",
    "clock set forward",
    "code that does not load",
    "crash",
    "crash after a claim",
    "crash after a commit",
    "crash before a claim",
    "crash before a commit",
    "dead: AttemptsExhausted",
    "dead: NotRetriable",
    "dead: OutcomeUnknown",
    "dead: TooOld",
    "deferred for its rate",
    "discarded",
    "disk failed, applied",
    "disk failed, not applied",
    "duplicate",
    "events handed in again",
    "expired",
    "expired while ready",
    "held: Breaker",
    "held: Concurrency",
    "held: Order",
    "held: Paused",
    "held: Version",
    "held: the code is known not to load",
    "held for a version that was replaced meanwhile",
    "interrupted",
    "load",
    "missing_response",
    "no worker could be started",
    "not its turn after all",
    "not now: planned, but not taken",
    "out_of_memory",
    "parked by a breaker",
    "parked by a pause",
    "parked too late",
    "paused",
    "probe asked for",
    "read error",
    "redriven",
    "refused: claim",
    "refused: disk full",
    "refused: failed",
    "reload",
    "restart",
    "resumed",
    "settlement of an earlier life",
    "superseded",
    "suspect",
    "the whole trigger stopped",
    "timeout",
    "tried again",
    "user_error",
    "waits for a place",
    "well",
    "worker died",
];

#[derive(Default)]
struct Totals {
    seeds: u64,
    deliveries: u64,
    lines: u64,
    counts: BTreeMap<&'static str, u64>,
    broken: Vec<(u64, String)>,
}

impl Totals {
    fn add(&mut self, report: Report) {
        self.seeds += 1;
        self.deliveries += report.deliveries as u64;
        self.lines += report.trace.lines();
        for (what, count) in report.trace.counts() {
            *self.counts.entry(what).or_default() += count;
        }
        if let Some(broken) = report.broken {
            self.broken.push((report.seed, broken));
        }
    }
}

fn number(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    let number = text.parse();
    Some(number.unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Runs them on all processors.
fn run_all(seeds: &[u64]) -> Totals {
    let next = AtomicU64::new(0);
    let totals = Mutex::new(Totals::default());
    let work = || {
        let mut own = Vec::new();
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed) as usize;
            let Some(seed) = seeds.get(at) else { break };
            own.push(run(*seed, false, None));
            if own.len() == 64 {
                let mut totals = totals.lock().unwrap();
                own.drain(..).for_each(|report| totals.add(report));
            }
        }
        let mut totals = totals.lock().unwrap();
        own.into_iter().for_each(|report| totals.add(report));
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
    totals.into_inner().unwrap()
}

#[test]
fn nothing_that_must_not_be_happens() {
    if let Some(seed) = number("SEED") {
        let report = run(seed, true, None);
        println!("{}", report.trace.text());
        assert_eq!(report.broken, None, "seed {seed}");
        return;
    }
    let kept = KEPT.lines().filter(|line| !line.starts_with('#'));
    let kept = kept.filter_map(|line| line.split_whitespace().next()?.parse().ok());
    let from = number("FROM").unwrap_or_default();
    let seeds: Vec<u64> = kept
        .chain(from..from + number("SEEDS").unwrap_or(SEEDS))
        .collect();
    let clock = Instant::now();
    let totals = run_all(&seeds);
    let took = clock.elapsed();
    println!(
        "{} seeds in {:.1} s: {:.0} seeds/s; {} deliveries, {} lines of trace",
        totals.seeds,
        took.as_secs_f64(),
        totals.seeds as f64 / took.as_secs_f64(),
        totals.deliveries,
        totals.lines
    );
    for (what, count) in &totals.counts {
        println!("{count:>10} {what}");
    }
    let mut broken = totals.broken;
    broken.sort();
    for (seed, what) in broken.iter().take(20) {
        println!("seed {seed}: {what}");
        println!("  SEED={seed} cargo test -p wakeful-simulation --test seeds -- --nocapture");
    }
    assert!(
        broken.is_empty(),
        "{} seeds failed, the first: {:?}; once it is mended, keep it in tests/regressions.txt",
        broken.len(),
        broken[0]
    );
    let missing: Vec<&&str> = HAPPENS
        .iter()
        .filter(|what| !totals.counts.contains_key(**what))
        .collect();
    let whole = number("SEEDS").is_none();
    assert!(!whole || missing.is_empty(), "never happened: {missing:?}");
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let mut before = String::new();
    for seed in 0..50 {
        let (one, two) = (run(seed, true, None), run(seed, true, None));
        assert_eq!(one.trace.text(), two.trace.text(), "seed {seed}");
        assert_eq!(one.trace.fingerprint(), two.trace.fingerprint());
        assert_ne!(one.trace.text(), before, "seed {seed} and the one before");
        one.trace.text().clone_into(&mut before);
    }
}

/// The course of a seed changes with the code; that of the dice must not.
#[test]
fn what_is_kept_in_text_has_the_same_fingerprint() {
    for seed in 0..5 {
        let (kept, bare) = (run(seed, true, None), run(seed, false, None));
        assert_eq!(bare.trace.text(), "");
        assert_eq!(kept.trace.fingerprint(), bare.trace.fingerprint());
    }
}
