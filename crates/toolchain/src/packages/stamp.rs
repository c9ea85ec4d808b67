//! Remembers for what a folder's packages were installed, so that nothing is done twice.

use std::{
    fs, io,
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

    /// Takes whatever stamp there is off the folder, since its packages are about to change.
    pub(crate) fn take_off(folder: &Path) -> Result<(), PackageError> {
        let file = file(folder);
        match fs::remove_file(&file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound && file.exists() => {
                Err(PackageError::Write {
                    file,
                    source: error,
                })
            }
            _ => Ok(()),
        }
    }
}

fn file(folder: &Path) -> PathBuf {
    folder.join("node_modules/.wakeful-stamp")
}
