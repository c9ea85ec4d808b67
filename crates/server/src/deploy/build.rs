//! Making a version of each function.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use wakeful_core::{
    name::FunctionName,
    project::{Function, NodeMajor, Project},
};
use wakeful_toolchain::{NodeInstall, PackageError, PackageReport, Toolchain, ToolchainError};
use wakeful_workers::{Limit, VersionSpec, Workers};

use super::{
    candidate::Candidate,
    environment::{AwsEnvironment, DotEnvError, Environment, Missing},
    packages::Packages,
    relevance::Relevance,
    snapshot::{Snapshot, SnapshotError, Snapshots},
    types::write_types,
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
    /// Which files of the project are its code.
    pub relevance: Relevance,
}

/// Makes versions.
pub struct Builder {
    options: BuilderOptions,
    snapshots: Snapshots,
    packages: Packages,
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

/// What packages were installed, or could not be.
pub type PackageReports = Vec<Result<PackageReport, PackageError>>;

impl Builder {
    /// A builder that has made nothing yet. Copies of code that an earlier server left are removed;
    /// in `dev`, editors get types.
    pub fn new(options: BuilderOptions) -> Result<Self, SnapshotError> {
        if options.mode == Mode::Dev {
            write_types(&options.data);
        }
        let folder = options.data.join("versions");
        let snapshots = Snapshots::open(options.relevance.clone(), &folder)?;
        Ok(Self {
            options,
            snapshots,
            packages: Packages::default(),
            nodes: HashMap::new(),
            limits: HashMap::new(),
        })
    }

    /// Gets what the functions need to run: Node and packages. May take minutes, and dropping it
    /// kills npm at its work, which then begins anew.
    pub async fn equip(&mut self, project: &Project) -> Result<PackageReports, BuildError> {
        let majors: HashSet<NodeMajor> = project.functions.values().map(|f| f.node).collect();
        for major in majors {
            if !self.nodes.contains_key(&major) {
                let install = self.options.toolchain.node(major).await?;
                self.nodes.insert(major, install);
            }
        }
        let root = &self.options.project;
        Ok(self.packages.install(root, project, &self.nodes).await)
    }

    /// Makes versions of all functions, taking over from `live` what did not change. Blocks while
    /// files are copied. The project must have been equipped.
    pub fn build(
        &mut self,
        project: &Project,
        live: Option<&Live>,
    ) -> Result<Vec<Candidate>, BuildError> {
        let code = project.functions.values().map(|f| f.code.as_path());
        self.options.relevance.set_code(code);
        let environment = Environment::read(&self.options.project, self.options.mode)?;
        let snapshot = self.snapshots.take()?;
        let functions = project.functions.values();
        functions
            .map(|function| self.version(function, project, &snapshot, &environment, live))
            .collect()
    }

    /// Removes all copies of code but these.
    pub fn sweep(&self, roots: &BTreeSet<PathBuf>) {
        self.snapshots.keep_only(roots);
    }

    fn version(
        &mut self,
        function: &Function,
        project: &Project,
        snapshot: &Snapshot,
        environment: &Environment,
        live: Option<&Live>,
    ) -> Result<Candidate, BuildError> {
        let name = &function.name;
        let env = self.variables(function, environment)?;
        let node = self.nodes[&function.node].clone();
        let identity = Identity {
            code: &code_hash(snapshot, &function.code),
            // Once the packages are there, code that did not load without them is another.
            equipped: self.packages.are_there(&self.options.project, function),
            function,
            env: &env,
            node: &node.version,
        };
        let id = identity.id();
        if let Some(same) = live
            .and_then(|live| live.version(name))
            .filter(|old| old.id == id)
        {
            return Ok(Candidate::live(Arc::clone(same)));
        }
        let spec = VersionSpec {
            scope: project.scope(),
            function: name.clone(),
            version: id.clone(),
            node: node.node,
            entry: snapshot.root.join(&function.code),
            root: snapshot.root.clone(),
            shown_root: self.options.project.clone(),
            style: function.style,
            handlers: handlers_of(function),
            env,
            timeout: function.timeout,
            memory: function.memory,
            body_limit: function.max_body,
            limit: self.limit(name, function.concurrency),
            per_worker: function.per_worker,
            scale_down_after: function.scale_down_after,
            max_waiting: MAX_WAITING,
        };
        let pool = self.options.workers.pool(spec);
        Ok(Candidate::new(Version::new(function.clone(), id, pool)))
    }

    fn variables(
        &self,
        function: &Function,
        environment: &Environment,
    ) -> Result<BTreeMap<String, String>, BuildError> {
        let (name, vault) = (&function.name, &self.options.vault);
        let keys = vault.function_credentials(name)?;
        let aws = AwsEnvironment {
            endpoint: self.options.aws_endpoint.clone(),
            keys: (keys.access_key, keys.secret_key),
        };
        environment
            .of_function(name, &function.env, vault, &aws)
            .map_err(|missing| BuildError::Missing(name.clone(), missing))
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

/// Names the code that a function depends on: a folder with a `package.json` stands for itself,
/// everything else may load any file of the project.
fn code_hash(snapshot: &Snapshot, code: &Path) -> String {
    if snapshot.root.join(code).join("package.json").is_file() {
        snapshot.hash_below(code)
    } else {
        snapshot.hash.clone()
    }
}

/// What makes a version another one.
struct Identity<'a> {
    code: &'a str,
    equipped: bool,
    function: &'a Function,
    env: &'a BTreeMap<String, String>,
    node: &'a str,
}

impl Identity<'_> {
    /// 12 hexadecimal digits. The keys that are new at each start are left out, so that a restart
    /// keeps the identity.
    fn id(&self) -> String {
        let mut hasher = Sha256::new();
        hasher.update(self.code);
        hasher.update([u8::from(self.equipped)]);
        hasher.update(format!("{:?}", self.function));
        hasher.update(self.node);
        let own = |(name, _): &(&String, &String)| self.function.env.contains_key(*name);
        for (name, value) in self.env.iter().filter(own) {
            hasher.update(format!("{name}={value}\0"));
        }
        hex::encode(hasher.finalize())[..12].to_owned()
    }
}
