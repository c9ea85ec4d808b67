//! What the worker reads to find what was compiled: `runtime/node/typescript.js` is its reader.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{WriteError, write};
use crate::{
    compile::SyntaxError,
    options::Format,
    tsconfig::{ConfigError, Paths},
};

/// Where results lie in a copy: `functions/a.ts` becomes `FOLDER/functions/a.ts.js`.
pub const FOLDER: &str = ".wakeful/typescript";
/// What of it names the rest.
const INDEX: &str = "index.json";
/// Of the index's form.
const VERSION: u32 = 1;

/// Where the result of a file lies, relative to the copy.
pub(super) fn compiled_file(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".js");
    Path::new(FOLDER).join("files").join(name)
}

/// What became of the files of a copy.
#[derive(Debug, Serialize)]
pub(super) struct Index {
    version: u32,
    files: BTreeMap<String, Entry>,
    configs: Vec<Config>,
}

#[derive(Debug, Serialize)]
struct Config {
    folder: PathBuf,
    #[serde(flatten)]
    paths: Paths,
}

/// What became of a file.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Entry {
    /// It is there.
    Runs(Format),
    /// There is a mistake.
    Fails(Failure),
}

/// A mistake in a file.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    /// If it is in another file, relative to the project's folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
    #[serde(flatten)]
    error: SyntaxError,
}

impl Entry {
    pub(super) fn of(outcome: &Result<Format, SyntaxError>) -> Self {
        match outcome {
            Ok(format) => Self::Runs(*format),
            Err(error) => Self::Fails(Failure {
                file: None,
                error: error.clone(),
            }),
        }
    }
}

impl Failure {
    pub(super) fn of_config(error: &ConfigError) -> Self {
        Self {
            file: Some(error.file.clone()),
            error: error.error.clone(),
        }
    }
}

impl Default for Index {
    fn default() -> Self {
        Self {
            version: VERSION,
            files: BTreeMap::new(),
            configs: Vec::new(),
        }
    }
}

impl Index {
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Names that are no Unicode cannot be imported.
    pub(super) fn add(&mut self, path: &Path, entry: Entry) {
        if let Some(path) = path.to_str() {
            self.files.insert(path.to_owned(), entry);
        }
    }

    pub(super) fn add_paths(&mut self, folder: PathBuf, paths: Paths) {
        self.configs.push(Config { folder, paths });
    }

    pub(super) fn write(&self, copy: &Path) -> Result<(), WriteError> {
        let path = copy.join(FOLDER).join(INDEX);
        let written = serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .and_then(|text| write(&path, &text));
        written.map_err(|cause| WriteError { path, cause })
    }
}
