//! The sources of one project: started once, and pointed at what the live project asks for.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use wakeful_core::{
    name::{DatabaseName, Scope},
    port::{Clock, Sink, Store},
    project::{On, Project},
};
use wakeful_databases::{
    Capture, CaptureHandle, CaptureOptions, DatabaseUrl, Databases, Observer, Report, Target,
    Watched, watched, withdraw,
};
use wakeful_objects::Buckets;
use wakeful_sources::schedule::{Scheduler, SchedulerHandle};

/// What sources work with.
pub struct Parts {
    /// The scope of the project.
    pub scope: Scope,
    /// Where checkpoints are.
    pub store: Arc<dyn Store>,
    /// Where events go.
    pub sink: Arc<dyn Sink>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The buckets.
    pub buckets: Buckets,
    /// SQL of functions.
    pub databases: Databases,
    /// Told what happens to captures.
    pub observer: Arc<dyn Observer>,
    /// Where sources live.
    pub runtime: Handle,
}

/// Passes reports on, and knows which databases have been heard of.
struct Heard {
    observer: Arc<dyn Observer>,
    databases: watch::Sender<BTreeSet<DatabaseName>>,
}

impl Observer for Heard {
    fn report(&self, database: &DatabaseName, report: Report) {
        let counts = matches!(report, Report::Started | Report::Trouble(_));
        self.observer.report(database, report);
        if counts {
            self.databases
                .send_if_modified(|heard| heard.insert(database.clone()));
        }
    }
}

/// The running sources.
pub struct Sources {
    parts: Parts,
    heard: Arc<Heard>,
    scheduler: SchedulerHandle,
    captures: Mutex<BTreeMap<DatabaseName, Running>>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

struct Running {
    url: DatabaseUrl,
    tables: watch::Sender<Watched>,
    handle: CaptureHandle,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Sources {
    /// Starts what every project has; `apply` starts the rest.
    pub fn start(parts: Parts) -> Arc<Self> {
        let (scheduler, handle) = Scheduler::new(
            parts.scope.clone(),
            Arc::clone(&parts.store),
            Arc::clone(&parts.sink),
            Arc::clone(&parts.clock),
        );
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        tasks.spawn_on(scheduler.run(stop.clone()), &parts.runtime);
        let captures = Mutex::default();
        let heard = Arc::new(Heard {
            observer: Arc::clone(&parts.observer),
            databases: watch::Sender::default(),
        });
        Arc::new(Self {
            parts,
            heard,
            scheduler: handle,
            captures,
            tasks,
            stop,
        })
    }

    /// Listens to what `project` asks for, and to nothing else. `databases` are its databases
    /// with their addresses.
    pub fn apply(&self, project: &Project, databases: &BTreeMap<DatabaseName, DatabaseUrl>) {
        let buckets: BTreeSet<_> = project.buckets.keys().cloned().collect();
        self.parts.buckets.set_buckets(buckets);
        self.scheduler.set(
            project
                .triggers()
                .filter_map(|trigger| match &trigger.on {
                    On::Schedule(schedule) => Some((trigger.id.clone(), schedule.clone())),
                    _ => None,
                })
                .collect(),
        );
        self.capture(project, databases);
    }

    fn capture(&self, project: &Project, databases: &BTreeMap<DatabaseName, DatabaseUrl>) {
        let mut captures = self.captures.lock();
        let gone: Vec<_> = captures
            .extract_if(.., |name, running| {
                databases.get(name) != Some(&running.url)
            })
            .collect();
        for (name, running) in gone {
            let stays = databases
                .get(&name)
                .is_some_and(|url| same(url, &running.url));
            self.end_capture(name, running, stays);
        }
        let mut targets = BTreeMap::new();
        for (name, url) in databases {
            let tables = watched(project, name);
            let running = captures
                .entry(name.clone())
                .or_insert_with(|| self.start_capture(name, url, tables.clone()));
            running.tables.send_if_modified(|now| {
                let changed = *now != tables;
                *now = tables;
                changed
            });
            let capture = Some(running.handle.clone());
            targets.insert(
                name.clone(),
                Target {
                    url: url.clone(),
                    capture,
                },
            );
        }
        self.parts.databases.set(targets);
    }

    fn start_capture(&self, name: &DatabaseName, url: &DatabaseUrl, tables: Watched) -> Running {
        let (sender, receiver) = watch::channel(tables);
        let parts = &self.parts;
        let options = CaptureOptions::new(parts.scope.clone(), name.clone(), url.clone(), receiver);
        let (capture, handle) = Capture::new(
            options,
            Arc::clone(&parts.store),
            Arc::clone(&parts.sink),
            Arc::clone(&self.heard) as Arc<dyn Observer>,
        );
        let stop = self.stop.child_token();
        let task = self
            .tasks
            .spawn_on(capture.run(stop.clone()), &parts.runtime);
        Running {
            url: url.clone(),
            tables: sender,
            handle,
            stop,
            task,
        }
    }

    /// Waits until every database that `project` listens to is captured, or is in trouble that
    /// was reported, or `patience` is over: so that a row written once the server says it is
    /// ready is seen.
    pub async fn listening(&self, project: &Project, patience: Duration) {
        let wanted: Vec<DatabaseName> = {
            let captures = self.captures.lock();
            let listened = |name: &&DatabaseName| !watched(project, name).is_empty();
            captures.keys().filter(listened).cloned().collect()
        };
        let mut heard = self.heard.databases.subscribe();
        let all = heard.wait_for(|heard| wanted.iter().all(|name| heard.contains(name)));
        let _ = tokio::time::timeout(patience, all).await;
    }

    /// Ends a capture, and takes its triggers out of the database: else they would record changes
    /// that nobody reads, for ever. They stay when the same file is only called another way now.
    fn end_capture(&self, name: DatabaseName, running: Running, stays: bool) {
        running.stop.cancel();
        let scope = self.parts.scope.clone();
        let end = async move {
            // It may have panicked; there is nothing to wait for then either.
            let _ = running.task.await;
            if stays {
                return;
            }
            if let Err(trouble) = withdraw(&scope, &name, &running.url).await {
                tracing::warn!(database = %name, %trouble,
                    "the triggers of a database that is not captured any more stay in it");
            }
        };
        self.tasks.spawn_on(end, &self.parts.runtime);
    }

    /// Ends all sources; returns when nothing is submitted any more.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Whether two addresses are of one file.
fn same(one: &DatabaseUrl, other: &DatabaseUrl) -> bool {
    let (DatabaseUrl::Sqlite(one), DatabaseUrl::Sqlite(other)) = (one, other);
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => one == other,
    }
}

/// The files in which a project keeps data, not code.
pub fn data_files(databases: &BTreeMap<DatabaseName, DatabaseUrl>, folder: &Path) -> Vec<PathBuf> {
    databases
        .values()
        .map(|url| match url {
            DatabaseUrl::Sqlite(path) => folder.join(path),
        })
        .collect()
}
