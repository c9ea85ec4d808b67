//! Whether a version's code loads.

use wakeful_core::{
    delivery::{Failure, FailureKind},
    name::HandlerName,
    project::Style,
};
use wakeful_workers::{LoadedInfo, ReserveError};

use crate::live::Version;

/// Loads a version in a worker: the style that its code is found to have, or why it cannot be
/// called.
pub async fn load(version: &Version) -> Result<Style, Failure> {
    let info = version.pool.load().await.map_err(failure)?;
    if info.missing.is_empty() {
        Ok(info.style)
    } else {
        Err(missing_exports(version, &info))
    }
}

fn missing_exports(version: &Version, info: &LoadedInfo) -> Failure {
    let word = |name: &Option<HandlerName>| match name {
        Some(name) => name.to_string(),
        None => "default".to_owned(),
    };
    let missing: Vec<String> = info.missing.iter().map(word).collect();
    let exports = match info.exports.is_empty() {
        true => "nothing".to_owned(),
        false => info.exports.join(", "),
    };
    let (code, missing) = (version.function.code.display(), missing.join(", "));
    let message = format!("{code} exports no function {missing}; it exports: {exports}");
    Failure::ours(FailureKind::Load, message)
}

fn failure(error: ReserveError) -> Failure {
    match error {
        ReserveError::Load(failure) | ReserveError::NotStarted(failure) => failure,
        ReserveError::Overloaded => Failure::ours(FailureKind::NotStarted, "too many calls wait"),
        ReserveError::Retired => {
            Failure::ours(FailureKind::Interrupted, "a newer version took over")
        }
    }
}
