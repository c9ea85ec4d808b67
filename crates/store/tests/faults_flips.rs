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
    Delivery {
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

async fn ask(store: &SqliteStore, world: &World) -> Answers {
    let mut answers = Answers::new();
    let mut note = |question: String, answer| answers.insert(question, answer);
    for event in &world.events {
        note(format!("event {event}"), told(store.event(*event).await));
        let owed = store.deliveries_of(*event).await;
        let owed = owed.map(|owed| {
            owed.into_iter()
                .map(without_unprotected)
                .collect::<Vec<_>>()
        });
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
    let ready = ready.map(|ready| {
        ready
            .into_iter()
            .map(without_unprotected)
            .collect::<Vec<_>>()
    });
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
    let dead = dead.map(|dead| {
        dead.into_iter()
            .map(without_unprotected)
            .collect::<Vec<_>>()
    });
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
    /// Everything answers as before.
    WithoutEffect,
}

struct Harms {
    _folder: TempDir,
    world: World,
    whole: Answers,
    fates: BTreeMap<(&'static str, Fate), u64>,
    silent: Vec<String>,
}

impl Harms {
    async fn of(world: World, folder: TempDir) -> Self {
        let copy = tempfile::tempdir().unwrap();
        let at = copy.path().join("data");
        copy_folder(&world.folder, &at);
        let store = SqliteStore::open(options(&at)).unwrap();
        let whole = ask(&store, &world).await;
        assert!(whole.values().all(Result::is_ok));
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
                let answers = ask(&store, &self.world).await;
                store.close();
                self.fate_of(&answers, &examined, &said)
            }
        };
        *self.fates.entry((kind, fate)).or_default() += 1;
    }

    fn fate_of(&mut self, answers: &Answers, examined: &Path, said: &str) -> Fate {
        let others: Vec<_> = answers
            .iter()
            .filter(|(question, answer)| self.whole.get(*question) != Some(answer))
            .collect();
        if others.is_empty() {
            return Fate::WithoutEffect;
        }
        let report = doctor::examine(examined, Depth::Deep, NOON, &mut |_| {});
        let found = report.is_err_or_found();
        match (others.iter().all(|(_, answer)| answer.is_err()), found) {
            (true, _) => Fate::Named,
            (false, true) => Fate::Doctor,
            (false, false) => {
                for (question, answer) in others {
                    let before = &self.whole[question];
                    self.silent
                        .push(format!("{said}: {question}: {before:?} became {answer:?}"));
                }
                Fate::Doctor
            }
        }
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

trait Found {
    fn is_err_or_found(&self) -> bool;
}

impl Found for Result<doctor::Report, doctor::DoctorError> {
    fn is_err_or_found(&self) -> bool {
        match self {
            Ok(report) => report.verdict() != Verdict::Clean || !report.findings.is_empty(),
            Err(_) => true,
        }
    }
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
    for seed in 0..FLIPS * 2 {
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

#[tokio::test]
async fn no_flipped_bit_of_the_log_is_silently_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let world = killed(folder.path()).await;
    let mut harms = Harms::of(world, folder).await;
    for seed in 0..FLIPS {
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
