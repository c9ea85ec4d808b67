//! Why there is no Node or npm to run with.

use std::{fmt, io, path::PathBuf};

use wakeful_core::project::NodeMajor;

use crate::{npm_failure::NpmFailure, pins, process::Bound};

/// A Node on PATH that is not the one asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNode {
    /// Where it is.
    pub path: PathBuf,
    /// What `--version` said, without the `v`; or what went wrong when it was asked.
    pub version: Result<String, String>,
}

impl fmt::Display for FoundNode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.version {
            Ok(version) => write!(f, "{path} is {version}"),
            Err(why) => write!(f, "{path} {why}"),
        }
    }
}

/// Why Node or npm could not be had. Nothing was changed, but perhaps the cache; trying again
/// is safe.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ToolchainError {
    /// Neither the right Node nor an npm to fetch it with.
    #[error(
        "Node {wanted} is needed and not on PATH ({}), and there is no npm to fetch it with. \
         Install npm (`apt-get install npm`; any version will do, Node {wanted} is then fetched \
         through it) or Node {wanted}.{} or later from nodejs.org, and start again",
        seen(found), pins::least_minor(*wanted)
    )]
    NpmMissing {
        /// The major asked for.
        wanted: NodeMajor,
        /// What PATH has instead.
        found: Vec<FoundNode>,
    },
    /// Node is there, but nothing to install packages with.
    #[error(
        "packages have to be installed, and there is no npm that works with {} ({version}): {why}. \
         Install npm (`apt-get install npm`), or Node from nodejs.org, which brings it along, \
         and start again",
        node.display()
    )]
    NoMatchingNpm {
        /// The Node that would run it.
        node: PathBuf,
        /// Its version.
        version: String,
        /// What was tried.
        why: String,
    },
    /// No Node is published for this machine.
    #[error(
        "Node {wanted} is not on PATH and cannot be fetched for {platform}: only Linux with glibc \
         on x86-64 and arm64 is served. Install Node {wanted}.{} or later so that `node` is on \
         PATH, and start again", pins::least_minor(*wanted)
    )]
    Unsupported {
        /// What this machine is.
        platform: String,
        /// The major asked for.
        wanted: NodeMajor,
    },
    /// npm could not fetch a package.
    #[error("npm could not fetch {package}: {failure}. {}. What was fetched once stays in the cache and needs no network", failure.remedy())]
    Fetch {
        /// Its name and version.
        package: String,
        /// What npm said.
        failure: Box<NpmFailure>,
    },
    /// npm did nothing for too long.
    #[error(
        "npm was fetching {package} and {bound}, so it was stopped. Check \
         `npm config get registry`, the proxy (`npm config get https-proxy`) and the network, and \
         start again"
    )]
    Stalled {
        /// Its name and version.
        package: String,
        /// The bound that it reached.
        bound: Bound,
    },
    /// What came is not what we know.
    #[error(
        "{package} as the registry delivered it is not the one that is known: its integrity is \
         {actual}, expected {expected}. Nothing was installed. Check `npm config get registry`; \
         `npm cache clean --force` removes a damaged copy"
    )]
    Integrity {
        /// Its name and version.
        package: String,
        /// The integrity in our table.
        expected: String,
        /// That of the file that came.
        actual: String,
    },
    /// A tarball with the right hash that cannot be unpacked.
    #[error("cannot unpack {package} into {}", into.display())]
    Unpack {
        /// Its name and version.
        package: String,
        /// The folder.
        into: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A fetched Node does not start here.
    #[error(
        "{} was fetched but does not run here: {why}. Install Node {wanted} so that `node` is on \
         PATH, and start again", node.display()
    )]
    DoesNotRun {
        /// The program.
        node: PathBuf,
        /// The major asked for.
        wanted: NodeMajor,
        /// What it said.
        why: String,
    },
    /// A program could not be started.
    #[error("cannot start {}", program.display())]
    Start {
        /// The program.
        program: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cache cannot be used.
    #[error("cannot {doing} {} (the cache of Node and npm; XDG_CACHE_HOME moves it)", path.display())]
    Cache {
        /// What was being done: "create".
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

fn seen(found: &[FoundNode]) -> String {
    if found.is_empty() {
        return "which has no Node at all".to_owned();
    }
    let list: Vec<String> = found.iter().take(4).map(ToString::to_string).collect();
    list.join(", ")
}
