//! From assembled to ready, and from told to stop to stopped.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use hyper_util::service::TowerToHyperService;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    limits,
    port::{Store, Sweep},
    project::Project,
};
use wakeful_objects::S3;

use super::{
    assemble::Server, ground::Ground, listeners::Listeners, reconcile::reconcile, signals::Signals,
};
use crate::{
    addresses::{ADDRESSES_FILE, AddressFile},
    admin::{self, AdminOptions},
    connections,
    control::Control,
    credentials::AwsKeys,
    deploy::Watch,
    gateway::{self, Detail, Gateway, GatewayParts},
    lambda_api::{self, AwsDoor, LambdaApi},
    operator::Operator,
    options::{Mode, ServeError, ServeOptions},
    terminal::{Follow, Started},
};

/// How long the ready message waits for the capture of the databases to begin.
const CAPTURE_PATIENCE: Duration = Duration::from_secs(5);
/// Connections of the admin API at once.
const ADMIN_CONNECTIONS: usize = 256;
/// How often what nobody needs any more is dropped.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What a stop may take beyond `limits::DRAIN`: workers are ended, requests are answered.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How long requests to the admin API may take once all workers are gone.
const ADMIN_GRACE: Duration = Duration::from_secs(5);

/// What runs until the server stops, in the order in which it ends.
#[derive(Default)]
struct Running {
    /// What brings new work: it ends first.
    intake: Part,
    /// What user code that still runs, and whoever watches it, needs: it ends after the workers.
    services: Part,
}

/// Tasks that end together.
#[derive(Default)]
struct Part {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Part {
    /// Tells its tasks to end, and waits for them.
    async fn end(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Server {
    /// From assembled to ready, then until told to stop.
    pub(super) async fn go(
        mut self,
        options: &ServeOptions,
        project: Project,
        listeners: Listeners,
        began: Instant,
    ) -> Result<(), ServeError> {
        let running = Running::default();
        let signals = Signals::listen()?;
        let now = self.ground.clock.now();
        // What is paused stays so from the first event on.
        let known = self.dispatcher.wake_all().await;
        known.context("the store could not be read")?;
        if let Some(deployer) = &mut self.deployer {
            tokio::select! {
                first = deployer.first(project.clone()) => first.map_err(anyhow::Error::from)?,
                () = signals.asked() => return Ok(()),
            }
        }
        let first_admin_key = match options.mode {
            Mode::Serve => self
                .ground
                .vault
                .ensure_admin_key(now)
                .map_err(anyhow::Error::from)?,
            Mode::Dev => None,
        };
        reconcile(
            &self.ground.history,
            &self.ground.store,
            &*self.ground.clock,
        )
        .await;
        self.listen(options, listeners, &running)?;
        for function in project.functions.keys() {
            let released = self.dispatcher.release_held(function, None).await;
            released.context("the store could not be read")?;
        }
        self.dispatcher
            .wake_all()
            .await
            .context("the store could not be read")?;
        self.dispatcher.tell_of_unknown(self.ground.opened).await;
        self.sources.listening(&project, CAPTURE_PATIENCE).await;
        let file = self.address_file()?;
        self.write_addresses(options, &file)?;
        self.terminal.started(&Started {
            scope: &project.scope(),
            mode: options.mode,
            project: &project,
            addresses: &file,
            folder: &self.folder,
            data: &self.ground.data,
            first_admin_key: first_admin_key.as_deref(),
            took: began.elapsed(),
        });
        if options.mode == Mode::Dev {
            self.write_schema();
        }
        let runs = self.recorder.runs().subscribe();
        let shown = match options.mode {
            Mode::Dev => Follow::Everything(runs, self.recorder.logs().subscribe()),
            Mode::Serve => Follow::Troubles(runs),
        };
        tokio::spawn(self.terminal.clone().follow(shown));
        self.spawn_upkeep(options.mode, &running.intake);
        self.follow_changes(options.mode, &running.intake);
        signals.asked().await;
        self.stop(options, &signals, &running).await;
        Ok(())
    }

    /// Starts the three listeners.
    fn listen(
        &self,
        options: &ServeOptions,
        listeners: Listeners,
        Running { intake, services }: &Running,
    ) -> anyhow::Result<()> {
        let detail = match options.mode {
            Mode::Dev => Detail::Full,
            Mode::Serve => Detail::Brief,
        };
        let gateway = Gateway::new(GatewayParts {
            live: self.live.clone(),
            recorder: self.recorder.clone(),
            vault: Arc::clone(&self.ground.vault),
            ids: Arc::clone(&self.ground.ids),
            clock: Arc::clone(&self.ground.clock),
            sink: Arc::new(self.dispatcher.clone()),
            store: Arc::new(self.ground.store.clone()),
            detail,
        });
        let http = {
            let _on_data_plane = self.data_plane.handle().enter();
            tokio::net::TcpListener::from_std(listeners.http)?
        };
        let serving = gateway::listen(gateway, http, intake.stop.clone());
        intake.tasks.spawn_on(serving, self.data_plane.handle());
        let s3 = S3::new(
            self.buckets.clone(),
            Arc::new(AwsKeys {
                vault: Arc::clone(&self.ground.vault),
                live: self.live.clone(),
                grants: self.grants.clone(),
            }),
        );
        let aws = tokio::net::TcpListener::from_std(listeners.aws)?;
        services.tasks.spawn(wakeful_objects::serve(
            aws,
            AwsDoor::new(s3, self.lambda_api()),
            services.stop.clone().cancelled_owned(),
        ));
        let admin_options = AdminOptions {
            hosts: Vec::new(),
            stop: services.stop.clone(),
            jobs: services.tasks.clone(),
        };
        let router = admin::router(self.control(), Arc::new(self.operator()), admin_options);
        let admin = tokio::net::TcpListener::from_std(listeners.admin)?;
        let service_of = move |_| TowerToHyperService::new(router.clone());
        let stop = services.stop.clone();
        let serving = connections::serve(admin, service_of, ADMIN_CONNECTIONS, stop.clone());
        services.tasks.spawn(async move {
            let patience = async {
                stop.cancelled().await;
                tokio::time::sleep(ADMIN_GRACE).await;
            };
            tokio::select! {
                () = serving => {}
                () = patience => tracing::warn!("admin requests that did not end were cut off"),
            }
        });
        Ok(())
    }

    fn control(&self) -> Control {
        Control {
            scope: self.live.load().project.scope(),
            project: self.live.project(),
            store: Arc::new(self.ground.store.clone()),
            history: self.ground.history.clone(),
            buckets: self.buckets.clone(),
            vault: Arc::clone(&self.ground.vault),
            workers: self.workers.clone(),
            logs: self.recorder.logs().clone(),
            runs: self.recorder.runs().clone(),
            sampling: Arc::clone(self.recorder.sampling()),
            clock: Arc::clone(&self.ground.clock),
            ids: Arc::clone(&self.ground.ids),
        }
    }

    fn lambda_api(&self) -> LambdaApi {
        LambdaApi::new(lambda_api::Parts {
            live: self.live.clone(),
            dispatcher: self.dispatcher.clone(),
            attempts: self.attempts.clone(),
            recorder: self.recorder.clone(),
            history: self.ground.history.clone(),
            vault: Arc::clone(&self.ground.vault),
            grants: self.grants.clone(),
            states: self.states.clone(),
            workers: self.workers.clone(),
            clock: Arc::clone(&self.ground.clock),
            ids: Arc::clone(&self.ground.ids),
        })
    }

    fn operator(&self) -> Operator {
        Operator {
            dispatcher: self.dispatcher.clone(),
            live: self.live.clone(),
            states: self.states.clone(),
            addresses: self.addresses,
            store: self.ground.store.clone(),
            buckets: self.buckets.clone(),
            clock: Arc::clone(&self.ground.clock),
        }
    }

    /// What scripts and the other commands need to reach this server.
    fn address_file(&self) -> anyhow::Result<AddressFile> {
        let keys = self
            .ground
            .vault
            .project_credentials(self.ground.clock.now())?;
        Ok(AddressFile {
            http: self.addresses.http,
            admin: self.addresses.admin,
            aws: self.addresses.aws,
            admin_key: self.ground.vault.session_key()?,
            aws_access_key: keys.access_key,
            aws_secret_key: keys.secret_key,
            pid: std::process::id(),
        })
    }

    /// The manifest's JSON Schema, for editors: `#:schema .wakeful/schema.json`.
    fn write_schema(&self) {
        let path = self.ground.data.join("schema.json");
        let schema = serde_json::to_vec_pretty(&wakeful_core::manifest::schema());
        if let Err(error) = schema
            .map_err(std::io::Error::from)
            .and_then(|text| std::fs::write(&path, text))
        {
            tracing::warn!(path = %path.display(), %error, "the schema could not be written");
        }
    }

    fn write_addresses(&self, options: &ServeOptions, file: &AddressFile) -> anyhow::Result<()> {
        file.write(&self.ground.data.join(ADDRESSES_FILE))?;
        if let Some(path) = &options.addr_file {
            file.write(path)?;
        }
        Ok(())
    }

    /// Sets aside what grew too old and drops what nobody needs any more, every minute.
    fn spawn_upkeep(&self, mode: Mode, part: &Part) {
        let (store, clock) = (self.ground.store.clone(), Arc::clone(&self.ground.clock));
        let (dispatcher, live) = (self.dispatcher.clone(), self.live.clone());
        let upkeep = async move {
            loop {
                tokio::time::sleep(SWEEP_EVERY).await;
                if let Err(error) = dispatcher.expire().await {
                    tracing::warn!(%error, "what grew too old could not be set aside");
                }
                let now = clock.now();
                let sweep = Sweep {
                    now,
                    events_before: now.minus(live.load().project.keep_events),
                    dead_before: (mode == Mode::Dev).then(|| now.minus(limits::DEV_DEAD_LETTERS)),
                };
                if let Err(error) = store.sweep(sweep).await {
                    tracing::warn!(%error, "the store could not be swept");
                }
                // What a sweep or a burial made ready, nobody was told of.
                if let Err(error) = dispatcher.wake_all().await {
                    tracing::warn!(%error, "the queues could not be looked at");
                }
            }
        };
        let stop = part.stop.clone();
        part.tasks.spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = upkeep => {}
            }
        });
    }

    /// In `dev`, follows edits; in `serve`, loads everything once, so that what is broken shows.
    fn follow_changes(&mut self, mode: Mode, part: &Part) {
        let Some(mut deployer) = self.deployer.take() else {
            return;
        };
        let stop = part.stop.clone();
        let watch = match mode {
            Mode::Dev => Watch::new(&self.folder, self.left_out.clone())
                .inspect_err(|error| {
                    self.terminal
                        .warn(&format!("edits cannot be noticed: {error}"));
                })
                .ok(),
            Mode::Serve => None,
        };
        let secrets = self.ground.vault.changes();
        part.tasks.spawn(async move {
            match watch {
                Some(watch) => deployer.follow(watch, secrets, stop).await,
                None => tokio::select! {
                    () = stop.cancelled() => {}
                    () = deployer.check() => {}
                },
            }
        });
    }

    /// Stops in good order: nothing new, then what runs, then what that needed, then what is
    /// written. What a running function does is taken in until all workers are gone, but starts
    /// nothing any more.
    async fn stop(self, options: &ServeOptions, signals: &Signals, running: &Running) {
        self.terminal
            .say("Stopping: what runs may finish. Ctrl-C again stops at once.");
        let orderly = async {
            self.dispatcher.stop_feeding();
            let workers = self.workers.shutdown(limits::DRAIN);
            tokio::join!(running.intake.end(), self.sources.stop(), workers);
            running.services.end().await;
            self.buckets.close().await;
            self.dispatcher.drain().await;
        };
        let bounded = tokio::time::timeout(limits::DRAIN + STOP_GRACE, orderly);
        let orderly = async {
            if bounded.await.is_err() {
                tracing::warn!("what did not end in time is made up for at the next start");
            }
            if let Err(error) = self.ground.history.flush().await {
                tracing::warn!(%error, "the last records of runs were not written");
            }
        };
        tokio::select! {
            () = orderly => {}
            () = signals.asked() => self.terminal.say("Stopped at once; what ran is started again next time."),
        }
        for path in options
            .addr_file
            .iter()
            .cloned()
            .chain([self.ground.data.join(ADDRESSES_FILE)])
        {
            let _ = std::fs::remove_file(path);
        }
        let Ground { store, history, .. } = self.ground;
        let closing = tokio::task::spawn_blocking(move || {
            history.close();
            store.close();
        });
        let _ = closing.await;
        self.data_plane.stop();
    }
}
