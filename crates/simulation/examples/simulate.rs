//! Runs one seed and prints what happened: `cargo run -p wakeful-simulation --example simulate --
//! --seed 123`; or many: `--seeds 10000`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str| {
        let at = arguments.iter().position(|one| one == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    if let Some(seed) = number("--seed") {
        let report = wakeful_simulation::run(seed, true, None);
        print!("{}", report.trace.text());
        return verdict(report.broken.is_none());
    }
    let Some(seeds) = number("--seeds") else {
        eprintln!("usage: simulate --seed N | --seeds COUNT");
        return ExitCode::from(2);
    };
    let mut failed = 0u64;
    for seed in 0..seeds {
        if let Some(broken) = wakeful_simulation::run(seed, false, None).broken {
            println!("seed {seed}: {broken}");
            failed += 1;
        }
    }
    println!("{seeds} seeds, {failed} failed");
    verdict(failed == 0)
}

fn verdict(well: bool) -> ExitCode {
    if well {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
