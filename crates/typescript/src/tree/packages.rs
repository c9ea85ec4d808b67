//! What the nearest `package.json` says about a file.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
};

use super::File;
use crate::{options::PackageType, tsconfig::Place};

/// The `package.json` files of a copy, by their folders.
pub(super) struct PackageTypes(HashMap<PathBuf, PackageType>);

impl PackageTypes {
    pub(super) fn of(place: &Place<'_>, files: &[File<'_>]) -> Self {
        let is_package = |file: &&File<'_>| {
            let name = file.path.file_name();
            name.is_some_and(|name| name == "package.json")
        };
        let known = files.iter().filter(is_package).map(|file| {
            let folder = file.path.parent().unwrap_or(Path::new(""));
            (folder.to_owned(), read(&place.locate(file.path)))
        });
        Self(known.collect())
    }

    pub(super) fn of_file(&self, path: &Path) -> PackageType {
        let mut folders = path.ancestors().skip(1);
        let nearest = folders.find_map(|folder| self.0.get(folder));
        nearest.copied().unwrap_or_default()
    }
}

/// What cannot be read says nothing here; Node complains about it when it needs it.
fn read(path: &Path) -> PackageType {
    let text = fs::read_to_string(path).unwrap_or_default();
    let value: serde_json::Value =
        serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    match value["type"].as_str() {
        Some("module") => PackageType::Module,
        _ => PackageType::CommonJs,
    }
}
