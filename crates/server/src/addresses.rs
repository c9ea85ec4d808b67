//! Where a running server is reached, and the file that tells scripts and the other commands.

use std::{
    fs, io,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// The file in the data folder that a running server keeps.
pub const ADDRESSES_FILE: &str = "addresses.json";

/// Where the listeners of a running server are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Addresses {
    /// Functions.
    pub http: SocketAddr,
    /// Admin API.
    pub admin: SocketAddr,
    /// AWS-compatible endpoint.
    pub aws: SocketAddr,
}

/// What a running server tells scripts: `--addr-file`, and `addresses.json` in its data folder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFile {
    /// Functions.
    pub http: SocketAddr,
    /// Admin API.
    pub admin: SocketAddr,
    /// AWS-compatible endpoint.
    pub aws: SocketAddr,
    /// An admin key for as long as this server runs.
    pub admin_key: String,
    /// The project's AWS access key; stable across restarts.
    pub aws_access_key: String,
    /// The project's AWS secret key.
    pub aws_secret_key: String,
    /// The server's process.
    pub pid: u32,
}

impl AddressFile {
    /// Writes it whole at once, readable by its owner alone.
    ///
    /// # Errors
    /// Says which file could not be written.
    pub fn write(&self, path: &Path) -> Result<(), AddressFileError> {
        let failed = |source| AddressFileError::Write {
            path: path.to_owned(),
            source,
        };
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let write = || -> io::Result<()> {
            // Temporary files are made with mode 0600.
            let mut file = tempfile::Builder::new()
                .prefix(".addresses-")
                .tempfile_in(folder)?;
            file.write_all(&text)?;
            file.write_all(b"\n")?;
            file.persist(path).map_err(|error| error.error)?;
            Ok(())
        };
        write().map_err(failed)
    }

    /// Reads it; `None` when there is none.
    ///
    /// # Errors
    /// Says which file could not be read, or is not what a server writes.
    pub fn read(path: &Path) -> Result<Option<Self>, AddressFileError> {
        let failed = |source| AddressFileError::Read {
            path: path.to_owned(),
            source,
        };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(|error| failed(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

impl std::fmt::Debug for AddressFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AddressFile")
            .field("http", &self.http)
            .field("admin", &self.admin)
            .field("aws", &self.aws)
            .field("pid", &self.pid)
            .finish_non_exhaustive()
    }
}

/// Why the addresses could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum AddressFileError {
    /// Not written.
    #[error("cannot write the addresses to {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Not read.
    #[error("cannot read the addresses of the server from {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn written_whole_for_the_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(ADDRESSES_FILE);
        assert!(AddressFile::read(&path).unwrap().is_none());
        let addresses = AddressFile {
            http: "127.0.0.1:1".parse().unwrap(),
            admin: "[::1]:2".parse().unwrap(),
            aws: "127.0.0.1:3".parse().unwrap(),
            admin_key: "wka_x".into(),
            aws_access_key: "WAKE".into(),
            aws_secret_key: "s3cr3t".into(),
            pid: 7,
        };
        addresses.write(&path).unwrap();
        addresses.write(&path).unwrap();
        assert_eq!(AddressFile::read(&path).unwrap(), Some(addresses.clone()));
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(!format!("{addresses:?}").contains("s3cr3t"));
        let value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(value["admin"], "[::1]:2");
        fs::write(&path, "{").unwrap();
        assert!(AddressFile::read(&path).is_err());
    }
}
