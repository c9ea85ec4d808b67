//! The thread on which requests and worker sockets live.
//!
//! One current-thread runtime: a request that arrives, is framed, answered and sent never wakes
//! another thread. What blocks or takes long (the store, S3, the admin API, user databases) lives
//! on the control runtime.

use std::{io, thread};

use tokio::{runtime::Handle, sync::oneshot};

/// The running thread.
pub struct DataPlane {
    handle: Handle,
    stop: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl DataPlane {
    /// Starts it.
    pub fn start() -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .event_interval(31)
            .build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = thread::Builder::new()
            .name("wakeful-data".into())
            .spawn(move || {
                // Whether it was told to stop or its owner is gone: both end it.
                let _ = runtime.block_on(stopped);
                runtime.shutdown_background();
            })?;
        Ok(Self {
            handle,
            stop,
            thread,
        })
    }

    /// Its runtime.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it; tasks that are left on it are dropped.
    pub fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.thread.join();
    }
}
