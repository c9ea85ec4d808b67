//! Made-up machines for tests: a PATH of shell scripts, and a progress that is written down.

use std::{
    ffi::OsString,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Mutex,
    time::Duration,
};

use tempfile::TempDir;

use crate::progress::Progress;

/// A folder with programs and a cache.
pub(crate) struct Machine {
    folder: TempDir,
}

impl Machine {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Self { folder }
    }

    /// Adds a program to PATH: the text of a shell script.
    pub(crate) fn program(self, name: &str, script: &str) -> Self {
        write_program(&self.bin().join(name), script);
        self
    }

    /// Adds a Node that says this version.
    pub(crate) fn node(self, name: &str, version: &str) -> Self {
        self.program(name, &node_script(version))
    }

    pub(crate) fn bin(&self) -> PathBuf {
        self.folder.path().join("bin")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.folder.path().join("cache")
    }

    pub(crate) fn path(&self) -> OsString {
        self.bin().into_os_string()
    }

    /// All files below the cache, relative to it.
    pub(crate) fn cached(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.cache()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    files.push(entry.path().strip_prefix(self.cache()).unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }
}

/// A script that answers `--version` and `-p process.execPath` as Node does.
pub(crate) fn node_script(version: &str) -> String {
    format!("case \"$1\" in --version) echo v{version};; -p) echo \"$0\";; esac")
}

pub(crate) fn write_program(file: &Path, script: &str) {
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    // Written under another name first: a file that a child of another test still holds open for
    // writing cannot be started.
    let draft = file.with_extension("draft");
    fs::write(&draft, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, file).unwrap();
}

/// Writes down what it hears.
#[derive(Default)]
pub(crate) struct Heard(Mutex<Vec<String>>);

impl Heard {
    pub(crate) fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Progress for Heard {
    fn started(&self, what: &str) {
        self.0.lock().unwrap().push(what.to_owned());
    }

    fn step(&self, text: &str) {
        self.0.lock().unwrap().push(text.to_owned());
    }

    fn done(&self, _: Duration) {
        self.0.lock().unwrap().push("done".to_owned());
    }
}
