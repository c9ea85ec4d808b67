//! A backup is the store as it was at one moment, also while others write, and is found out when
//! it is not as it was written.

mod doctor_world;
mod support;

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use md5::{Digest, Md5};
use tempfile::TempDir;
use tokio::sync::Mutex;
use wakeful_core::{
    id::{EventId, IdSource, RunId},
    limits,
    port::{BlobId, BlobPart, OpenError, Store, Transaction},
};
use wakeful_store::{
    SqliteStore,
    backup::{self, BackupError, Part, Source, Summary, WithHistory},
    doctor::{self, Code, Depth},
};

use doctor_world::{LATER, World, at, hex, put, world};
use support::{NOON, options, work};

const GO_ON: fn(backup::Progress) -> ControlFlow<()> = |_| ControlFlow::Continue(());

fn take(source: Source<'_>, to: &Path) -> Result<Summary, BackupError> {
    backup::take(source, to, WithHistory::Yes, NOON, &mut { GO_ON })
}

fn restore(backup: &Path, to: &Path) -> Result<Summary, BackupError> {
    backup::restore(backup, to, options(to).clock, &mut { GO_ON })
}

async fn fresh() -> (TempDir, World, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    let to = folder.path().join("backup");
    (folder, world, to)
}

#[tokio::test]
async fn what_is_restored_is_what_was_backed_up() {
    let (folder, world, to) = fresh().await;
    let mut parts = Vec::new();
    let summary = backup::take(
        Source::Stopped(&world.folder),
        &to,
        WithHistory::Yes,
        NOON,
        &mut |progress| {
            assert!(progress.done <= progress.total, "{progress:?}");
            if !parts.contains(&progress.part) {
                parts.push(progress.part);
            }
            ControlFlow::Continue(())
        },
    )
    .unwrap();
    assert_eq!(
        parts,
        [Part::Store, Part::Objects, Part::History, Part::Verify]
    );
    assert_eq!(summary.damage, []);
    assert_eq!(summary.objects, world.blobs.len() as u64);
    let told = backup::inspect(&to).unwrap();
    assert_eq!(
        (told.seq, told.files, told.bytes),
        (summary.seq, summary.files, summary.bytes)
    );
    backup::verify(&to, &mut { GO_ON }).unwrap();

    let restored = folder.path().join("restored");
    restore(&to, &restored).unwrap();
    for name in ["vault", "vault.key"] {
        assert!(
            fs::read(restored.join(name)).unwrap() == fs::read(world.folder.join(name)).unwrap()
        );
    }
    for blob in &world.blobs {
        let name = blob.strip_prefix(&world.folder).unwrap();
        assert!(fs::read(restored.join(name)).unwrap() == fs::read(blob).unwrap());
    }
    let report = doctor::examine(&restored, Depth::Deep, LATER, &mut |_| {}).unwrap();
    assert_eq!(report.findings, []);
    assert_eq!(report.checked.events, world.events.len() as u64);
    let old = SqliteStore::open(options(&world.folder)).unwrap();
    let new = SqliteStore::open(options(&restored)).unwrap();
    assert!(
        new.epoch() > old.epoch(),
        "claims of the old one mean nothing here"
    );
    for event in &world.events {
        let (a, b) = (
            old.event(*event).await.unwrap(),
            new.event(*event).await.unwrap(),
        );
        assert!(a.is_some() && a == b);
        assert_eq!(
            old.deliveries_of(*event).await.unwrap(),
            new.deliveries_of(*event).await.unwrap()
        );
    }
    assert_eq!(old.greatest_id(), new.greatest_id());
}

/// What writers did, in the order in which it was acknowledged.
#[derive(Default)]
struct Acknowledged {
    events: Vec<EventId>,
    runs: Vec<RunId>,
    objects: Vec<(String, Vec<u8>)>,
}

struct Load {
    store: SqliteStore,
    ids: IdSource,
    stop: AtomicBool,
    done: Mutex<Acknowledged>,
    /// Bytes of the log, at most.
    log: AtomicU64,
    /// The longest wait for a commit while a backup was taken, microseconds.
    wait: AtomicU64,
}

impl Load {
    async fn writer(self: Arc<Self>, number: usize) {
        let mut round = 0;
        while !self.stop.load(Ordering::Relaxed) {
            round += 1;
            let (event, delivery) = work(&self.ids, vec![b'0' + number as u8; 2_000]);
            let (key, run) = (event.key, delivery.id);
            let mut transaction = Transaction {
                events: vec![event],
                deliveries: vec![delivery],
                ..Transaction::default()
            };
            let object = (round % 16 == 0).then(|| self.object(number, round, &mut transaction));
            let begun = Instant::now();
            self.store.commit(transaction).await.unwrap();
            let wait = begun.elapsed().as_micros() as u64;
            self.wait.fetch_max(wait, Ordering::Relaxed);
            let mut done = self.done.lock().await;
            done.events.push(key);
            done.runs.push(run);
            done.objects.extend(object);
            let wal = fs::metadata(self.store.folder().join("store.db-wal"))
                .unwrap()
                .len();
            self.log.fetch_max(wal, Ordering::Relaxed);
        }
    }

    fn object(&self, number: usize, round: u64, into: &mut Transaction) -> (String, Vec<u8>) {
        let bytes = format!("object {round} of writer {number}")
            .repeat(50)
            .into_bytes();
        let blob = BlobId(self.ids.draw(NOON));
        let path = self.store.folder().join("objects").join(blob.file());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &bytes).unwrap();
        let part = BlobPart {
            blob,
            size: bytes.len() as u64,
        };
        let key = format!("{number}/{round}");
        let etag = hex(&Md5::digest(&bytes));
        into.objects.push(put(&self.ids, &key, &[part], etag));
        (key, bytes)
    }
}

/// Events that are there when the first backup begins; more for a measurement.
fn first() -> usize {
    let events = std::env::var("WAKEFUL_TEST_BACKUP_EVENTS").ok();
    events
        .and_then(|events| events.parse().ok())
        .unwrap_or(4_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_backup_under_load_is_of_one_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(options(&folder.path().join("data"))).unwrap();
    let load = Arc::new(Load {
        ids: IdSource::after(store.greatest_id()),
        store,
        stop: AtomicBool::new(false),
        done: Mutex::default(),
        log: AtomicU64::new(0),
        wait: AtomicU64::new(0),
    });
    let writers: Vec<_> = (0..4)
        .map(|number| tokio::spawn(Arc::clone(&load).writer(number)))
        .collect();
    // Until there is something to copy.
    while load.done.lock().await.events.len() < first() {
        tokio::task::yield_now().await;
    }
    let mut backups = Vec::new();
    for number in 0..3 {
        let before = {
            let done = load.done.lock().await;
            (done.events.len(), done.objects.len())
        };
        load.log.store(0, Ordering::Relaxed);
        load.wait.store(0, Ordering::Relaxed);
        let to = folder.path().join(format!("backup-{number}"));
        let (from, at) = (Arc::clone(&load), to.clone());
        let summary = tokio::task::spawn_blocking(move || take(Source::Running(&from.store), &at));
        let summary = summary.await.unwrap().unwrap();
        assert_eq!(summary.damage, [], "whole when it was taken");
        let after = load.done.lock().await.events.len();
        let log = load.log.load(Ordering::Relaxed);
        println!(
            "{} bytes in {:?}; meanwhile {} commits, the longest wait {} µs, the log at most {log}",
            summary.bytes,
            summary.took,
            after - before.0,
            load.wait.load(Ordering::Relaxed),
        );
        // About what it may grow to anyway, and what was written while the pages were copied.
        let most = 8 * limits::STORE_WAL + summary.bytes / 2;
        assert!(log < most, "the log grew to {log} bytes");
        assert!(after > before.0, "others wrote meanwhile");
        backups.push((to, before));
    }
    load.stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    load.store.close();
    let done = load.done.lock().await;
    for (to, before) in backups {
        of_one_moment(&to, &folder.path().join("restored"), &done, before).await;
    }
}

async fn of_one_moment(
    backup: &Path,
    to: &Path,
    done: &Acknowledged,
    (events, objects): (usize, usize),
) {
    restore(backup, to).unwrap();
    let report = doctor::examine(to, Depth::Deep, NOON, &mut |_| {}).unwrap();
    assert_eq!(report.findings, [], "nothing is half");
    let store = SqliteStore::open(options(to)).unwrap();
    for (event, run) in done.events.iter().zip(&done.runs).take(events) {
        assert!(
            store.event(*event).await.unwrap().is_some(),
            "{event} is lost"
        );
        assert!(
            store.delivery(*run).await.unwrap().is_some(),
            "{run} is lost"
        );
    }
    let mut later = 0;
    for (event, run) in done.events.iter().zip(&done.runs).skip(events) {
        let there = store.event(*event).await.unwrap().is_some();
        let owed = store.delivery(*run).await.unwrap().is_some();
        assert_eq!(there, owed, "{event} is half there");
        later += usize::from(there);
    }
    for (number, (key, bytes)) in done.objects.iter().enumerate() {
        let Some(object) = store.object(at(key)).await.unwrap() else {
            assert!(number >= objects, "{key} is lost");
            continue;
        };
        let file = to.join("objects").join(object.blobs[0].blob.file());
        assert!(fs::read(file).unwrap() == *bytes, "{key}");
    }
    assert_eq!(store.stats().await.unwrap().events as usize, events + later);
    store.close();
    fs::remove_dir_all(to).unwrap();
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_a_backup_is_found() {
    let (folder, world, to) = fresh().await;
    take(Source::Stopped(&world.folder), &to).unwrap();
    let files = all_files(&to);
    assert!(files.len() >= 9, "{files:?}");
    let mut number = 0_u64;
    for file in &files {
        let bytes = fs::read(file).unwrap();
        let times = if file.ends_with("store.db") { 60 } else { 12 };
        for _ in 0..times {
            number += 1;
            let place = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) as usize % bytes.len();
            let mut flipped = bytes.clone();
            flipped[place] ^= 1 << (number % 8);
            fs::write(file, flipped).unwrap();
            let said = format!("byte {place} of {}", file.display());
            let found = backup::verify(&to, &mut { GO_ON }).expect_err(&said);
            let found_again = restore(&to, &folder.path().join("restored")).expect_err(&said);
            for error in [found, found_again] {
                let is_named = matches!(
                    error,
                    BackupError::Damaged { .. } | BackupError::Newer { .. }
                );
                assert!(is_named, "{said}: {error}");
            }
            let left = folder.path().join("restored");
            if left.exists() && fs::read_dir(&left).unwrap().next().is_some() {
                assert!(
                    SqliteStore::open(options(&left)).is_err(),
                    "{said}: a server starts on it"
                );
                fs::remove_dir_all(&left).unwrap();
            }
        }
        fs::write(file, bytes).unwrap();
    }
    backup::verify(&to, &mut { GO_ON }).unwrap();
    for file in files {
        let aside = folder.path().join("aside");
        fs::rename(&file, &aside).unwrap();
        backup::verify(&to, &mut { GO_ON }).expect_err("a file is missing");
        fs::rename(&aside, &file).unwrap();
    }
}

fn all_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(all_files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn one_that_was_cut_off_is_no_backup() {
    let (folder, world, _) = fresh().await;
    let mut stops = 0;
    for most in 0.. {
        let to = folder.path().join(format!("cut-{most}"));
        let mut told = 0;
        let taken = backup::take(
            Source::Stopped(&world.folder),
            &to,
            WithHistory::Yes,
            NOON,
            &mut |_| {
                told += 1;
                match told > most {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            },
        );
        match taken {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, BackupError::Stopped { .. }), "{error}"),
        }
        stops += 1;
        let error = restore(&to, &folder.path().join("restored")).unwrap_err();
        assert!(matches!(error, BackupError::NoBackup { .. }), "{error}");
    }
    assert!(stops > 5, "{stops}");
}

#[tokio::test]
async fn a_restore_that_was_cut_off_leaves_nothing_that_opens() {
    let (folder, world, to) = fresh().await;
    take(Source::Stopped(&world.folder), &to).unwrap();
    let mut stops = 0;
    for most in 0.. {
        let restored = folder.path().join(format!("cut-{most}"));
        let mut told = 0;
        let outcome = backup::restore(&to, &restored, options(&to).clock, &mut |_| {
            told += 1;
            match told > most {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            }
        });
        match outcome {
            Ok(_) => break,
            Err(error) => assert!(matches!(error, BackupError::Stopped { .. }), "{error}"),
        }
        stops += 1;
        let error = SqliteStore::open(options(&restored)).unwrap_err();
        assert!(matches!(error, OpenError::Lost { .. }), "{error}");
        let error = restore(&to, &restored).unwrap_err();
        assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    }
    assert!(stops > 5, "{stops}");
}

#[tokio::test]
async fn what_must_not_be_done_is_refused() {
    let (folder, world, to) = fresh().await;
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let error = take(Source::Stopped(&world.folder), &to).unwrap_err();
    assert!(matches!(error, BackupError::InUse { .. }), "{error}");
    store.close();
    let error = take(Source::Stopped(folder.path()), &to).unwrap_err();
    assert!(matches!(error, BackupError::NotAFolder { .. }), "{error}");
    fs::create_dir(&to).unwrap();
    fs::write(to.join("mine"), "").unwrap();
    let error = take(Source::Stopped(&world.folder), &to).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    fs::remove_file(to.join("mine")).unwrap();
    take(Source::Stopped(&world.folder), &to).unwrap();
    let error = restore(&to, &world.folder).unwrap_err();
    assert!(matches!(error, BackupError::Occupied { .. }), "{error}");
    let error = restore(&world.folder, &folder.path().join("new")).unwrap_err();
    assert!(matches!(error, BackupError::NoBackup { .. }), "{error}");
    let manifest = to.join("wakeful-backup");
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replacen("wakeful-backup 1", "wakeful-backup 2", 1),
    )
    .unwrap();
    let error = restore(&to, &folder.path().join("new")).unwrap_err();
    assert!(matches!(error, BackupError::Newer { .. }), "{error}");
}

#[tokio::test]
async fn a_backup_of_a_damaged_folder_says_so() {
    let (_folder, world, to) = fresh().await;
    let first = world.events[0];
    world.harm(&format!(
        "UPDATE events SET data = x'7b7d' WHERE id = {}",
        first.raw()
    ));
    fs::remove_file(&world.blobs[0]).unwrap();
    let summary = take(Source::Stopped(&world.folder), &to).unwrap();
    let codes: Vec<Code> = summary.damage.iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::EventDamaged, Code::BlobMissing]);
    let again = backup::verify(&to, &mut { GO_ON }).unwrap();
    assert_eq!(again.damage, summary.damage);
    let without = to.with_extension("2");
    backup::take(
        Source::Stopped(&world.folder),
        &without,
        WithHistory::No,
        NOON,
        &mut { GO_ON },
    )
    .unwrap();
    assert!(!without.join("history.db").exists());
}
