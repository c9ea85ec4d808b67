//! What a `tsconfig.json` extends.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{ConfigError, jsonc, place::Place, place::join, raw::CompilerOptions};
use crate::compile::SyntaxError;

/// Files that extend each other; more are a circle.
const MOST_LINKS: usize = 32;
/// Folders above the project's that packages are looked for in.
const FOLDERS_ABOVE: usize = 8;

/// All that a file and what it extends say.
pub(super) struct Chain {
    pub(super) options: CompilerOptions,
    /// Of the file that all began with.
    pub(super) folder: PathBuf,
}

/// Reads a file and what it extends.
pub(super) fn read_chain(place: &Place<'_>, file: &Path) -> Result<Chain, ConfigError> {
    let mut options = CompilerOptions::default();
    lay_over(place, file, &mut options, MOST_LINKS)?;
    Ok(Chain {
        options,
        folder: folder_of(file),
    })
}

fn lay_over(
    place: &Place<'_>,
    file: &Path,
    options: &mut CompilerOptions,
    links: usize,
) -> Result<(), ConfigError> {
    let refuse = |error: SyntaxError| ConfigError {
        file: file.to_owned(),
        error,
    };
    let whole = |message: String| SyntaxError {
        message,
        line: 1,
        column: 1,
    };
    let text = fs::read(place.locate(file))
        .map_err(|cause| refuse(whole(format!("it cannot be read: {cause}"))))?;
    let value = jsonc::parse(&String::from_utf8_lossy(&text)).map_err(refuse)?;
    let bases = match &value["extends"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(several) => {
            let texts = several.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    for base in bases {
        let Some(next) = links.checked_sub(1) else {
            return Err(refuse(whole("it extends itself, in a circle".into())));
        };
        match find(place, &folder_of(file), &base) {
            Some(found) => lay_over(place, &found, options, next)?,
            // A base that is a development dependency may well be left out where code only runs.
            None => tracing::warn!(
                file = %file.display(), extends = %base,
                "what a tsconfig.json extends is not there, and is taken as empty"
            ),
        }
    }
    if let Value::Object(own) = &value["compilerOptions"] {
        options.lay_over(own, &folder_of(file));
    }
    Ok(())
}

fn folder_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_owned).unwrap_or_default()
}

/// The file that `extends` names, in a folder.
fn find(place: &Place<'_>, folder: &Path, name: &str) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| place.locate(path).is_file();
    if name.starts_with('.') || name.starts_with('/') {
        let path = join(folder, name);
        let with_extension = PathBuf::from(format!("{}.json", path.display()));
        let inside = path.join("tsconfig.json");
        return [path, with_extension, inside].into_iter().find(is_file);
    }
    let above = (0..FOLDERS_ABOVE).scan(PathBuf::new(), |path, _| {
        path.push("..");
        Some(path.clone())
    });
    let folders = folder.ancestors().map(Path::to_owned).chain(above);
    folders
        .map(|folder| folder.join("node_modules").join(name))
        .find_map(|path| {
            let with_extension = PathBuf::from(format!("{}.json", path.display()));
            let named = named_by_package(place, &path);
            let inside = path.join("tsconfig.json");
            let candidates = [Some(path), Some(with_extension), named, Some(inside)];
            candidates.into_iter().flatten().find(is_file)
        })
}

/// The file that a package's own `package.json` names.
fn named_by_package(place: &Place<'_>, package: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(place.locate(&package.join("package.json"))).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    Some(join(package, value["tsconfig"].as_str()?))
}
