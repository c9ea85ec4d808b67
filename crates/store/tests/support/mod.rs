//! What the tests of the SQLite store share.

use std::{path::Path, sync::Arc};

use tempfile::TempDir;
use wakeful_core::{port::Clock, time::Timestamp};
use wakeful_store::{Options, SqliteStore, conformance::Subject};

/// A clock that stands.
pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000)
    }
}

/// Options for `folder` that do not depend on how full the test machine is.
pub(crate) fn options(folder: &Path) -> Options {
    Options {
        reserve: 1,
        ..Options::new(folder, Arc::new(Still))
    }
}

/// A store in a folder of its own.
pub(crate) fn sqlite() -> Subject {
    open(Arc::new(tempfile::tempdir().unwrap()))
}

fn open(folder: Arc<TempDir>) -> Subject {
    let store = SqliteStore::open(options(folder.path())).unwrap();
    let handle = store.clone();
    Subject::new(Arc::new(store), move || {
        handle.close();
        open(folder)
    })
}
