//! Making and joining the parts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use tokio::runtime::Handle;
use wakeful_core::{port::Store, project::Project};
use wakeful_databases::Databases;
use wakeful_objects::Buckets;
use wakeful_toolchain::{Toolchain, default_cache};
use wakeful_workers::{Workers, install_runtime};

use super::{database_urls::DatabaseUrls, ground::Ground, listeners::Listeners};
use crate::{
    addresses::Addresses,
    attempts::Attempts,
    data_plane::DataPlane,
    deploy::{
        Apply, Builder, BuilderOptions, Deployer, Draining, Relevance, Report, Reporter, States,
    },
    dispatcher::{self, Dispatcher},
    host::{self, Grants, HostCalls},
    live::{Live, LiveCell},
    options::ServeOptions,
    recorder::Recorder,
    sources::{self, Sources, data_files},
    terminal::Terminal,
    undeclared::{Undeclared, UndeclaredNotes},
};

/// Everything of a running server.
pub(super) struct Server {
    pub(super) terminal: Terminal,
    pub(super) ground: Ground,
    pub(super) data_plane: DataPlane,
    pub(super) live: LiveCell,
    pub(super) recorder: Recorder,
    pub(super) dispatcher: Dispatcher,
    pub(super) attempts: Attempts,
    pub(super) buckets: Buckets,
    pub(super) grants: Grants,
    pub(super) workers: Workers,
    pub(super) sources: Arc<Sources>,
    pub(super) deployer: Option<Deployer>,
    pub(super) states: States,
    pub(super) addresses: Addresses,
    pub(super) folder: PathBuf,
    /// Knows which files raise no change.
    pub(super) left_out: Relevance,
}

impl Server {
    pub(super) async fn assemble(
        options: &ServeOptions,
        folder: &Path,
        terminal: Terminal,
        ground: Ground,
        listeners: &Listeners,
        project: &Project,
    ) -> anyhow::Result<Self> {
        let scope = project.scope();
        let addresses = listeners.addresses()?;
        let data_plane = DataPlane::start().context("the data thread could not be started")?;
        let live = LiveCell::new(Live::new(nothing_yet(project), Vec::new()));
        let recorder = Recorder::new(ground.history.clone(), Arc::clone(&ground.vault));
        let store: Arc<dyn Store> = Arc::new(ground.store.clone());
        let attempts = Attempts::default();
        let dispatcher = Dispatcher::new(dispatcher::Parts {
            scope: scope.clone(),
            store: Arc::clone(&store),
            live: live.clone(),
            recorder: recorder.clone(),
            attempts: attempts.clone(),
            ids: Arc::clone(&ground.ids),
            clock: Arc::clone(&ground.clock),
            runtime: data_plane.handle().clone(),
        });
        let buckets = Buckets::open(
            wakeful_objects::Options {
                folder: ground.data.join("objects"),
                scope: scope.clone(),
                clock: Arc::clone(&ground.clock),
                ids: Arc::clone(&ground.ids),
            },
            Arc::clone(&store),
            Arc::new(dispatcher.clone()),
        )?;
        let databases = Databases::new(wakeful_databases::Options::default());
        let notes = UndeclaredNotes::begin(&ground.data)?;
        let shown = terminal.clone();
        let on_undeclared = move |undeclared: Undeclared| {
            shown.undeclared(&undeclared);
            if let Err(error) = notes.note(undeclared) {
                tracing::warn!(%error, "undeclared access could not be noted for `check --fix`");
            }
        };
        let grants = Grants::new(live.clone(), options.mode, Arc::new(on_undeclared));
        let host = HostCalls::new(host::Parts {
            scope: scope.clone(),
            live: live.clone(),
            buckets: buckets.clone(),
            databases: databases.clone(),
            grants: grants.clone(),
            dispatcher: dispatcher.clone(),
            attempts: attempts.clone(),
            store: Arc::clone(&store),
            recorder: recorder.clone(),
            clock: Arc::clone(&ground.clock),
            runtime: Handle::current(),
        });
        let bootstrap = install_runtime(&ground.data)
            .context("the worker's bootstrap could not be written to the data folder")?;
        let workers = {
            let _on_data_plane = data_plane.handle().enter();
            let options = wakeful_workers::Options::new(bootstrap, Arc::clone(&ground.clock));
            Workers::new(options, Arc::new(host), Arc::new(recorder.clone()))
        };
        let sources = Sources::start(sources::Parts {
            scope,
            store,
            sink: Arc::new(dispatcher.clone()),
            clock: Arc::clone(&ground.clock),
            buckets: buckets.clone(),
            databases,
            observer: Arc::new(terminal.clone()),
            runtime: Handle::current(),
        });
        let urls = DatabaseUrls::first(project, folder, options.mode, &ground.vault)?;
        let relevance = Relevance::new(folder, &ground.data);
        relevance.set_databases(data_files(&urls.known(), folder));
        let builder = Builder::new(BuilderOptions {
            project: folder.to_owned(),
            data: ground.data.clone(),
            mode: options.mode,
            toolchain: Toolchain::new(wakeful_toolchain::Options {
                cache: default_cache(),
                path: std::env::var_os("PATH").unwrap_or_default(),
                progress: Arc::new(terminal.clone()),
            }),
            workers: workers.clone(),
            vault: Arc::clone(&ground.vault),
            aws_endpoint: format!("http://{}", addresses.aws),
            relevance: relevance.clone(),
        })?;
        let states = States::default();
        let deployer = Deployer {
            builder,
            folder: folder.to_owned(),
            environment: options.environment.clone(),
            live: live.clone(),
            dispatcher: dispatcher.clone(),
            reporter: reporter(&terminal),
            apply: apply(&sources, urls, &relevance, &terminal),
            states: states.clone(),
            draining: Draining::default(),
        };
        Ok(Self {
            terminal,
            ground,
            data_plane,
            live,
            recorder,
            dispatcher,
            attempts,
            buckets,
            grants,
            workers,
            sources,
            deployer: Some(deployer),
            states,
            addresses,
            folder: folder.to_owned(),
            left_out: relevance,
        })
    }
}

/// The project before any of its functions is live.
fn nothing_yet(project: &Project) -> Project {
    Project {
        functions: BTreeMap::new(),
        ..project.clone()
    }
}

fn reporter(terminal: &Terminal) -> Reporter {
    let terminal = terminal.clone();
    Arc::new(move |report: Report| terminal.report(&report))
}

/// Points the sources at a project.
fn apply(
    sources: &Arc<Sources>,
    urls: DatabaseUrls,
    relevance: &Relevance,
    terminal: &Terminal,
) -> Apply {
    let (sources, terminal) = (Arc::clone(sources), terminal.clone());
    let relevance = relevance.clone();
    Arc::new(move |project: &Project| {
        let urls = urls.again(project, |mistake| terminal.error(mistake));
        relevance.set_databases(data_files(&urls, relevance.project()));
        sources.apply(project, &urls);
    })
}
