//! Packages that tests bring with npm and pip, into a folder below `target`.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Tests run side by side, and each asks for what it needs: one of them installs it.
static INSTALLING: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    INSTALLING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The folder `node_modules` with this package (`name@version`), for the tests called `whose`.
pub fn npm(whose: &str, package: &str) -> PathBuf {
    let folder = folder(whose).join("npm");
    let modules = folder.join("node_modules");
    install(&folder, package, || {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts"]);
        run(npm.arg("--prefix").arg(&folder).arg(package));
    });
    modules
}

/// The folder with the programs of a virtual environment that has these packages
/// (`name==version`).
pub fn pip(whose: &str, packages: &[&str]) -> PathBuf {
    let venv = folder(whose).join("pip");
    install(&venv, &packages.join(" "), || {
        run(Command::new("python3").args(["-m", "venv"]).arg(&venv));
        let mut pip = Command::new(venv.join("bin/python"));
        run(pip.args(["-m", "pip", "install", "--quiet"]).args(packages));
    });
    venv.join("bin")
}

fn folder(whose: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(whose)
}

/// Installs into `folder` unless that was done to its end before.
fn install(folder: &Path, what: &str, work: impl FnOnce()) {
    let _alone = alone();
    // Written last: an installation that was cut off is begun anew.
    let complete = folder.join("complete");
    if fs::read_to_string(&complete).is_ok_and(|installed| installed == what) {
        return;
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
    work();
    fs::write(complete, what).unwrap();
}

/// Runs a command that must succeed.
pub fn run(command: &mut Command) {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}
