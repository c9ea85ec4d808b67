//! Why packages could not be installed.

use std::{io, path::PathBuf, sync::Arc, time::Duration};

use crate::{error::ToolchainError, npm_failure::NpmFailure, process::Bound};

/// Why the packages of a folder could not be installed. Trying again is safe: the next install
/// starts over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// A file of the folder cannot be read.
    #[error("cannot read {}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// package.json or package-lock.json is not what it should be.
    #[error("{}:{line}:{column}: {message}. Mend it: it must be plain JSON without comments", file.display())]
    Json {
        /// The file.
        file: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What is wrong there.
        message: String,
    },
    /// There is no npm.
    #[error("cannot install the packages of {}", manifest.display())]
    NoNpm {
        /// The package.json.
        manifest: PathBuf,
        /// Why there is none.
        source: Arc<ToolchainError>,
    },
    /// npm could not be started.
    #[error("cannot start npm for {}", manifest.display())]
    Start {
        /// The package.json.
        manifest: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// npm said no.
    #[error("cannot install the packages of {}: {failure}. {}{}", manifest.display(), failure.remedy(), see(log))]
    Npm {
        /// The package.json.
        manifest: PathBuf,
        /// What npm said.
        failure: Box<NpmFailure>,
        /// The file with all it said.
        log: Option<PathBuf>,
    },
    /// npm did nothing for too long.
    #[error(
        "cannot install the packages of {}: npm {bound} and was stopped. Check \
         `npm config get registry`, the proxy (`npm config get https-proxy`) and the network{}",
        manifest.display(), see(log)
    )]
    Stalled {
        /// The package.json.
        manifest: PathBuf,
        /// The bound that it reached.
        bound: Bound,
        /// The file with all it said.
        log: Option<PathBuf>,
    },
    /// Another process installs into the folder and does not end.
    #[error(
        "another process has been installing packages into {} for {} s. End it, or wait for it, \
         and start again", folder.display(), waited.as_secs()
    )]
    Busy {
        /// The folder.
        folder: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// The folder cannot be locked.
    #[error("cannot lock {} for an install", folder.display())]
    Lock {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or folder cannot be written or removed.
    #[error("cannot write or remove {}, which an install needs", file.display())]
    Write {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn see(log: &Option<PathBuf>) -> String {
    log.as_ref()
        .map(|log| format!(". All that npm said is in {}", log.display()))
        .unwrap_or_default()
}
