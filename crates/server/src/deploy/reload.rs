//! Swapping versions in.
//!
//! A reload changes nothing until what it brings has proved that it loads. A function whose new
//! code does not load keeps its old version, with the routes and triggers that belong to it; what
//! never worked is swapped in broken, so that callers are told why and what is owed waits.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    delivery::{Failure, FailureKind},
    manifest::Problem,
    name::{EnvironmentName, FunctionName, HandlerName},
    project::{Project, Style},
};
use wakeful_toolchain::{PackageError, PackageReport};
use wakeful_workers::ReserveError;

use super::{BuildError, Builder, ManifestError, build::Built, manifest::read, watch::Watch};
use crate::{
    control::FunctionState,
    dispatcher::Dispatcher,
    live::{Live, LiveCell, Version},
};

/// Versions that are loaded at once while they are checked.
const LOADS_AT_ONCE: usize = 2;

/// Something that whoever watches the terminal wants to know.
pub enum Report {
    /// The manifest was refused; what is live stays.
    Manifest(ManifestError),
    /// Something in the manifest should be known.
    Warnings(Vec<Problem>),
    /// Nothing could be built; what is live stays.
    Build(BuildError),
    /// Packages were installed.
    Packages(PackageReport),
    /// Packages could not be installed.
    PackagesFailed(PackageError),
    /// A version took over.
    Live {
        /// The function.
        function: FunctionName,
        /// How its handlers are called.
        style: Style,
        /// Since the change was seen.
        took: Duration,
    },
    /// A version does not load.
    Broken {
        /// The function.
        function: FunctionName,
        /// Why.
        failure: Failure,
        /// Whether an older version goes on serving.
        older_serves: bool,
    },
    /// A function is gone from the manifest.
    Removed(FunctionName),
}

/// Told of reports; must not block.
pub type Reporter = Arc<dyn Fn(Report) + Send + Sync>;

/// Told of the project after each swap, so that sources listen to what it asks for.
pub type Apply = Arc<dyn Fn(&Project) + Send + Sync>;

/// How each function stands, for `functions`. Cheap to clone.
#[derive(Clone, Default)]
pub struct States(Arc<Mutex<HashMap<FunctionName, (FunctionState, Option<Style>)>>>);

impl States {
    /// How a function stands, and the style that its code was found to have.
    pub fn get(&self, function: &FunctionName) -> (FunctionState, Option<Style>) {
        let states = self.0.lock();
        states
            .get(function)
            .cloned()
            .unwrap_or((FunctionState::Loading, None))
    }

    fn set(&self, function: &FunctionName, state: FunctionState, style: Option<Style>) {
        self.0.lock().insert(function.clone(), (state, style));
    }
}

/// Versions that have proved that they load, or were kept for want of better ones.
struct Ready {
    project: Project,
    /// Each version, and whether it is another than before.
    checked: Vec<(Arc<Version>, bool)>,
    before: Arc<Live>,
}

/// Swaps versions in.
pub struct Deployer {
    /// Makes versions.
    pub builder: Builder,
    /// The project's folder.
    pub folder: std::path::PathBuf,
    /// The environment whose settings apply.
    pub environment: EnvironmentName,
    /// Where what is live stands.
    pub live: LiveCell,
    /// Releases what waited for a new version.
    pub dispatcher: Dispatcher,
    /// Hears what happens.
    pub reporter: Reporter,
    /// Points sources to what the project asks for.
    pub apply: Apply,
    /// How functions stand.
    pub states: States,
}

impl Deployer {
    /// Puts the first versions in place, before they are loaded: requests wait for them.
    pub async fn first(&mut self, project: Project) -> Result<(), BuildError> {
        let mut built = self.builder.build(project, None).await?;
        self.report_packages(&mut built);
        (self.apply)(&built.project);
        self.live.swap(Live::new(built.project, built.versions));
        self.builder.sweep(&self.live.load());
        Ok(())
    }

    /// Loads every version once, so that what is broken shows before an event needs it.
    pub async fn check(&self) {
        let began = Instant::now();
        let versions: Vec<Arc<Version>> = self.live.load().versions().cloned().collect();
        let checks: Vec<_> = versions
            .iter()
            .map(|version| self.check_one(version, began))
            .collect();
        stream::iter(checks)
            .buffer_unordered(LOADS_AT_ONCE)
            .collect::<()>()
            .await;
    }

    async fn check_one(&self, version: &Version, began: Instant) {
        if let Err(failure) = self.loads(version, began).await {
            self.broken(version, failure, None);
        }
    }

    /// Follows changes of the project's folder and of its secrets until `shutdown`. A change
    /// that comes while an earlier one is still being loaded starts over.
    pub async fn follow(
        &mut self,
        mut watch: Watch,
        mut secrets: watch::Receiver<()>,
        shutdown: CancellationToken,
    ) {
        let mut first = true;
        loop {
            let just_started = std::mem::take(&mut first);
            let ready = tokio::select! {
                () = shutdown.cancelled() => return,
                () = watch.changed() => continue,
                Ok(()) = secrets.changed() => continue,
                ready = self.check_or_prepare(just_started) => ready,
            };
            if let Some(ready) = ready {
                self.swap(ready).await;
            }
            watch.refresh();
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = watch.changed() => {}
                Ok(()) = secrets.changed() => {}
            }
        }
    }

    async fn check_or_prepare(&mut self, just_started: bool) -> Option<Ready> {
        if just_started {
            self.check().await;
            return None;
        }
        self.prepare().await
    }

    /// Reads everything again, and builds and loads what changed. Nothing is live differently
    /// until `swap`; dropping this future gives up without a trace.
    async fn prepare(&mut self) -> Option<Ready> {
        let began = Instant::now();
        let loaded = match read(&self.folder, &self.environment) {
            Ok(loaded) => loaded,
            Err(error) => {
                (self.reporter)(Report::Manifest(error));
                return None;
            }
        };
        let before = Arc::clone(&self.live.load());
        let mut built = match self.builder.build(loaded.project, Some(&before)).await {
            Ok(built) => built,
            Err(error) => {
                (self.reporter)(Report::Build(error));
                return None;
            }
        };
        if built.project == *before.project && same_versions(&built, &before) {
            return None;
        }
        if !loaded.warnings.is_empty() {
            (self.reporter)(Report::Warnings(loaded.warnings));
        }
        self.report_packages(&mut built);
        let checks: Vec<_> = built
            .versions
            .into_iter()
            .map(|version| self.checked(version, &before, began))
            .collect();
        let checked: Vec<(Arc<Version>, bool)> = stream::iter(checks)
            .buffer_unordered(LOADS_AT_ONCE)
            .collect()
            .await;
        Some(Ready {
            project: built.project,
            checked,
            before,
        })
    }

    /// Puts what is ready in the place of what is live, and releases what waited for it.
    async fn swap(&self, ready: Ready) {
        let Ready {
            mut project,
            checked,
            before,
        } = ready;
        for (version, _) in &checked {
            let function = &version.function;
            project
                .functions
                .insert(function.name.clone(), function.clone());
        }
        let changed: BTreeMap<FunctionName, String> = checked
            .iter()
            .filter(|(_, changed)| *changed)
            .map(|(version, _)| (version.function.name.clone(), version.id.clone()))
            .collect();
        let next: Vec<Arc<Version>> = checked.into_iter().map(|(version, _)| version).collect();
        (self.apply)(&project);
        self.live.swap(Live::new(project, next));
        self.retire(&before);
        for (function, version) in changed {
            if let Err(error) = self
                .dispatcher
                .release_held(&function, Some(&version))
                .await
            {
                tracing::error!(%function, %error, "held deliveries could not be released");
            }
        }
        if let Err(error) = self.dispatcher.wake_all().await {
            tracing::error!(%error, "the queues could not be read");
        }
    }

    /// The version to go live with, and whether it is another than before.
    async fn checked(
        &self,
        new: Arc<Version>,
        before: &Live,
        began: Instant,
    ) -> (Arc<Version>, bool) {
        let old = before.version(&new.function.name);
        if old.is_some_and(|old| old.id == new.id) {
            return (new, false);
        }
        match self.loads(&new, began).await {
            Ok(()) => (new, true),
            Err(failure) => {
                let name = &new.function.name;
                let works = |_: &&Arc<Version>| {
                    !matches!(self.states.get(name).0, FunctionState::Broken(_))
                };
                let old = old.filter(works).cloned();
                self.broken(&new, failure, old.as_ref());
                match old {
                    Some(old) => {
                        new.pool.retire();
                        (old, false)
                    }
                    None => (new, true),
                }
            }
        }
    }

    /// Loads a version and reports it when it works.
    async fn loads(&self, version: &Version, began: Instant) -> Result<(), Failure> {
        let function = &version.function.name;
        let info = version.pool.load().await.map_err(reserve_failure)?;
        if !info.missing.is_empty() {
            let word = |name: &Option<HandlerName>| match name {
                Some(name) => name.to_string(),
                None => "default".to_owned(),
            };
            let missing: Vec<String> = info.missing.iter().map(word).collect();
            return Err(Failure::ours(
                FailureKind::Load,
                format!(
                    "{} exports no function {}; it exports: {}",
                    version.function.code.display(),
                    missing.join(", "),
                    if info.exports.is_empty() {
                        "nothing".into()
                    } else {
                        info.exports.join(", ")
                    },
                ),
            ));
        }
        self.states
            .set(function, FunctionState::Live, Some(info.style));
        let (function, style, took) = (function.clone(), info.style, began.elapsed());
        (self.reporter)(Report::Live {
            function,
            style,
            took,
        });
        Ok(())
    }

    fn broken(&self, version: &Version, failure: Failure, older: Option<&Arc<Version>>) {
        let function = version.function.name.clone();
        if older.is_none() {
            self.states
                .set(&function, FunctionState::Broken(failure.clone()), None);
        }
        (self.reporter)(Report::Broken {
            function,
            failure,
            older_serves: older.is_some(),
        });
    }

    /// Ends the pools of versions that are no longer live.
    fn retire(&self, before: &Live) {
        let now = self.live.load();
        for old in before.versions() {
            let name = &old.function.name;
            match now.version(name) {
                Some(new) if new.id == old.id => {}
                Some(_) => old.pool.retire(),
                None => {
                    old.pool.retire();
                    (self.reporter)(Report::Removed(name.clone()));
                }
            }
        }
    }

    fn report_packages(&self, built: &mut Built) {
        for report in built.packages.drain(..) {
            (self.reporter)(match report {
                Ok(report) => Report::Packages(report),
                Err(error) => Report::PackagesFailed(error),
            });
        }
    }
}

fn same_versions(built: &Built, live: &Live) -> bool {
    built.versions.iter().all(|version| {
        live.version(&version.function.name)
            .is_some_and(|old| old.id == version.id)
    })
}

fn reserve_failure(error: ReserveError) -> Failure {
    match error {
        ReserveError::Load(failure) | ReserveError::NotStarted(failure) => failure,
        ReserveError::Overloaded => Failure::ours(FailureKind::NotStarted, "too many calls wait"),
        ReserveError::Retired => {
            Failure::ours(FailureKind::Interrupted, "a newer version took over")
        }
    }
}
