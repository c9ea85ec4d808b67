//! Finds or fetches Node and a matching npm.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use wakeful_core::project::NodeMajor;

use crate::{
    error::{FoundNode, ToolchainError},
    fetch::{Fetch, cache_error},
    npm::{self, For, How, Npm},
    pins::{self, Pin},
    platform::Cpu,
    process::Bounds,
    progress::Progress,
    search,
    unpack::Wanted,
};

/// Where to look, where to keep, whom to tell.
#[derive(Clone)]
pub struct Options {
    /// Where fetched Nodes and npms are kept for good; see [`default_cache`].
    pub cache: PathBuf,
    /// The folders in which programs are looked for: the value of PATH.
    pub path: OsString,
    /// Who hears of what takes time.
    pub progress: Arc<dyn Progress>,
}

/// `wakeful` in the user's cache folder: `$XDG_CACHE_HOME`, else `~/.cache`, else the system's
/// folder for temporary files.
pub fn default_cache() -> PathBuf {
    let absolute = |name: &str| {
        let folder = PathBuf::from(std::env::var_os(name)?);
        folder.is_absolute().then_some(folder)
    };
    absolute("XDG_CACHE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("wakeful")
}

/// Where a Node came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeFrom {
    /// It was on PATH.
    Path,
    /// It was fetched, now or earlier.
    Fetched,
}

/// A Node that is ready to run.
#[derive(Debug, Clone)]
pub struct NodeInstall {
    /// The program itself, not a version manager's stand-in.
    pub node: PathBuf,
    /// An npm that runs on it.
    pub npm: Npm,
    /// Its version: `24.21.0`.
    pub version: String,
    /// Where it came from.
    pub from: NodeFrom,
}

/// Brings Nodes. Cheap to clone.
#[derive(Clone)]
pub struct Toolchain(Arc<Inner>);

struct Inner {
    options: Options,
    bounds: Bounds,
    /// One fetch at a time, so that two functions do not fetch the same Node twice.
    turn: tokio::sync::Mutex<()>,
}

impl Toolchain {
    /// Looks at nothing yet.
    pub fn new(options: Options) -> Self {
        Self::with_bounds(options, Bounds::NETWORK)
    }

    fn with_bounds(options: Options, bounds: Bounds) -> Self {
        Self(Arc::new(Inner {
            options,
            bounds,
            turn: tokio::sync::Mutex::new(()),
        }))
    }

    /// A Node of this major: from PATH, else from the cache, else fetched through npm. A missing
    /// npm is no error here unless it is needed to fetch; [`Npm`] tells when it is used.
    pub async fn node(&self, major: NodeMajor) -> Result<NodeInstall, ToolchainError> {
        let _turn = self.0.turn.lock().await;
        let survey = search::nodes(&self.0.options.path, major).await;
        let (node, version, from) = match survey.fit {
            Some((node, version)) => (node, version, NodeFrom::Path),
            None => {
                let (node, version) = self.cached_or_fetched(major, survey.others).await?;
                (node, version, NodeFrom::Fetched)
            }
        };
        let npm = self.npm(major, &node, &version, from).await;
        Ok(NodeInstall {
            npm,
            node,
            version,
            from,
        })
    }

    async fn cached_or_fetched(
        &self,
        major: NodeMajor,
        found: Vec<FoundNode>,
    ) -> Result<(PathBuf, String), ToolchainError> {
        let cpu = Cpu::detect(major)?;
        let pin = pins::node(major, cpu);
        let folder = format!("{}-linux-{}", pin.version, cpu.as_str());
        let place = self.0.options.cache.join("node").join(folder);
        let node = place.join("bin/node");
        if place.exists() {
            if self.runs(&node, pin).await.is_ok() {
                return Ok((node, pin.version.to_owned()));
            }
            // Damaged, or brought along from another machine: fetched anew.
            fs::remove_dir_all(&place).map_err(|error| cache_error("remove", &place, error))?;
        }
        let Some(npm) = npm::any(&self.0.options.path) else {
            return Err(ToolchainError::NpmMissing {
                wanted: major,
                found,
            });
        };
        let wanted = Wanted::Only(&["bin/node", "LICENSE"]);
        let what = format!("Node {}", pin.version);
        self.fetch(pin, what, wanted, &npm, &place).await?;
        match self.runs(&node, pin).await {
            Ok(()) => Ok((node, pin.version.to_owned())),
            Err(why) => Err(ToolchainError::DoesNotRun {
                node,
                wanted: major,
                why,
            }),
        }
    }

    /// Whether a cached Node starts, and is what it should be.
    async fn runs(&self, node: &Path, pin: Pin) -> Result<(), String> {
        let version = search::version_of(node, &self.0.options.path).await?;
        if version == pin.version {
            return Ok(());
        }
        Err(format!("is {version}, not {}", pin.version))
    }

    async fn fetch(
        &self,
        pin: Pin,
        what: String,
        wanted: Wanted,
        npm: &Path,
        place: &Path,
    ) -> Result<(), ToolchainError> {
        let options = &self.0.options;
        let fetch = Fetch {
            pin,
            what,
            wanted,
            npm,
            path: &options.path,
            cache: &options.cache,
            place,
            bounds: self.0.bounds,
            progress: &*options.progress,
        };
        fetch.run().await
    }

    /// An npm for a Node: with a Node from PATH the npm from PATH if it works with it, else the
    /// pinned one from the cache or fetched.
    async fn npm(&self, major: NodeMajor, node: &Path, version: &str, from: NodeFrom) -> Npm {
        let options = &self.0.options;
        let of = For {
            node,
            major,
            path: &options.path,
            cache: &options.cache,
            progress: &options.progress,
        };
        let on_path = match from {
            NodeFrom::Path => npm::matching(node, &options.path).await,
            NodeFrom::Fetched => Err("it needs one of its own".to_owned()),
        };
        let how = match on_path {
            Ok(how) => Ok(how),
            Err(why) => self.pinned_npm(major, node, version, why).await,
        };
        Npm::new(how, &of)
    }

    async fn pinned_npm(
        &self,
        major: NodeMajor,
        node: &Path,
        version: &str,
        why: String,
    ) -> Result<How, ToolchainError> {
        let pin = pins::npm(major);
        let place = self.0.options.cache.join("npm").join(pin.version);
        let script = place.join("bin/npm-cli.js");
        if !script.is_file() {
            let Some(npm) = npm::any(&self.0.options.path) else {
                return Err(ToolchainError::NoMatchingNpm {
                    node: node.to_owned(),
                    version: version.to_owned(),
                    why,
                });
            };
            let what = format!("npm {}", pin.version);
            self.fetch(pin, what, Wanted::All, &npm, &place).await?;
        }
        Ok(How::Script(script))
    }
}

#[cfg(test)]
mod tests;
