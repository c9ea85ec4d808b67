//! The simulation can fail: each rule that is broken on purpose is caught.

use std::{fmt::Write, sync::Mutex, thread};

use wakeful_simulation::{Mutation, run};

/// Seeds after which a mutation counts as not caught.
const MOST: u64 = 3000;

/// The first seed that catches it, and what it says; without the mutation all is well with it.
fn caught(mutation: Mutation) -> Option<(u64, String)> {
    let found = (0..MOST).find_map(|seed| Some((seed, run(seed, false, Some(mutation)).broken?)));
    if let Some((seed, _)) = &found {
        assert_eq!(run(*seed, false, None).broken, None, "seed {seed}");
    }
    found
}

#[test]
fn every_broken_rule_is_caught() {
    let left = Mutex::new(Mutation::ALL.iter().rev().copied().collect::<Vec<_>>());
    let found = Mutex::new(Vec::new());
    let work = || {
        while let Some(mutation) = { left.lock().unwrap().pop() } {
            let by = caught(mutation);
            found.lock().unwrap().push((mutation, by));
        }
    };
    let processors = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(work);
        }
    });
    let found = found.into_inner().unwrap();
    let mut table = String::from("| broken rule | seed | caught as |\n|---|---|---|\n");
    let mut missed = Vec::new();
    for mutation in Mutation::ALL {
        let by = found.iter().find(|(one, _)| one == mutation);
        match by.and_then(|(_, by)| by.as_ref()) {
            Some((seed, what)) => {
                let about = mutation.about();
                let what: String = what.chars().take(160).collect();
                writeln!(table, "| {about} | {seed} | {what} |").unwrap();
            }
            None => missed.push(mutation),
        }
    }
    println!("{table}");
    assert!(Mutation::ALL.len() >= 10);
    assert!(missed.is_empty(), "not caught in {MOST} seeds: {missed:?}");
}
