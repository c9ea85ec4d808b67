//! What a deployment has to say.

use std::{sync::Arc, time::Duration};

use wakeful_core::{delivery::Failure, manifest::Problem, name::FunctionName, project::Style};
use wakeful_toolchain::{PackageError, PackageReport};

use super::{BuildError, ManifestError};

/// Something that whoever watches the terminal wants to know.
pub enum Report {
    /// The manifest was refused; what is live stays.
    Manifest(ManifestError),
    /// Something in the manifest should be known.
    Warnings(Vec<Problem>),
    /// Nothing could be built; what is live stays.
    Build(BuildError),
    /// Packages were installed.
    Packages(PackageReport),
    /// Packages could not be installed.
    PackagesFailed(PackageError),
    /// A version took over.
    Live {
        /// The function.
        function: FunctionName,
        /// How its handlers are called.
        style: Style,
        /// Since the change was seen.
        took: Duration,
    },
    /// A version does not load.
    Broken {
        /// The function.
        function: FunctionName,
        /// Why.
        failure: Failure,
        /// Whether an older version goes on serving.
        older_serves: bool,
    },
    /// A function is gone from the manifest.
    Removed(FunctionName),
}

/// Told of reports; must not block.
pub type Reporter = Arc<dyn Fn(Report) + Send + Sync>;
