//! Why no copy of a project's code could be made.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::walk::MOST_FILES;

/// Why no copy could be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder of the project could not be read.
    #[error(
        "{path} cannot be read: {cause} (let the server's user read it, or move it out of the \
         project's folder)",
        path = .path.display()
    )]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The copy could not be written.
    #[error("the copy of the code at {path} cannot be written: {cause}", path = .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        cause: io::Error,
    },
    /// The tree is larger than any project.
    #[error(
        "{path} holds more than {MOST_FILES} files: a project's folder holds its code only",
        path = .0.display()
    )]
    TooMany(PathBuf),
    /// Files changed again and again while they were copied.
    #[error(
        "the files of {path} kept changing while they were copied; the next change tries again",
        path = .0.display()
    )]
    Restless(PathBuf),
}

pub(super) fn read(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    move |cause| SnapshotError::Read {
        path: path.to_owned(),
        cause,
    }
}

pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    move |cause| SnapshotError::Write {
        path: path.to_owned(),
        cause,
    }
}
