//! Fetches a pinned package through npm, checks it, and puts it in the cache whole or not at all.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Instant,
};

use tempfile::TempDir;
use tokio::process::Command;

use crate::{
    error::ToolchainError,
    limits, npm,
    npm_failure::NpmFailure,
    pins::Pin,
    process::{Bounds, Unfinished, run},
    progress::Progress,
    unpack::{self, Wanted},
};

const WORK: &str = ".fetch-";

/// What is fetched, with what and to where.
pub(crate) struct Fetch<'a> {
    /// The package.
    pub(crate) pin: Pin,
    /// As people call it: "Node 24.21.0".
    pub(crate) what: String,
    /// Which of its files.
    pub(crate) wanted: Wanted,
    /// The npm program to use.
    pub(crate) npm: &'a Path,
    /// PATH for it.
    pub(crate) path: &'a OsStr,
    /// The cache.
    pub(crate) cache: &'a Path,
    /// The folder in the cache that the package becomes.
    pub(crate) place: &'a Path,
    /// How long npm may take.
    pub(crate) bounds: Bounds,
    /// Who hears of it.
    pub(crate) progress: &'a dyn Progress,
}

impl Fetch<'_> {
    /// Fetches the package, unless `place` is there already when all is done: another server may
    /// have been faster, and what it put there is as good.
    pub(crate) async fn run(&self) -> Result<(), ToolchainError> {
        let began = Instant::now();
        let Pin { megabytes, .. } = self.pin;
        let what = &self.what;
        self.progress
            .started(&format!("Fetching {what} through npm ({megabytes} MB)"));
        let work = self.work_folder()?;
        let tarball = self.pack(work.path()).await?;
        let unpacked = work.path().join("unpacked");
        self.check_and_unpack(tarball, unpacked.clone()).await?;
        self.put_in_place(&unpacked)?;
        self.progress.done(began.elapsed());
        Ok(())
    }

    fn work_folder(&self) -> Result<TempDir, ToolchainError> {
        let failed = |source| cache_error("create a folder in", self.cache, source);
        fs::create_dir_all(self.cache).map_err(failed)?;
        remove_stale_work(self.cache);
        tempfile::Builder::new()
            .prefix(WORK)
            .tempdir_in(self.cache)
            .map_err(failed)
    }

    /// Lets npm put the tarball into the folder.
    async fn pack(&self, folder: &Path) -> Result<PathBuf, ToolchainError> {
        let mut command = Command::new(self.npm);
        command
            .arg("pack")
            .arg(self.package())
            // npm before 7 has no such option and packs into the folder it runs in.
            .arg(format!("--pack-destination={}", folder.display()))
            .args(["--ignore-scripts", "--no-progress", "--no-audit"])
            .args(limits::NPM_RETRIES);
        npm::prepare(&mut command, folder, self.path);
        let done = run(&mut command, self.bounds)
            .await
            .map_err(|unfinished| self.unfinished(unfinished))?;
        let tarball = folder.join(format!("{}-{}.tgz", self.pin.name, self.pin.version));
        if done.status.success() && tarball.is_file() {
            return Ok(tarball);
        }
        Err(ToolchainError::Fetch {
            package: self.package(),
            failure: Box::new(NpmFailure::read(&done.output)),
        })
    }

    fn unfinished(&self, unfinished: Unfinished) -> ToolchainError {
        match unfinished {
            Unfinished::Start(source) => ToolchainError::Start {
                program: self.npm.to_owned(),
                source,
            },
            Unfinished::Stopped { bound, .. } => ToolchainError::Stalled {
                package: self.package(),
                bound,
            },
        }
    }

    async fn check_and_unpack(
        &self,
        tarball: PathBuf,
        into: PathBuf,
    ) -> Result<(), ToolchainError> {
        let (pin, wanted, package) = (self.pin, self.wanted, self.package());
        self.progress.step("Checking and unpacking it");
        let work = move || {
            let unpack_error = |source| ToolchainError::Unpack {
                package: package.clone(),
                into: into.clone(),
                source,
            };
            let actual = unpack::integrity(&tarball).map_err(unpack_error)?;
            if actual != pin.integrity {
                return Err(ToolchainError::Integrity {
                    package,
                    expected: pin.integrity.to_owned(),
                    actual,
                });
            }
            fs::create_dir(&into).map_err(unpack_error)?;
            unpack::unpack(&tarball, &into, wanted).map_err(unpack_error)?;
            // On disk before it is in place: what stands in the cache is trusted.
            File::open(&into)
                .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
                .map_err(unpack_error)
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(done) => done,
            Err(panicked) => Err(cache_error(
                "unpack into",
                self.cache,
                io::Error::other(panicked),
            )),
        }
    }

    fn put_in_place(&self, unpacked: &Path) -> Result<(), ToolchainError> {
        let failed = |source| cache_error("create", self.place, source);
        if let Some(parent) = self.place.parent() {
            fs::create_dir_all(parent).map_err(failed)?;
        }
        match fs::rename(unpacked, self.place) {
            Err(_) if self.place.is_dir() => Ok(()),
            done => done.map_err(failed),
        }
    }

    fn package(&self) -> String {
        format!("{}@{}", self.pin.name, self.pin.version)
    }
}

pub(crate) fn cache_error(doing: &'static str, path: &Path, source: io::Error) -> ToolchainError {
    ToolchainError::Cache {
        doing,
        path: path.to_owned(),
        source,
    }
}

/// Removes what fetches left behind that were killed. It only tidies up, so errors do not matter.
fn remove_stale_work(cache: &Path) {
    let Ok(entries) = fs::read_dir(cache) else {
        return;
    };
    for entry in entries.flatten() {
        let old = entry
            .metadata()
            .and_then(|meta| meta.modified())
            .is_ok_and(|time| time.elapsed().unwrap_or_default() > limits::STALE_WORK);
        if old && entry.file_name().to_string_lossy().starts_with(WORK) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use flate2::{Compression, write::GzEncoder};

    use super::*;
    use crate::testing::{Heard, Machine};

    /// A machine whose npm gives a small package, and the pin of that package.
    fn machine_with_package() -> (Machine, Pin) {
        let machine = Machine::new();
        let tarball = machine.bin().join("demo.tgz");
        let packed = GzEncoder::new(File::create(&tarball).unwrap(), Compression::fast());
        let mut builder = tar::Builder::new(packed);
        for (path, text) in [("package/a.txt", "A"), ("package/b/c.txt", "C")] {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o644);
            header.set_size(text.len() as u64);
            builder
                .append_data(&mut header, path, text.as_bytes())
                .unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap();
        let pin = Pin {
            name: "demo",
            version: "1.0.0",
            integrity: unpack::integrity(&tarball).unwrap().leak(),
            megabytes: 1,
        };
        let script = format!("cp {} demo-1.0.0.tgz", tarball.display());
        (machine.program("npm", &script), pin)
    }

    async fn fetch(machine: &Machine, pin: Pin, heard: &Heard) -> Result<(), ToolchainError> {
        let fetch = Fetch {
            pin,
            what: "Demo 1".into(),
            wanted: Wanted::All,
            npm: &machine.bin().join("npm"),
            path: &OsString::new(),
            cache: &machine.cache(),
            place: &machine.cache().join("demo/1.0.0"),
            bounds: Bounds::NETWORK,
            progress: heard,
        };
        fetch.run().await
    }

    #[tokio::test]
    async fn a_package_comes_whole_and_its_progress_is_told() {
        let (machine, pin) = machine_with_package();
        let heard = Heard::default();
        fetch(&machine, pin, &heard).await.unwrap();
        let files = ["demo/1.0.0/a.txt", "demo/1.0.0/b/c.txt"].map(PathBuf::from);
        assert_eq!(machine.cached(), files);
        let told = [
            "Fetching Demo 1 through npm (1 MB)",
            "Checking and unpacking it",
            "done",
        ];
        assert_eq!(heard.lines(), told);
        assert_eq!(fs::read_dir(machine.cache()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn two_servers_may_fetch_the_same_at_once() {
        let (machine, pin) = machine_with_package();
        let heard = Heard::default();
        let fetch = || fetch(&machine, pin, &heard);
        let (one, two, three) = tokio::join!(fetch(), fetch(), fetch());
        one.and(two).and(three).unwrap();
        assert_eq!(machine.cached().len(), 2);
        assert_eq!(fs::read_dir(machine.cache()).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn what_killed_fetches_left_is_removed_after_a_day() {
        let (machine, pin) = machine_with_package();
        let (old, new) = (
            machine.cache().join(".fetch-old"),
            machine.cache().join(".fetch-new"),
        );
        for folder in [&old, &new] {
            fs::create_dir_all(folder).unwrap();
        }
        let long_ago = fs::metadata(&old).unwrap().modified().unwrap() - 2 * limits::STALE_WORK;
        File::open(&old).unwrap().set_modified(long_ago).unwrap();
        fetch(&machine, pin, &Heard::default()).await.unwrap();
        assert!(!old.exists() && new.exists());
    }
}
