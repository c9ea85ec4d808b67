//! SQLite.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use crate::Capture;

pub(crate) async fn follow(capture: Capture, path: PathBuf, shutdown: CancellationToken) {
    let Capture {
        options,
        store,
        sink,
        observer,
        nudge,
    } = capture;
    let _ = (path, options, store, sink, observer, nudge);
    shutdown.cancelled().await;
}
