//! What package.json and package-lock.json say, as far as an install depends on it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::Value;

use super::error::PackageError;

/// The dependencies that package.json asks for, by name.
type Wants = BTreeMap<String, Value>;

/// A folder's package.json and lock file, as bytes and read.
#[derive(Debug)]
pub(crate) struct Manifest {
    /// Where package.json is.
    pub(crate) file: PathBuf,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    wants: Asked,
    lock: Option<Lock>,
}

#[derive(Debug)]
struct Lock {
    bytes: Vec<u8>,
    read: LockFile,
}

/// What decides whether a lock file fits: these fields stand in package.json and, as npm saw them,
/// in the lock file.
#[derive(Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    #[serde(default)]
    dependencies: Wants,
    #[serde(default)]
    dev_dependencies: Wants,
    #[serde(default)]
    optional_dependencies: Wants,
    #[serde(default)]
    peer_dependencies: Wants,
    #[serde(default)]
    workspaces: Option<Value>,
}

#[derive(Debug, Deserialize)]
struct LockFile {
    #[serde(default)]
    packages: Option<BTreeMap<String, Value>>,
}

impl Manifest {
    const LOCKS: [&str; 2] = ["npm-shrinkwrap.json", "package-lock.json"];

    /// Reads a folder's package.json, and the lock file that npm would use.
    pub(crate) fn read(folder: &Path) -> Result<Self, PackageError> {
        let file = folder.join("package.json");
        let bytes = read(&file)?;
        let wants = parse(&file, &bytes)?;
        let mut lock = None;
        for name in Self::LOCKS {
            let file = folder.join(name);
            if file.is_file() {
                let bytes = read(&file)?;
                let read = parse(&file, &bytes)?;
                lock = Some(Lock { bytes, read });
                break;
            }
        }
        Ok(Self {
            file,
            bytes,
            wants,
            lock,
        })
    }

    /// Whether it asks for no packages at all.
    pub(crate) fn asks_for_nothing(&self) -> bool {
        self.wants == Asked::default()
    }

    /// The lock file's bytes; none without one.
    pub(crate) fn lock_bytes(&self) -> &[u8] {
        self.lock.as_ref().map_or(&[], |lock| &lock.bytes)
    }

    /// Whether there is a lock file that was made for what package.json asks.
    pub(crate) fn lock_fits(&self) -> bool {
        let root = self
            .lock
            .as_ref()
            .and_then(|lock| lock.read.packages.as_ref())
            .and_then(|packages| packages.get(""))
            .and_then(|root| Asked::deserialize(root).ok());
        root.is_some_and(|root| root == self.wants.as_locked())
    }
}

impl Asked {
    /// npm lists an optional dependency once, even if package.json also has it as a dependency.
    fn as_locked(&self) -> Self {
        let mut dependencies = self.dependencies.clone();
        dependencies.retain(|name, _| !self.optional_dependencies.contains_key(name));
        Self {
            dependencies,
            dev_dependencies: self.dev_dependencies.clone(),
            optional_dependencies: self.optional_dependencies.clone(),
            peer_dependencies: self.peer_dependencies.clone(),
            workspaces: self.workspaces.clone(),
        }
    }
}

/// The packages installed in a folder that have install scripts, by name and without repetition.
/// Reads npm's own record of what it installed; without one nothing is known.
pub(crate) fn packages_with_scripts(folder: &Path) -> Result<BTreeSet<String>, PackageError> {
    let file = folder.join("node_modules/.package-lock.json");
    let bytes = match fs::read(&file) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(source) => return Err(PackageError::Read { file, source }),
    };
    let lock: LockFile = parse(&file, &bytes)?;
    let packages = lock.packages.unwrap_or_default();
    let with_scripts = packages
        .iter()
        .filter(|(_, package)| package["hasInstallScript"] == true)
        .filter_map(|(path, _)| Some(path.rsplit_once("node_modules/")?.1.to_owned()));
    Ok(with_scripts.collect())
}

fn read(file: &Path) -> Result<Vec<u8>, PackageError> {
    fs::read(file).map_err(|source| PackageError::Read {
        file: file.to_owned(),
        source,
    })
}

fn parse<'a, T: Deserialize<'a>>(file: &Path, bytes: &'a [u8]) -> Result<T, PackageError> {
    // npm accepts a byte order mark, and so do we.
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    // Derived code would take an array for a struct's fields in their order.
    if text.trim_ascii_start().first() == Some(&b'[') {
        return Err(PackageError::Json {
            file: file.to_owned(),
            line: 1,
            column: 1,
            message: "expected an object, found an array".to_owned(),
        });
    }
    serde_json::from_slice(text).map_err(|error| {
        let place = format!(" at line {} column {}", error.line(), error.column());
        PackageError::Json {
            file: file.to_owned(),
            line: error.line(),
            column: error.column(),
            message: error.to_string().replace(&place, ""),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(package: &str, lock: Option<&str>) -> Result<Manifest, PackageError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("package.json"), package).unwrap();
        if let Some(lock) = lock {
            fs::write(folder.path().join("package-lock.json"), lock).unwrap();
        }
        Manifest::read(folder.path())
    }

    #[test]
    fn a_lock_fits_what_it_was_made_for() {
        let lock = r#"{"lockfileVersion":3,"packages":{"":{"name":"x","dependencies":{"a":"1"},"optionalDependencies":{"o":"2"}}}}"#;
        for (package, lock, expected) in [
            (
                r#"{"dependencies":{"a":"1"},"optionalDependencies":{"o":"2"}}"#,
                Some(lock),
                true,
            ),
            (
                r#"{"dependencies":{"a":"1","o":"2"},"optionalDependencies":{"o":"2"}}"#,
                Some(lock),
                true,
            ),
            (
                r#"{"dependencies":{"a":"2"},"optionalDependencies":{"o":"2"}}"#,
                Some(lock),
                false,
            ),
            (r#"{"dependencies":{"a":"1"}}"#, Some(lock), false),
            (r#"{"dependencies":{"a":"1"}}"#, None, false),
            (
                r#"{"dependencies":{"a":"1"}}"#,
                Some("{\"lockfileVersion\":1}"),
                false,
            ),
            (
                "\u{feff}{\"dependencies\":{\"a\":\"1\"},\"optionalDependencies\":{\"o\":\"2\"}}",
                Some(lock),
                true,
            ),
        ] {
            assert_eq!(
                manifest(package, lock).unwrap().lock_fits(),
                expected,
                "{package}"
            );
        }
    }

    #[test]
    fn a_manifest_without_dependencies_asks_for_nothing() {
        assert!(
            manifest(r#"{"type":"module"}"#, None)
                .unwrap()
                .asks_for_nothing()
        );
        assert!(
            !manifest(r#"{"devDependencies":{"a":"1"}}"#, None)
                .unwrap()
                .asks_for_nothing()
        );
    }

    #[test]
    fn bad_json_is_shown_with_its_place() {
        let error = manifest("{\n  \"dependencies\": {,}\n}", None).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("package.json:2:20: key must be a string."),
            "{text}"
        );
        let error = manifest("{}", Some("[]")).unwrap_err();
        assert!(
            error.to_string().contains("package-lock.json:1:"),
            "{error}"
        );
    }
}
