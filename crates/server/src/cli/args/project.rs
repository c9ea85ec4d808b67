//! What can be typed after `dev`, `serve`, `init` and `check`.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, ValueHint};
use wakeful_core::name::{EnvironmentName, ProjectName};

use super::folder;
use crate::options::{ADMIN_ADDRESS, AWS_ADDRESS, HTTP_ADDRESS};

/// `dev` and `serve`.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Where functions are reached; port 0 picks a free one
    #[arg(long, value_name = "ADDRESS", default_value = HTTP_ADDRESS)]
    pub http: SocketAddr,
    /// Where the admin API is reached
    #[arg(long, value_name = "ADDRESS", default_value = ADMIN_ADDRESS)]
    pub admin: SocketAddr,
    /// Where the AWS-compatible endpoint is reached
    #[arg(long, value_name = "ADDRESS", default_value = AWS_ADDRESS)]
    pub aws: SocketAddr,
    /// The folder of the server's state [default: .wakeful in the project]
    #[arg(long, value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Write the addresses and keys to this file, outside the project's folder, once all is ready
    #[arg(long, value_name = "FILE")]
    pub addr_file: Option<PathBuf>,
    /// The environment whose settings apply [default: dev, or production with `serve`]
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
}

/// `init`.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder; made if it is not there
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// The project's name [default: that of the folder]
    #[arg(long)]
    pub name: Option<ProjectName>,
    /// Print what was made as JSON
    #[arg(long)]
    pub json: bool,
}

/// `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The project's folder
    #[arg(default_value = ".", value_hint = ValueHint::DirPath)]
    pub dir: PathBuf,
    /// Write the access that functions used in `wakeful dev` into the manifest
    #[arg(long)]
    pub fix: bool,
    /// The environment whose settings apply [default: dev]
    #[arg(long, value_name = "NAME")]
    pub env: Option<EnvironmentName>,
    /// The data folder of `wakeful dev` [default: .wakeful in the project]
    #[arg(long, value_name = "DIR", env = "WAKEFUL_DATA", hide_env_values = true, value_parser = folder())]
    pub data: Option<PathBuf>,
    /// Print the problems as JSON
    #[arg(long)]
    pub json: bool,
}
