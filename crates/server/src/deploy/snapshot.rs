//! Immutable copies of a project's code.
//!
//! A version runs from a copy, so that what works goes on working while its files are edited, a
//! worker that is started later runs the same code, and a half-saved file never runs. Each file's
//! content is kept once (`blobs/`, by its hash); a copy of the tree is hard links to them. Files
//! that are no code are carried along, except large ones, which are linked to where they are, and
//! `node_modules`, which is linked as a whole: packages change by installing, not by editing.

use std::{
    collections::HashMap,
    fs, io,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::SystemTime,
};

use ignore::WalkBuilder;
use sha2::{Digest, Sha256};

/// Files above this size, in bytes, are linked to instead of copied.
const LARGEST_COPY: u64 = 4 * 1024 * 1024;
/// More files than this are no project but a mistake, such as a home folder.
const MOST_FILES: usize = 50_000;
/// Characters of a hash that name a version.
const NAME_LEN: usize = 12;

/// Folders that are never part of a version.
const LEFT_OUT: &[&str] = &[".git", ".hg", ".svn", ".wakeful", ".idea", ".vscode"];

/// Copies of one project's tree.
pub struct Snapshots {
    project: PathBuf,
    folder: PathBuf,
    /// Paths (databases, the data folder) whose changes are no changes of the code.
    left_out: Vec<PathBuf>,
    seen: HashMap<PathBuf, Seen>,
}

/// A file as it was when its content was hashed.
#[derive(Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    size: u64,
    inode: u64,
}

struct Seen {
    stamp: Stamp,
    hash: [u8; 32],
}

/// One copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Names the content: equal for equal trees.
    pub hash: String,
    /// Where it is.
    pub root: PathBuf,
}

/// Why no copy could be made.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder could not be read or written.
    #[error("{path}: {cause}", path = .path.display())]
    File {
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
    /// The tree could not be walked.
    #[error("the project's folder cannot be read: {0}")]
    Walk(#[from] ignore::Error),
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> SnapshotError + '_ {
    move |cause| SnapshotError::File {
        path: path.to_owned(),
        cause,
    }
}

enum Entry {
    Copied {
        relative: PathBuf,
        hash: [u8; 32],
        executable: bool,
    },
    Linked {
        relative: PathBuf,
        target: PathBuf,
        identity: String,
    },
}

impl Snapshots {
    /// Copies of `project`, kept in `folder`. What lies at `left_out` (absolute) is ignored.
    pub fn new(project: &Path, folder: &Path, left_out: Vec<PathBuf>) -> Self {
        Self {
            project: project.to_owned(),
            folder: folder.to_owned(),
            left_out,
            seen: HashMap::new(),
        }
    }

    /// Copies the tree as it is now; cheap when little changed, nothing when nothing did.
    pub fn take(&mut self) -> Result<Snapshot, SnapshotError> {
        let entries = self.entries()?;
        let hash = tree_hash(&entries);
        let root = self.folder.join(&hash);
        if !root.is_dir() {
            self.write(&entries, &root)?;
        }
        Ok(Snapshot { hash, root })
    }

    /// Removes all copies but these, and contents that no copy needs.
    pub fn keep_only(&self, kept: &[String]) {
        let Ok(folders) = fs::read_dir(&self.folder) else {
            return;
        };
        for entry in folders.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "blobs" && !kept.contains(&name) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
        let Ok(blobs) = fs::read_dir(self.folder.join("blobs")) else {
            return;
        };
        for blob in blobs.flatten() {
            if blob.metadata().is_ok_and(|meta| meta.nlink() == 1) {
                let _ = fs::remove_file(blob.path());
            }
        }
    }

    fn entries(&mut self) -> Result<Vec<Entry>, SnapshotError> {
        let left_out = self.left_out.clone();
        let walk = WalkBuilder::new(&self.project)
            .standard_filters(false)
            .follow_links(false)
            .sort_by_file_name(|a, b| a.cmp(b))
            .filter_entry(move |entry| !is_left_out(entry, &left_out))
            .build();
        let mut entries = Vec::new();
        for found in walk {
            let found = found?;
            let Some(kind) = found.file_type() else {
                continue;
            };
            let Ok(relative) = found.path().strip_prefix(&self.project) else {
                continue;
            };
            let relative = relative.to_owned();
            if kind.is_dir() && found.file_name() != "node_modules" {
                continue;
            }
            if entries.len() == MOST_FILES {
                return Err(SnapshotError::TooMany(self.project.clone()));
            }
            if let Some(entry) = self.entry(found.path(), relative)? {
                entries.push(entry);
            }
        }
        Ok(entries)
    }

    /// What a file, link or `node_modules` becomes in the copy; nothing when it vanished.
    fn entry(&mut self, path: &Path, relative: PathBuf) -> Result<Option<Entry>, SnapshotError> {
        let meta = match fs::metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path)(error)),
        };
        if meta.is_dir() {
            let target = path.to_owned();
            return Ok(Some(Entry::Linked {
                relative,
                target,
                identity: String::new(),
            }));
        }
        if !meta.is_file() {
            return Ok(None);
        }
        if meta.len() > LARGEST_COPY {
            let identity = format!("{}:{:?}", meta.len(), meta.modified().ok());
            return Ok(Some(Entry::Linked {
                relative,
                target: path.to_owned(),
                identity,
            }));
        }
        let executable = meta.permissions().mode() & 0o111 != 0;
        let hash = match self.content(path, &meta) {
            Ok(hash) => hash,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(at(path)(error)),
        };
        Ok(Some(Entry::Copied {
            relative,
            hash,
            executable,
        }))
    }

    /// The hash of a file's content, which is in `blobs` afterwards.
    fn content(&mut self, path: &Path, meta: &fs::Metadata) -> io::Result<[u8; 32]> {
        let stamp = Stamp {
            modified: meta.modified().ok(),
            size: meta.len(),
            inode: meta.ino(),
        };
        // A file that changed within the last moments may change again within the same tick of
        // the file system's clock: such a stamp proves nothing yet.
        let settled = stamp.modified.is_some_and(|at| {
            at.elapsed()
                .is_ok_and(|age| age > std::time::Duration::from_secs(2))
        });
        if settled
            && let Some(seen) = self.seen.get(path)
            && seen.stamp == stamp
        {
            return Ok(seen.hash);
        }
        let content = fs::read(path)?;
        let executable = meta.permissions().mode() & 0o111 != 0;
        let hash = digest(&content, executable);
        let blob = self.blob(&hash);
        if !blob.is_file() {
            let folder = self.folder.join("blobs");
            fs::create_dir_all(&folder)?;
            let mut file = tempfile::NamedTempFile::new_in(&folder)?;
            io::Write::write_all(&mut file, &content)?;
            let mode = if executable { 0o555 } else { 0o444 };
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode))?;
            file.persist(&blob)?;
        }
        self.seen.insert(path.to_owned(), Seen { stamp, hash });
        Ok(hash)
    }

    fn blob(&self, hash: &[u8; 32]) -> PathBuf {
        self.folder.join("blobs").join(hex::encode(hash))
    }

    fn write(&self, entries: &[Entry], root: &Path) -> Result<(), SnapshotError> {
        fs::create_dir_all(&self.folder).map_err(at(&self.folder))?;
        let building = tempfile::Builder::new()
            .prefix(".building-")
            .tempdir_in(&self.folder)
            .map_err(at(&self.folder))?;
        for entry in entries {
            let (Entry::Copied { relative, .. } | Entry::Linked { relative, .. }) = entry;
            let place = building.path().join(relative);
            if let Some(parent) = place.parent() {
                fs::create_dir_all(parent).map_err(at(parent))?;
            }
            match entry {
                Entry::Copied { hash, .. } => fs::hard_link(self.blob(hash), &place),
                Entry::Linked { target, .. } => symlink(target, &place),
            }
            .map_err(at(&place))?;
        }
        let built = building.keep();
        match fs::rename(&built, root) {
            Ok(()) => Ok(()),
            Err(_) if root.is_dir() => fs::remove_dir_all(&built).map_err(at(&built)),
            Err(error) => Err(at(root)(error)),
        }
    }
}

fn is_left_out(entry: &ignore::DirEntry, left_out: &[PathBuf]) -> bool {
    let name = entry.file_name().to_string_lossy();
    let is_folder = entry.file_type().is_some_and(|kind| kind.is_dir());
    let inside_packages = entry
        .path()
        .parent()
        .and_then(Path::file_name)
        .is_some_and(|parent| parent == "node_modules");
    (entry.depth() > 0 && is_folder && LEFT_OUT.contains(&name.as_ref()))
        || inside_packages
        || (!is_folder && (name.ends_with('~') || name.ends_with(".swp") || name == ".env"))
        || left_out.iter().any(|path| {
            entry
                .path()
                .as_os_str()
                .as_encoded_bytes()
                .starts_with(path.as_os_str().as_encoded_bytes())
        })
}

fn digest(content: &[u8], executable: bool) -> [u8; 32] {
    let mut hasher = Sha256::new();
    hasher.update([u8::from(executable)]);
    hasher.update(content);
    hasher.finalize().into()
}

fn tree_hash(entries: &[Entry]) -> String {
    let mut hasher = Sha256::new();
    for entry in entries {
        let (relative, content): (_, &[u8]) = match entry {
            Entry::Copied { relative, hash, .. } => (relative, hash),
            Entry::Linked {
                relative, identity, ..
            } => (relative, identity.as_bytes()),
        };
        hasher.update(relative.as_os_str().as_encoded_bytes());
        hasher.update(b"\0");
        hasher.update(content);
        hasher.update(b"\0");
        if let Entry::Copied { executable, .. } = entry {
            hasher.update([u8::from(*executable)]);
        }
    }
    hex::encode(hasher.finalize())[..NAME_LEN].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project() -> (tempfile::TempDir, Snapshots) {
        let folder = tempfile::tempdir().unwrap();
        let project = folder.path().join("p");
        for (path, text) in [
            ("functions/a.js", "exports.a = 1"),
            ("lib/shared.js", "module.exports = 2"),
            ("node_modules/x/index.js", "3"),
            (".git/HEAD", "ref"),
            ("data/shop.db", "rows"),
        ] {
            let path = project.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let left_out = vec![project.join("data/shop.db")];
        let snapshots = Snapshots::new(&project, &folder.path().join("versions"), left_out);
        (folder, snapshots)
    }

    #[test]
    fn a_copy_keeps_what_was_and_its_name_says_what() {
        let (folder, mut snapshots) = project();
        let file = folder.path().join("p/functions/a.js");
        let first = snapshots.take().unwrap();
        assert_eq!(snapshots.take().unwrap(), first);
        fs::write(&file, "exports.a = 2").unwrap();
        let second = snapshots.take().unwrap();
        assert_ne!(first.hash, second.hash);
        let text =
            |snapshot: &Snapshot| fs::read_to_string(snapshot.root.join("functions/a.js")).unwrap();
        assert_eq!(
            (text(&first), text(&second)),
            ("exports.a = 1".into(), "exports.a = 2".into())
        );
        fs::write(&file, "exports.a = 1").unwrap();
        assert_eq!(snapshots.take().unwrap(), first);
    }

    #[test]
    fn packages_are_linked_and_data_is_left_out() {
        let (folder, mut snapshots) = project();
        let first = snapshots.take().unwrap();
        assert!(first.root.join("node_modules").is_symlink());
        assert_eq!(
            fs::read_to_string(first.root.join("node_modules/x/index.js")).unwrap(),
            "3"
        );
        assert!(!first.root.join(".git").exists());
        assert!(!first.root.join("data/shop.db").exists());
        fs::write(folder.path().join("p/data/shop.db"), "more rows").unwrap();
        fs::write(folder.path().join("p/data/shop.db-wal"), "wal").unwrap();
        assert_eq!(snapshots.take().unwrap(), first);
    }

    #[test]
    fn old_copies_go() {
        let (folder, mut snapshots) = project();
        let first = snapshots.take().unwrap();
        fs::write(folder.path().join("p/functions/a.js"), "new").unwrap();
        let second = snapshots.take().unwrap();
        snapshots.keep_only(std::slice::from_ref(&second.hash));
        assert!(!first.root.exists() && second.root.exists());
        assert_eq!(
            fs::read_dir(folder.path().join("versions/blobs"))
                .unwrap()
                .count(),
            2
        );
    }
}
