//! Looks for programs on PATH, and asks them what they are.

use std::{
    ffi::OsStr,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio::process::Command;
use wakeful_core::project::NodeMajor;

use crate::{
    error::FoundNode,
    pins,
    process::{Bounds, Unfinished, run},
};

/// What PATH has by way of Node.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// The first one that will do, and its version without the `v`.
    pub(crate) fit: Option<(PathBuf, String)>,
    /// The others that were met before it.
    pub(crate) others: Vec<FoundNode>,
}

/// Looks through PATH for a Node of a major, from its first folder on.
pub(crate) async fn nodes(path: &OsStr, major: NodeMajor) -> Survey {
    let mut survey = Survey::default();
    for program in programs(path, &["node", "nodejs"]) {
        let version = version_of(&program, path).await;
        if let Ok(version) = &version
            && fits(version, major)
        {
            let program = itself(&program, path).await;
            survey.fit = Some((program, version.clone()));
            break;
        }
        survey.others.push(FoundNode {
            path: program,
            version,
        });
    }
    survey
}

/// Whether a version is of the major, and not too old within it.
fn fits(version: &str, major: NodeMajor) -> bool {
    let mut parts = version.split('.').map(str::parse::<u32>);
    let (Some(Ok(found)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    found == major.number() && minor >= pins::least_minor(major)
}

/// The version that a Node gives itself, without the `v`; or what went wrong.
pub(crate) async fn version_of(program: &Path, path: &OsStr) -> Result<String, String> {
    let output = ask(program, &["--version"], path).await?;
    let version = output.lines().last().unwrap_or_default().trim();
    version
        .strip_prefix('v')
        .filter(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
        .ok_or_else(|| {
            format!(
                "does not look like Node: it calls itself `{}`",
                short(version)
            )
        })
}

/// The program behind a version manager's stand-in, which would cost its time at every start and
/// may change its mind with the folder it is started in.
async fn itself(program: &Path, path: &OsStr) -> PathBuf {
    let Ok(output) = ask(program, &["-p", "process.execPath"], path).await else {
        return program.to_owned();
    };
    let real = Path::new(output.trim());
    if real.is_absolute() && is_executable(real) {
        real.to_owned()
    } else {
        program.to_owned()
    }
}

/// Runs a program that answers at once, and gives what it printed; or what went wrong.
pub(crate) async fn ask(program: &Path, args: &[&str], path: &OsStr) -> Result<String, String> {
    let mut command = Command::new(program);
    command.args(args).env("PATH", path);
    match run(&mut command, Bounds::QUICK).await {
        Ok(done) if done.status.success() => Ok(done.output),
        Ok(done) => {
            let said = done.output.lines().find(|line| !line.trim().is_empty());
            Err(format!(
                "ends with {}: {}",
                done.status,
                short(said.unwrap_or("no output"))
            ))
        }
        Err(Unfinished::Start(error)) => Err(format!("cannot be started: {error}")),
        Err(Unfinished::Stopped { bound, .. }) => Err(format!("{bound}")),
    }
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// The executable files of these names on PATH, in its order, each program once.
pub(crate) fn programs(path: &OsStr, names: &[&str]) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    let mut found = Vec::new();
    for folder in std::env::split_paths(path) {
        // A relative folder would make the answer depend on where we were started.
        if !folder.is_absolute() {
            continue;
        }
        for name in names {
            let program = folder.join(name);
            let Ok(real) = program.canonicalize() else {
                continue;
            };
            if is_executable(&real) && !seen.contains(&real) {
                seen.push(real);
                found.push(program);
            }
        }
    }
    found
}

fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_major_asked_for_fits_and_not_an_early_one() {
        for (version, major, expected) in [
            ("24.0.0", NodeMajor::V24, true),
            ("24.21.0", NodeMajor::V24, true),
            ("24.0.0-nightly2025", NodeMajor::V24, true),
            ("22.12.0", NodeMajor::V22, true),
            ("22.11.9", NodeMajor::V22, false),
            ("20.20.2", NodeMajor::V24, false),
            ("240.1.0", NodeMajor::V24, false),
            ("24", NodeMajor::V24, false),
            ("", NodeMajor::V24, false),
        ] {
            assert_eq!(fits(version, major), expected, "{version} for {major}");
        }
    }
}
