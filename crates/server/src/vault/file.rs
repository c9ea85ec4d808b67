//! The files of the vault: `vault`, `vault.key` and `vault.lock` in the data folder.
//!
//! `vault` is one header line, `wakeful-vault VERSION KEY-ID NONCE TAG`, and a JSON document. The
//! tag authenticates header and document together, so that no entry can be added, removed or
//! moved without the master key; the values are sealed one by one, each bound to its name.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};
use wakeful_core::{
    name::{KeyName, SecretName},
    time::Timestamp,
};

use super::{
    VaultError,
    keys::{Digest, KeyKind},
    master::{MasterKey, Sealed},
};

const VERSION: u32 = 1;
const MAGIC: &str = "wakeful-vault";
/// Larger files are not ours: the entries that fit are bounded.
const MAX_FILE: u64 = 256 * 1024 * 1024;
/// How long to wait for another process that only looks something up.
const LOCK_WAIT: Duration = Duration::from_secs(1);

/// What the project's AWS key pair is bound to.
pub(super) const PROJECT_CONTEXT: &str = "wakeful vault: project credentials";

/// What a secret's value is bound to.
pub(super) fn secret_context(name: &SecretName) -> String {
    format!("wakeful vault: secret {name}")
}

/// Everything in the vault, values sealed.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) secrets: BTreeMap<SecretName, Entry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<Entry>,
    pub(super) keys: BTreeMap<KeyName, StoredKey>,
    /// Function keys by their hash; follows from `keys`.
    #[serde(skip)]
    pub(super) function_keys: HashMap<Digest, KeyName>,
}

impl Document {
    /// Brings `function_keys` up to date.
    pub(super) fn index(&mut self) {
        let keys = self.keys.iter();
        let keys = keys.filter(|(_, key)| key.kind == KeyKind::Function);
        self.function_keys = keys.map(|(name, key)| (key.digest, name.clone())).collect();
    }
}

/// A sealed value and when it was set.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) updated_at: Timestamp,
    #[serde(flatten)]
    pub(super) sealed: Sealed,
}

/// A key, of which only the hash is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct StoredKey {
    pub(super) kind: KeyKind,
    pub(super) created_at: Timestamp,
    #[serde(with = "hex_digest")]
    pub(super) digest: Digest,
}

mod hex_digest {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Digest;

    pub(super) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&hex::encode(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        let bytes = hex::decode(text).map_err(D::Error::custom)?;
        let wrong = |_| D::Error::custom("a hash of 32 bytes was expected");
        bytes.try_into().map_err(wrong)
    }
}

pub(super) fn encode(document: &Document, master: &MasterKey) -> Result<String, VaultError> {
    let body = serde_json::to_string_pretty(document).map_err(|_| VaultError::Seal)?;
    let tag = master.seal(&authenticated(VERSION, master.id(), &body), b"")?;
    let id = master.id();
    Ok(format!(
        "{MAGIC} {VERSION} {id} {} {}\n{body}\n",
        tag.nonce, tag.text
    ))
}

pub(super) fn decode(
    text: &str,
    master: &MasterKey,
    folder: &Folder,
) -> Result<Document, VaultError> {
    let damaged = |what: &str| folder.damaged(what.to_owned());
    let (header, body) = text
        .split_once('\n')
        .ok_or_else(|| damaged("it has no header line"))?;
    let mut words = header.split(' ');
    if words.next() != Some(MAGIC) {
        return Err(damaged("it does not begin like a vault"));
    }
    let version = words.next().and_then(|word| word.parse::<u32>().ok());
    let version = version.ok_or_else(|| damaged("its header has no version"))?;
    if version > VERSION {
        return Err(VaultError::Newer {
            path: folder.file(VAULT).display().to_string(),
            found: version,
            supported: VERSION,
        });
    }
    let (Some(id), Some(nonce), Some(tag), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(damaged("its header is not complete"));
    };
    if id != master.id() {
        return Err(VaultError::WrongKey {
            path: folder.file(VAULT).display().to_string(),
        });
    }
    let body = body.strip_suffix('\n').unwrap_or(body);
    let tag = Sealed {
        nonce: nonce.to_owned(),
        text: tag.to_owned(),
    };
    master
        .open(&authenticated(version, id, body), &tag)
        .ok_or_else(|| damaged("its checksum does not fit"))?;
    let mut document: Document = serde_json::from_str(body)
        .map_err(|error| damaged(&format!("it cannot be read: {error}")))?;
    document.index();
    Ok(document)
}

fn authenticated(version: u32, id: &str, body: &str) -> String {
    format!("{MAGIC} {version} {id}\n{body}")
}

const VAULT: &str = "vault";
const KEY: &str = "vault.key";
const LOCK: &str = "vault.lock";

/// A data folder whose vault this process holds.
pub(super) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    pub(super) fn lock(path: &Path) -> Result<Self, VaultError> {
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700);
        folder.create(path).map_err(io_error("create", path))?;
        let name = path.join(LOCK);
        let mut lock = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&name)
            .map_err(io_error("open", &name))?;
        let begun = Instant::now();
        while let Err(error) = rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            if error != rustix::io::Errno::WOULDBLOCK {
                return Err(io_error("lock", &name)(error.into()));
            }
            if begun.elapsed() > LOCK_WAIT {
                return Err(in_use(path, &name));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        // Only for the message above; the lock itself is what counts.
        let _ = lock.set_len(0).and_then(|()| {
            let pid = std::process::id();
            lock.write_all(pid.to_string().as_bytes())
        });
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The text of the vault; `None` when there is none yet.
    pub(super) fn read(&self) -> Result<Option<String>, VaultError> {
        let path = self.file(VAULT);
        match fs::metadata(&path) {
            Ok(meta) if meta.len() > MAX_FILE => {
                return Err(self.damaged("it is too large".to_owned()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("read", &path)(error)),
        }
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(self.damaged("it is no text".to_owned()))
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    pub(super) fn write(&self, text: &str) -> Result<(), VaultError> {
        self.write_file(VAULT, text)
    }

    /// The key in `vault.key`. It is made when there is none, unless a vault already needs it.
    pub(super) fn master_key(&self, needed: bool) -> Result<MasterKey, VaultError> {
        let path = self.file(KEY);
        let shown = path.display().to_string();
        match fs::read_to_string(&path) {
            Ok(text) => {
                keep_private(&path)?;
                MasterKey::parse(&text, &shown)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if needed {
                    return Err(VaultError::NoKey { path: shown });
                }
                let (key, text) = MasterKey::random()?;
                self.write_file(KEY, &format!("{text}\n"))?;
                Ok(key)
            }
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                Err(VaultError::InvalidKey { origin: shown })
            }
            Err(error) => Err(io_error("read", &path)(error)),
        }
    }

    /// Writes a file whole: another that fails half-way leaves the old one. Mode 0600, since
    /// that is how temporary files are made.
    fn write_file(&self, name: &str, text: &str) -> Result<(), VaultError> {
        let path = self.file(name);
        let failed = io_error("write", &path);
        let write = || -> io::Result<()> {
            let mut file = tempfile::Builder::new()
                .prefix(".vault-")
                .tempfile_in(&self.path)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(&path).map_err(|error| error.error)?;
            File::open(&self.path)?.sync_all()
        };
        write().map_err(failed)
    }

    pub(super) fn damaged(&self, what: String) -> VaultError {
        VaultError::Damaged {
            path: self.file(VAULT).display().to_string(),
            what,
        }
    }
}

fn in_use(folder: &Path, lock: &Path) -> VaultError {
    let holder = fs::read_to_string(lock).unwrap_or_default();
    let holder = match holder.trim().parse::<u32>() {
        Ok(pid) => format!(" (process {pid})"),
        Err(_) => String::new(),
    };
    VaultError::InUse {
        folder: folder.display().to_string(),
        holder,
    }
}

/// Takes away what others may do with the key; it may have been copied from a backup.
fn keep_private(path: &Path) -> Result<(), VaultError> {
    let meta = fs::metadata(path).map_err(io_error("read", path))?;
    if meta.permissions().mode() & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "the master key was readable by others: now it is not");
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .map_err(io_error("protect", path))?;
    }
    Ok(())
}

fn io_error(doing: &'static str, path: &Path) -> impl Fn(io::Error) -> VaultError + use<> {
    let path = path.to_owned();
    move |source| VaultError::Io {
        doing,
        path: path.clone(),
        source,
    }
}
