//! Where the server is that a command speaks to.

use std::{
    env,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::{Path, PathBuf},
};

use super::{client::Client, error::CliError};
use crate::{
    addresses::{ADDRESSES_FILE, AddressFile},
    options::{DATA_FOLDER, MANIFEST},
};

/// The environment variable that says where the admin API is.
pub(super) const ADMIN_VARIABLE: &str = "WAKEFUL_ADMIN";
/// The environment variable that holds the admin key.
pub(super) const KEY_VARIABLE: &str = "WAKEFUL_KEY";

/// What there is to speak to.
pub(super) enum Reached {
    /// A server that answers.
    Server(Client),
    /// A data folder whose server does not run.
    Folder(PathBuf),
}

/// What the surroundings say.
#[derive(Debug, Default)]
struct Surroundings {
    admin: Option<String>,
    key: Option<String>,
    here: PathBuf,
}

impl Surroundings {
    fn read() -> Self {
        let variable = |name| env::var(name).ok().filter(|text| !text.is_empty());
        Self {
            admin: variable(ADMIN_VARIABLE),
            key: variable(KEY_VARIABLE),
            here: env::current_dir().unwrap_or_default(),
        }
    }
}

/// A server that answers, or why there is none.
pub(super) fn server(data: Option<&Path>) -> Result<Client, CliError> {
    match reach(data, Surroundings::read())? {
        Reached::Server(client) => Ok(client),
        Reached::Folder(folder) => Err(no_server_in(&folder)),
    }
}

/// A server that answers, or else the data folder that it would use.
pub(super) fn server_or_folder(data: Option<&Path>) -> Result<Reached, CliError> {
    reach(data, Surroundings::read())
}

fn reach(data: Option<&Path>, around: Surroundings) -> Result<Reached, CliError> {
    // A variable that is set to nothing says nothing.
    let data = data.filter(|folder| !folder.as_os_str().is_empty());
    if data.is_none()
        && let Some(admin) = &around.admin
    {
        let base = base_of(admin)?;
        let key = around.key.ok_or_else(|| {
            CliError::NoKey(format!(
                "{ADMIN_VARIABLE} is set but {KEY_VARIABLE} is not: put an admin key into it"
            ))
        })?;
        let client = Client::new(base, &key);
        return match client.answers() {
            Ok(()) => Ok(Reached::Server(client)),
            Err(cause) => Err(CliError::NoServer {
                message: format!(
                    "no server answers at {admin}, where {ADMIN_VARIABLE} points: {cause}"
                ),
                help: format!("start it, or correct {ADMIN_VARIABLE}"),
            }),
        };
    }
    let folder = match data {
        Some(folder) => folder.to_owned(),
        None => find_folder(&around.here).ok_or_else(|| nowhere(&around.here))?,
    };
    let Some(file) = AddressFile::read(&folder.join(ADDRESSES_FILE))? else {
        return Ok(Reached::Folder(folder));
    };
    let base = format!("http://{}", reachable(file.admin));
    // A key that came with WAKEFUL_ADMIN is that server's.
    let key = match (&around.admin, &around.key) {
        (None, Some(key)) => key,
        _ => &file.admin_key,
    };
    let client = Client::new(base, key);
    // A server that was killed leaves its file behind.
    match client.answers() {
        Ok(()) => Ok(Reached::Server(client)),
        Err(_) => Ok(Reached::Folder(folder)),
    }
}

/// The URL of what stands in WAKEFUL_ADMIN: a URL, or an address alone.
fn base_of(admin: &str) -> Result<String, CliError> {
    let (scheme, rest) = admin.split_once("://").unwrap_or(("http", admin));
    let rest = rest.trim_end_matches('/');
    let address = rest.split('/').next().unwrap_or_default();
    if scheme != "http" || address.parse::<http::uri::Authority>().is_err() {
        return Err(CliError::input(format!(
            "{ADMIN_VARIABLE} is `{admin}`: expected http://ADDRESS:PORT"
        )));
    }
    Ok(format!("http://{rest}"))
}

/// An address to connect to, for one that was listened on.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// The data folder of the project around the current folder.
pub(super) fn folder_around() -> Option<PathBuf> {
    find_folder(&env::current_dir().ok()?)
}

/// The data folder of the project around `here`, looked for upward.
fn find_folder(here: &Path) -> Option<PathBuf> {
    here.ancestors().find_map(|folder| {
        let data = folder.join(DATA_FOLDER);
        let found = data.join(ADDRESSES_FILE).is_file() || folder.join(MANIFEST).is_file();
        found.then_some(data)
    })
}

fn nowhere(here: &Path) -> CliError {
    CliError::NoServer {
        message: format!("there is no project in {} or above it", here.display()),
        help: format!(
            "run this in a project folder, name the server's data folder with --data, or set \
             {ADMIN_VARIABLE} and {KEY_VARIABLE}"
        ),
    }
}

fn no_server_in(folder: &Path) -> CliError {
    CliError::NoServer {
        message: format!("no server is running on {}", folder.display()),
        help: format!(
            "start one with `wakeful dev`; if it runs with another data folder or elsewhere, use \
             --data, or {ADMIN_VARIABLE} and {KEY_VARIABLE}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_is_looked_for_upward() {
        let root = tempfile::tempdir().unwrap();
        let deep = root.path().join("a/b/c");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(find_folder(&deep), None);
        std::fs::write(root.path().join("a").join(MANIFEST), "").unwrap();
        assert_eq!(find_folder(&deep), Some(root.path().join("a/.wakeful")));
        let nearer = root.path().join("a/b/.wakeful");
        std::fs::create_dir_all(&nearer).unwrap();
        std::fs::write(nearer.join(ADDRESSES_FILE), "{}").unwrap();
        assert_eq!(find_folder(&deep), Some(nearer));
    }

    #[test]
    fn what_stands_in_the_variable() {
        for (text, expected) in [
            ("127.0.0.1:8081", Some("http://127.0.0.1:8081")),
            ("http://127.0.0.1:8081/", Some("http://127.0.0.1:8081")),
            ("https://example.com", None),
            ("http://", None),
            ("http://a b", None),
            ("", None),
        ] {
            assert_eq!(base_of(text).ok().as_deref(), expected, "{text}");
        }
        let any = reachable("0.0.0.0:7".parse().unwrap());
        assert_eq!(any.to_string(), "127.0.0.1:7");
    }

    /// Every way in which no server is found, by its exit code.
    #[test]
    fn nothing_to_speak_to() {
        let folder = tempfile::tempdir().unwrap();
        let check = |admin: Option<&str>, key: Option<&str>, expected: u8| {
            let around = Surroundings {
                admin: admin.map(str::to_owned),
                key: key.map(str::to_owned),
                here: folder.path().to_owned(),
            };
            let code = reach(None, around).map(drop).unwrap_err().code();
            assert_eq!(code, expected, "{admin:?} {key:?}");
        };
        check(None, None, 4);
        check(Some("127.0.0.1:1"), None, 5);
        check(Some("127.0.0.1:1"), Some("key"), 4);
        check(Some("https://127.0.0.1"), Some("key"), 3);
    }

    #[test]
    fn a_server_that_was_killed_leaves_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let address: SocketAddr = "127.0.0.1:1".parse().unwrap();
        let file = AddressFile {
            http: address,
            admin: address,
            aws: address,
            admin_key: "k".into(),
            aws_access_key: "a".into(),
            aws_secret_key: "s".into(),
            pid: 1,
        };
        file.write(&folder.path().join(ADDRESSES_FILE)).unwrap();
        let reached = reach(Some(folder.path()), Surroundings::default()).unwrap();
        assert!(matches!(reached, Reached::Folder(path) if path == folder.path()));
    }
}
