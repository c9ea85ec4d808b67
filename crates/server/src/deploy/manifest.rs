//! The manifest on disk.

use std::{
    fs,
    path::{Path, PathBuf},
};

use wakeful_core::{
    manifest::{self, Files, Found, Loaded, Problems, Source},
    name::EnvironmentName,
};

use crate::options::MANIFEST;

/// A project's folder, as a manifest needs to know it.
pub struct DiskFiles(pub PathBuf);

impl Files for DiskFiles {
    fn look(&self, path: &Path) -> Found {
        match fs::metadata(self.0.join(path)) {
            Ok(meta) if meta.is_dir() => Found::Folder,
            Ok(_) => Found::File,
            Err(_) => Found::Nothing,
        }
    }
}

/// Why a manifest could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// There is none, or it cannot be opened.
    #[error(
        "{path} cannot be read: {cause} (a project is a folder with a wakeful.toml; \
         `wakeful init DIR` makes one)",
        path = .path.display()
    )]
    Unreadable {
        /// Where it was expected.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// It has mistakes.
    #[error("the manifest has mistakes")]
    Mistakes(Box<Problems>),
}

/// Reads the manifest of the project in `folder`.
pub fn read(folder: &Path, environment: &EnvironmentName) -> Result<Loaded, ManifestError> {
    let path = folder.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|cause| ManifestError::Unreadable {
        path: path.clone(),
        cause,
    })?;
    let source = Source {
        name: path.display().to_string(),
        text,
    };
    manifest::load(&source, environment, &DiskFiles(folder.to_owned()))
        .map_err(|problems| ManifestError::Mistakes(Box::new(problems)))
}
