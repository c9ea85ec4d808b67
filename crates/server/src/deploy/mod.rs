//! From the files of a project to what is live.
//!
//! `manifest` reads `wakeful.toml`, `build` makes a version of each function (the right Node,
//! its packages, a `snapshot` of the code, its environment), and `reload` swaps versions in,
//! once in `serve`, and after each change that `watch` sees in `dev`.

mod build;
mod environment;
mod manifest;
mod reload;
mod snapshot;
mod watch;

pub use build::{BuildError, Builder, BuilderOptions};
pub use environment::Environment;
pub use manifest::{ManifestError, read};
pub use reload::{Apply, Deployer, Report, Reporter, States};
pub use watch::Watch;
