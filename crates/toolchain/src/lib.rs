//! Brings what functions run with: the right Node, a matching npm, and a folder's npm packages.
//!
//! A Node of the major asked for is taken from PATH, else from the cache, else fetched through
//! the npm client that is there ([`Toolchain::node`]). Packages are installed by npm, and only
//! when something changed ([`install_packages`]). Everything that goes over the network goes
//! through npm: its registry, proxy and certificates are the user's own, and no host is named here.
//!
//! This crate knows nothing of projects, functions or workers.

mod error;
mod fetch;
mod limits;
mod npm;
mod npm_failure;
mod packages;
mod pins;
mod platform;
mod process;
mod progress;
mod search;
#[cfg(test)]
mod testing;
mod toolchain;
mod unpack;

pub use error::{FoundNode, ToolchainError};
pub use npm::Npm;
pub use npm_failure::{NpmFailure, NpmFailureKind};
pub use packages::{
    Installed, PackageError, PackageReport, Scripts, find_package_folders, install_packages,
};
pub use pins::least_minor;
pub use process::Bound;
pub use progress::{Progress, Silent};
pub use toolchain::{NodeFrom, NodeInstall, Options, Toolchain, default_cache};
