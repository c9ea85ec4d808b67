//! Installs a folder's npm packages, when something changed.

mod error;
mod folders;
mod install;
mod lock;
mod manifest;
mod stamp;
#[cfg(test)]
mod tests;

pub use error::PackageError;
pub use folders::find_package_folders;
pub use install::{Installed, PackageReport, Scripts, install_packages};
