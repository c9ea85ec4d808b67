//! Remembers for what a folder's packages were installed, so that nothing is done twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wakeful_core::project::NodeMajor;

use super::{error::PackageError, install::Scripts, manifest::Manifest};

/// Changes when what the stamp covers changes, so that old stamps count no more.
const FORMAT: &str = "1";

/// The hash of everything that decides what an install gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stamp(String);

impl Stamp {
    /// What the stamp of a folder should be.
    pub(crate) fn of(manifest: &Manifest, node: NodeMajor, scripts: &Scripts) -> Self {
        let mut hash = Sha256::new();
        let platform = format!("{}-{}", std::env::consts::OS, std::env::consts::ARCH);
        let node = node.to_string();
        let fixed = [FORMAT, &node, &platform];
        let scripts = scripts.names().map(String::as_bytes);
        let parts = fixed
            .iter()
            .map(|part| part.as_bytes())
            .chain([manifest.bytes.as_slice(), manifest.lock_bytes()])
            .chain(scripts);
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hex::encode(hash.finalize()))
    }

    /// Whether the folder bears this stamp.
    pub(crate) fn is_on(&self, folder: &Path) -> bool {
        fs::read_to_string(file(folder)).is_ok_and(|text| text.trim_end() == self.0)
    }

    /// Puts it on the folder.
    pub(crate) fn put_on(&self, folder: &Path) -> Result<(), PackageError> {
        let file = file(folder);
        let write = || {
            fs::create_dir_all(folder.join("node_modules"))?;
            fs::write(&file, format!("{}\n", self.0))
        };
        write().map_err(|source| PackageError::Write {
            file: file.clone(),
            source,
        })
    }
}

/// In what state an install finds a folder's packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// We have never installed here, or what was begun came to nothing.
    Unknown,
    /// What stands there is whole.
    Whole,
    /// An install was killed: anything may be there.
    Interrupted,
}

/// Stands in the stamp's place while an install runs.
const RUNNING: &str = "installing";
/// Stands there after an install that npm took back.
const FAILED: &str = "failed";

impl Before {
    /// Notes that an install begins, and says what it finds.
    pub(crate) fn begin(folder: &Path) -> Result<Self, PackageError> {
        let before = match fs::read_to_string(file(folder)) {
            Ok(text) if text.trim_end() == RUNNING => Self::Interrupted,
            Ok(_) => Self::Whole,
            Err(_) => Self::Unknown,
        };
        if before == Self::Interrupted {
            let modules = folder.join("node_modules");
            fs::remove_dir_all(&modules).map_err(|source| PackageError::Write {
                file: modules,
                source,
            })?;
        }
        Stamp(RUNNING.to_owned()).put_on(folder)?;
        Ok(before)
    }

    /// Notes that the install failed. npm has put back what was there before, so that what was
    /// whole still is, but for which package.json is not known any more. An error here only makes
    /// the next install start from nothing.
    pub(crate) fn failed(self, folder: &Path) {
        if self == Self::Whole {
            let _ = Stamp(FAILED.to_owned()).put_on(folder);
        } else {
            let _ = fs::remove_file(file(folder));
            // Only if there is nothing else in it.
            let _ = fs::remove_dir(folder.join("node_modules"));
        }
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("node_modules/.wakeful-stamp")
}
