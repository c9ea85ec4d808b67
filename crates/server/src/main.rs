//! The `wakeful` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    wakeful_server::cli::run(wakeful_server::server::run)
}
