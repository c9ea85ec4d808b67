//! An npm that goes with a Node, and how it is run.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::process::Command;
use wakeful_core::project::NodeMajor;

use crate::{error::ToolchainError, pins, progress::Progress, search};

/// An npm that runs on a certain Node. It may turn out to be missing only when it is needed:
/// functions without packages run without it.
#[derive(Clone)]
pub struct Npm(Arc<Inner>);

struct Inner {
    how: Result<How, Arc<ToolchainError>>,
    node: PathBuf,
    major: NodeMajor,
    path: OsString,
    cache: PathBuf,
    progress: Arc<dyn Progress>,
}

/// How it is run.
#[derive(Debug)]
pub(crate) enum How {
    /// As a program of its own, found on PATH.
    Program(PathBuf),
    /// As a script for our Node: `npm-cli.js`.
    Script(PathBuf),
}

impl std::fmt::Debug for Npm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Npm")
            .field("how", &self.0.how)
            .field("node", &self.0.node)
            .finish_non_exhaustive()
    }
}

/// The Node an npm is for, and where it finds and tells things.
pub(crate) struct For<'a> {
    pub(crate) node: &'a Path,
    pub(crate) major: NodeMajor,
    pub(crate) path: &'a OsStr,
    pub(crate) cache: &'a Path,
    pub(crate) progress: &'a Arc<dyn Progress>,
}

impl Npm {
    pub(crate) fn new(how: Result<How, ToolchainError>, of: &For<'_>) -> Self {
        Self(Arc::new(Inner {
            how: how.map_err(Arc::new),
            node: of.node.to_owned(),
            major: of.major,
            path: path_with(of.node, of.path),
            cache: of.cache.to_owned(),
            progress: of.progress.clone(),
        }))
    }

    /// A command that runs npm in a folder, with its Node first on PATH; or why there is no npm.
    pub fn command(&self, folder: &Path) -> Result<Command, Arc<ToolchainError>> {
        let mut command = match self.0.how.as_ref().map_err(Arc::clone)? {
            How::Program(npm) => Command::new(npm),
            How::Script(script) => {
                let mut command = Command::new(&self.0.node);
                command.arg(script);
                command
            }
        };
        prepare(&mut command, folder, &self.0.path);
        Ok(command)
    }

    /// The major version of the Node that it runs on.
    pub fn major(&self) -> NodeMajor {
        self.0.major
    }

    pub(crate) fn cache(&self) -> &Path {
        &self.0.cache
    }

    pub(crate) fn progress(&self) -> &dyn Progress {
        &*self.0.progress
    }
}

/// The environment of every npm: the user's own, since registry, proxy and certificates may stand
/// in it, but without what is meant for Wakeful, such as its keys.
pub(crate) fn prepare(command: &mut Command, folder: &Path, path: &OsStr) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"WAKEFUL_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(folder)
        .env("PATH", path)
        .env("npm_config_update_notifier", "false");
}

/// The first npm on PATH, of whatever version: good for fetching, whatever Node it brings along.
pub(crate) fn any(path: &OsStr) -> Option<PathBuf> {
    search::programs(path, &["npm"]).into_iter().next()
}

/// The npm on PATH, if it works with a certain Node; else why not.
pub(crate) async fn matching(node: &Path, path: &OsStr) -> Result<How, String> {
    let npm = any(path).ok_or("there is none on PATH")?;
    let said = search::ask(&npm, &["--version"], &path_with(node, path)).await;
    let shown = npm.display();
    let said = said.map_err(|why| format!("{shown} {why}"))?;
    let version = said.lines().map(str::trim).rfind(|line| !line.is_empty());
    let major = version
        .and_then(|version| version.split('.').next())
        .and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(major) if major >= pins::LEAST_NPM => Ok(How::Program(npm)),
        Some(major) => Err(format!("{shown} is npm {major}, which is too old")),
        None => Err(format!("{shown} does not look like npm")),
    }
}

/// PATH with a Node's folder before everything else.
fn path_with(node: &Path, path: &OsStr) -> OsString {
    let Some(folder) = node.parent() else {
        return path.to_owned();
    };
    let mut joined = folder.as_os_str().to_owned();
    if !path.is_empty() {
        joined.push(":");
        joined.push(path);
    }
    joined
}
