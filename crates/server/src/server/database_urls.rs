//! Where a project's databases are, now and after each reload.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use parking_lot::Mutex;
use wakeful_core::{
    name::DatabaseName,
    project::{Database, Project},
};
use wakeful_databases::DatabaseUrl;

use crate::{deploy::Environment, options::Mode, vault::Vault};

/// Addresses by name.
pub(super) type Urls = BTreeMap<DatabaseName, DatabaseUrl>;

/// Finds out addresses, and remembers them. One that cannot be found out stays as it was: a
/// mistake about one database must not touch anything else.
pub(super) struct DatabaseUrls {
    folder: PathBuf,
    mode: Mode,
    vault: Arc<Vault>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    urls: Urls,
    /// What was said about a database last, so that it is said once.
    said: BTreeMap<DatabaseName, String>,
}

impl DatabaseUrls {
    /// For the project in `folder`; every database must have an address.
    pub(super) fn first(
        project: &Project,
        folder: &Path,
        mode: Mode,
        vault: &Arc<Vault>,
    ) -> anyhow::Result<Self> {
        let all = Self {
            folder: folder.to_owned(),
            mode,
            vault: Arc::clone(vault),
            known: Mutex::default(),
        };
        let environment = Environment::read(folder, mode)?;
        let mut urls = Urls::new();
        for (name, database) in &project.databases {
            urls.insert(name.clone(), all.find(name, database, &environment)?);
        }
        all.known.lock().urls = urls;
        Ok(all)
    }

    /// What is known now.
    pub(super) fn known(&self) -> Urls {
        self.known.lock().urls.clone()
    }

    /// Finds out the addresses again; `report` hears of each new mistake.
    pub(super) fn again(&self, project: &Project, report: impl Fn(&str)) -> Urls {
        let environment = Environment::read(&self.folder, self.mode);
        let mut known = self.known.lock();
        known
            .urls
            .retain(|name, _| project.databases.contains_key(name));
        known
            .said
            .retain(|name, _| project.databases.contains_key(name));
        // A `.env` that cannot be read has stopped the reload already, and was reported.
        let Ok(environment) = environment else {
            return known.urls.clone();
        };
        for (name, database) in &project.databases {
            match self.find(name, database, &environment) {
                Ok(url) => {
                    known.urls.insert(name.clone(), url);
                    known.said.remove(name);
                }
                Err(error) => {
                    let after = match known.urls.contains_key(name) {
                        true => "it stays where it was",
                        false => "it is left out",
                    };
                    let text = format!("{error:#}; {after}");
                    if known.said.get(name) != Some(&text) {
                        report(&text);
                        known.said.insert(name.clone(), text);
                    }
                }
            }
        }
        known.urls.clone()
    }

    fn find(
        &self,
        name: &DatabaseName,
        database: &Database,
        environment: &Environment,
    ) -> anyhow::Result<DatabaseUrl> {
        let place = || format!("database `{name}`");
        let text = environment
            .value(&database.url, &self.vault)
            .with_context(place)?;
        DatabaseUrl::parse(&text, &self.folder).with_context(place)
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, fs};

    use wakeful_core::manifest::{self, Files, Found, Source};

    use super::*;

    struct NoFiles;

    impl Files for NoFiles {
        fn look(&self, _: &Path) -> Found {
            Found::Nothing
        }
    }

    fn project(databases: &[(&str, &str)]) -> Project {
        let mut text = "name = \"p\"\n".to_owned();
        for (name, url) in databases {
            text += &format!("[database.{name}]\nurl = {url}\n");
        }
        let name = "wakeful.toml".to_owned();
        let loaded = manifest::load(&Source { name, text }, &"dev".parse().unwrap(), &NoFiles);
        loaded.unwrap().project
    }

    #[test]
    fn a_mistake_about_one_database_touches_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let vault = Arc::new(Vault::open(folder.path()).unwrap());
        let at = |path: &str| DatabaseUrl::parse(path, folder.path()).unwrap();
        let missing = "{ env = \"WAKEFUL_TEST_NO_SUCH_VARIABLE\" }";
        let first = project(&[("a", "\"sqlite:a.db\""), ("b", "\"sqlite:b.db\"")]);
        let urls = DatabaseUrls::first(&first, folder.path(), Mode::Dev, &vault).unwrap();
        let said = RefCell::new(Vec::new());
        let again = |project: &Project| {
            let urls = urls.again(project, |text| said.borrow_mut().push(text.to_owned()));
            let urls: Vec<_> = urls
                .into_iter()
                .map(|(n, url)| (n.to_string(), url))
                .collect();
            urls
        };
        let second = project(&[("a", missing), ("b", "\"sqlite:c.db\""), ("d", missing)]);
        let expected = [
            ("a".to_owned(), at("sqlite:a.db")),
            ("b".to_owned(), at("sqlite:c.db")),
        ];
        assert_eq!(again(&second), expected);
        assert_eq!(again(&second), expected);
        let heard = said.borrow().clone();
        assert_eq!(heard.len(), 2, "each mistake is said once: {heard:?}");
        assert!(heard[0].contains("database `a`") && heard[0].contains("stays where it was"));
        assert!(heard[1].contains("database `d`") && heard[1].contains("left out"));

        let text = "WAKEFUL_TEST_NO_SUCH_VARIABLE=sqlite:e.db\n";
        fs::write(folder.path().join(".env"), text).unwrap();
        let found = again(&second);
        assert_eq!(found[0], ("a".to_owned(), at("sqlite:e.db")));
        assert_eq!(found.len(), 3);
        assert_eq!(again(&project(&[])), []);
    }
}
