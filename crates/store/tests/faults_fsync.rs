//! A disk whose fsync fails: what was acknowledged is there, and nothing is acknowledged after.
//!
//! The store runs in a process of its own, under `strace`, which makes the kernel's answer to the
//! n-th fsync an error. The kernel may report such an error only once, and show on reading what the
//! disk does not have: so one failure must be enough, for good.

mod support;

use std::{
    collections::HashSet,
    io::Write,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use wakeful_core::{
    id::{IdSource, RunId},
    port::{Store, StoreError, Transaction},
};
use wakeful_store::SqliteStore;

use support::{options, work};

const FOLDER: &str = "WAKEFUL_TEST_FSYNC_FOLDER";
const CALLERS: usize = 4;
/// Commits of each caller, and how many of them come after the first error at most.
const COMMITS: usize = 120;

/// The process whose fsync fails; in an ordinary test run it has no folder and nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_whose_disk_fails() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = match SqliteStore::open(options(folder.as_ref())) {
        Ok(store) => store,
        Err(error) => return say(&format!("refused {error}")),
    };
    let ids = Arc::new(IdSource::after(store.greatest_id()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| tokio::spawn(one_caller(store.clone(), Arc::clone(&ids))))
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    store.close();
}

async fn one_caller(store: SqliteStore, ids: Arc<IdSource>) {
    for _ in 0..COMMITS {
        // Large enough that the log is copied now and then.
        let (event, delivery) = work(&ids, vec![b'x'; 60_000]);
        let run = delivery.id;
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        match store.commit(transaction).await {
            Ok(_) => say(&format!("kept {}", run.raw())),
            Err(StoreError::Unknown(_)) => say("unknown"),
            Err(error) => say(&format!("other {error}")),
        }
    }
}

fn say(what: &str) {
    let line = format!("\n{what}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

/// Runs the process in `folder` with fsync number `when` of each of its threads failing.
fn run(folder: &Path, when: &str) -> Output {
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={when}");
    let output = Command::new("strace")
        .args([
            "-f",
            "-qq",
            "-o",
            "/dev/null",
            "-e",
            "trace=fsync,fdatasync",
        ])
        .args(["-e", &inject])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_whose_disk_fails", "--nocapture"])
        .env(FOLDER, folder)
        .output()
        .expect("this test needs strace: apt-get install strace");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{when}: {text}");
    output
}

#[tokio::test]
async fn after_a_failed_fsync_nothing_is_acknowledged() {
    let mut failed = 0;
    let mut refused = 0;
    // Once, early and late, also while the log is copied; and from then on always.
    for when in [
        "1", "2", "3", "5", "9", "17", "26", "40", "61", "75", "90", "120", "4+", "33+",
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = run(folder.path(), when);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut kept = HashSet::new();
        let mut unknown = false;
        for line in text.lines() {
            assert!(!line.starts_with("other "), "{when}: {line}");
            refused += usize::from(line.starts_with("refused "));
            if let Some(run) = line.strip_prefix("kept ") {
                kept.insert(run.parse::<i64>().unwrap());
                // One that was acknowledged before may be told of a little later.
                assert!(
                    !unknown || said_late(&text),
                    "{when}: acknowledged after an error"
                );
            }
            unknown |= line == "unknown";
        }
        failed += usize::from(unknown);
        let store = SqliteStore::open(options(folder.path())).unwrap();
        for run in &kept {
            let found = store.delivery(RunId::from_raw(*run)).await.unwrap();
            let event = found
                .unwrap_or_else(|| panic!("{when}: {run} is lost"))
                .event;
            assert!(
                store.event(event).await.unwrap().is_some(),
                "{when}: {event} is lost"
            );
        }
        store.close();
    }
    assert!(failed >= 5, "only {failed} of the failures met a commit");
    assert!(refused >= 1, "a start whose fsync fails is refused");
}

/// Whether what was told after the first error is no more than what each caller had under way.
fn said_late(text: &str) -> bool {
    let after = text
        .split_once("\nunknown\n")
        .map_or("", |(_, after)| after);
    after
        .lines()
        .filter(|line| line.starts_with("kept "))
        .count()
        < CALLERS
}
