//! What each command does.

mod bucket;
mod care;
mod check;
mod dead;
mod dead_text;
mod explain;
mod filter;
mod functions;
mod init;
mod invoke;
mod key;
mod logs;
mod pause;
mod payload;
mod publish;
mod replay;
mod run_text;
mod runs;
mod secret;
mod serve;
mod why;

use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
};

use wakeful_core::{port::Clock, time::Timestamp};

use super::{
    args::{BucketCommand, Command, KeyCommand, SecretCommand},
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
        Command::Publish(args) => publish::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Filter(args) => filter::run(&args),
        Command::Runs(args) => runs::list(&args),
        Command::Show(args) => runs::show(&args),
        Command::Logs(args) => logs::run(args),
        Command::Explain(args) => explain::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Pause { what, why } => pause::pause(&what, why),
        Command::Resume(args) => pause::resume(&args),
        Command::Pauses(args) => pause::list(&args),
        Command::Dead(command) => dead::run(command),
        Command::Bucket(command) => bucket::run(command),
        Command::Secret(command) => secret::run(command),
        Command::Key(command) => key::run(command),
        Command::Doctor(args) => care::doctor(args),
        Command::Backup(args) => care::backup(&args),
        Command::Restore(args) => care::restore(args),
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
            Self::Publish(args) => args.json,
            Self::Replay(args) => args.ask.json,
            Self::Explain(args) => args.ask.json,
            Self::Why(args) => args.ask.json,
            Self::Pause { what: args, .. } | Self::Resume(args) => args.ask.json,
            Self::Pauses(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Backup(args) => args.ask.json,
            Self::Restore(args) => args.json,
            Self::Dead(command) => command.ask().json,
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
