//! Where a database is, as manifests write it.

use std::{
    fmt,
    path::{Path, PathBuf},
};

/// What a database's `url` may be, for messages.
const SUPPORTED: &str = "supported: `sqlite:` and a path, such as `sqlite:data/shop.db` (relative to the project's \
     folder) or `sqlite:/srv/shop.db`";

/// Where a database is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DatabaseUrl {
    /// A SQLite file, as an absolute path or one relative to the server's working folder.
    Sqlite(PathBuf),
}

impl DatabaseUrl {
    /// Reads a manifest's `url`; relative paths count from `project`, the project's folder.
    pub fn parse(text: &str, project: &Path) -> Result<Self, InvalidUrl> {
        let text = text.trim();
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(InvalidUrl::NoScheme(shown(text)));
        };
        if !scheme.eq_ignore_ascii_case("sqlite") {
            return Err(InvalidUrl::Scheme(shown(scheme)));
        }
        // `sqlite://` and `sqlite:///` are how other tools write the same thing.
        let path = match rest.strip_prefix("//") {
            Some(path) if rest.starts_with("///") || !path.is_empty() => path,
            Some(_) => "",
            None => rest,
        };
        if path.is_empty() || path.ends_with('/') {
            return Err(InvalidUrl::NoFile(shown(text)));
        }
        if path == ":memory:" {
            return Err(InvalidUrl::InMemory);
        }
        if path.contains('?') || path.contains('#') {
            return Err(InvalidUrl::Parameters(shown(text)));
        }
        if path.contains('\0') {
            return Err(InvalidUrl::NoFile(shown(text)));
        }
        Ok(Self::Sqlite(project.join(path)))
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
        }
    }
}

/// Why a text is not the `url` of a database. Never shows what may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// There is no `scheme:`.
    #[error("`{0}` does not say which kind of database it is; {SUPPORTED}")]
    NoScheme(String),
    /// The engine is not supported.
    #[error("databases of the kind `{0}` are not supported; {SUPPORTED}")]
    Scheme(String),
    /// It names no file.
    #[error("`{0}` names no file; {SUPPORTED}")]
    NoFile(String),
    /// It would live in memory.
    #[error(
        "a database in memory would be a different one for every connection, and is gone after a \
         restart: give a file; {SUPPORTED}"
    )]
    InMemory,
    /// It has parameters.
    #[error("`{0}` has parameters after `?` or `#`, which are not supported; {SUPPORTED}")]
    Parameters(String),
}

fn shown(text: &str) -> String {
    text.chars().take(120).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_count_from_the_project() {
        let cases = [
            ("sqlite:data/shop.db", "/p/data/shop.db"),
            ("sqlite:/srv/shop.db", "/srv/shop.db"),
            ("sqlite:///srv/shop.db", "/srv/shop.db"),
            ("sqlite://data/shop.db", "/p/data/shop.db"),
            ("SQLite:../shop.db", "/p/../shop.db"),
            (" sqlite:a b/ü.db ", "/p/a b/ü.db"),
        ];
        for (text, expected) in cases {
            assert_eq!(
                DatabaseUrl::parse(text, Path::new("/p")),
                Ok(DatabaseUrl::Sqlite(PathBuf::from(expected))),
                "{text}"
            );
        }
    }

    #[test]
    fn anything_else_lists_what_is_supported() {
        for text in [
            "",
            "shop.db",
            "sqlite:",
            "sqlite://",
            "sqlite:data/",
            "sqlite::memory:",
            "sqlite:shop.db?mode=ro",
            "postgres://user:secret@host/db",
        ] {
            let error = DatabaseUrl::parse(text, Path::new("/p")).unwrap_err();
            let message = error.to_string();
            assert!(
                message.contains("`sqlite:data/shop.db`"),
                "{text}: {message}"
            );
            assert!(!message.contains("secret"), "{message}");
        }
    }
}
