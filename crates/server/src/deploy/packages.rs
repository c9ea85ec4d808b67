//! Installing what functions depend on.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use wakeful_core::project::{Function, NodeMajor, Project};
use wakeful_toolchain::{
    NodeInstall, PackageError, PackageReport, Scripts, find_package_folders, install_packages,
};

/// An install that failed is not tried again for this long, unless what it shall install changed:
/// without a network, each saved file would wait for npm to give up.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// Installs packages, and remembers what could not be installed.
#[derive(Default)]
pub struct Packages {
    failed: HashMap<PathBuf, Failed>,
}

struct Failed {
    at: Instant,
    asked_for: [u8; 32],
}

impl Packages {
    /// Installs what the functions of the project in `root` need; says what was tried.
    pub async fn install(
        &mut self,
        root: &Path,
        project: &Project,
        nodes: &HashMap<NodeMajor, NodeInstall>,
    ) -> Vec<Result<PackageReport, PackageError>> {
        // A folder that functions of several Node versions share is installed once, for the
        // newest of them.
        let mut folders: BTreeMap<PathBuf, NodeMajor> = BTreeMap::new();
        for function in project.functions.values() {
            for folder in find_package_folders(root, [&function.code]) {
                let major = folders.entry(folder).or_insert(function.node);
                *major = function.node.max(*major);
            }
        }
        self.failed.retain(|folder, _| folders.contains_key(folder));
        let mut reports = Vec::new();
        for (folder, major) in folders {
            let Some(node) = nodes.get(&major) else {
                continue;
            };
            if !self.is_worth_trying(&folder) {
                continue;
            }
            let report = install_packages(&folder, &node.npm, &Scripts::None).await;
            if report.is_ok() {
                self.failed.remove(&folder);
            } else {
                let (at, asked_for) = (Instant::now(), asked_for(&folder));
                self.failed.insert(folder, Failed { at, asked_for });
            }
            reports.push(report);
        }
        reports
    }

    /// Whether the packages of a function are all there, as far as is known.
    pub fn are_there(&self, root: &Path, function: &Function) -> bool {
        let folders = find_package_folders(root, [&function.code]);
        folders
            .iter()
            .all(|folder| !self.failed.contains_key(folder))
    }

    fn is_worth_trying(&self, folder: &Path) -> bool {
        self.failed.get(folder).is_none_or(|failed| {
            failed.at.elapsed() > RETRY_AFTER || failed.asked_for != asked_for(folder)
        })
    }
}

/// What decides what an install does.
fn asked_for(folder: &Path) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for file in ["package.json", "package-lock.json", ".npmrc"] {
        let content = fs::read(folder.join(file)).unwrap_or_default();
        hasher.update((content.len() as u64).to_le_bytes());
        hasher.update(content);
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_tried_again_when_something_changed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        let mut packages = Packages::default();
        assert!(packages.is_worth_trying(path));
        let failed = |at| Failed {
            at,
            asked_for: asked_for(path),
        };
        packages
            .failed
            .insert(path.to_owned(), failed(Instant::now()));
        assert!(!packages.is_worth_trying(path));
        fs::write(path.join("package.json"), "{}").unwrap();
        assert!(packages.is_worth_trying(path));
        packages
            .failed
            .insert(path.to_owned(), failed(Instant::now()));
        assert!(!packages.is_worth_trying(path));
        if let Some(long_ago) = Instant::now().checked_sub(RETRY_AFTER * 2) {
            packages.failed.insert(path.to_owned(), failed(long_ago));
            assert!(packages.is_worth_trying(path));
        }
    }
}
