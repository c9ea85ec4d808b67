//! Making a version of each function.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    path::PathBuf,
    sync::Arc,
};

use sha2::{Digest, Sha256};
use wakeful_core::{
    name::FunctionName,
    project::{Function, NodeMajor, Project},
};
use wakeful_toolchain::{
    NodeInstall, PackageError, PackageReport, Scripts, Toolchain, ToolchainError,
    find_package_folders, install_packages,
};
use wakeful_workers::{Limit, Pool, VersionSpec, Workers};

use super::{
    environment::{AwsEnvironment, DotEnvError, Environment, Missing},
    snapshot::{Snapshot, SnapshotError, Snapshots},
};
use crate::{
    live::{Live, MAX_WAITING, Version, handlers_of},
    options::Mode,
    vault::{Vault, VaultError},
};

/// What a builder works with.
pub struct BuilderOptions {
    /// The project's folder, absolute.
    pub project: PathBuf,
    /// The data folder, absolute.
    pub data: PathBuf,
    /// Leniency.
    pub mode: Mode,
    /// Node and npm.
    pub toolchain: Toolchain,
    /// The pools.
    pub workers: Workers,
    /// Secrets and keys.
    pub vault: Arc<Vault>,
    /// The AWS-compatible endpoint, such as `http://127.0.0.1:8082`.
    pub aws_endpoint: String,
    /// Files of the project that are data, not code: databases (absolute).
    pub left_out: Vec<PathBuf>,
}

/// Makes versions.
pub struct Builder {
    options: BuilderOptions,
    snapshots: Snapshots,
    nodes: HashMap<NodeMajor, NodeInstall>,
    limits: HashMap<FunctionName, Arc<Limit>>,
}

/// Why no versions could be made; what is live stays.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// No Node.
    #[error(transparent)]
    Toolchain(#[from] ToolchainError),
    /// No copy of the code.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// `.env` is broken.
    #[error(transparent)]
    DotEnv(#[from] DotEnvError),
    /// A value is not there.
    #[error("function `{0}`: {1}")]
    Missing(FunctionName, Missing),
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// Versions of all functions of a project.
pub struct Built {
    /// The project.
    pub project: Project,
    /// A version of each function; those that did not change are the live ones themselves.
    pub versions: Vec<Arc<Version>>,
    /// What was installed.
    pub packages: Vec<Result<PackageReport, PackageError>>,
}

impl Builder {
    /// A builder that has made nothing yet.
    pub fn new(options: BuilderOptions) -> Self {
        let folder = options.data.join("versions");
        let mut left_out = options.left_out.clone();
        left_out.push(options.data.clone());
        let snapshots = Snapshots::new(&options.project, &folder, left_out);
        Self {
            options,
            snapshots,
            nodes: HashMap::new(),
            limits: HashMap::new(),
        }
    }

    /// Makes versions of all functions, taking over from `live` what did not change.
    pub async fn build(
        &mut self,
        project: Project,
        live: Option<&Live>,
    ) -> Result<Built, BuildError> {
        let environment = Environment::read(&self.options.project, self.options.mode)?;
        let majors: HashSet<NodeMajor> = project.functions.values().map(|f| f.node).collect();
        for major in majors {
            if !self.nodes.contains_key(&major) {
                let install = self.options.toolchain.node(major).await?;
                self.nodes.insert(major, install);
            }
        }
        let packages = self.install_packages(&project).await;
        let snapshot = tokio::task::block_in_place(|| self.snapshots.take())?;
        let mut versions = Vec::with_capacity(project.functions.len());
        for function in project.functions.values() {
            versions.push(self.version(function, &project, &snapshot, &environment, live)?);
        }
        Ok(Built {
            project,
            versions,
            packages,
        })
    }

    /// Removes copies of code that neither `live` nor a worker needs.
    pub fn sweep(&self, live: &Live) {
        let of = |version: &Arc<Version>| {
            let root = &version.pool.spec().root;
            root.file_name()
                .map(|name| name.to_string_lossy().into_owned())
        };
        let kept: Vec<String> = live.versions().filter_map(of).collect();
        self.snapshots.keep_only(&kept);
    }

    async fn install_packages(
        &self,
        project: &Project,
    ) -> Vec<Result<PackageReport, PackageError>> {
        // A folder that functions of several Node versions share is installed once, for the
        // newest of them.
        let mut folders: BTreeMap<PathBuf, NodeMajor> = BTreeMap::new();
        for function in project.functions.values() {
            for folder in find_package_folders(&self.options.project, [&function.code]) {
                let major = folders.entry(folder).or_insert(function.node);
                *major = function.node.max(*major);
            }
        }
        let mut reports = Vec::new();
        for (folder, major) in folders {
            let npm = &self.nodes[&major].npm;
            reports.push(install_packages(&folder, npm, &Scripts::None).await);
        }
        reports
    }

    fn version(
        &mut self,
        function: &Function,
        project: &Project,
        snapshot: &Snapshot,
        environment: &Environment,
        live: Option<&Live>,
    ) -> Result<Arc<Version>, BuildError> {
        let name = &function.name;
        let keys = self.options.vault.function_credentials(name)?;
        let aws = AwsEnvironment {
            endpoint: self.options.aws_endpoint.clone(),
            keys: (keys.access_key, keys.secret_key),
        };
        let env = environment
            .of_function(name, &function.env, &self.options.vault, &aws)
            .map_err(|missing| BuildError::Missing(name.clone(), missing))?;
        let node = &self.nodes[&function.node];
        let id = version_id(&snapshot.hash, function, &env, node);
        if let Some(same) = live
            .and_then(|live| live.version(name))
            .filter(|old| old.id == id)
        {
            return Ok(Arc::clone(same));
        }
        let spec = VersionSpec {
            scope: project.scope(),
            function: name.clone(),
            version: id.clone(),
            node: node.node.clone(),
            entry: snapshot.root.join(&function.code),
            root: snapshot.root.clone(),
            shown_root: self.options.project.clone(),
            style: function.style,
            handlers: handlers_of(function),
            env,
            timeout: function.timeout,
            memory: function.memory,
            limit: self.limit(name, function.concurrency),
            per_worker: function.per_worker,
            scale_down_after: function.scale_down_after,
            max_waiting: MAX_WAITING,
        };
        let pool: Pool = self.options.workers.pool(spec);
        Ok(Arc::new(Version::new(function.clone(), id, pool)))
    }

    /// The concurrency limit that all versions of a function share.
    fn limit(&mut self, function: &FunctionName, most: u32) -> Arc<Limit> {
        let limit = self
            .limits
            .entry(function.clone())
            .or_insert_with(|| Limit::new(most));
        if limit.most() != most {
            *limit = Limit::new(most);
        }
        Arc::clone(limit)
    }
}

/// The identity of a version: 12 hexadecimal digits over its code, its settings and its Node.
/// The keys that are new at each start are left out, so that a restart keeps the identity.
fn version_id(
    code: &str,
    function: &Function,
    env: &BTreeMap<String, String>,
    node: &NodeInstall,
) -> String {
    let mut hasher = Sha256::new();
    hasher.update(code);
    hasher.update(format!("{function:?}"));
    hasher.update(&node.version);
    for (name, value) in env
        .iter()
        .filter(|(name, _)| function.env.contains_key(*name))
    {
        hasher.update(format!("{name}={value}\0"));
    }
    hex::encode(hasher.finalize())[..12].to_owned()
}
