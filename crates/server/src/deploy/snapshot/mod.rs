//! Immutable copies of a project's code.
//!
//! A version runs from a copy, so that what works goes on working while its files are edited, a
//! worker that is started later runs the same code, and a half-saved file never runs. Files that
//! are no code are carried along, except large ones, which are linked to where they are, and
//! `node_modules`, which is linked as a whole: packages change by installing, not by editing.
//! TypeScript lies in a copy as it was written, with what it was compiled to in a folder apart.

mod copy;
mod error;
mod hashes;
mod walk;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
};

use sha2::{Digest, Sha256};
use wakeful_typescript::{Compiler, File, Place};

pub use error::SnapshotError;

use self::{
    copy::{Content, Copied, Planned, copy},
    error::{read, write},
    hashes::{Hash, Hashes, Stamp},
    walk::{Found, What, walk},
};
use super::relevance::Relevance;

/// Characters of a hash that name a copy.
const NAME_LEN: usize = 12;
/// Copies that are begun, while files change all the time.
const ATTEMPTS: usize = 5;

/// Copies of one project's tree.
pub struct Snapshots {
    relevance: Relevance,
    folder: PathBuf,
    hashes: Hashes,
    compiler: Compiler,
}

/// One copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Names the code: equal for equal trees.
    pub hash: String,
    /// Where it is.
    pub root: PathBuf,
    /// What counts, sorted.
    files: Vec<(PathBuf, Hash)>,
}

impl Snapshot {
    /// Names the code below a folder of the project alone, with what all TypeScript is compiled by.
    pub fn hash_below(&self, folder: &Path) -> String {
        let folder = plain(folder);
        let counts = |path: &Path| path.starts_with(&folder) || configures(path);
        tree_hash(self.files.iter().filter(|(path, _)| counts(path)))
    }
}

impl Snapshots {
    /// Copies kept in `folder`, which is emptied: nothing that an earlier server left there,
    /// perhaps half-written, is trusted.
    pub fn open(relevance: Relevance, folder: &Path) -> Result<Self, SnapshotError> {
        match fs::remove_dir_all(folder) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(write(folder)(error)),
        }
        Ok(Self {
            relevance,
            folder: folder.to_owned(),
            hashes: Hashes::default(),
            compiler: Compiler::default(),
        })
    }

    /// Copies the tree as it is now; cheap when nothing changed.
    pub fn take(&mut self) -> Result<Snapshot, SnapshotError> {
        for _ in 0..ATTEMPTS {
            let (plan, files) = self.plan()?;
            let hash = tree_hash(files.iter());
            let root = self.folder.join(&hash);
            if root.is_dir() || self.copy(&plan, &root)? == Copied::Exactly {
                return Ok(Snapshot { hash, root, files });
            }
        }
        Err(SnapshotError::Restless(self.relevance.project().to_owned()))
    }

    /// Removes all copies but these.
    pub fn keep_only(&self, kept: &BTreeSet<PathBuf>) {
        let Ok(folders) = fs::read_dir(&self.folder) else {
            return;
        };
        for copy in folders.flatten().map(|entry| entry.path()) {
            if !kept.contains(&copy)
                && let Err(error) = fs::remove_dir_all(&copy)
            {
                tracing::warn!(path = %copy.display(), %error, "old code cannot be removed");
            }
        }
    }

    fn copy(&mut self, plan: &[Planned], root: &Path) -> Result<Copied, SnapshotError> {
        let project = self.relevance.project();
        copy(project, plan, root, |building| {
            let files = plan.iter().filter_map(|planned| match planned.what {
                Content::Exact(_, hash) => Some(File {
                    path: &planned.relative,
                    hash,
                }),
                Content::Any(_) | Content::Link(_) => None,
            });
            let place = Place {
                copy: building,
                project,
            };
            let compiled = self
                .compiler
                .compile(place, root, &files.collect::<Vec<_>>());
            compiled.map_err(|error| SnapshotError::Write {
                path: error.path,
                cause: error.cause,
            })
        })
    }

    /// What a copy of the present tree holds, and what of it counts.
    #[expect(clippy::type_complexity, reason = "two lists, taken apart at once")]
    fn plan(&mut self) -> Result<(Vec<Planned>, Vec<(PathBuf, Hash)>), SnapshotError> {
        let (mut plan, mut files) = (Vec::new(), Vec::new());
        for found in walk(&self.relevance)? {
            let Some((what, hash)) = self.look_at(&found)? else {
                continue;
            };
            let Found { relative, .. } = found;
            if let Some(hash) = hash {
                files.push((relative.clone(), hash));
            }
            plan.push(Planned { relative, what });
        }
        self.hashes.sweep(files.len());
        Ok((plan, files))
    }

    /// What an entry becomes, and its hash if it counts; nothing when it vanished.
    fn look_at(&mut self, found: &Found) -> Result<Option<(Content, Option<Hash>)>, SnapshotError> {
        Ok(Some(match &found.what {
            What::Link { target, identity } => {
                let hash = || Sha256::digest(format!("link {identity}")).into();
                (Content::Link(target.clone()), found.counts.then(hash))
            }
            What::File(meta) if !found.counts => (Content::Any(Stamp::of(meta)), None),
            What::File(meta) => {
                let path = self.relevance.project().join(&found.relative);
                let stamp = Stamp::of(meta);
                match self.hashes.of(&path, stamp) {
                    Ok(hash) => (Content::Exact(stamp, hash), Some(hash)),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                    Err(error) => return Err(read(&path)(error)),
                }
            }
        }))
    }
}

/// A relative path without `.`.
fn plain(path: &Path) -> PathBuf {
    let named = |part: &Component<'_>| *part != Component::CurDir;
    path.components().filter(named).collect()
}

/// Whether it is a `tsconfig.json`, or a name that people give to what one extends.
fn configures(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with("tsconfig") && name.ends_with(".json"))
}

fn tree_hash<'a>(files: impl Iterator<Item = &'a (PathBuf, Hash)>) -> String {
    let mut hasher = Sha256::new();
    for (path, hash) in files {
        hasher.update(path.as_os_str().as_encoded_bytes());
        hasher.update(b"\0");
        hasher.update(hash);
    }
    hex::encode(hasher.finalize())[..NAME_LEN].to_owned()
}

#[cfg(test)]
mod tests;
