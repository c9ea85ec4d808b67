//! However much waits, a store opens at once, needs no more memory, and is as fast as before.
//!
//! `examples/many_pending.rs` is the long form, with a million and more.

mod many_pending;

use std::{process::Command, time::Duration};

use many_pending::{Shape, measure, probe_if_asked};

const COUNT: usize = 200_000;
const ROUNDS: usize = 150;

/// The process that opens a store in which very much waits.
#[tokio::test]
async fn the_probe() {
    probe_if_asked().await;
}

async fn check(shape: Shape) {
    let mut probe = Command::new(std::env::current_exe().unwrap());
    probe.args(["--exact", "the_probe", "--nocapture"]);
    let figures = measure(shape, COUNT, ROUNDS, probe).await;
    println!("{figures}");
    assert!(figures.open < Duration::from_secs(2), "{figures}");
    let grew = figures.after.saturating_sub(figures.before);
    assert!(grew < 48 << 20, "{figures}");
    for cost in &figures.costs {
        // 1.3 on a quiet machine; this one may not be.
        assert!(cost.ratio() < 2.0, "{}: {figures}", cost.step);
    }
    for (question, time) in &figures.questions {
        assert!(*time < Duration::from_millis(50), "{question}: {figures}");
    }
}

#[tokio::test]
async fn many_without_keys() {
    check(Shape::Unkeyed).await;
}

#[tokio::test]
async fn many_ordering_keys() {
    check(Shape::Lanes).await;
}

#[tokio::test]
async fn many_with_one_ordering_key() {
    check(Shape::OneLane).await;
}

#[tokio::test]
async fn many_with_a_thousand_concurrency_keys() {
    check(Shape::Rooms).await;
}
