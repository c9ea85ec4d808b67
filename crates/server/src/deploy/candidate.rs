//! Versions on their way to being live.

use std::sync::Arc;

use crate::live::Version;

/// A version that may go live. Unless it is kept, its workers end when it is dropped: a reload
/// may be given up at any point, and nothing of it must stay behind.
pub struct Candidate {
    version: Arc<Version>,
    origin: Origin,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    New,
    Live,
}

impl Candidate {
    /// A version that was just made.
    pub fn new(version: Version) -> Self {
        Self {
            version: Arc::new(version),
            origin: Origin::New,
        }
    }

    /// A version that is live and stays so.
    pub fn live(version: Arc<Version>) -> Self {
        Self {
            version,
            origin: Origin::Live,
        }
    }

    /// Whether it is live already.
    pub fn is_live(&self) -> bool {
        self.origin == Origin::Live
    }

    /// The version.
    pub fn version(&self) -> &Arc<Version> {
        &self.version
    }

    /// The version, which is live from now on.
    pub fn keep(mut self) -> Arc<Version> {
        self.origin = Origin::Live;
        Arc::clone(&self.version)
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if self.origin == Origin::New {
            self.version.pool.retire();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path, time::Duration};

    use wakeful_core::{
        id::RunId,
        manifest::{self, Files, Found, Source},
        name::{FunctionName, Scope},
        run::LogLine,
    };
    use wakeful_workers::{
        Host, HostCall, HostError, HostErrorCode, HostFuture, Limit, Observer, Options,
        ReserveError, VersionSpec, WorkerEvent, Workers,
    };

    use super::*;
    use crate::clock::SystemClock;

    struct Nobody;

    impl Host for Nobody {
        fn call(&self, _: HostCall) -> HostFuture {
            let error = HostError {
                code: HostErrorCode::NotFound,
                message: "nothing is here".into(),
            };
            Box::pin(async { Err(error) })
        }

        fn ended(&self, _: &Scope, _: &FunctionName, _: RunId, _: u32) {}
    }

    impl Observer for Nobody {
        fn log(&self, _: &Scope, _: LogLine) {}

        fn worker(&self, _: WorkerEvent) {}
    }

    impl Files for Nobody {
        fn look(&self, _: &Path) -> Found {
            Found::File
        }
    }

    /// A version whose workers never come up.
    fn version(workers: &Workers) -> Version {
        let source = Source {
            name: "wakeful.toml".into(),
            text: "name = \"p\"\n[function.f]\ncode = \"f.js\"\n".into(),
        };
        let loaded = manifest::load(&source, &"dev".parse().unwrap(), &Nobody);
        let project = loaded.unwrap().project;
        let function = project.functions.values().next().unwrap().clone();
        let pool = workers.pool(VersionSpec {
            scope: project.scope(),
            function: function.name.clone(),
            version: "1".into(),
            node: "/nonexistent/node".into(),
            entry: "/nonexistent/f.js".into(),
            root: "/nonexistent".into(),
            shown_root: "/nonexistent".into(),
            style: None,
            handlers: vec![None],
            env: BTreeMap::new(),
            timeout: Duration::from_secs(1),
            memory: 128 << 20,
            body_limit: 6 << 20,
            limit: Limit::new(1),
            per_worker: None,
            scale_down_after: Duration::from_secs(1),
            max_waiting: 1,
        });
        Version::new(function, "1".into(), pool)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_not_kept_is_retired() {
        let options = Options::new("/nonexistent/bootstrap.js".into(), Arc::new(SystemClock));
        let workers = Workers::new(options, Arc::new(Nobody), Arc::new(Nobody));
        let dropped = Candidate::new(version(&workers));
        let pool = dropped.version().pool.clone();
        drop(dropped);
        assert_eq!(pool.load().await, Err(ReserveError::Retired));

        let kept = Candidate::new(version(&workers)).keep();
        assert_ne!(kept.pool.load().await, Err(ReserveError::Retired));
        let live = Candidate::live(Arc::clone(&kept));
        drop(live);
        assert_ne!(kept.pool.load().await, Err(ReserveError::Retired));
        workers.shutdown(Duration::ZERO).await;
    }
}
