//! Being told to stop.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Mutex,
};

/// Signals within this time of each other are one.
const TOGETHER: Duration = Duration::from_millis(250);

/// SIGINT (Ctrl-C), SIGTERM and SIGHUP.
pub(super) struct Signals {
    heard: Mutex<Heard>,
}

struct Heard {
    all: [Signal; 3],
    last: Option<Instant>,
}

impl Signals {
    /// From now on these signals are heard instead of ending the process.
    pub(super) fn listen() -> anyhow::Result<Self> {
        let heard = |kind| signal(kind).context("signals cannot be heard");
        Ok(Self {
            heard: Mutex::new(Heard {
                all: [
                    heard(SignalKind::interrupt())?,
                    heard(SignalKind::terminate())?,
                    heard(SignalKind::hangup())?,
                ],
                last: None,
            }),
        })
    }

    /// Returns when one comes. Signals that come together are one: `timeout`, for example, tells
    /// a process and then its group. Cancel-safe.
    pub(super) async fn asked(&self) {
        let mut heard = self.heard.lock().await;
        let Heard {
            all: [interrupt, terminate, hangup],
            last,
        } = &mut *heard;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
            let again = last.is_some_and(|last| last.elapsed() < TOGETHER);
            *last = Some(Instant::now());
            if !again {
                return;
            }
        }
    }
}
