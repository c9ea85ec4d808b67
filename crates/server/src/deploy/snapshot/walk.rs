//! What of a project's folder goes into a copy.

use std::{
    fs::{self, DirEntry, Metadata},
    io,
    path::{Path, PathBuf},
};

use super::error::{SnapshotError, read};
use crate::deploy::relevance::{Kind, Place, Relevance};

/// More files than this are no project but a mistake, such as a home folder.
pub(super) const MOST_FILES: usize = 50_000;
/// Files above this size, in bytes, are linked to instead of copied.
const LARGEST_COPY: u64 = 4 * 1024 * 1024;

/// One entry of a copy.
pub(super) struct Found {
    /// Where it is in the project, and will be in the copy.
    pub(super) relative: PathBuf,
    /// Whether it is part of the code's identity.
    pub(super) counts: bool,
    pub(super) what: What,
}

pub(super) enum What {
    /// A file, copied.
    File(Metadata),
    /// A link.
    Link {
        /// What it says.
        target: PathBuf,
        /// Changes when what is behind it counts as changed.
        identity: String,
    },
}

/// Everything that a copy of the project holds, sorted. What vanishes meanwhile is passed over.
pub(super) fn walk(relevance: &Relevance) -> Result<Vec<Found>, SnapshotError> {
    let mut walk = Walk {
        relevance,
        found: Vec::new(),
        folders: vec![relevance.project().to_owned()],
    };
    while let Some(folder) = walk.folders.pop() {
        walk.folder(&folder)?;
    }
    walk.found.sort_by(|a, b| a.relative.cmp(&b.relative));
    Ok(walk.found)
}

struct Walk<'a> {
    relevance: &'a Relevance,
    found: Vec<Found>,
    folders: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Path) -> Result<(), SnapshotError> {
        let Some(entries) = present(fs::read_dir(folder), folder)? else {
            return Ok(());
        };
        for entry in entries {
            let Some(entry) = present(entry, folder)? else {
                continue;
            };
            self.entry(&entry)?;
        }
        Ok(())
    }

    fn entry(&mut self, entry: &DirEntry) -> Result<(), SnapshotError> {
        let path = entry.path();
        let Some(kind) = present(entry.file_type(), &path)? else {
            return Ok(());
        };
        let packages = entry.file_name() == "node_modules";
        if kind.is_dir() && !packages {
            if self.relevance.of(&path, Kind::Folder) != Place::LeftOut {
                self.folders.push(path);
            }
            return Ok(());
        }
        // Follows links: what is behind one decides, and one that leads nowhere is nothing.
        let Some(meta) = present(fs::metadata(&path), &path)? else {
            return Ok(());
        };
        let place = match (meta.is_dir(), packages) {
            (true, true) => self.relevance.of(entry_folder(&path), Kind::Folder),
            (true, false) => self.relevance.of(&path, Kind::Folder),
            (false, _) => self.relevance.of(&path, Kind::File),
        };
        if place == Place::LeftOut {
            return Ok(());
        }
        let counts = place == Place::Code && !self.relevance.is_output(&meta);
        let what = if meta.is_dir() {
            let target = if packages {
                path.clone()
            } else {
                self.target(&path)
            };
            let identity = target.display().to_string();
            What::Link { target, identity }
        } else if !meta.is_file() {
            return Ok(());
        } else if meta.len() > LARGEST_COPY {
            let identity = format!("{}:{:?}", meta.len(), meta.modified().ok());
            let target = path.clone();
            What::Link { target, identity }
        } else {
            What::File(meta)
        };
        self.add(&path, counts, what)
    }

    fn add(&mut self, path: &Path, counts: bool, what: What) -> Result<(), SnapshotError> {
        let project = self.relevance.project();
        if self.found.len() == MOST_FILES {
            return Err(SnapshotError::TooMany(project.to_owned()));
        }
        if let Ok(relative) = path.strip_prefix(project) {
            self.found.push(Found {
                relative: relative.to_owned(),
                counts,
                what,
            });
        }
        Ok(())
    }

    /// What a link to a folder says in the copy: the same when that leads to a folder that is
    /// copied too, otherwise where the link is.
    fn target(&self, link: &Path) -> PathBuf {
        let copied = |folder: &Path| self.relevance.of(folder, Kind::Folder) != Place::LeftOut;
        match (fs::read_link(link), link.canonicalize()) {
            (Ok(text), Ok(folder)) if text.is_relative() && copied(&folder) => text,
            _ => link.to_owned(),
        }
    }
}

fn entry_folder(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// `None` when it is not there any more, or when links lead in a circle.
fn present<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, SnapshotError> {
    let circle = rustix::io::Errno::LOOP.raw_os_error();
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) || error.raw_os_error() == Some(circle) =>
        {
            Ok(None)
        }
        Err(error) => Err(read(path)(error)),
    }
}
