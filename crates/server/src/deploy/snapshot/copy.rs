//! Writing a copy of a project's tree.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{PermissionsExt, symlink},
    path::{Path, PathBuf},
};

use super::{
    error::{SnapshotError, write},
    hashes::{Hash, Stamp, hash_of},
};

/// One entry of a copy that is to be written.
pub(super) struct Planned {
    pub(super) relative: PathBuf,
    pub(super) what: Content,
}

pub(super) enum Content {
    /// A file with exactly this content.
    Exact(Stamp, Hash),
    /// A file as it happens to be, or none when it cannot be read.
    Any(Stamp),
    /// A link that says this.
    Link(PathBuf),
}

/// How a copy turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// It is exactly what was planned.
    Exactly,
    /// The project is another now.
    Outdated,
}

/// Writes a copy of `project` to `root`, which appears whole or not at all. `complete` adds to the
/// folder that becomes it.
pub(super) fn copy(
    project: &Path,
    plan: &[Planned],
    root: &Path,
    complete: impl FnOnce(&Path) -> Result<(), SnapshotError>,
) -> Result<Copied, SnapshotError> {
    let folder = root.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(write(folder))?;
    let building = tempfile::Builder::new()
        .prefix(".building-")
        .tempdir_in(folder)
        .map_err(write(folder))?;
    let mut parent = PathBuf::new();
    for planned in plan {
        let to = building.path().join(&planned.relative);
        if let Some(needed) = to.parent()
            && needed != parent
        {
            fs::create_dir_all(needed).map_err(write(needed))?;
            parent = needed.to_owned();
        }
        if one(&project.join(&planned.relative), &planned.what, &to)? == Copied::Outdated {
            return Ok(Copied::Outdated);
        }
    }
    complete(building.path())?;
    fs::rename(building.path(), root).map_err(write(root))?;
    // It has another name now; there is nothing to clean up.
    let _ = building.keep();
    Ok(Copied::Exactly)
}

fn one(from: &Path, what: &Content, to: &Path) -> Result<Copied, SnapshotError> {
    match what {
        Content::Link(target) => symlink(target, to).map_err(write(to))?,
        Content::Any(stamp) => {
            if let Err(error) = copy_file(from, *stamp, to) {
                tracing::debug!(path = %from.display(), %error, "a file was not copied");
                let _ = fs::remove_file(to);
            }
        }
        Content::Exact(stamp, hash) => {
            match copy_file(from, *stamp, to) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Copied::Outdated);
                }
                Err(error) => return Err(write(to)(error)),
            }
            if !is_exactly(from, *stamp, *hash, to).map_err(write(to))? {
                return Ok(Copied::Outdated);
            }
        }
    }
    Ok(Copied::Exactly)
}

/// A copy of its own: what writes to it changes no other version. It is marked as not to be
/// written to, since the next version would not have what is written.
fn copy_file(from: &Path, stamp: Stamp, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    let mode = if stamp.is_executable() { 0o555 } else { 0o444 };
    fs::set_permissions(to, Permissions::from_mode(mode))
}

fn is_exactly(from: &Path, stamp: Stamp, hash: Hash, to: &Path) -> io::Result<bool> {
    let same_stamp = fs::metadata(from).is_ok_and(|meta| Stamp::of(&meta) == stamp);
    Ok(same_stamp && (stamp.is_settled() || hash_of(to, stamp)? == hash))
}
