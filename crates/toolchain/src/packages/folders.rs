//! Finds the folders that have packages to install.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// The folders of the nearest package.json at or above each function's code, within the project's
/// folder. Code paths are relative to the project's folder (or absolute, and inside it); what lies
/// outside is passed over, since the manifest's check has named it. Each folder stands once, as its
/// canonical path.
pub fn find_package_folders<P: AsRef<Path>>(
    project_root: &Path,
    code_paths: impl IntoIterator<Item = P>,
) -> Vec<PathBuf> {
    let Ok(root) = project_root.canonicalize() else {
        return Vec::new();
    };
    let found: BTreeSet<PathBuf> = code_paths
        .into_iter()
        .filter_map(|code| root.join(code).canonicalize().ok())
        .filter_map(|code| nearest(&root, &code))
        .collect();
    found.into_iter().collect()
}

fn nearest(root: &Path, code: &Path) -> Option<PathBuf> {
    code.ancestors()
        .take_while(|folder| folder.starts_with(root))
        .find(|folder| folder.join("package.json").is_file())
        .map(Path::to_owned)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_nearest_manifest_counts_and_none_outside() {
        let outside = tempfile::tempdir().unwrap();
        let root = outside.path().join("project");
        for file in [
            "package.json",
            "project/a.js",
            "project/f/b.js",
            "project/f/g/c.js",
            "project/f/package.json",
            "project/h/i/d.js",
        ] {
            let file = outside.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "{}").unwrap();
        }
        let found = |paths: &[&str]| -> Vec<PathBuf> {
            let root = root.canonicalize().unwrap();
            find_package_folders(&root, paths)
                .iter()
                .map(|folder| folder.strip_prefix(&root).unwrap().to_owned())
                .collect()
        };
        assert_eq!(found(&["f/b.js", "f/g/c.js", "f/g"]), [Path::new("f")]);
        assert_eq!(found(&["f"]), [Path::new("f")]);
        assert!(found(&["a.js", "h/i/d.js", "missing.js", "../package.json"]).is_empty());
        fs::write(root.join("package.json"), "{}").unwrap();
        assert_eq!(
            found(&["a.js", "h/i", "f"]),
            [Path::new(""), Path::new("f")]
        );
    }
}
