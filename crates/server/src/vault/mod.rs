//! Secrets and keys of one data folder, encrypted at rest.
//!
//! One process owns a vault at a time, guarded by a lock on `vault.lock`. Everything is in memory
//! once it is open; a change is on disk before it is visible. The vault knows nothing of who asks
//! for a secret: that a function gets only what it declared is decided where workers are started.

mod file;
mod keys;
mod master;
mod redact;

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
    fmt,
    path::{Path, PathBuf},
};

use parking_lot::{Mutex, RwLock};
use tokio::sync::watch;
use wakeful_core::{
    limits,
    name::{FunctionName, KeyName, SecretName},
    time::Timestamp,
};

pub use keys::{Credentials, KeyInfo, KeyKind, Principal};

use file::{Document, Entry, Folder, StoredKey};
use keys::{Digest, digest, digests_equal};
use master::MasterKey;
use redact::Redactor;

/// The environment variable that holds the master key (base64 of 32 bytes) instead of `vault.key`.
pub const MASTER_KEY_VARIABLE: &str = "WAKEFUL_MASTER_KEY";

/// The name under which the first admin key is kept.
const FIRST_ADMIN_KEY: &str = "admin";

/// Secrets and keys, open.
pub struct Vault {
    folder: Folder,
    master: MasterKey,
    /// Held while a change goes to disk, so that readers need not wait for it.
    writer: Mutex<()>,
    state: RwLock<State>,
    boot: Mutex<Boot>,
    changes: watch::Sender<()>,
}

/// What is on disk, opened.
#[derive(Default)]
struct State {
    document: Document,
    secrets: BTreeMap<SecretName, String>,
    project: Option<Credentials>,
    redactor: Redactor,
}

/// What lives only as long as this process.
#[derive(Default)]
struct Boot {
    session_keys: Vec<Digest>,
    pairs: HashMap<FunctionName, Credentials>,
    functions: HashMap<String, FunctionName>,
}

impl Vault {
    /// Opens the vault of a data folder, or prepares a new one. The master key comes from the
    /// environment or else from `vault.key`, which is made for a new vault. Waits up to a second
    /// for another process to let go of it.
    pub fn open(folder: &Path) -> Result<Self, VaultError> {
        Self::open_with(folder, std::env::var(MASTER_KEY_VARIABLE).ok().as_deref())
    }

    /// As `open`, with the value of the environment variable given.
    fn open_with(folder: &Path, variable: Option<&str>) -> Result<Self, VaultError> {
        let folder = Folder::lock(folder)?;
        let stored = folder.read()?;
        let master = match variable {
            Some(text) => MasterKey::from_variable(text)?,
            None => folder.master_key(stored.is_some())?,
        };
        let state = match stored {
            Some(text) => State::open(file::decode(&text, &master, &folder)?, &master, &folder)?,
            None => State::default(),
        };
        Ok(Self {
            folder,
            master,
            writer: Mutex::new(()),
            state: RwLock::new(state),
            boot: Mutex::new(Boot::default()),
            changes: watch::Sender::new(()),
        })
    }

    /// The value of a secret.
    pub fn secret(&self, name: &SecretName) -> Option<String> {
        self.state.read().secrets.get(name).cloned()
    }

    /// Sets a secret, in place of an earlier value.
    pub fn set_secret(
        &self,
        name: &SecretName,
        value: &str,
        now: Timestamp,
    ) -> Result<(), VaultError> {
        check_value(value)?;
        self.change(|document| {
            check_room(
                document.secrets.len(),
                document.secrets.contains_key(name),
                "secrets",
            )?;
            let sealed = self
                .master
                .seal(&file::secret_context(name), value.as_bytes())?;
            let entry = Entry {
                updated_at: now,
                sealed,
            };
            document.secrets.insert(name.clone(), entry);
            Ok(())
        })
    }

    /// Removes a secret; whether there was one.
    pub fn remove_secret(&self, name: &SecretName) -> Result<bool, VaultError> {
        if !self.state.read().secrets.contains_key(name) {
            return Ok(false);
        }
        self.change(|document| Ok(document.secrets.remove(name).is_some()))
    }

    /// The names of all secrets and when each was last set; never their values.
    pub fn secret_names(&self) -> Vec<(SecretName, Timestamp)> {
        let state = self.state.read();
        let entries = state.document.secrets.iter();
        entries
            .map(|(name, entry)| (name.clone(), entry.updated_at))
            .collect()
    }

    /// The AWS key pair of the project: made on first use, the same ever after.
    pub fn project_credentials(&self, now: Timestamp) -> Result<Credentials, VaultError> {
        if let Some(pair) = &self.state.read().project {
            return Ok(pair.clone());
        }
        let fresh = Credentials::random()?;
        self.change(|document| {
            if document.project.is_none() {
                let text = fresh.to_stored();
                let sealed = self.master.seal(file::PROJECT_CONTEXT, text.as_bytes())?;
                document.project = Some(Entry {
                    updated_at: now,
                    sealed,
                });
            }
            Ok(())
        })?;
        let pair = self.state.read().project.clone();
        Ok(pair.unwrap_or(fresh))
    }

    /// The AWS key pair of one function, valid until this process ends.
    pub fn function_credentials(&self, function: &FunctionName) -> Result<Credentials, VaultError> {
        let mut boot = self.boot.lock();
        if let Some(pair) = boot.pairs.get(function) {
            return Ok(pair.clone());
        }
        let pair = Credentials::random()?;
        boot.functions
            .insert(pair.access_key.clone(), function.clone());
        boot.pairs.insert(function.clone(), pair.clone());
        Ok(pair)
    }

    /// Whose access key this is, and the secret key that its signatures are made with.
    pub fn identify(&self, access_key: &str) -> Option<(Principal, Credentials)> {
        if let Some(pair) = &self.state.read().project
            && pair.access_key == access_key
        {
            return Some((Principal::Project, pair.clone()));
        }
        let boot = self.boot.lock();
        let function = boot.functions.get(access_key)?;
        let pair = boot.pairs.get(function)?.clone();
        Some((Principal::Function(function.clone()), pair))
    }

    /// Makes the first admin key if the vault has none. `Some` is the key itself, to be shown
    /// once: only its hash is kept.
    pub fn ensure_admin_key(&self, now: Timestamp) -> Result<Option<String>, VaultError> {
        let has_one = |document: &Document| {
            let mut keys = document.keys.values();
            keys.any(|key| key.kind == KeyKind::Admin)
        };
        if has_one(&self.state.read().document) {
            return Ok(None);
        }
        let name = self.free_admin_name();
        self.create_key(&name, KeyKind::Admin, now).map(Some)
    }

    /// `admin`, or `admin-2` and so on while a function key is called so.
    fn free_admin_name(&self) -> KeyName {
        let state = self.state.read();
        let names = std::iter::once(FIRST_ADMIN_KEY.to_owned())
            .chain((2..).map(|n| format!("{FIRST_ADMIN_KEY}-{n}")));
        names
            .filter_map(|name| name.parse::<KeyName>().ok())
            .find(|name| !state.document.keys.contains_key(name))
            .unwrap_or_else(|| unreachable!("an endless row of names has a free one"))
    }

    /// A new admin key that is valid until this process ends.
    pub fn session_key(&self) -> Result<String, VaultError> {
        let key = keys::random_key(KeyKind::Admin)?;
        self.boot.lock().session_keys.push(digest(&key));
        Ok(key)
    }

    /// Whether this is an admin key. Takes the same time whichever key comes closest.
    pub fn verify_admin_key(&self, presented: &str) -> bool {
        let presented = digest(presented);
        let state = self.state.read();
        let boot = self.boot.lock();
        let stored = state.document.keys.values();
        let stored = stored.filter(|key| key.kind == KeyKind::Admin);
        let stored = stored.map(|key| &key.digest);
        stored
            .chain(&boot.session_keys)
            .fold(false, |found, key| digests_equal(key, &presented) | found)
    }

    /// Which function key this is.
    pub fn verify_function_key(&self, presented: &str) -> Option<KeyName> {
        let presented = digest(presented);
        let state = self.state.read();
        // Comparing hashes of random keys gives nothing away, however long it takes: who can
        // choose the hash can already invert SHA-256.
        let name = state.document.function_keys.get(&presented)?;
        Some(name.clone())
    }

    /// Makes a key. The reply is the key itself, to be shown once: only its hash is kept.
    pub fn create_key(
        &self,
        name: &KeyName,
        kind: KeyKind,
        now: Timestamp,
    ) -> Result<String, VaultError> {
        let key = keys::random_key(kind)?;
        self.change(|document| {
            check_room(document.keys.len(), false, "keys")?;
            if document.keys.contains_key(name) {
                return Err(VaultError::KeyExists(name.clone()));
            }
            let stored = StoredKey {
                kind,
                created_at: now,
                digest: digest(&key),
            };
            document.keys.insert(name.clone(), stored);
            Ok(())
        })?;
        Ok(key)
    }

    /// Removes a key, which is refused from now on; whether there was one.
    pub fn remove_key(&self, name: &KeyName) -> Result<bool, VaultError> {
        if !self.state.read().document.keys.contains_key(name) {
            return Ok(false);
        }
        self.change(|document| Ok(document.keys.remove(name).is_some()))
    }

    /// All keys by name; never the keys themselves.
    pub fn keys(&self) -> Vec<KeyInfo> {
        let state = self.state.read();
        let info = |(name, key): (&KeyName, &StoredKey)| KeyInfo {
            name: name.clone(),
            kind: key.kind,
            created_at: key.created_at,
        };
        state.document.keys.iter().map(info).collect()
    }

    /// The line with the value of every secret of at least four bytes replaced by
    /// `[secret NAME]`.
    pub fn redact<'a>(&self, line: &'a str) -> Cow<'a, str> {
        self.state.read().redactor.redact(line)
    }

    /// Told of each change of a secret or key.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// Applies a change: on disk first, then visible.
    fn change<T>(
        &self,
        apply: impl FnOnce(&mut Document) -> Result<T, VaultError>,
    ) -> Result<T, VaultError> {
        let _writing = self.writer.lock();
        let mut document = self.state.read().document.clone();
        let reply = apply(&mut document)?;
        document.index();
        let text = file::encode(&document, &self.master)?;
        let state = State::open(document, &self.master, &self.folder)?;
        self.folder.write(&text)?;
        *self.state.write() = state;
        self.changes.send_replace(());
        Ok(reply)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault")
            .field("folder", &self.folder.path())
            .finish_non_exhaustive()
    }
}

impl State {
    fn open(document: Document, master: &MasterKey, folder: &Folder) -> Result<Self, VaultError> {
        let damaged = |what: String| folder.damaged(what);
        let mut secrets = BTreeMap::new();
        for (name, entry) in &document.secrets {
            let value = master
                .open(&file::secret_context(name), &entry.sealed)
                .and_then(|bytes| String::from_utf8(bytes).ok())
                .ok_or_else(|| damaged(format!("the secret `{name}` cannot be decrypted")))?;
            secrets.insert(name.clone(), value);
        }
        let open_pair = |entry: &Entry| {
            let bytes = master.open(file::PROJECT_CONTEXT, &entry.sealed)?;
            Credentials::from_stored(std::str::from_utf8(&bytes).ok()?)
        };
        let project = match &document.project {
            Some(entry) => Some(open_pair(entry).ok_or_else(|| {
                damaged("the AWS key pair of the project cannot be decrypted".to_owned())
            })?),
            None => None,
        };
        let redactor = Redactor::new(&secrets);
        Ok(Self {
            document,
            secrets,
            project,
            redactor,
        })
    }
}

fn check_value(value: &str) -> Result<(), VaultError> {
    let refuse = |why| Err(VaultError::InvalidValue(why));
    if value.is_empty() {
        return refuse("it is empty".to_owned());
    }
    if value.contains('\0') {
        return refuse("it holds a NUL character, which no environment variable can".to_owned());
    }
    if value.len() > limits::MAX_SECRET {
        return refuse(format!(
            "it is longer than {} KiB",
            limits::MAX_SECRET / 1024
        ));
    }
    Ok(())
}

fn check_room(count: usize, replaces: bool, what: &'static str) -> Result<(), VaultError> {
    if count >= limits::MAX_VAULT_ENTRIES && !replaces {
        return Err(VaultError::Full {
            most: limits::MAX_VAULT_ENTRIES,
            what,
        });
    }
    Ok(())
}

/// Why a vault could not be opened or changed. After an error nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// Another process holds it.
    #[error(
        "the vault in {folder} is in use by another process{holder}: if that is a server, go \
         through it (set WAKEFUL_ADMIN and WAKEFUL_KEY, or start the command in its project \
         folder)"
    )]
    InUse {
        /// The data folder.
        folder: String,
        /// ` (process 123)` when known.
        holder: String,
    },
    /// A newer version wrote it.
    #[error(
        "{path} was written by a newer version of Wakeful (format {found}, this one reads up to \
         {supported}): use that version"
    )]
    Newer {
        /// The file.
        path: String,
        /// The format it has.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// It was sealed with another master key.
    #[error(
        "{path} was sealed with another master key: give the right one in WAKEFUL_MASTER_KEY, or \
         put its `vault.key` back into the data folder"
    )]
    WrongKey {
        /// The file.
        path: String,
    },
    /// There is a vault, but no master key.
    #[error(
        "there is a vault but no master key: set WAKEFUL_MASTER_KEY, or put {path} back. Without \
         it the secrets are lost; to begin anew, remove the file `vault` beside it"
    )]
    NoKey {
        /// Where the key would be.
        path: String,
    },
    /// The master key is not one.
    #[error("the master key in {origin} is not valid: expected base64 of 32 bytes")]
    InvalidKey {
        /// Where it was found.
        origin: String,
    },
    /// The file is not what was written.
    #[error("{path} is damaged ({what}): restore it from a backup")]
    Damaged {
        /// The file.
        path: String,
        /// What is wrong.
        what: String,
    },
    /// A value that no secret can have.
    #[error("the value cannot be a secret: {0}")]
    InvalidValue(String),
    /// The name is taken.
    #[error("there is already a key called `{0}`: choose another name, or remove it first")]
    KeyExists(KeyName),
    /// No room.
    #[error("a vault holds at most {most} {what}: remove some first")]
    Full {
        /// How many there can be.
        most: usize,
        /// What there are too many of.
        what: &'static str,
    },
    /// A file cannot be read or written.
    #[error("cannot {doing} {}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random(#[source] getrandom::Error),
    /// Encryption failed.
    #[error("encrypting failed")]
    Seal,
}

#[cfg(test)]
mod tests;
