//! However much waits, a store opens at once, needs no more memory, and walks through none of it.
//!
//! `examples/many_pending.rs` is the long form, with a million and more.

mod many_pending;

use std::{process::Command, time::Duration};

use many_pending::{Shape, measure, probe_if_asked};
use tokio::sync::Mutex;

const COUNT: usize = 200_000;
const ROUNDS: usize = 150;

/// The process that opens a store in which very much waits.
#[tokio::test]
async fn the_probe() {
    probe_if_asked().await;
}

/// One shape at a time: side by side they would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());
/// What goes through all that waits costs two thousand times more here; what a busy machine does
/// to a figure is far below. The figures themselves are those of the example.
const WALKED_THROUGH: f64 = 20.0;

async fn check(shape: Shape) {
    let _alone = ALONE.lock().await;
    let mut probe = Command::new(std::env::current_exe().unwrap());
    probe.args(["--exact", "the_probe", "--nocapture"]);
    let figures = measure(shape, COUNT, ROUNDS, probe).await;
    println!("{figures}");
    assert!(figures.open < Duration::from_secs(2), "{figures}");
    let grew = figures.after.saturating_sub(figures.before);
    assert!(grew < 48 << 20, "{figures}");
    for cost in &figures.costs {
        assert!(cost.ratio() < WALKED_THROUGH, "{}: {figures}", cost.step);
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
