//! Takes files out of an npm package's tarball, and lets nothing of it out of the folder.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Component, Path, PathBuf},
};

use base64::prelude::{BASE64_STANDARD, Engine};
use flate2::read::GzDecoder;
use sha2::{Digest, Sha512};
use tar::{Archive, EntryType};

use crate::limits;

/// Which files of a package are wanted. Paths are those inside its `package/` folder.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Wanted {
    /// All of them.
    All,
    /// These.
    Only(&'static [&'static str]),
}

/// The integrity of a file, as npm writes it: `sha512-` and base64.
pub(crate) fn integrity(tarball: &Path) -> io::Result<String> {
    let mut hash = HashWriter(Sha512::new());
    io::copy(&mut File::open(tarball)?, &mut hash)?;
    let digest = BASE64_STANDARD.encode(hash.0.finalize());
    Ok(format!("sha512-{digest}"))
}

struct HashWriter(Sha512);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Unpacks regular files of a tarball into a folder. Links and devices are not made: npm packages
/// have none. An error when a path leads out, when it is too much, or when a wanted file is not
/// there.
pub(crate) fn unpack(tarball: &Path, into: &Path, wanted: Wanted) -> io::Result<()> {
    let mut archive = Archive::new(GzDecoder::new(File::open(tarball)?));
    let (mut files, mut bytes) = (0, 0);
    for entry in archive.entries()? {
        let mut entry = entry?;
        if entry.header().entry_type() != EntryType::Regular {
            continue;
        }
        let inside = inside(&entry.path()?)?;
        if let Wanted::Only(paths) = wanted
            && !paths.iter().any(|path| Path::new(path) == inside)
        {
            continue;
        }
        files += 1;
        bytes += entry.size();
        if files > limits::UNPACKED_FILES || bytes > limits::UNPACKED_BYTES {
            return Err(io::Error::other(format!(
                "it holds more than {} files or {} bytes",
                limits::UNPACKED_FILES,
                limits::UNPACKED_BYTES
            )));
        }
        let executable = entry.header().mode()? & 0o111 != 0;
        write(&mut entry, &into.join(&inside), executable)?;
    }
    if let Wanted::Only(paths) = wanted
        && let Some(missing) = paths.iter().find(|path| !into.join(path).is_file())
    {
        return Err(io::Error::other(format!("it has no file {missing}")));
    }
    Ok(())
}

/// A path without its first folder (`package`, but old packages have other names for it).
fn inside(path: &Path) -> io::Result<PathBuf> {
    let leads_out = || io::Error::other(format!("it holds the unsafe path {}", path.display()));
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(part) => parts.push(part),
            Component::CurDir => {}
            _ => return Err(leads_out()),
        }
    }
    if parts.len() < 2 {
        return Err(leads_out());
    }
    Ok(parts[1..].iter().collect())
}

fn write(from: &mut impl io::Read, to: &Path, executable: bool) -> io::Result<()> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(if executable { 0o755 } else { 0o644 })
        .open(to)?;
    io::copy(from, &mut file)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use flate2::{Compression, write::GzEncoder};
    use tar::{Builder, Header};

    use super::*;

    /// A tarball of files with these raw paths (not checked, unlike by `tar` itself).
    fn tarball(folder: &Path, files: &[(&str, EntryType, u32, &str)]) -> PathBuf {
        let path = folder.join("p.tgz");
        let file = File::create(&path).unwrap();
        let mut builder = Builder::new(GzEncoder::new(file, Compression::fast()));
        for (name, kind, mode, content) in files {
            let mut header = Header::new_gnu();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(*mode);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        path
    }

    fn check(
        files: &[(&str, EntryType, u32, &str)],
        wanted: Wanted,
        expected: Result<&[&str], &str>,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("into");
        fs::create_dir(&into).unwrap();
        let done = unpack(&tarball(folder.path(), files), &into, wanted);
        match (done, expected) {
            (Ok(()), Ok(paths)) => {
                for path in paths {
                    assert!(into.join(path).is_file(), "{path}");
                }
                assert_eq!(fs::read_dir(&into).unwrap().count(), paths.len());
            }
            (Err(error), Err(part)) => {
                assert!(error.to_string().contains(part), "{error}");
            }
            (got, wanted) => panic!("{got:?} is not {wanted:?}"),
        }
        assert!(!folder.path().join("out").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn wanted_files_come_out_and_nothing_leads_out() {
        use EntryType::{Regular, Symlink};
        let a = ("package/a", Regular, 0o644, "A");
        let b = ("package/b", Regular, 0o755, "B");
        check(&[a, b], Wanted::All, Ok(&["a", "b"]));
        check(&[a, b], Wanted::Only(&["b"]), Ok(&["b"]));
        check(&[a], Wanted::Only(&["b"]), Err("no file b"));
        check(
            &[("package/l", Symlink, 0o644, ""), a],
            Wanted::All,
            Ok(&["a"]),
        );
        for unsafe_path in ["../out", "package/../../out", "/out", "package/../out"] {
            let bad = (unsafe_path, Regular, 0o644, "X");
            check(&[bad], Wanted::All, Err("unsafe path"));
        }
        check(&[a, a], Wanted::All, Err("exists"));
    }

    #[test]
    fn programs_stay_executable_and_nothing_else_does() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let into = folder.path().join("into");
        let files = [
            ("package/bin/x", EntryType::Regular, 0o4755, "A"),
            ("package/y", EntryType::Regular, 0o666, "B"),
        ];
        unpack(&tarball(folder.path(), &files), &into, Wanted::All).unwrap();
        let mode = |path: &str| into.join(path).metadata().unwrap().permissions().mode();
        assert_eq!(mode("bin/x") & 0o6111, 0o111);
        assert_eq!(mode("y") & 0o6111, 0);
    }

    #[test]
    fn integrity_is_written_as_npm_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("f");
        fs::write(&file, "abc").unwrap();
        assert_eq!(
            integrity(&file).unwrap(),
            "sha512-3a81oZNherrMQXNJriBBMRLm+k6JqX6iCp7u5ktV05ohkpkqJ0/BqDa6PCOj/uu9RU1EI2Q86A4qmslPpUyknw=="
        );
    }
}
