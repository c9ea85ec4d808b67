//! The composition root: everything is made and joined here, and nowhere else.
//!
//! `run` brings a server up in the order in which things can fail cheaply: the manifest, the data
//! folder (`ground`), the ports (`listeners`), and only then what takes time: Node and packages.
//! `assemble` joins the parts; `lifecycle` is what happens from then on.

mod assemble;
mod ground;
mod lifecycle;
mod listeners;
mod signals;

use std::time::Instant;

use anyhow::Context;

use self::{assemble::Server, ground::Ground, listeners::Listeners};
use crate::{
    deploy::{ManifestError, read},
    options::{ServeError, ServeOptions},
    terminal::Terminal,
};

/// Threads for what blocks or takes long; requests have a thread of their own.
const CONTROL_THREADS: usize = 2;

/// Serves a project until it is told to stop.
///
/// # Errors
/// Says what kept the server from starting; once it is ready, it ends well.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("wakeful-control")
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let result = runtime.block_on(serve(options));
    runtime.shutdown_background();
    result
}

async fn serve(options: ServeOptions) -> Result<(), ServeError> {
    let began = Instant::now();
    let terminal = Terminal::new();
    let folder = options
        .dir
        .canonicalize()
        .with_context(|| format!("there is no folder {}", options.dir.display()))?;
    let loaded = match read(&folder, &options.environment) {
        Ok(loaded) => loaded,
        Err(ManifestError::Mistakes(problems)) => return Err(ServeError::Manifest(problems)),
        Err(error) => return Err(ServeError::Failed(error.into())),
    };
    terminal.warnings(&loaded.warnings);
    let ground = Ground::open(&options, &loaded.project)?;
    let listeners = Listeners::bind(&options)?;
    let project = loaded.project;
    let server =
        Server::assemble(&options, &folder, terminal, ground, &listeners, &project).await?;
    server.go(&options, project, listeners, began).await
}
