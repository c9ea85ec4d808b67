//! What `dev` and `serve` are started with, and how they may end.

use std::{net::SocketAddr, path::PathBuf};

use wakeful_core::{manifest::Problems, name::EnvironmentName};

/// Where functions are reached, unless `--http` says otherwise.
pub const HTTP_ADDRESS: &str = "127.0.0.1:8080";
/// Where the admin API is reached, unless `--admin` says otherwise.
pub const ADMIN_ADDRESS: &str = "127.0.0.1:8081";
/// Where the AWS-compatible endpoint is reached, unless `--aws` says otherwise.
pub const AWS_ADDRESS: &str = "127.0.0.1:8082";
/// The folder of the server's state within the project's folder, unless `--data` says otherwise.
pub const DATA_FOLDER: &str = ".wakeful";
/// The manifest's file name.
pub const MANIFEST: &str = "wakeful.toml";

/// How a server treats its project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Files are watched, `.env` is read, undeclared access is reported and works.
    Dev,
    /// Nothing is watched, nothing is lenient.
    Serve,
}

impl Mode {
    /// The environment whose settings apply when none is named.
    pub const fn environment(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Serve => "production",
        }
    }
}

/// Everything that the command line says about a server to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServeOptions {
    /// `dev` or `serve`.
    pub mode: Mode,
    /// The project's folder; its manifest is `wakeful.toml` in it.
    pub dir: PathBuf,
    /// Listener of the functions; port 0 picks a free one.
    pub http: SocketAddr,
    /// Listener of the admin API; port 0 picks a free one.
    pub admin: SocketAddr,
    /// Listener of the AWS-compatible endpoint; port 0 picks a free one.
    pub aws: SocketAddr,
    /// The folder of the server's state.
    pub data: PathBuf,
    /// Where to write the addresses once all listeners are ready, beside
    /// `addresses.json` in the data folder.
    pub addr_file: Option<PathBuf>,
    /// The environment whose settings apply.
    pub environment: EnvironmentName,
}

/// Why a server did not start, or ended badly.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The manifest has mistakes.
    #[error("the manifest has mistakes")]
    Manifest(Box<Problems>),
    /// Anything else; the chain says what.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}
