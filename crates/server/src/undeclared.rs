//! Access that functions used in `dev` although the manifest does not declare it.
//!
//! `dev` notes it in the data folder; `check --fix` writes it into the manifest.

use std::{
    fmt, fs, io,
    io::Write,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wakeful_core::{
    manifest::Resource,
    name::{BucketName, DatabaseName, FunctionName, TopicPattern},
    project::Level,
};

const FILE: &str = "undeclared.json";
/// Entries that are kept; more would only come from a program that makes up names.
const MOST: usize = 1000;

/// One function that used one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undeclared {
    /// Who.
    pub function: FunctionName,
    /// What.
    pub resource: Resource,
    /// How much; means nothing for topics and functions.
    pub level: Level,
}

impl fmt::Display for Undeclared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Read => "read",
            Level::Write => "write",
        };
        match &self.resource {
            Resource::Bucket(name) => write!(f, "{} may {level} bucket {name}", self.function),
            Resource::Database(name) => write!(f, "{} may {level} database {name}", self.function),
            Resource::Topic(name) => write!(f, "{} may publish topic {name}", self.function),
            Resource::Function(name) => write!(f, "{} may invoke function {name}", self.function),
        }
    }
}

/// Notes undeclared access in a data folder.
#[derive(Debug)]
pub struct UndeclaredNotes {
    path: PathBuf,
    seen: Mutex<Vec<Undeclared>>,
}

impl UndeclaredNotes {
    /// Begins anew: what an earlier `dev` noted may have been declared since.
    ///
    /// # Errors
    /// When what was noted before cannot be removed.
    pub fn begin(data: &Path) -> io::Result<Self> {
        let path = data.join(FILE);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            path,
            seen: Mutex::default(),
        })
    }

    /// Notes one access, unless it was noted before. Writes a small file: not for the data path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn note(&self, access: Undeclared) -> io::Result<()> {
        let mut seen = self.seen.lock();
        if seen.contains(&access) || seen.len() >= MOST {
            return Ok(());
        }
        seen.push(access);
        let stored: Vec<_> = seen.iter().map(Stored::of).collect();
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .prefix(".undeclared-")
            .tempfile_in(folder)?;
        serde_json::to_writer_pretty(&mut file, &stored)?;
        file.write_all(b"\n")?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// What `dev` noted in a data folder; nothing when there is no note.
///
/// # Errors
/// When the note cannot be read.
pub fn read(data: &Path) -> io::Result<Vec<Undeclared>> {
    let text = match fs::read(data.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let stored: Vec<Stored> = serde_json::from_slice(&text)?;
    Ok(stored.into_iter().map(Stored::into_access).collect())
}

/// An entry of the file.
#[derive(Serialize, Deserialize)]
struct Stored {
    function: FunctionName,
    #[serde(flatten)]
    resource: StoredResource,
    level: Level,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum StoredResource {
    Bucket(BucketName),
    Database(DatabaseName),
    Topic(TopicPattern),
    /// Called otherwise than who uses it.
    Invoked(FunctionName),
}

impl Stored {
    fn of(access: &Undeclared) -> Self {
        Self {
            function: access.function.clone(),
            resource: match &access.resource {
                Resource::Bucket(name) => StoredResource::Bucket(name.clone()),
                Resource::Database(name) => StoredResource::Database(name.clone()),
                Resource::Topic(name) => StoredResource::Topic(name.clone()),
                Resource::Function(name) => StoredResource::Invoked(name.clone()),
            },
            level: access.level,
        }
    }

    fn into_access(self) -> Undeclared {
        Undeclared {
            function: self.function,
            resource: match self.resource {
                StoredResource::Bucket(name) => Resource::Bucket(name),
                StoredResource::Database(name) => Resource::Database(name),
                StoredResource::Topic(name) => Resource::Topic(name),
                StoredResource::Invoked(name) => Resource::Function(name),
            },
            level: self.level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noted_once_and_read_back() {
        let data = tempfile::tempdir().unwrap();
        let used = |function: &str, resource, level| Undeclared {
            function: function.parse().unwrap(),
            resource,
            level,
        };
        let access = |function: &str, level| {
            let bucket = Resource::Bucket("photos".parse().unwrap());
            used(function, bucket, level)
        };
        let topic = Resource::Topic("orders.*".parse().unwrap());
        let topic = used("c", topic, Level::Write);
        let invoked = Resource::Function("report".parse().unwrap());
        let invoked = used("c", invoked, Level::Write);
        assert_eq!(read(data.path()).unwrap(), []);
        let notes = UndeclaredNotes::begin(data.path()).unwrap();
        for (function, level) in [("a", Level::Read), ("b", Level::Write), ("a", Level::Read)] {
            notes.note(access(function, level)).unwrap();
        }
        for access in [&topic, &invoked, &topic] {
            notes.note(access.clone()).unwrap();
        }
        let expected = [
            access("a", Level::Read),
            access("b", Level::Write),
            topic,
            invoked,
        ];
        assert_eq!(read(data.path()).unwrap(), expected);
        assert_eq!(
            expected.map(|access| access.to_string()),
            [
                "a may read bucket photos",
                "b may write bucket photos",
                "c may publish topic orders.*",
                "c may invoke function report",
            ]
        );
        UndeclaredNotes::begin(data.path()).unwrap();
        assert_eq!(read(data.path()).unwrap(), []);
    }
}
