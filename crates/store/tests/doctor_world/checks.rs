//! A harm, what the doctor says of it, and what is left of it after a repair.

use std::path::Path;

use tempfile::TempDir;
use wakeful_core::port::{ReadyQuery, Store};
use wakeful_store::{
    SqliteStore,
    doctor::{self, Code, Depth, Report, Verdict},
};

use super::{LATER, World, at, copy_folder, world};
use crate::support::{NOON, options, work};

pub(crate) fn examine(folder: &Path, depth: Depth) -> Report {
    doctor::examine(folder, depth, LATER, &mut |_| {}).unwrap()
}

pub(crate) fn repair(report: &Report) -> doctor::Repaired {
    doctor::repair(&report.folder, report, LATER, &mut |_| {}).unwrap()
}

pub(crate) async fn fresh() -> (TempDir, World) {
    let folder = tempfile::tempdir().unwrap();
    let world = world(folder.path()).await;
    (folder, world)
}

/// What is expected of a harm.
struct Expect {
    code: Code,
    /// Before the repair.
    before: Verdict,
    /// After it.
    after: Verdict,
}

pub(crate) const REPAIRED: (Verdict, Verdict) = (Verdict::Repairable, Verdict::Clean);
pub(crate) const DAMAGED: (Verdict, Verdict) = (Verdict::Damaged, Verdict::Damaged);
pub(crate) const NOTED: (Verdict, Verdict) = (Verdict::Clean, Verdict::Clean);

/// Harms a fresh copy of the world, and checks what the doctor says of it and does about it.
pub(crate) async fn check(
    world: &World,
    name: &str,
    harm: impl FnOnce(&World),
    code: Code,
    (before, after): (Verdict, Verdict),
) -> Report {
    let expect = Expect {
        code,
        before,
        after,
    };
    let folder = tempfile::tempdir().unwrap();
    let harmed = World {
        folder: folder.path().join("data"),
        events: world.events.clone(),
        lane: world.lane.clone(),
        room: world.room.clone(),
        dead: world.dead,
        blobs: relocated(world, &folder.path().join("data")),
    };
    copy_folder(&world.folder, &harmed.folder);
    harm(&harmed);
    let report = examine(&harmed.folder, Depth::Deep);
    let codes: Vec<Code> = report.findings.iter().map(|finding| finding.code).collect();
    assert!(
        codes.contains(&expect.code),
        "{name}: {:#?}",
        report.findings
    );
    assert_eq!(
        report.verdict(),
        expect.before,
        "{name}: {:#?}",
        report.findings
    );
    for finding in &report.findings {
        assert!(
            !finding.what.is_empty() && !finding.consequence.is_empty(),
            "{finding:?}"
        );
        assert!(!finding.place.is_empty(), "{finding:?}");
    }
    let repaired = repair(&report);
    assert_eq!(
        repaired.verdict(),
        expect.after,
        "{name}: did {:#?}, left {:#?}",
        repaired.done,
        repaired.left.findings
    );
    assert!(
        !repaired.done.is_empty() || expect.before != Verdict::Repairable,
        "{name}"
    );
    if expect.after == Verdict::Clean {
        works(&harmed, name).await;
    }
    report
}

fn relocated(world: &World, folder: &Path) -> Vec<std::path::PathBuf> {
    let blobs = world.blobs.iter();
    blobs
        .map(|blob| folder.join(blob.strip_prefix(&world.folder).unwrap()))
        .collect()
}

/// A store opens there, and everything queued can be worked off, in the order of its lanes.
async fn works(world: &World, name: &str) {
    let store = SqliteStore::open(options(&world.folder)).unwrap();
    let (_, any) = work(&wakeful_core::id::IdSource::after(0), "");
    let mut order = Vec::new();
    loop {
        let ready = store
            .ready(ReadyQuery {
                scope: any.scope.clone(),
                trigger: any.trigger.clone(),
                now: NOON,
                after: None,
                limit: 1000,
            })
            .await
            .unwrap();
        if ready.is_empty() {
            break;
        }
        let runs = ready.iter().map(|delivery| delivery.id).collect();
        let claimed = store.claim(runs, NOON).await.unwrap();
        assert!(!claimed.is_empty(), "{name}");
        let settlements = claimed.iter().map(|delivery| {
            if delivery.keys.ordering.as_deref() == Some("a") {
                order.push(delivery.id);
            }
            wakeful_core::port::Settlement {
                claim: wakeful_core::port::Claim {
                    run: delivery.id,
                    epoch: store.epoch(),
                    start: delivery.starts,
                },
                end: wakeful_core::port::End::Succeeded,
            }
        });
        let transaction = wakeful_core::port::Transaction {
            settlements: settlements.collect(),
            ..Default::default()
        };
        store.commit(transaction).await.unwrap();
    }
    let stats = store.stats().await.unwrap();
    assert_eq!(
        (stats.queued, stats.running),
        (0, 0),
        "{name}: all was worked off"
    );
    assert!(
        order.is_sorted() && world.lane.ends_with(&order),
        "{name}: {order:?}"
    );
    assert!(store.object(at("cat.jpg")).await.unwrap().is_some());
    store.close();
}
