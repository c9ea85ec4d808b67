//! Decides whether anything is to be done, and lets npm do it.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tokio::process::Command;

use super::{
    error::PackageError,
    lock::FolderLock,
    manifest::{Manifest, packages_with_scripts},
    stamp::{Before, Stamp},
};
use crate::{
    limits,
    npm::Npm,
    npm_failure::NpmFailure,
    process::{Bounds, Unfinished, run},
};

/// Whose install scripts may run. They are other people's programs, so nobody's do by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Scripts {
    /// Nobody's.
    #[default]
    None,
    /// Those of the packages with these names.
    Allowed(BTreeSet<String>),
}

impl Scripts {
    /// The names that are allowed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        match self {
            Self::None => None,
            Self::Allowed(names) => Some(names.iter()),
        }
        .into_iter()
        .flatten()
    }
}

/// What an install did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Installed {
    /// package.json asks for nothing.
    Nothing,
    /// All was there already.
    UpToDate,
    /// Exactly what the lock file says.
    FromLock,
    /// What package.json asks for; the lock file was written or brought up to date.
    Resolved,
}

/// How an install went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageReport {
    /// What it did.
    pub did: Installed,
    /// How long it took.
    pub took: Duration,
    /// Packages with install scripts that were not run, by name; known when something was installed.
    pub scripts_not_run: Vec<String>,
}

impl PackageReport {
    /// A line worth showing, if there is one.
    pub fn note(&self) -> Option<String> {
        let names = self.scripts_not_run.join(", ");
        match self.scripts_not_run.len() {
            0 => None,
            1 => Some(format!(
                "The install script of {names} was not run; most packages work without. \
                 Scripts run only when they are allowed by name"
            )),
            count => Some(format!(
                "The install scripts of {count} packages were not run ({names}); most work \
                 without. Scripts run only when they are allowed by name"
            )),
        }
    }
}

/// Installs the packages that a folder's package.json asks for, unless they are there already.
/// Waits while another process installs into the same folder.
pub async fn install_packages(
    folder: &Path,
    npm: &Npm,
    scripts: &Scripts,
) -> Result<PackageReport, PackageError> {
    let install = Install {
        folder,
        npm,
        scripts,
        bounds: Bounds::NETWORK,
        other_install: limits::OTHER_INSTALL,
    };
    install.run().await
}

pub(super) struct Install<'a> {
    pub(super) folder: &'a Path,
    pub(super) npm: &'a Npm,
    pub(super) scripts: &'a Scripts,
    pub(super) bounds: Bounds,
    pub(super) other_install: Duration,
}

impl Install<'_> {
    pub(super) async fn run(&self) -> Result<PackageReport, PackageError> {
        let began = Instant::now();
        if let Some(did) = self.already(&Manifest::read(self.folder)?) {
            return Ok(report(did, began, Vec::new()));
        }
        let progress = self.npm.progress();
        let lock = FolderLock::acquire(self.folder, self.other_install, progress).await?;
        // Read again: whoever had the lock before may have done it all.
        let manifest = Manifest::read(self.folder)?;
        if let Some(did) = self.already(&manifest) {
            return Ok(report(did, began, Vec::new()));
        }
        progress.started(&format!(
            "Installing the packages of {}",
            manifest.file.display()
        ));
        let before = Before::begin(self.folder)?;
        let installed = self.install_all(&manifest, before).await;
        let did = installed.inspect_err(|_| before.failed(self.folder))?;
        drop(lock);
        let not_run = self.scripts_not_run()?;
        progress.done(began.elapsed());
        Ok(report(did, began, not_run))
    }

    fn already(&self, manifest: &Manifest) -> Option<Installed> {
        if manifest.asks_for_nothing() {
            return Some(Installed::Nothing);
        }
        let stamp = self.stamp(manifest);
        stamp.is_on(self.folder).then_some(Installed::UpToDate)
    }

    fn stamp(&self, manifest: &Manifest) -> Stamp {
        Stamp::of(manifest, self.npm.major(), self.scripts)
    }

    async fn install_all(
        &self,
        manifest: &Manifest,
        before: Before,
    ) -> Result<Installed, PackageError> {
        let did = self.install(manifest, before).await?;
        self.run_allowed_scripts(manifest).await?;
        // npm may have written the lock file.
        let stamp = self.stamp(&Manifest::read(self.folder)?);
        stamp.put_on(self.folder)?;
        Ok(did)
    }

    /// `npm ci` begins by removing everything. Where workers may run with what is there, and it is
    /// whole, `npm install` comes to the same by what the lock file says, and puts everything back
    /// when it fails.
    async fn install(
        &self,
        manifest: &Manifest,
        before: Before,
    ) -> Result<Installed, PackageError> {
        const COMMON: [&str; 2] = ["--ignore-scripts", "--prefer-offline"];
        let (command, did): (&[&str], _) = match (manifest.lock_fits(), before) {
            (true, Before::Whole) => (&["install", "--no-save"], Installed::FromLock),
            (true, _) => (&["ci"], Installed::FromLock),
            (false, _) => (&["install"], Installed::Resolved),
        };
        self.npm(manifest, &[command, &COMMON].concat()).await?;
        Ok(did)
    }

    /// Scripts run one package after the other, and only those that were named.
    async fn run_allowed_scripts(&self, manifest: &Manifest) -> Result<(), PackageError> {
        let present = packages_with_scripts(self.folder)?;
        for name in self.scripts.names().filter(|name| present.contains(*name)) {
            let progress = self.npm.progress();
            progress.step(&format!("Running the install script of {name}"));
            // Without the second option npm 11 and later hold back the script that is asked for.
            let args = [
                "rebuild",
                "--ignore-scripts=false",
                "--dangerously-allow-all-scripts",
                "--foreground-scripts",
                "--",
                name,
            ];
            self.npm(manifest, &args).await?;
        }
        Ok(())
    }

    fn scripts_not_run(&self) -> Result<Vec<String>, PackageError> {
        let mut names = packages_with_scripts(self.folder)?;
        for name in self.scripts.names() {
            names.remove(name);
        }
        Ok(names.into_iter().collect())
    }

    async fn npm(&self, manifest: &Manifest, args: &[&str]) -> Result<(), PackageError> {
        let command = self.npm.command(self.folder);
        let mut command = command.map_err(|source| PackageError::NoNpm {
            manifest: manifest.file.clone(),
            source,
        })?;
        quiet(&mut command, args);
        match run(&mut command, self.bounds).await {
            Ok(done) if done.status.success() => Ok(()),
            Ok(done) => Err(PackageError::Npm {
                manifest: manifest.file.clone(),
                failure: Box::new(NpmFailure::read(&done.output)),
                log: self.keep(args, &done.output),
            }),
            Err(Unfinished::Start(source)) => Err(PackageError::Start {
                manifest: manifest.file.clone(),
                source,
            }),
            Err(Unfinished::Stopped { bound, output }) => Err(PackageError::Stalled {
                manifest: manifest.file.clone(),
                bound,
                log: self.keep(args, &output),
            }),
        }
    }

    /// Keeps what npm said, in one file per folder; `None` if that is not possible, for instance
    /// on a full disk, which must not hide the error it is about.
    fn keep(&self, args: &[&str], output: &str) -> Option<PathBuf> {
        let logs = self.npm.cache().join("logs");
        let name = hex::encode(Sha256::digest(self.folder.as_os_str().as_encoded_bytes()));
        let file = logs.join(format!("npm-{}.log", &name[..16]));
        let text = format!(
            "In {}: npm {}\n{output}",
            self.folder.display(),
            args.join(" ")
        );
        fs::create_dir_all(&logs).ok()?;
        fs::write(&file, text).ok()?;
        Some(file)
    }
}

fn quiet(command: &mut Command, args: &[&str]) {
    // Options stand before the rest, since the rest may end with `-- NAME`.
    let (name, rest) = args.split_first().unwrap_or((&"", &[]));
    command
        .arg(name)
        .args(["--no-audit", "--no-fund", "--no-progress"])
        .args(limits::NPM_RETRIES)
        .args(rest);
}

fn report(did: Installed, began: Instant, scripts_not_run: Vec<String>) -> PackageReport {
    PackageReport {
        did,
        took: began.elapsed(),
        scripts_not_run,
    }
}
