//! A disk that is full, read-only, or fails.
//!
//! Each test starts itself again in a mount namespace of its own, so that it may mount a small
//! file system as root or as an ordinary user, and nothing of it is left behind.

mod support;

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use wakeful_core::{
    delivery::DeadReason,
    id::{IdSource, RunId},
    limits,
    port::{
        Claim, Committed, DeadQuery, End, Intervention, OpenError, Settlement, Store, StoreError,
        Transaction,
    },
};
use wakeful_store::{Options, SqliteStore};

use support::{NOON, options, work};

const INSIDE: &str = "WAKEFUL_TEST_DISK_FOLDER";

/// Runs the test called `name` once more, after `prepare` (a line of shell), with `folder`.
fn again(name: &str, folder: &Path, prepare: &str) {
    let exe = std::env::current_exe().unwrap();
    let script = format!("{prepare} && exec \"$0\" --exact {name} --nocapture");
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.args(["--user", "--map-root-user"]);
    }
    let output = unshare
        .args(["--mount", "--", "sh", "-c", &script])
        .arg(exe)
        .env(INSIDE, folder)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}

/// The folder of the process that `again` started; none in the first one.
fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}

async fn add(store: &SqliteStore, ids: &IdSource, bytes: usize) -> Result<RunId, StoreError> {
    let (event, delivery) = work(ids, vec![b'x'; bytes]);
    let run = delivery.id;
    let transaction = Transaction {
        events: vec![event],
        deliveries: vec![delivery],
        ..Transaction::default()
    };
    store.commit(transaction).await.map(|_| run)
}

async fn end(store: &SqliteStore, run: RunId, end: End) -> Result<Committed, StoreError> {
    let claimed = store.claim(vec![run], NOON).await?;
    assert_eq!(claimed.len(), 1);
    let claim = Claim {
        run,
        epoch: store.epoch(),
        start: claimed[0].starts,
    };
    let transaction = Transaction {
        settlements: vec![Settlement { claim, end }],
        ..Transaction::default()
    };
    store.commit(transaction).await
}

/// Takes every byte that is left.
fn fill(file: &Path) {
    let mut file = fs::File::create(file).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file
            .write(&vec![1; size])
            .is_ok_and(|written| written == size)
        {}
    }
}

#[tokio::test]
async fn a_full_disk_refuses_new_work_only() {
    let Some(folder) = inside() else {
        let folder = tempfile::tempdir().unwrap();
        let mount = format!(
            "mount -t tmpfs -o size=224m tmpfs {}",
            folder.path().display()
        );
        return again("a_full_disk_refuses_new_work_only", folder.path(), &mount);
    };
    let data = folder.join("data");
    let spare = folder.join("spare");
    fs::write(&spare, vec![1; 48 << 20]).unwrap();
    let open = || {
        SqliteStore::open(Options {
            reserve: limits::DISK_RESERVE,
            ..options(&data)
        })
    };
    let store = open().unwrap();
    let ids = IdSource::after(0);
    let mut runs = Vec::new();
    let refused = loop {
        match add(&store, &ids, 20_000).await {
            Ok(run) => runs.push(run),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::DiskFull), "{refused}");
    assert!(runs.len() > 100);

    // Now to the last byte, by someone else.
    let filler = folder.join("filler");
    fill(&filler);
    let refused = add(&store, &ids, 10).await;
    assert!(matches!(refused, Err(StoreError::DiskFull)), "{refused:?}");

    // Work comes to its end all the same, is read, and people can act.
    let mut dead = Vec::new();
    for (number, run) in runs.iter().take(600).enumerate() {
        let how = if number % 2 == 0 {
            End::Succeeded
        } else {
            dead.push(*run);
            End::Dead {
                reason: DeadReason::TooOld,
                at: NOON,
                failure: None,
            }
        };
        end(&store, *run, how).await.unwrap();
    }
    let query = DeadQuery {
        limit: 1000,
        ..DeadQuery::default()
    };
    assert_eq!(store.dead(query).await.unwrap().len(), dead.len());
    let discard = Transaction {
        interventions: vec![Intervention::Discard {
            run: dead[0],
            at: NOON,
            why: String::new(),
        }],
        ..Transaction::default()
    };
    assert_eq!(store.commit(discard).await.unwrap().intervened, [dead[0]]);
    assert!(matches!(
        add(&store, &ids, 10).await,
        Err(StoreError::DiskFull)
    ));

    // With room again, new work goes on without a restart.
    fs::remove_file(&filler).unwrap();
    fs::remove_file(&spare).unwrap();
    let mut tries = 0;
    while let Err(error) = add(&store, &ids, 10).await {
        assert!(matches!(error, StoreError::DiskFull), "{error}");
        tries += 1;
        assert!(tries < 1_000, "it never noticed the room");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = store.stats().await.unwrap();
    store.close();
    let store = open().unwrap();
    let after = store.stats().await.unwrap();
    assert_eq!((after.queued, after.dead), (before.queued, before.dead));
}

#[tokio::test]
async fn a_read_only_folder_is_refused() {
    let Some(folder) = inside() else {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        SqliteStore::open(options(&data)).unwrap().close();
        let at = folder.path().display();
        let mount = format!("mount --bind {at} {at} && mount -o remount,ro,bind {at}");
        return again("a_read_only_folder_is_refused", folder.path(), &mount);
    };
    for name in ["data", "new"] {
        let error = SqliteStore::open(options(&folder.join(name))).unwrap_err();
        assert!(matches!(error, OpenError::Failed { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("Read-only file system"), "{text}");
        assert!(text.contains(&folder.display().to_string()), "{text}");
    }
}

#[tokio::test]
async fn a_disk_that_fails_ends_all_writing() {
    let Some(folder) = inside() else {
        let folder = tempfile::tempdir().unwrap();
        // Writes beyond 2 MiB of a file fail, and not for want of room.
        let limit = "trap '' XFSZ && ulimit -f 4096";
        again("a_disk_that_fails_ends_all_writing", folder.path(), limit);
        let kept = fs::read_to_string(folder.path().join("kept")).unwrap();
        let store = SqliteStore::open(options(folder.path())).unwrap();
        assert!(kept.lines().count() > 10);
        for line in kept.lines() {
            let run = RunId::from_raw(line.parse().unwrap());
            assert!(
                store.delivery(run).await.unwrap().is_some(),
                "{run} is lost"
            );
        }
        add(&store, &IdSource::after(store.greatest_id()), 10)
            .await
            .unwrap();
        return;
    };
    let store = SqliteStore::open(options(&folder)).unwrap();
    let ids = IdSource::after(0);
    let mut kept = Vec::new();
    let failed = loop {
        match add(&store, &ids, 20_000).await {
            Ok(run) => kept.push(run),
            Err(error) => break error,
        }
    };
    assert!(matches!(failed, StoreError::Unknown(_)), "{failed}");
    // Never retried into success, however little is asked for.
    for _ in 0..3 {
        let refused = store.commit(Transaction::default()).await;
        assert!(
            matches!(refused, Err(StoreError::Unknown(_))),
            "{refused:?}"
        );
        let refused = store.claim(vec![kept[0]], NOON).await;
        assert!(
            matches!(refused, Err(StoreError::Unknown(_))),
            "{refused:?}"
        );
    }
    assert!(
        store.delivery(kept[0]).await.unwrap().is_some(),
        "reads go on"
    );
    let lines: String = kept.iter().map(|run| format!("{}\n", run.raw())).collect();
    fs::write(folder.join("kept"), lines).unwrap();
}
