//! Swapping versions in.
//!
//! A reload changes nothing until what it brings has proved that it loads. A function whose new
//! code does not load keeps its old version, with the routes and triggers that belong to it; what
//! never worked is swapped in broken, so that callers are told why and what is owed waits.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use wakeful_core::{
    delivery::Failure,
    name::{EnvironmentName, FunctionName},
    project::{Project, Style},
};

use super::{
    BuildError, Builder, Draining, Report, Reporter, States, build::PackageReports,
    candidate::Candidate, load::load, manifest::read, watch::Watch,
};
use crate::{
    control::FunctionState,
    dispatcher::Dispatcher,
    live::{Live, LiveCell, Version},
};

/// Versions that are loaded at once while they are checked.
const LOADS_AT_ONCE: usize = 2;

/// Told of the project after each swap, so that sources listen to what it asks for.
pub type Apply = Arc<dyn Fn(&Project) + Send + Sync>;

/// Versions that were built, and not tried yet.
struct Built {
    project: Project,
    candidates: Vec<Candidate>,
    before: Arc<Live>,
    began: Instant,
}

/// Versions that have proved that they load, or are kept for want of better ones.
struct Ready {
    project: Project,
    outcomes: Vec<Outcome>,
    before: Arc<Live>,
    took: Duration,
}

/// What becomes of a function in a reload.
enum Outcome {
    /// Nothing of it changed.
    Same(Candidate),
    /// Its new version loads.
    Loads(Candidate, Style),
    /// Its new version does not load, the older one serves on.
    Outdated(Arc<Version>, Failure),
    /// Its new version does not load, nor does an older one.
    Broken(Candidate, Failure),
}

/// Swaps versions in.
pub struct Deployer {
    /// Makes versions.
    pub builder: Builder,
    /// The project's folder.
    pub folder: PathBuf,
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
    /// What is no longer live and may still run.
    pub draining: Draining,
}

impl Deployer {
    /// Puts the first versions in place, before they are loaded: requests wait for them.
    pub async fn first(&mut self, project: Project) -> Result<(), BuildError> {
        let packages = self.builder.equip(&project).await?;
        self.report_packages(packages);
        let built = tokio::task::block_in_place(|| self.builder.build(&project, None))?;
        let versions = built.into_iter().map(Candidate::keep).collect();
        self.go_live(project, versions);
        Ok(())
    }

    /// Loads what was never loaded, so that what is broken shows before an event needs it.
    /// Cancel-safe: what was not loaded by then is loaded the next time.
    pub async fn check(&self) {
        let began = Instant::now();
        let live = Arc::clone(&self.live.load());
        let unknown = live
            .versions()
            .filter(|version| self.state(version) == FunctionState::Loading);
        let checks: Vec<_> = unknown
            .map(|version| self.check_one(version, began))
            .collect();
        stream::iter(checks)
            .buffer_unordered(LOADS_AT_ONCE)
            .collect::<()>()
            .await;
    }

    async fn check_one(&self, version: &Version, began: Instant) {
        let loaded = load(version).await;
        let function = &version.function.name;
        match loaded {
            Ok(style) => self.report_live(function, style, began.elapsed()),
            Err(failure) => self.report_broken(function, failure, None),
        }
    }

    /// Follows changes of the project's folder and of its secrets until `shutdown`.
    ///
    /// A change that comes while versions are being loaded starts over. One that comes while
    /// Node or packages are being installed waits: installing changes files itself, and an
    /// install that is given up has to begin anew.
    pub async fn follow(
        &mut self,
        mut watch: Watch,
        mut secrets: watch::Receiver<()>,
        shutdown: CancellationToken,
    ) {
        // What changed between the first versions and the watch is found by looking once.
        loop {
            watch.refresh();
            let built = tokio::select! {
                () = shutdown.cancelled() => return,
                built = self.build() => built,
            };
            if let Some(built) = built {
                let ready = tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = change(&mut watch, &mut secrets) => continue,
                    ready = self.load(built) => ready,
                };
                self.swap(ready).await;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = change(&mut watch, &mut secrets) => {}
                () = self.check_and_rest() => {}
            }
        }
    }

    /// Loads what was never loaded; never ends.
    async fn check_and_rest(&self) {
        self.check().await;
        std::future::pending().await
    }

    /// Reads everything again, and makes versions of what changed; `None` when nothing did, or
    /// when it could not be done.
    async fn build(&mut self) -> Option<Built> {
        let began = Instant::now();
        let loaded = read(&self.folder, &self.environment)
            .map_err(|error| (self.reporter)(Report::Manifest(error)))
            .ok()?;
        let project = loaded.project;
        let before = Arc::clone(&self.live.load());
        let candidates = match self.candidates(&project, &before).await {
            Ok(candidates) => candidates,
            Err(error) => {
                (self.reporter)(Report::Build(error));
                return None;
            }
        };
        if project == *before.project && candidates.iter().all(Candidate::is_live) {
            self.nothing_changed(&before, began);
            return None;
        }
        if !loaded.warnings.is_empty() {
            (self.reporter)(Report::Warnings(loaded.warnings));
        }
        Some(Built {
            project,
            candidates,
            before,
            began,
        })
    }

    async fn candidates(
        &mut self,
        project: &Project,
        before: &Live,
    ) -> Result<Vec<Candidate>, BuildError> {
        let packages = self.builder.equip(project).await?;
        self.report_packages(packages);
        tokio::task::block_in_place(|| self.builder.build(project, Some(before)))
    }

    /// What is on disk is what is live. Values that sources use may still be others.
    fn nothing_changed(&self, live: &Live, began: Instant) {
        (self.apply)(&live.project);
        for version in live.versions() {
            self.up_to_date(&version.function.name, began.elapsed());
        }
    }

    async fn load(&self, built: Built) -> Ready {
        let outcomes: Vec<_> = built
            .candidates
            .into_iter()
            .map(|candidate| self.outcome(candidate, &built.before))
            .collect();
        let outcomes = stream::iter(outcomes)
            .buffer_unordered(LOADS_AT_ONCE)
            .collect()
            .await;
        Ready {
            project: built.project,
            outcomes,
            before: built.before,
            took: built.began.elapsed(),
        }
    }

    async fn outcome(&self, candidate: Candidate, before: &Live) -> Outcome {
        if candidate.is_live() {
            return Outcome::Same(candidate);
        }
        let failure = match load(candidate.version()).await {
            Ok(style) => return Outcome::Loads(candidate, style),
            Err(failure) => failure,
        };
        match before.version(&candidate.version().function.name) {
            Some(old) if self.works(old).await => Outcome::Outdated(Arc::clone(old), failure),
            _ => Outcome::Broken(candidate, failure),
        }
    }

    /// Whether a version that is live loads.
    async fn works(&self, version: &Version) -> bool {
        match self.state(version) {
            FunctionState::Live | FunctionState::Outdated(_) => true,
            FunctionState::Broken(_) => false,
            FunctionState::Loading => load(version).await.is_ok(),
        }
    }

    /// Puts what is ready in the place of what is live, and releases what waited for it.
    async fn swap(&mut self, ready: Ready) {
        let Ready {
            mut project,
            outcomes,
            before,
            took,
        } = ready;
        let mut changed: BTreeMap<FunctionName, String> = BTreeMap::new();
        let mut versions = Vec::with_capacity(outcomes.len());
        for outcome in outcomes {
            let (version, is_new) = self.settle(outcome, took);
            let function = version.function.clone();
            if is_new {
                changed.insert(function.name.clone(), version.id.clone());
            }
            // A function that keeps its old version keeps its old triggers.
            project.functions.insert(function.name.clone(), function);
            versions.push(version);
        }
        self.replace(&before, project, versions);
        for (function, version) in changed {
            let released = self.dispatcher.release_held(&function, Some(&version));
            if let Err(error) = released.await {
                tracing::error!(%function, %error, "held deliveries could not be released");
            }
        }
        if let Err(error) = self.dispatcher.wake_all().await {
            tracing::error!(%error, "the queues could not be read");
        }
        self.sweep();
    }

    /// Removes code that nothing runs any more.
    fn sweep(&mut self) {
        let roots = self.draining.roots(&self.live.load());
        tokio::task::block_in_place(|| self.builder.sweep(&roots));
    }

    /// Says how a function stands from now on: the version that is to be live, and whether it is
    /// another than before.
    fn settle(&self, outcome: Outcome, took: Duration) -> (Arc<Version>, bool) {
        match outcome {
            Outcome::Same(candidate) => {
                self.up_to_date(&candidate.version().function.name, took);
                (candidate.keep(), false)
            }
            Outcome::Loads(candidate, style) => {
                self.report_live(&candidate.version().function.name, style, took);
                (candidate.keep(), true)
            }
            Outcome::Outdated(old, failure) => {
                self.report_broken(&old.function.name, failure, Some(&old));
                (old, false)
            }
            Outcome::Broken(candidate, failure) => {
                self.report_broken(&candidate.version().function.name, failure, None);
                (candidate.keep(), true)
            }
        }
    }

    /// Makes versions live, then ends those that are no longer.
    fn replace(&mut self, before: &Live, project: Project, versions: Vec<Arc<Version>>) {
        self.go_live(project, versions);
        let live = Arc::clone(&self.live.load());
        for old in before.versions() {
            let name = &old.function.name;
            match live.version(name) {
                Some(new) if Arc::ptr_eq(new, old) => continue,
                Some(_) => {}
                None => {
                    self.states.remove(name);
                    (self.reporter)(Report::Removed(name.clone()));
                }
            }
            old.pool.retire();
            self.draining.add(Arc::clone(old));
        }
    }

    /// Makes versions live. What sources submit from then on finds the triggers that it is for,
    /// which is why they are pointed at the project afterwards.
    fn go_live(&self, project: Project, versions: Vec<Arc<Version>>) {
        self.live.swap(Live::new(project, versions));
        (self.apply)(&self.live.load().project);
    }

    fn state(&self, version: &Version) -> FunctionState {
        self.states.get(&version.function.name).0
    }

    /// What a function has on disk is what is live; worth saying when it was otherwise.
    fn up_to_date(&self, function: &FunctionName, took: Duration) {
        if let Some(style) = self.states.up_to_date(function) {
            self.report_live(function, style, took);
        }
    }

    fn report_live(&self, function: &FunctionName, style: Style, took: Duration) {
        self.states.live(function, style);
        (self.reporter)(Report::Live {
            function: function.clone(),
            style,
            took,
        });
    }

    fn report_broken(&self, function: &FunctionName, why: Failure, older: Option<&Arc<Version>>) {
        match older {
            Some(_) => self.states.outdated(function, why.clone()),
            None => self.states.broken(function, why.clone()),
        }
        (self.reporter)(Report::Broken {
            function: function.clone(),
            failure: why,
            older_serves: older.is_some(),
        });
    }

    fn report_packages(&self, packages: PackageReports) {
        for report in packages {
            (self.reporter)(match report {
                Ok(report) => Report::Packages(report),
                Err(error) => Report::PackagesFailed(error),
            });
        }
    }
}

/// The next change of a file or a secret. Cancel-safe.
async fn change(watch: &mut Watch, secrets: &mut watch::Receiver<()>) {
    tokio::select! {
        () = watch.changed() => {}
        Ok(()) = secrets.changed() => {}
    }
}
