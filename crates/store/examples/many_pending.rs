//! What a store costs in which very much waits, printed: `--count 10000000` for other than a
//! million, `--rounds N` for other than 400 rounds of each step.

#[path = "../tests/many_pending/mod.rs"]
mod many_pending;

use std::process::Command;

use many_pending::{Shape, measure, probe_if_asked};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    if probe_if_asked().await {
        return Ok(());
    }
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        let at = arguments.iter().position(|argument| argument == name);
        let value = at.and_then(|at| arguments.get(at + 1)?.parse().ok());
        value.unwrap_or(default)
    };
    let (count, rounds) = (number("--count", 1_000_000), number("--rounds", 400));
    for shape in [Shape::Unkeyed, Shape::Lanes, Shape::OneLane, Shape::Rooms] {
        let probe = Command::new(std::env::current_exe()?);
        println!("{}", measure(shape, count, rounds, probe).await);
    }
    Ok(())
}
