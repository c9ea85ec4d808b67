//! How a command fails, and the exit code of each failure.

use std::{fs, io, path::Path, process::ExitCode};

use wakeful_core::manifest::Problems;
use wakeful_databases::InvalidUrl;

use crate::{
    addresses::AddressFileError,
    admin::model::ErrorInfo,
    deploy::{BuildError, DotEnvError, ManifestError, Missing},
    options::ServeError,
    vault::VaultError,
};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The server did a part of it and then stopped.
    #[error("only a part of it was done: {0}")]
    Unfinished(String),
    /// A data folder is damaged, as was printed already.
    #[error("the data folder is damaged")]
    Unsound(Unsound),
    /// The data folder cannot be examined, copied or made.
    #[error("{message}")]
    Folder {
        /// Why not, and what to do.
        message: String,
        /// Whether a server holds it.
        in_use: bool,
    },
    /// The function failed; its error was printed already.
    #[error("the function failed")]
    FunctionFailed,
    /// The filter does not want the event; why was printed already.
    #[error("the filter does not want the event")]
    NoMatch,
    /// A filter has mistakes.
    #[error("the filter has mistakes")]
    Filter(Box<Problems>),
    /// The manifest has mistakes, which were printed already.
    #[error("the manifest has mistakes")]
    Manifest,
    /// The manifest of a server that was to start has mistakes.
    #[error("the manifest has mistakes")]
    Mistakes(Box<Problems>),
    /// An input is wrong.
    #[error("{message}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// No server is reachable.
    #[error("{message}")]
    NoServer {
        /// Where it was looked for.
        message: String,
        /// What to do.
        help: String,
    },
    /// There is no key to show to the server.
    #[error("{0}")]
    NoKey(String),
    /// The server refused.
    #[error("{}", .0.message)]
    Refused(ErrorInfo),
    /// The connection broke, or what came is not what a server of this version sends.
    #[error("{doing}: {cause}")]
    Broken {
        /// What was being done.
        doing: String,
        /// What went wrong.
        cause: String,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing}: {cause}")]
    File {
        /// What was being done, and to what.
        doing: String,
        /// Why not.
        cause: io::Error,
    },
    /// The vault was edited without a server.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The file that says where the server is.
    #[error(transparent)]
    Addresses(#[from] AddressFileError),
    /// The server did not start, or ended badly.
    #[error("{0:#}")]
    Serve(anyhow::Error),
    /// Someone said no when asked.
    #[error("nothing was done")]
    Declined,
    /// Standard output cannot be written.
    #[error("cannot write the answer: {0}")]
    Output(io::Error),
    /// Whoever read standard output went away, which is their right.
    #[error("standard output was closed")]
    NobodyReads,
}

/// How bad the damage of a data folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsound {
    /// It can be repaired without loss.
    Repairable,
    /// It cannot.
    Damaged,
}

impl CliError {
    pub(super) fn input(message: impl Into<String>) -> Self {
        Self::Input {
            message: message.into(),
            help: None,
        }
    }

    pub(super) fn file(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        |cause| Self::File { doing, cause }
    }

    /// The exit code, as `wakeful --help` and docs/cli.md list them. (2, a command line that is
    /// not understood, is clap's.)
    pub fn code(&self) -> u8 {
        match self {
            Self::NobodyReads => 0,
            Self::FunctionFailed
            | Self::NoMatch
            | Self::Unfinished(_)
            | Self::Unsound(Unsound::Repairable)
            | Self::Broken { .. }
            | Self::File { .. }
            | Self::Declined
            | Self::Output(_) => 1,
            Self::Manifest
            | Self::Mistakes(_)
            | Self::Filter(_)
            | Self::Input { .. }
            | Self::Unsound(Unsound::Damaged) => 3,
            Self::Folder { in_use: false, .. } => 1,
            Self::NoServer { .. } | Self::Folder { in_use: true, .. } => 4,
            Self::NoKey(_) => 5,
            Self::Serve(error) => of_serve(error),
            Self::Addresses(error) => match error {
                AddressFileError::Read { .. } => 4,
                AddressFileError::Write { .. } => 1,
            },
            Self::Vault(error) => of_vault(error),
            Self::Refused(refusal) => match refusal.code.as_str() {
                "unauthorized" | "wrong_host" => 5,
                "invalid_request" | "too_large" => 3,
                _ => 1,
            },
        }
    }

    /// What to do, where the message does not say it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::Input { help, .. } => help.as_deref(),
            Self::NoServer { help, .. } => Some(help),
            Self::Refused(refusal) => refusal.help.as_deref(),
            _ => None,
        }
    }

    /// The word for programs.
    pub(super) fn word(&self) -> &str {
        match self {
            Self::FunctionFailed => "function_failed",
            Self::NoMatch => "no_match",
            Self::Unfinished(_) => "unfinished",
            Self::Unsound(_) => "damaged",
            Self::Folder { in_use: true, .. } => "in_use",
            Self::Folder { in_use: false, .. } => "folder",
            Self::Filter(_) => "invalid_filter",
            Self::Manifest | Self::Mistakes(_) => "manifest",
            Self::Input { .. } => "invalid_input",
            Self::NoServer { .. } | Self::Addresses(_) => "no_server",
            Self::NoKey(_) => "unauthorized",
            Self::Refused(refusal) => &refusal.code,
            Self::Broken { .. } => "connection",
            Self::File { .. } | Self::Output(_) | Self::NobodyReads => "io",
            Self::Vault(_) => "vault",
            Self::Serve(_) => "serve",
            Self::Declined => "declined",
        }
    }
}

fn of_vault(error: &VaultError) -> u8 {
    match error {
        VaultError::InvalidValue(_) | VaultError::InvalidKey { .. } => 3,
        VaultError::WrongKey { .. } | VaultError::NoKey { .. } => 5,
        VaultError::InUse { .. } => 4,
        VaultError::Newer { .. }
        | VaultError::Damaged { .. }
        | VaultError::KeyExists(_)
        | VaultError::Full { .. }
        | VaultError::Io { .. }
        | VaultError::Random(_)
        | VaultError::Seal => 1,
    }
}

/// Why a server did not start: what its user wrote is an input, as it is for `check`.
fn of_serve(error: &anyhow::Error) -> u8 {
    let is_input = error.chain().any(|cause| {
        cause.is::<Missing>()
            || cause.is::<DotEnvError>()
            || cause.is::<InvalidUrl>()
            || matches!(
                cause.downcast_ref(),
                Some(BuildError::Missing(..) | BuildError::DotEnv(_))
            )
    });
    match error.downcast_ref::<VaultError>() {
        _ if is_input => 3,
        Some(
            error @ (VaultError::WrongKey { .. }
            | VaultError::NoKey { .. }
            | VaultError::InvalidKey { .. }),
        ) => of_vault(error),
        _ => 1,
    }
}

impl From<ServeError> for CliError {
    fn from(error: ServeError) -> Self {
        match error {
            ServeError::Manifest(problems) => Self::Mistakes(problems),
            ServeError::Failed(error) => match error.downcast::<ManifestError>() {
                Ok(error) => error.into(),
                Err(error) => Self::Serve(error),
            },
        }
    }
}

impl From<ManifestError> for CliError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Mistakes(problems) => Self::Mistakes(problems),
            ManifestError::Unreadable { path, cause } => match cause.kind() {
                io::ErrorKind::InvalidData => not_utf8(&path),
                io::ErrorKind::NotFound => {
                    Self::input(ManifestError::Unreadable { path, cause }.to_string())
                }
                _ => Self::input(format!("{} cannot be read: {cause}", path.display())),
            },
        }
    }
}

/// A manifest that no TOML reader can read, as some editors write it.
fn not_utf8(path: &Path) -> CliError {
    let bytes = fs::read(path).unwrap_or_default();
    let what = match (bytes.as_slice(), str::from_utf8(&bytes)) {
        ([0xff, 0xfe, ..] | [0xfe, 0xff, ..], _) => "it is UTF-16".to_owned(),
        (_, Err(error)) => {
            let good = &bytes[..error.valid_up_to()];
            let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
            format!("line {line} has the byte 0x{:02X}", bytes[good.len()])
        }
        (_, Ok(_)) => "it was when it was read".to_owned(),
    };
    CliError::Input {
        message: format!("{} is not UTF-8: {what}", path.display()),
        help: Some("save it as UTF-8, as TOML demands".to_owned()),
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::NobodyReads
        } else {
            Self::Output(error)
        }
    }
}

impl From<&CliError> for ExitCode {
    fn from(error: &CliError) -> Self {
        error.code().into()
    }
}
