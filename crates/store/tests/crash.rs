//! kill -9 at any moment loses nothing that was acknowledged.
//!
//! The test starts itself again as the process that is killed: it works as several callers do,
//! and prints what was acknowledged, after it was.

mod support;

use std::{
    collections::HashSet,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use wakeful_core::{
    delivery::State,
    id::{IdSource, RunId},
    port::{Claim, End, Settlement, Store, Transaction},
};
use wakeful_store::SqliteStore;

use support::{NOON, options, work};

const FOLDER: &str = "WAKEFUL_TEST_CRASH_FOLDER";
const CALLERS: usize = 8;

/// What the killed process does; in an ordinary test run it has no folder and nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_process_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let store = SqliteStore::open(options(folder.as_ref())).unwrap();
    let ids = Arc::new(IdSource::after(store.greatest_id()));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| tokio::spawn(one_caller(store.clone(), Arc::clone(&ids), caller)))
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
}

async fn one_caller(store: SqliteStore, ids: Arc<IdSource>, caller: usize) {
    loop {
        let (event, mut delivery) = work(&ids, vec![b'x'; 300 * (caller + 1)]);
        let run = delivery.id;
        delivery.claimed = caller.is_multiple_of(2);
        let transaction = Transaction {
            events: vec![event],
            deliveries: vec![delivery],
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
        say("kept", run);
        if !caller.is_multiple_of(2) {
            let claimed = store.claim(vec![run], NOON).await.unwrap();
            assert_eq!(claimed.len(), 1);
        }
        if caller < CALLERS / 2 {
            settle(&store, run).await;
        }
    }
}

async fn settle(store: &SqliteStore, run: RunId) {
    let claim = Claim {
        run,
        epoch: store.epoch(),
        start: 1,
    };
    // From now on it may be gone, acknowledged or not.
    say("ending", run);
    let transaction = Transaction {
        settlements: vec![Settlement {
            claim,
            end: End::Succeeded,
        }],
        ..Transaction::default()
    };
    store.commit(transaction).await.unwrap();
    say("gone", run);
}

fn say(what: &str, run: RunId) {
    // Not println!, which a test would capture.
    let line = format!("\n{what} {}\n", run.raw());
    std::io::stdout().lock().write_all(line.as_bytes()).unwrap();
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[derive(Default)]
struct Said {
    kept: HashSet<i64>,
    ending: HashSet<i64>,
    gone: HashSet<i64>,
}

impl Said {
    fn hear(&mut self, line: &str) {
        let Some((what, id)) = line.split_once(' ') else {
            return;
        };
        let Ok(id) = id.parse() else { return };
        match what {
            "kept" => self.kept.insert(id),
            "ending" => self.ending.insert(id),
            "gone" => self.gone.insert(id),
            _ => return,
        };
    }
}

/// Runs the process, kills it after `lines` lines, and hears what it still said.
fn run_and_kill(folder: &std::path::Path, lines: usize, said: &mut Said) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_is_killed", "--nocapture"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut child = Killed(child);
    let mut output = BufReader::new(child.0.stdout.take().unwrap()).lines();
    for _ in 0..lines {
        said.hear(&output.next().expect("it ended by itself").unwrap());
    }
    child.0.kill().unwrap();
    for line in output {
        said.hear(&line.unwrap());
    }
}

#[tokio::test]
async fn what_was_acknowledged_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    for lines in [1, 40, 333, 2_000, 5_001, 12_345] {
        run_and_kill(folder.path(), lines, &mut said);
        let store = SqliteStore::open(options(folder.path())).unwrap();
        assert!(!said.kept.is_empty() || lines < 40);
        for id in &said.kept {
            let found = store.delivery(RunId::from_raw(*id)).await.unwrap();
            if said.gone.contains(id) {
                assert_eq!(found, None, "{id} was settled");
            } else if let Some(delivery) = found {
                assert_eq!(delivery.state, State::Queued, "no claim outlives its epoch");
                let event = store.event(delivery.event).await.unwrap();
                assert!(event.is_some_and(|event| !event.data.is_empty()));
            } else {
                assert!(
                    said.ending.contains(id),
                    "{id} was acknowledged and is lost"
                );
            }
        }
        let stats = store.stats().await.unwrap();
        assert_eq!((stats.running, stats.dead), (0, 0));
        let backlog = store.backlog().await.unwrap();
        assert_eq!(
            backlog.iter().map(|one| one.queued).sum::<u64>(),
            stats.queued
        );
        let least = said.kept.len() - said.ending.len();
        assert!(
            stats.queued as usize >= least,
            "{} of {least}",
            stats.queued
        );
        store.close();
    }
    assert!(said.gone.len() > 100 && said.kept.len() > 1_000);
    // What is left can be worked off.
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let greatest = store.greatest_id();
    assert!(said.kept.iter().all(|id| *id <= greatest));
    tokio::time::timeout(Duration::from_secs(60), work_off(&store))
        .await
        .unwrap();
}

async fn work_off(store: &SqliteStore) {
    let ids = IdSource::after(0);
    let (_, any) = work(&ids, "");
    loop {
        let query = wakeful_core::port::ReadyQuery {
            scope: any.scope.clone(),
            trigger: any.trigger.clone(),
            now: NOON,
            after: None,
            limit: 1_000,
        };
        let ready = store.ready(query).await.unwrap();
        if ready.is_empty() {
            break;
        }
        let runs = ready.iter().map(|delivery| delivery.id).collect();
        let claimed = store.claim(runs, NOON).await.unwrap();
        let settlements = claimed
            .iter()
            .map(|delivery| Settlement {
                claim: Claim {
                    run: delivery.id,
                    epoch: store.epoch(),
                    start: delivery.starts,
                },
                end: End::Succeeded,
            })
            .collect();
        let transaction = Transaction {
            settlements,
            ..Transaction::default()
        };
        store.commit(transaction).await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!((stats.queued, stats.running), (0, 0));
}
