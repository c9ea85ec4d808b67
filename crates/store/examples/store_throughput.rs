//! How many deliveries a second go through the store from beginning to end.
//!
//! `cargo run --release -p wakeful-store --example store_throughput [FOLDER]`
//!
//! Each of the producers repeats one cycle, waiting for each step to be on disk: an event of
//! 256 bytes with its delivery is committed, claimed (unless it was born claimed), and settled.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use wakeful_core::{
    event::Event,
    id::IdSource,
    name::{Scope, TriggerId},
    port::{Claim, Clock, End, NewDelivery, Settlement, Store, Transaction},
    time::Timestamp,
};
use wakeful_store::{Options, SqliteStore};

const RUN: Duration = Duration::from_secs(5);
const WARM: Duration = Duration::from_secs(1);

struct Wall;

#[expect(clippy::disallowed_methods, reason = "a clock of its own")]
impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(since.as_millis() as i64)
    }
}

/// What one cycle does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cycle {
    Enqueue,
    Whole,
    BornClaimed,
}

#[tokio::main]
async fn main() {
    let folder = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "target/throughput".to_owned());
    for (what, cycle, producers) in [
        ("enqueue only", Cycle::Enqueue, 64),
        ("enqueue, claim, settle", Cycle::Whole, 64),
        ("enqueue claimed, settle", Cycle::BornClaimed, 64),
        ("enqueue claimed, settle", Cycle::BornClaimed, 512),
        ("enqueue claimed, settle", Cycle::BornClaimed, 1),
    ] {
        let _ = std::fs::remove_dir_all(&folder);
        measure(Path::new(&folder), what, cycle, producers).await;
    }
}

async fn measure(folder: &Path, what: &str, cycle: Cycle, producers: usize) {
    let store = SqliteStore::open(Options::new(folder, Arc::new(Wall))).expect("a store");
    let ids = Arc::new(IdSource::after(store.greatest_id()));
    let done = Arc::new(AtomicU64::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..producers {
        let (store, ids, done) = (store.clone(), Arc::clone(&ids), Arc::clone(&done));
        tasks.spawn(async move {
            loop {
                once(&store, &ids, cycle).await;
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    tokio::time::sleep(WARM).await;
    let before = store.stats().await.expect("figures");
    let (start, first) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(RUN).await;
    let (took, last) = (start.elapsed(), done.load(Ordering::Relaxed));
    let after = store.stats().await.expect("figures");
    let cycles = (last - first) as f64 / took.as_secs_f64();
    let syncs = (after.syncs - before.syncs) as f64 / took.as_secs_f64();
    println!(
        "{what:26} {producers:4} producers: {cycles:8.0} cycles/s, {syncs:6.0} disk writes/s, \
         mean cycle {:6.3} ms",
        producers as f64 * 1000.0 / cycles
    );
    tasks.shutdown().await;
    store.close();
}

async fn once(store: &SqliteStore, ids: &IdSource, cycle: Cycle) {
    let now = Wall.now();
    let key = ids.event(now);
    let event = Event {
        key,
        origin: "bucket:photos".parse().expect("an origin"),
        id: key.to_string(),
        source: "/photos/dev/bucket/photos".into(),
        kind: "wakeful.bucket.created".into(),
        subject: Some("holiday/cat.jpg".into()),
        time: now,
        content_type: "application/json".into(),
        data: Bytes::from_static(&[b'x'; 256]),
        extensions: wakeful_core::event::Extensions::new(),
        lineage: wakeful_core::event::Lineage::default(),
    };
    let run = ids.run(now);
    let delivery = NewDelivery {
        id: run,
        scope: Scope {
            project: "photos".parse().expect("a project"),
            environment: "dev".parse().expect("an environment"),
        },
        event: key,
        trigger: TriggerId::from_stored("thumbnail/new"),
        function: "thumbnail".parse().expect("a function"),
        keys: wakeful_core::port::Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: wakeful_core::flow::OnUnknown::Retry,
        debounce: None,
        dead: None,
        ready_at: now,
        expires_at: now.plus(Duration::from_secs(86_400)),
        claimed: cycle == Cycle::BornClaimed,
        dedup: None,
    };
    let transaction = Transaction {
        events: vec![event],
        deliveries: vec![delivery],
        ..Transaction::default()
    };
    store.commit(transaction).await.expect("a commit");
    if cycle == Cycle::Enqueue {
        return;
    }
    if cycle == Cycle::Whole {
        store.claim(vec![run], now).await.expect("a claim");
    }
    let claim = Claim {
        run,
        epoch: store.epoch(),
        start: 1,
    };
    let settlement = Settlement {
        claim,
        end: End::Succeeded,
    };
    let transaction = Transaction {
        settlements: vec![settlement],
        ..Transaction::default()
    };
    store.commit(transaction).await.expect("a settlement");
}
