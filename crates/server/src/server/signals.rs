//! Being told to stop.

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

/// SIGINT (Ctrl-C), SIGTERM and SIGHUP.
pub(super) struct Signals {
    all: Mutex<[Signal; 3]>,
}

impl Signals {
    /// From now on these signals are heard instead of ending the process.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let heard = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self {
            all: Mutex::new([
                heard(SignalKind::interrupt())?,
                heard(SignalKind::terminate())?,
                heard(SignalKind::hangup())?,
            ]),
        })
    }

    /// Returns when one comes. Cancel-safe.
    pub(super) async fn asked(&self) {
        let mut all = self.all.lock().await;
        let [interrupt, terminate, hangup] = &mut *all;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
