//! The composition root: everything is made and joined here, and nowhere else.
//!
//! `run` brings a server up in the order in which things can fail cheaply: the manifest, the data
//! folder (`ground`), the ports (`listeners`), and only then what takes time: Node and packages.
//! `assemble` joins the parts; `lifecycle` is what happens from then on.

mod assemble;
mod database_urls;
mod ground;
mod lifecycle;
mod listeners;
mod reconcile;
mod signals;

use std::time::Instant;

use anyhow::Context;
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use self::{assemble::Server, ground::Ground, listeners::Listeners};
use crate::{
    deploy::{ManifestError, read},
    options::{ServeError, ServeOptions},
    terminal::{Terminal, colours_for},
};

/// Threads for what blocks or takes long; requests have a thread of their own.
const CONTROL_THREADS: usize = 2;

/// Serves a project until it is told to stop.
///
/// # Errors
/// Says what kept the server from starting; once it is ready, it ends well.
pub fn run(options: ServeOptions) -> Result<(), ServeError> {
    log_to_stderr();
    hide_memory();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("wakeful-control")
        .enable_all()
        .build()
        .context("the runtime could not be started")?;
    let terminal = Terminal::new();
    let result = runtime.block_on(serve(options, terminal.clone()));
    terminal.flush();
    runtime.shutdown_background();
    result
}

async fn serve(options: ServeOptions, terminal: Terminal) -> Result<(), ServeError> {
    let began = Instant::now();
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

/// Keeps other processes of this user, workers among them, from reading our memory and the
/// environment we were started with: both hold secrets. Root may read them all the same.
fn hide_memory() {
    if let Err(error) = set_dumpable_behavior(DumpableBehavior::NotDumpable) {
        tracing::warn!(%error, "other processes of this user can read the server's memory");
    }
}

/// The server's own log: warnings and errors, or what `WAKEFUL_LOG` asks for (such as `debug` or
/// `wakeful_store=trace`). The S3 library calls every 404 an error, so it has to be asked for.
fn log_to_stderr() {
    let asked = tracing_subscriber::EnvFilter::try_from_env("WAKEFUL_LOG");
    let filter = asked.unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn,s3s=off"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours_for(&std::io::stderr()))
        .with_writer(std::io::stderr);
    // A second server in one process (tests) keeps the first one's log.
    let _ = log.try_init();
}
