//! What each command does.

mod bucket;
mod check;
mod dead;
mod filter;
mod functions;
mod init;
mod invoke;
mod key;
mod logs;
mod run_text;
mod runs;
mod secret;
mod serve;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use wakeful_core::{port::Clock, time::Timestamp};

use super::{
    args::{BucketCommand, Command, DeadCommand, KeyCommand, SecretCommand},
    error::CliError,
    out::{Format, Out},
};
use crate::{
    clock::SystemClock,
    options::{DATA_FOLDER, Mode, ServeError, ServeOptions},
};

/// Does what the command says.
pub(super) fn run(
    command: Command,
    serve: impl FnOnce(ServeOptions) -> Result<(), ServeError>,
) -> Result<(), CliError> {
    match command {
        Command::Dev(args) => Ok(serve(serve::options(Mode::Dev, args)?)?),
        Command::Serve(args) => Ok(serve(serve::options(Mode::Serve, args)?)?),
        Command::Init(args) => init::run(&args),
        Command::Check(args) => check::run(args),
        Command::Schema => check::schema(),
        Command::Functions(args) => functions::run(&args),
        Command::Invoke(args) => invoke::run(args),
        Command::Filter(args) => filter::run(&args),
        Command::Runs(args) => runs::list(&args),
        Command::Show(args) => runs::show(&args),
        Command::Logs(args) => logs::run(args),
        Command::Dead(command) => dead::run(command),
        Command::Bucket(command) => bucket::run(command),
        Command::Secret(command) => secret::run(command),
        Command::Key(command) => key::run(command),
    }
}

impl Command {
    /// Whether the answer, and an error, is for programs.
    pub(super) fn wants_json(&self) -> bool {
        match self {
            Self::Dev(_) | Self::Serve(_) | Self::Schema => false,
            Self::Init(args) => args.json,
            Self::Check(args) => args.json,
            Self::Functions(args) => args.json,
            Self::Invoke(args) => args.json,
            Self::Filter(args) => args.json,
            Self::Runs(args) => args.ask.json,
            Self::Show(args) => args.ask.json,
            Self::Logs(args) => args.ask.json,
            Self::Dead(command) => match command {
                DeadCommand::List { ask, .. } => ask.json,
                DeadCommand::Show(args) => args.ask.json,
                DeadCommand::Redrive(select) | DeadCommand::Discard { select, .. } => {
                    select.ask.json
                }
            },
            Self::Bucket(command) => match command {
                BucketCommand::Ls { ask, .. }
                | BucketCommand::Put { ask, .. }
                | BucketCommand::Get { ask, .. }
                | BucketCommand::Rm { ask, .. } => ask.json,
            },
            Self::Secret(command) => match command {
                SecretCommand::Set { ask, .. }
                | SecretCommand::List { ask }
                | SecretCommand::Rm { ask, .. } => ask.json,
            },
            Self::Key(command) => match command {
                KeyCommand::Create { ask, .. }
                | KeyCommand::List { ask }
                | KeyCommand::Rm { ask, .. } => ask.json,
            },
        }
    }
}

fn now() -> Timestamp {
    SystemClock.now()
}

fn out(json: bool) -> Out {
    Out::new(Format::of(json))
}

/// Whether someone at the terminal agrees. Without a terminal nobody can, and the flag that says
/// so beforehand is named.
fn agreed(question: &str, flag: &str) -> Result<bool, CliError> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(CliError::Input {
            message: format!("{question} Nobody is there to be asked"),
            help: Some(format!("say so with {flag}")),
        });
    }
    let _ = write!(io::stderr(), "{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(CliError::file("read the answer"))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// The data folder that was named, or that of the project.
fn data_folder(named: Option<PathBuf>, project: &Path) -> PathBuf {
    let named = named.filter(|folder| !folder.as_os_str().is_empty());
    named.unwrap_or_else(|| project.join(DATA_FOLDER))
}

/// Whether a path on the command line means standard input or output.
fn is_dash(path: &Path) -> bool {
    path.as_os_str() == "-"
}
