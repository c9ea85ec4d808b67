//! From the files of a project to what is live.
//!
//! `manifest` reads `wakeful.toml`, `build` makes a version of each function (the right Node,
//! its `packages`, a `snapshot` of the code, its environment), and `reload` swaps versions in,
//! once in `serve`, and after each change that `watch` sees in `dev`. `relevance` says which files
//! all of this is about.

mod build;
mod candidate;
mod draining;
mod environment;
mod load;
mod manifest;
mod packages;
mod relevance;
mod reload;
mod report;
mod snapshot;
mod states;
mod types;
mod watch;

pub use build::{BuildError, Builder, BuilderOptions};
pub use draining::Draining;
pub use environment::{DotEnvError, Environment, Missing};
pub use manifest::{ManifestError, read};
pub use relevance::Relevance;
pub use reload::{Apply, Deployer};
pub use report::{Report, Reporter};
pub use states::States;
pub use watch::Watch;
