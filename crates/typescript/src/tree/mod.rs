//! Compiling a copy of a project's code.

mod index;
mod packages;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub use self::index::FOLDER;
use self::{
    index::{Entry, Failure, Index, compiled_file},
    packages::PackageTypes,
};
use crate::{
    compile::{Compiled, Source, SyntaxError, compile},
    options::{Format, Language, Options, PackageType},
    tsconfig::{ConfigError, Place, TsConfig},
};

/// Threads that compile; more gain nothing for projects of a size that people have.
const MOST_THREADS: usize = 8;
/// Bytes of a thread's stack: code that is nested deeply is compiled by recursion. Only what is
/// used of it takes memory.
const STACK: usize = 64 << 20;
/// What a configuration file is called.
const CONFIG: &str = "tsconfig.json";

/// A file of a copy.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// Relative to the project's folder.
    pub path: &'a Path,
    /// Equal for equal contents.
    pub hash: [u8; 32],
}

/// What was compiled could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path} cannot be written: {cause}", path = .path.display())]
pub struct WriteError {
    /// What.
    pub path: PathBuf,
    /// Why.
    pub cause: io::Error,
}

/// Compiles copies of one project, each time what is new.
#[derive(Debug, Default)]
pub struct Compiler {
    /// What the copy that was made last holds.
    done: HashMap<Key, Done>,
}

/// What makes the result another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    hash: [u8; 32],
    name: String,
    package: PackageType,
    options: Arc<Options>,
}

/// What became of a file.
#[derive(Debug, Clone)]
struct Done {
    outcome: Result<Format, SyntaxError>,
    /// Where the result lies, once its copy has its final name.
    at: PathBuf,
}

/// A file that takes part.
struct Job<'a> {
    path: &'a Path,
    language: Language,
    key: Key,
}

impl Compiler {
    /// Compiles what needs it of `files`, which lie in `place.copy`, and writes the results and
    /// their index into the folder [`FOLDER`] of the copy, which will be called `root` later.
    /// A file with a mistake is no failure: the index says so, and so will whoever imports it.
    pub fn compile(
        &mut self,
        place: Place<'_>,
        root: &Path,
        files: &[File<'_>],
    ) -> Result<(), WriteError> {
        let mut configs = Configs::of(&place, files);
        let packages = PackageTypes::of(&place, files);
        let mut index = Index::default();
        let mut jobs = Vec::new();
        for file in files {
            let Some(language) = Language::of(file.path) else {
                continue;
            };
            match configs.of_file(file.path) {
                Ok(config) => jobs.push(Job {
                    path: file.path,
                    language,
                    key: Key {
                        hash: file.hash,
                        name: name_of(file.path),
                        package: packages.of_file(file.path),
                        options: config,
                    },
                }),
                Err(error) => index.add(file.path, Entry::Fails(Failure::of_config(&error))),
            }
        }
        if jobs.is_empty() && index.is_empty() {
            self.done.clear();
            return Ok(());
        }
        self.run(&place, root, &jobs)?;
        for job in &jobs {
            if let Some(done) = self.done.get(&job.key) {
                index.add(job.path, Entry::of(&done.outcome));
            }
        }
        configs.describe(&mut index);
        index.write(place.copy)
    }

    fn run(&mut self, place: &Place<'_>, root: &Path, jobs: &[Job<'_>]) -> Result<(), WriteError> {
        let next = AtomicUsize::new(0);
        let finished = Mutex::new(HashMap::new());
        let failed = Mutex::new(None);
        let work = || {
            while let Some(job) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                match self.one(place, root, job) {
                    Ok(done) => drop(lock(&finished).insert(job.key.clone(), done)),
                    Err(error) => {
                        lock(&failed).get_or_insert(error);
                        return;
                    }
                }
            }
        };
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let new = jobs.iter().filter(|job| !self.done.contains_key(&job.key));
        let threads = cores.min(MOST_THREADS).min(new.count());
        thread::scope(|scope| {
            for _ in 1..threads {
                // Without this thread the others do its work.
                let _ = thread::Builder::new()
                    .stack_size(STACK)
                    .spawn_scoped(scope, work);
            }
            let last = thread::Builder::new()
                .stack_size(STACK)
                .spawn_scoped(scope, work);
            if last.is_err() {
                work();
            }
        });
        if let Some(error) = lock(&failed).take() {
            return Err(error);
        }
        self.done = finished
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(())
    }

    /// Compiles a file, or takes what it became before.
    fn one(&self, place: &Place<'_>, root: &Path, job: &Job<'_>) -> Result<Done, WriteError> {
        let relative = compiled_file(job.path);
        let at = root.join(&relative);
        let to = place.copy.join(&relative);
        if let Some(before) = self.done.get(&job.key) {
            let outcome = before.outcome.clone();
            if outcome.is_err() || link(&before.at, &to).is_ok() {
                return Ok(Done { outcome, at });
            }
        }
        let written = |cause| WriteError {
            path: at.clone(),
            cause,
        };
        let text = fs::read(place.copy.join(job.path)).map_err(written)?;
        let compiled = compile(Source {
            name: &job.key.name,
            text: &String::from_utf8_lossy(&text),
            language: job.language,
            package: job.key.package,
            options: &job.key.options,
        });
        let outcome = match compiled {
            Ok(Compiled { code, format }) => {
                write(&to, code.as_bytes()).map_err(written)?;
                Ok(format)
            }
            Err(error) => Err(error),
        };
        Ok(Done { outcome, at })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

fn link(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    fs::hard_link(from, to)
}

fn write(to: &Path, content: &[u8]) -> io::Result<()> {
    fs::create_dir_all(to.parent().unwrap_or(to))?;
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o444).open(to)?;
    io::Write::write_all(&mut file, content)
}

/// The `tsconfig.json` files of a copy, read when the first file falls under them.
struct Configs<'a> {
    place: &'a Place<'a>,
    /// By folder; `None` while nobody asked.
    known: BTreeMap<PathBuf, Option<Result<Config, ConfigError>>>,
    /// What applies where there is none.
    usual: Arc<Options>,
}

struct Config {
    options: Arc<Options>,
    config: TsConfig,
}

impl<'a> Configs<'a> {
    fn of(place: &'a Place<'a>, files: &[File<'_>]) -> Self {
        let is_config = |file: &&File<'_>| file.path.file_name().is_some_and(|it| it == CONFIG);
        let folder = |file: &File<'_>| file.path.parent().unwrap_or(Path::new("")).to_owned();
        let configs = files.iter().filter(is_config);
        Self {
            place,
            known: configs.map(|file| (folder(file), None)).collect(),
            usual: Arc::default(),
        }
    }

    /// What the nearest one says.
    fn of_file(&mut self, path: &Path) -> Result<Arc<Options>, ConfigError> {
        for folder in path.ancestors().skip(1) {
            let Some(known) = self.known.get_mut(folder) else {
                continue;
            };
            let read = || {
                let config = TsConfig::read(self.place, &folder.join(CONFIG))?;
                Ok(Config {
                    options: Arc::new(config.options.clone()),
                    config,
                })
            };
            return match known.get_or_insert_with(read) {
                Ok(config) => Ok(Arc::clone(&config.options)),
                Err(error) => Err(error.clone()),
            };
        }
        Ok(Arc::clone(&self.usual))
    }

    fn describe(self, index: &mut Index) {
        for (folder, known) in self.known {
            if let Some(Ok(found)) = known {
                index.add_paths(folder, found.config.paths);
            }
        }
    }
}

#[cfg(test)]
mod tests;
