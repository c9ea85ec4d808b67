//! Which files of a project belong to its code.
//!
//! What is left out is neither copied into a version nor watched: data, repositories, `.env`.
//! What is carried goes along in a copy, since code may read it, but makes no new version: notes,
//! logs, what editors leave behind. Otherwise a log written into the project would restart all
//! functions, which would write to the log.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use parking_lot::RwLock;
use rustix::fs::{FileType, fstat};

use crate::options::MANIFEST;

/// Where `dev` looks up variables.
const DOT_ENV: &str = ".env";
/// What SQLite puts beside a database.
const SIDECARS: [&str; 3] = ["-wal", "-shm", "-journal"];
const CARRIED_SUFFIXES: [&str; 5] = [".md", ".log", ".tmp", ".swp", "~"];
const CARRIED_FOLDER: &str = "coverage";

/// What a file or folder is to a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Part of its identity.
    Code,
    /// Copied, but makes no difference.
    Carried,
    /// No part of it.
    LeftOut,
}

/// Whether a path is that of a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A file, or a link to one.
    File,
    /// A folder, or a link to one.
    Folder,
}

/// Knows a project's files apart. Cheap to clone; clones learn together.
#[derive(Clone)]
pub struct Relevance(Arc<Shared>);

struct Shared {
    project: PathBuf,
    data: PathBuf,
    output: Vec<FileId>,
    learned: RwLock<Learned>,
}

/// Device and inode.
type FileId = (u64, u64);

/// What the manifest says, and may say differently later.
#[derive(Default)]
struct Learned {
    databases: Vec<PathBuf>,
    /// Relative folders that hold code though their names speak against it, such as `.output`.
    named: BTreeSet<PathBuf>,
}

impl Relevance {
    /// For the project in a folder, with the server's state in `data`; both absolute.
    pub fn new(project: &Path, data: &Path) -> Self {
        Self::with_output(project, data, own_output())
    }

    fn with_output(project: &Path, data: &Path, output: Vec<FileId>) -> Self {
        Self(Arc::new(Shared {
            project: project.to_owned(),
            data: data.to_owned(),
            output,
            learned: RwLock::default(),
        }))
    }

    /// These files are databases, with what SQLite puts beside them; absolute.
    pub fn set_databases(&self, files: impl IntoIterator<Item = PathBuf>) {
        let files = files.into_iter().map(|file| real(&file)).collect();
        self.0.learned.write().databases = files;
    }

    /// Functions have their code here, relative to the project.
    pub fn set_code<'a>(&self, paths: impl IntoIterator<Item = &'a Path>) {
        let named = paths.into_iter().flat_map(odd_folders).collect();
        self.0.learned.write().named = named;
    }

    /// The project's folder.
    pub fn project(&self) -> &Path {
        &self.0.project
    }

    /// What the file or folder at an absolute path is to a version.
    pub fn of(&self, path: &Path, kind: Kind) -> Place {
        let Ok(relative) = path.strip_prefix(&self.0.project) else {
            return Place::LeftOut;
        };
        let learned = self.0.learned.read();
        if path.starts_with(&self.0.data) || learned.databases.iter().any(|db| is_of(path, db)) {
            return Place::LeftOut;
        }
        if kind == Kind::File && relative == Path::new(MANIFEST) {
            // What it says of a function is part of the function's version by itself.
            return Place::Carried;
        }
        if learned
            .named
            .iter()
            .any(|named| named.starts_with(relative))
        {
            return Place::Code;
        }
        let within = learned
            .named
            .iter()
            .filter_map(|named| relative.strip_prefix(named).ok())
            .min_by_key(|rest| rest.components().count());
        by_name(within.unwrap_or(relative), kind)
    }

    /// Whether a file is where this server's own output goes: what it says about a reload must not
    /// set off the next one.
    pub fn is_output(&self, meta: &Metadata) -> bool {
        self.0.output.contains(&(meta.dev(), meta.ino()))
    }

    /// Whether a change at this absolute path, where a file or a folder is or was, asks for
    /// another look at the project.
    pub fn raises_change(&self, path: &Path) -> bool {
        let read_at_the_root = [MANIFEST, DOT_ENV].map(|name| self.0.project.join(name));
        if read_at_the_root.iter().any(|read| read == path) {
            return true;
        }
        let mut kinds = [Kind::File, Kind::Folder].into_iter();
        let is_output = || fs::metadata(path).is_ok_and(|meta| self.is_output(&meta));
        kinds.all(|kind| self.of(path, kind) == Place::Code)
            && (self.0.output.is_empty() || !is_output())
    }
}

/// The files that standard output and standard error go to, if they go to files.
fn own_output() -> Vec<FileId> {
    let files = [fstat(io::stdout()), fstat(io::stderr())]
        .into_iter()
        .flatten();
    files
        .filter(|file| FileType::from_raw_mode(file.st_mode) == FileType::RegularFile)
        .map(|file| (file.st_dev, file.st_ino))
        .collect()
}

/// What all names on a relative path say together.
fn by_name(relative: &Path, kind: Kind) -> Place {
    let mut names = relative.components().peekable();
    let mut place = Place::Code;
    while let Some(component) = names.next() {
        let is_last = names.peek().is_none();
        let found = match kind {
            Kind::File if is_last => file_by_name(component.as_os_str()),
            _ => folder_by_name(component.as_os_str()),
        };
        place = place.max(found);
    }
    place
}

fn folder_by_name(name: &OsStr) -> Place {
    let name = name.to_string_lossy();
    if name.starts_with('.') || name == "node_modules" {
        Place::LeftOut
    } else if name == CARRIED_FOLDER {
        Place::Carried
    } else {
        Place::Code
    }
}

fn file_by_name(name: &OsStr) -> Place {
    let name = name.to_string_lossy();
    if name == DOT_ENV {
        Place::LeftOut
    } else if name.starts_with('.')
        || name.starts_with("LICENSE")
        || CARRIED_SUFFIXES.iter().any(|suffix| name.ends_with(suffix))
    {
        Place::Carried
    } else {
        Place::Code
    }
}

/// The folders on the way to a function's code that would not count by their names.
fn odd_folders(code: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folder = PathBuf::new();
    for component in code.components() {
        let Component::Normal(name) = component else {
            continue;
        };
        folder.push(name);
        if folder_by_name(name) != Place::Code && name != "node_modules" {
            found.push(folder.clone());
        }
    }
    found
}

fn is_of(path: &Path, database: &Path) -> bool {
    let beside = |sidecar: &str| {
        let mut file = database.as_os_str().to_owned();
        file.push(sidecar);
        path.as_os_str() == file
    };
    path == database || SIDECARS.iter().any(|sidecar| beside(sidecar))
}

/// A path without links and `..`, though the file itself need not be there.
fn real(path: &Path) -> PathBuf {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return path.to_owned();
    };
    folder
        .canonicalize()
        .map_or_else(|_| path.components().collect(), |folder| folder.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn relevance() -> Relevance {
        let relevance = Relevance::new(Path::new("/p"), Path::new("/p/data"));
        relevance.set_databases([PathBuf::from("/p/./shop.db")]);
        relevance
    }

    fn check(relevance: &Relevance, kind: Kind, place: Place, paths: &[&str]) {
        for path in paths {
            let found = relevance.of(&Path::new("/p").join(path), kind);
            assert_eq!(found, place, "{path}");
        }
    }

    #[test]
    fn data_is_left_out_by_whole_names() {
        let relevance = relevance();
        check(
            &relevance,
            Kind::Folder,
            Place::LeftOut,
            &["data", "data/objects"],
        );
        check(
            &relevance,
            Kind::Folder,
            Place::Code,
            &["database", "data2"],
        );
        let left_out = [
            "data/x.js",
            "shop.db",
            "shop.db-wal",
            "shop.db-shm",
            "shop.db-journal",
        ];
        check(&relevance, Kind::File, Place::LeftOut, &left_out);
        let code = [
            "data.js",
            "database/a.js",
            "shop.db.js",
            "shop.db-wal2",
            "sub/shop.db",
        ];
        check(&relevance, Kind::File, Place::Code, &code);
    }

    #[test]
    fn notes_and_logs_are_carried() {
        let relevance = relevance();
        let carried = [
            "README.md",
            "lib/notes.md",
            "out.log",
            "a.js.swp",
            "a.js~",
            "x.tmp",
            "LICENSE",
            "LICENSE-MIT",
            ".gitignore",
            "coverage/index.html",
            "wakeful.toml",
        ];
        check(&relevance, Kind::File, Place::Carried, &carried);
        let code = [
            "a.js",
            "lib/wakeful.toml",
            "package-lock.json",
            "x.env",
            "log.js",
        ];
        check(&relevance, Kind::File, Place::Code, &code);
        check(
            &relevance,
            Kind::File,
            Place::LeftOut,
            &[".env", ".git/HEAD", "node_modules/x.js"],
        );
    }

    #[test]
    fn code_in_an_odd_folder_counts() {
        let relevance = relevance();
        check(
            &relevance,
            Kind::File,
            Place::LeftOut,
            &[".output/server/chunk.js"],
        );
        relevance.set_code([Path::new(".output/server/index.mjs"), Path::new("f.js")]);
        check(
            &relevance,
            Kind::Folder,
            Place::Code,
            &[".output", ".output/server"],
        );
        check(
            &relevance,
            Kind::File,
            Place::Code,
            &[".output/server/chunk.js"],
        );
        check(&relevance, Kind::File, Place::Carried, &[".output/a.md"]);
        check(
            &relevance,
            Kind::File,
            Place::LeftOut,
            &[".git/HEAD", ".output/.x/y.js"],
        );
    }

    #[test]
    fn changes_are_those_of_code_and_of_what_a_reload_reads() {
        let relevance = relevance();
        for (path, raises) in [
            ("a.js", true),
            ("new-folder", true),
            ("wakeful.toml", true),
            (".env", true),
            ("lib/.env", false),
            ("node_modules", false),
            ("f/node_modules/x/index.js", false),
            (".git/index", false),
            ("coverage", false),
            ("out.log", false),
            ("shop.db-wal", false),
            ("data/store.db", false),
        ] {
            let found = relevance.raises_change(&Path::new("/p").join(path));
            assert_eq!(found, raises, "{path}");
        }
    }

    #[test]
    fn what_the_server_itself_writes_raises_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let files = ["out.txt", "a.js"].map(|name| folder.path().join(name));
        for file in &files {
            fs::write(file, "1").unwrap();
        }
        let meta = fs::metadata(&files[0]).unwrap();
        let output = vec![(meta.dev(), meta.ino())];
        let data = folder.path().join("data");
        let relevance = Relevance::with_output(folder.path(), &data, output);
        assert!(relevance.is_output(&meta));
        assert_eq!(
            files.map(|file| relevance.raises_change(&file)),
            [false, true]
        );
    }
}
