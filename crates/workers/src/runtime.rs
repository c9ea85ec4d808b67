//! The JavaScript side, embedded in the binary and unpacked where Node can read it.

use std::{
    borrow::Cow,
    fs,
    io::{self, Write},
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
        // On disk before the rename is: after a power cut the name must not stand for less.
        let mut written = fs::File::create(place)?;
        written.write_all(&file.data)?;
        written.sync_all()?;
    }
    match fs::rename(beside.path(), &target) {
        // Another process was faster: its files are the same.
        Err(_) if bootstrap.is_file() => Ok(bootstrap),
        Err(error) => Err(error),
        Ok(()) => Ok(bootstrap),
    }
}

/// The types of the `wakeful` module, for editors: the text of a `.d.ts` file.
pub fn module_types() -> Cow<'static, [u8]> {
    NodeFiles::get("wakeful.d.ts").map_or_else(Cow::default, |file| file.data)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_installed_once_and_whole() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("state");
        let first = install_runtime(&inner).unwrap();
        assert!(
            first.is_file() && first.starts_with(&inner),
            "{}",
            first.display()
        );
        let worker = first.with_file_name("worker.js");
        assert_eq!(
            fs::read(&worker).unwrap(),
            *NodeFiles::get("worker.js").unwrap().data
        );
        assert!(
            !first.with_file_name("test").exists(),
            "tests are not part of it"
        );
        fs::write(&worker, "changed").unwrap();
        assert_eq!(install_runtime(&inner).unwrap(), first);
        assert_eq!(
            fs::read(&worker).unwrap(),
            b"changed",
            "what is there stays"
        );
        assert_eq!(
            fs::read_dir(&inner).unwrap().count(),
            1,
            "nothing is left beside it"
        );
    }

    #[test]
    fn several_servers_may_install_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let install = || install_runtime(folder.path()).unwrap();
        let paths = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(install)).collect();
            let joined = threads.into_iter().map(|thread| thread.join().unwrap());
            joined.collect::<Vec<_>>()
        });
        assert!(paths.iter().all(|path| *path == paths[0] && path.is_file()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
