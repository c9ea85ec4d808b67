//! The JavaScript side, embedded in the binary and unpacked where Node can read it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rust_embed::RustEmbed;
use sha2::{Digest, Sha256};

#[derive(RustEmbed)]
#[folder = "../../runtime/node/"]
#[exclude = "test/**"]
#[exclude = "tests/**"]
#[exclude = "node_modules/**"]
#[exclude = "package-lock.json"]
struct NodeFiles;

/// Writes the embedded runtime into `<folder>/runtime-<hash of its content>/`, unless it is
/// there, and returns the path of its `bootstrap.js`. What stands under that name is always
/// whole: it is written beside and renamed.
pub fn install_runtime(folder: &Path) -> io::Result<PathBuf> {
    let target = folder.join(format!("runtime-{}", content_hash()));
    let bootstrap = target.join("bootstrap.js");
    if bootstrap.is_file() {
        return Ok(bootstrap);
    }
    fs::create_dir_all(folder)?;
    let beside = tempfile::Builder::new()
        .prefix(".runtime-")
        .tempdir_in(folder)?;
    for path in NodeFiles::iter() {
        let Some(file) = NodeFiles::get(&path) else {
            continue;
        };
        let place = beside.path().join(&*path);
        if let Some(parent) = place.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(place, &file.data)?;
    }
    match fs::rename(beside.path(), &target) {
        // Another process was faster: its files are the same.
        Err(_) if bootstrap.is_file() => Ok(bootstrap),
        Err(error) => Err(error),
        Ok(()) => Ok(bootstrap),
    }
}

/// Twelve hexadecimal digits that change with any embedded file.
fn content_hash() -> String {
    let mut paths: Vec<_> = NodeFiles::iter().collect();
    paths.sort();
    let mut hash = Sha256::new();
    for path in paths {
        let Some(file) = NodeFiles::get(&path) else {
            continue;
        };
        hash.update((path.len() as u64).to_le_bytes());
        hash.update(path.as_bytes());
        hash.update((file.data.len() as u64).to_le_bytes());
        hash.update(&file.data);
    }
    hex::encode(&hash.finalize()[..6])
}
