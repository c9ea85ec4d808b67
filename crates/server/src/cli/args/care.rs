//! What can be typed after `doctor`, `backup` and `restore`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::{AskArgs, folder};

/// `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The data folder [default: that of the project around here]
    #[arg(value_name = "DATA", value_hint = ValueHint::DirPath, env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Mend what can be mended without loss
    #[arg(long, conflicts_with = "salvage")]
    pub repair: bool,
    /// Also read every object and hold it against its checksum
    #[arg(long)]
    pub deep: bool,
    /// Copy what can be read into this folder, which must be missing or empty
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub salvage: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where to: a folder that is missing or empty, on the server's machine
    #[arg(value_name = "DEST", value_hint = ValueHint::DirPath)]
    pub to: PathBuf,
    /// Leave out the history of runs and logs
    #[arg(long)]
    pub no_history: bool,
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup
    #[arg(value_name = "SRC", value_hint = ValueHint::DirPath)]
    pub from: PathBuf,
    /// The data folder to make: missing or empty [default: that of the project around here]
    #[arg(value_name = "DATA", value_hint = ValueHint::DirPath, env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Only check the backup, every checksum of it
    #[arg(long)]
    pub verify: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
