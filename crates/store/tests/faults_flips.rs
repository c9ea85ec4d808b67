//! A flipped bit or a torn page anywhere: refused, named, found by the doctor, or without effect.
//!
//! Each case flips one bit (or tears the last pages) of a fresh copy of a folder. Then everything
//! that the store can be asked is asked, and held against what the whole folder answers.

mod doctor_world;
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;
use wakeful_core::{
    delivery::State,
    id::IdSource,
    port::{
        BucketRef, CheckpointKey, DeadQuery, Delivery, Keys, ObjectsQuery, ReadyQuery, Store,
        StoreError, Transaction,
    },
    time::Timestamp,
};
use wakeful_store::{
    SqliteStore,
    doctor::{self, Depth, Verdict},
};

use doctor_world::{World, at, copy_folder, world};
use support::{NOON, options, work};

/// Bits that are flipped in each kind of file.
const FLIPS: u64 = 120;
/// Bits that are flipped in each page beside those of events.
const FLIPS_OF_A_PAGE: u64 = 10;

/// What a folder answers: for each question its answer, or the error that was told.
type Answers = BTreeMap<String, Result<String, String>>;

fn told<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Result<String, String> {
    answer
        .map(|answer| format!("{answer:?}"))
        .map_err(|error| error.to_string())
}

/// What is kept of a delivery without a second trace of it: no checksum, no index, nothing that
/// it follows from. A flipped bit in these is the one kind that nobody can find.
fn without_unprotected(delivery: Delivery) -> Delivery {
    // Only an index of those that could run holds their time too.
    let is_indexed = delivery.state == State::Queued && delivery.held.is_none();
    Delivery {
        ready_at: match is_indexed {
            true => delivery.ready_at,
            false => Timestamp::from_millis(0),
        },
        starts: 0,
        attempts: 0,
        expires_at: Timestamp::from_millis(0),
        alone: false,
        blocks: false,
        on_unknown: wakeful_core::flow::OnUnknown::Retry,
        failure: None,
        keys: Keys {
            rate: None,
            breaker: None,
            ..delivery.keys
        },
        ..delivery
    }
}

/// Which columns of deliveries are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    All,
    Protected,
}

impl Columns {
    fn of(self, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        match self {
            Self::All => deliveries,
            Self::Protected => deliveries.into_iter().map(without_unprotected).collect(),
        }
    }
}

async fn ask(store: &SqliteStore, world: &World, columns: Columns) -> Answers {
    let mut answers = Answers::new();
    let mut note = |question: String, answer| answers.insert(question, answer);
    for event in &world.events {
        note(format!("event {event}"), told(store.event(*event).await));
        let owed = store.deliveries_of(*event).await;
        let owed = owed.map(|owed| columns.of(owed));
        note(format!("owed {event}"), told(owed));
        note(
            format!("endings {event}"),
            told(store.endings(*event).await),
        );
    }
    let (_, any) = work(&IdSource::after(0), "");
    let ready = store.ready(ReadyQuery {
        scope: any.scope.clone(),
        trigger: any.trigger.clone(),
        now: NOON,
        after: None,
        limit: 1000,
    });
    let ready = ready.await;
    let ready = ready.map(|ready| columns.of(ready));
    note("ready".into(), told(ready));
    note("backlog".into(), told(store.backlog().await));
    note(
        "census".into(),
        told(store.census(any.scope.clone(), any.trigger.clone()).await),
    );
    let dead = store.dead(DeadQuery {
        limit: 100,
        ..DeadQuery::default()
    });
    let dead = dead.await;
    let dead = dead.map(|dead| columns.of(dead));
    note("dead".into(), told(dead));
    let key = CheckpointKey {
        scope: any.scope.clone(),
        source: "database:shop".into(),
    };
    note("checkpoint".into(), told(store.checkpoint(key).await));
    let bucket = BucketRef {
        scope: any.scope,
        name: "photos".parse().unwrap(),
    };
    for key in ["cat.jpg", "film.mp4"] {
        note(format!("object {key}"), told(store.object(at(key)).await));
    }
    let query = ObjectsQuery {
        bucket: bucket.clone(),
        prefix: String::new(),
        after: None,
        limit: 100,
    };
    note("objects".into(), told(store.objects(query).await));
    note("uploads".into(), told(store.uploads(bucket).await));
    note("pauses".into(), told(store.pauses().await));
    let stats = store.stats().await;
    let stats = stats.map(|stats| (stats.events, stats.queued, stats.running, stats.dead));
    note("stats".into(), told(stats));
    answers
}

/// What became of one harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    /// No store opens there.
    Refused,
    /// What needs the damaged bytes says so; all else answers as before.
    Named,
    /// The store answers something else, and the doctor says that something is wrong.
    Doctor,
    /// What has no second trace in the store is another: see [`without_unprotected`].
    Unprotected,
    /// Everything answers as before.
    WithoutEffect,
}

struct Harms {
    _folder: TempDir,
    world: World,
    /// What the whole folder answers, with all columns and with those that are protected.
    whole: [Answers; 2],
    fates: BTreeMap<(&'static str, Fate), u64>,
    silent: Vec<String>,
}

impl Harms {
    async fn of(world: World, folder: TempDir) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let at = copy.path().join("data");
        copy_folder(&world.folder, &at);
        let store = SqliteStore::open(options(&at)).unwrap();
        let whole = [
            ask(&store, &world, Columns::All).await,
            ask(&store, &world, Columns::Protected).await,
        ];
        assert!(whole.iter().flat_map(Answers::values).all(Result::is_ok));
        store.close();
        Self {
            _folder: folder,
            world,
            whole,
            fates: BTreeMap::new(),
            silent: Vec::new(),
        }
    }

    async fn check(&mut self, kind: &'static str, said: String, harm: impl Fn(&Path)) {
        let copy = tempfile::tempdir().unwrap();
        let (opened, examined) = (copy.path().join("a"), copy.path().join("b"));
        for folder in [&opened, &examined] {
            copy_folder(&self.world.folder, folder);
            harm(folder);
        }
        let fate = match SqliteStore::open(options(&opened)) {
            Err(error) => {
                assert!(error.to_string().len() > 20, "{said}: {error}");
                Fate::Refused
            }
            Ok(store) => {
                let all = ask(&store, &self.world, Columns::All).await;
                let protected = ask(&store, &self.world, Columns::Protected).await;
                store.close();
                match (all == self.whole[0], protected == self.whole[1]) {
                    (true, _) => Fate::WithoutEffect,
                    (false, true) => self.unprotected(&examined),
                    (false, false) => self.fate_of(&protected, &examined, &said),
                }
            }
        };
        *self.fates.entry((kind, fate)).or_default() += 1;
    }

    fn unprotected(&self, examined: &Path) -> Fate {
        match found(examined) {
            true => Fate::Doctor,
            false => Fate::Unprotected,
        }
    }

    fn fate_of(&mut self, answers: &Answers, examined: &Path, said: &str) -> Fate {
        let whole = &self.whole[1];
        let others: Vec<_> = answers
            .iter()
            .filter(|(question, answer)| whole.get(*question) != Some(answer))
            .collect();
        if others.iter().all(|(_, answer)| answer.is_err()) {
            return Fate::Named;
        }
        if !found(examined) {
            for (question, answer) in others {
                let before = &whole[question];
                self.silent
                    .push(format!("{said}: {question}: {before:?} became {answer:?}"));
            }
        }
        Fate::Doctor
    }

    fn done(&self) {
        println!("{:#?}", self.fates);
        assert!(
            self.silent.is_empty(),
            "silently wrong:\n{}",
            self.silent.join("\n")
        );
    }

    fn count(&self, kind: &str, fate: Fate) -> u64 {
        let fates = self.fates.iter();
        fates
            .filter(|((one, that), _)| *one == kind && *that == fate)
            .map(|(_, count)| count)
            .sum()
    }
}

/// Whether the doctor says anything.
fn found(folder: &Path) -> bool {
    let report = doctor::examine(folder, Depth::Deep, NOON, &mut |_| {});
    !report.is_ok_and(|report| report.verdict() == Verdict::Clean && report.findings.is_empty())
}

/// A number that looks random, the same in each run.
fn drawn(seed: u64) -> u64 {
    let mut x = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn flip(file: &Path, seed: u64) -> String {
    let mut bytes = fs::read(file).unwrap();
    let bit = drawn(seed) as usize % (bytes.len() * 8);
    bytes[bit / 8] ^= 1 << (bit % 8);
    fs::write(file, &bytes).unwrap();
    format!(
        "bit {} of byte {} of {}",
        bit % 8,
        bit / 8,
        file.file_name().unwrap().display()
    )
}

/// A folder as a process leaves it that was killed: the newest commits are in the log.
async fn killed(folder: &Path) -> World {
    let mut world = world(folder).await;
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let ids = IdSource::after(store.greatest_id());
    for number in 0..40 {
        let (event, delivery) = work(&ids, World::payload(number));
        world.events.push(event.key);
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
    }
    let left = folder.join("left");
    copy_folder(&world.folder, &left);
    store.close();
    world.blobs = world
        .blobs
        .iter()
        .map(|blob| left.join(blob.strip_prefix(&world.folder).unwrap()))
        .collect::<Vec<PathBuf>>();
    world.folder = left;
    world
}

#[tokio::test]
async fn no_flipped_bit_of_the_database_is_silently_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let mut harms = Harms::of(world, folder).await;
    for seed in 0..FLIPS * 2 * longer() {
        let file = harms.world.folder.join("store.db");
        let said = flip_again(&file, seed);
        harms
            .check("database", said, |folder| {
                drop(flip(&folder.join("store.db"), seed))
            })
            .await;
    }
    harms.done();
    assert!(
        harms.count("database", Fate::Named) > FLIPS / 4,
        "payloads are most of it"
    );
}

/// What [`flip`] would say, without doing it.
fn flip_again(file: &Path, seed: u64) -> String {
    let copy = tempfile::tempdir().unwrap();
    let target = copy.path().join(file.file_name().unwrap());
    fs::copy(file, &target).unwrap();
    flip(&target, seed)
}

/// How many times as many bits are flipped, for a long run: `WAKEFUL_TEST_FLIPS=20`.
fn longer() -> u64 {
    let times = std::env::var("WAKEFUL_TEST_FLIPS").ok();
    times.and_then(|times| times.parse().ok()).unwrap_or(1)
}

/// Most of a database are events. This is about all that is not.
#[tokio::test]
async fn no_flipped_bit_beside_events_is_silently_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let pages = pages_beside_events(&world);
    let mut harms = Harms::of(world, folder).await;
    let mut seed = 0;
    for (name, page) in &pages {
        for _ in 0..FLIPS_OF_A_PAGE * longer() {
            seed += 1;
            let (at, bit) = (used_byte(&harms.world.folder, *page, seed), drawn(seed) % 8);
            let said = format!("bit {bit} of byte {at}, of {name}");
            let flip = |folder: &Path| {
                let mut bytes = fs::read(folder.join("store.db")).unwrap();
                bytes[at] ^= 1 << bit;
                fs::write(folder.join("store.db"), bytes).unwrap();
            };
            harms.check("beside events", said, flip).await;
        }
    }
    harms.done();
    let silent = harms.count("beside events", Fate::Unprotected);
    assert!(
        silent < seed / 20,
        "{silent} of {seed} cannot be found by anyone"
    );
}

/// Pages of tables and indexes, and whose they are.
fn pages_beside_events(world: &World) -> Vec<(String, usize)> {
    let conn = world.sql();
    let mut statement = conn
        .prepare("SELECT name, pageno FROM dbstat WHERE name <> 'events' ORDER BY pageno")
        .unwrap();
    let pages = statement
        .query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)? as usize)))
        .unwrap();
    pages.collect::<Result<_, _>>().unwrap()
}

/// A byte of a page, rather one that is in use: of 64 the first that is not zero.
fn used_byte(folder: &Path, page: usize, seed: u64) -> usize {
    let bytes = fs::read(folder.join("store.db")).unwrap();
    let from = (page - 1) * 4096;
    let places = (0..64).map(|number| from + drawn(seed * 64 + number) as usize % 4096);
    let mut places = places.collect::<Vec<_>>();
    let used = places.iter().position(|at| bytes[*at] != 0);
    places.swap_remove(used.unwrap_or(0))
}

#[tokio::test]
async fn no_flipped_bit_of_the_log_is_silently_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let world = killed(folder.path()).await;
    let mut harms = Harms::of(world, folder).await;
    for seed in 0..FLIPS * longer() {
        for name in ["store.db-wal", "high-water"] {
            if name == "high-water" && seed % 8 != 0 {
                continue;
            }
            let said = flip_again(&harms.world.folder.join(name), seed);
            harms
                .check(name, said, |folder| drop(flip(&folder.join(name), seed)))
                .await;
        }
    }
    harms.done();
    assert!(
        harms.count("store.db-wal", Fate::Refused) > FLIPS / 2,
        "lost commits are named"
    );
}

#[tokio::test]
async fn no_torn_file_is_silently_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let world = killed(folder.path()).await;
    let mut harms = Harms::of(world, folder).await;
    for name in ["store.db", "store.db-wal"] {
        let len = fs::metadata(harms.world.folder.join(name)).unwrap().len();
        for seed in 0..24 {
            // The last page, half of it, and anywhere before.
            let kept = match seed {
                0 => len - 4096,
                1 => len - 2048,
                2 => len - 1,
                seed => drawn(seed) % len,
            };
            let cut = |folder: &Path| {
                let file = fs::File::options()
                    .write(true)
                    .open(folder.join(name))
                    .unwrap();
                file.set_len(kept).unwrap();
            };
            harms
                .check(name, format!("{name} cut to {kept} of {len}"), cut)
                .await;
            // As long as before, but the end was never written.
            let torn = |folder: &Path| {
                cut(folder);
                let file = fs::File::options()
                    .write(true)
                    .open(folder.join(name))
                    .unwrap();
                file.set_len(len).unwrap();
            };
            harms
                .check(name, format!("{name} zeroed from {kept} of {len}"), torn)
                .await;
        }
    }
    harms.done();
}

#[tokio::test]
async fn every_flipped_bit_of_an_object_is_found_by_the_doctor() {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    for blob in &world.blobs {
        let bytes = fs::read(blob).unwrap();
        for seed in 0..16 {
            flip(blob, seed);
            let report = doctor::examine(&world.folder, Depth::Deep, NOON, &mut |_| {}).unwrap();
            assert_eq!(report.verdict(), Verdict::Damaged, "{}", blob.display());
            fs::write(blob, &bytes).unwrap();
        }
    }
}
