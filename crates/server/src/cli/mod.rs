//! The command line. Where a server runs it speaks only the admin API; `check`, `schema` and
//! `init` need none, `secret` and `key` open the vault themselves when none runs, and `doctor`,
//! `backup` and `restore` the data folder.

mod args;
mod client;
mod command;
mod error;
mod failure_text;
mod help;
mod out;
mod problems;
mod reach;
mod since;
mod words;

use std::process::ExitCode;

use clap::FromArgMatches;

pub use args::{Cli, Command};
pub use error::CliError;
pub use failure_text::FailureText;
pub use help::command;
pub use problems::render_problems;

use crate::options::{ServeError, ServeOptions};

/// Runs what the process's arguments say. `serve` starts a server and returns when it ended.
pub fn run(serve: impl FnOnce(ServeOptions) -> Result<(), ServeError>) -> ExitCode {
    let cli = match command()
        .try_get_matches()
        .and_then(|matches| Cli::from_arg_matches(&matches))
    {
        Ok(cli) => cli,
        // Help, version, or what is wrong with the command line (exit code 2).
        Err(error) => error.exit(),
    };
    let format = out::Format::of(cli.command.wants_json());
    match command::run(cli.command, serve) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            out::failure(format, &error);
            ExitCode::from(&error)
        }
    }
}
