//! Where files of a project are while a copy of it is made.

use std::path::{Component, Path, PathBuf};

/// A copy of a project, and the project: what lies outside of the project is not copied.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The copy's folder, absolute.
    pub copy: &'a Path,
    /// The project's folder, absolute.
    pub project: &'a Path,
}

impl Place<'_> {
    /// Where to open a file that is named relative to the project's folder.
    pub(crate) fn locate(&self, relative: &Path) -> PathBuf {
        if relative.starts_with("..") {
            return self.project.join(relative);
        }
        self.copy.join(relative)
    }
}

/// The path that `text` means in a folder, without `.` and with `..` only at its beginning.
pub(super) fn join(folder: &Path, text: &str) -> PathBuf {
    let mut joined = PathBuf::new();
    for part in folder.join(text).components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir
                if matches!(joined.components().next_back(), Some(Component::Normal(_))) =>
            {
                joined.pop();
            }
            other => joined.push(other),
        }
    }
    joined
}
