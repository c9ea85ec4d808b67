//! Random keys and how they are recognised.
//!
//! Every key here is drawn at random with at least 160 bits, so a plain SHA-256 of it is as good
//! as a slow password hash would be, and fast enough for each request.

use std::fmt;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;
use wakeful_core::{
    name::{FunctionName, KeyName},
    time::Timestamp,
};

use super::VaultError;

/// SHA-256 of a key.
pub(super) type Digest = [u8; 32];

/// What a key opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum KeyKind {
    /// The admin API.
    Admin,
    /// HTTP triggers with `auth = "key"`.
    Function,
}

impl KeyKind {
    /// The word used in the API and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Function => "function",
        }
    }

    /// How keys of this kind begin, so that people and secret scanners know one when they see it.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Admin => "wka_",
            Self::Function => "wk_",
        }
    }
}

/// What is known of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyInfo {
    /// Its name.
    pub name: KeyName,
    /// What it opens.
    pub kind: KeyKind,
    /// When it was made.
    pub created_at: Timestamp,
}

/// Who signs with an AWS key pair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// People and tools of the project: everything is theirs.
    Project,
    /// A function: what its `access` says.
    Function(FunctionName),
}

/// An AWS key pair.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// 20 characters, `WAKE` first.
    pub access_key: String,
    /// 40 characters.
    pub secret_key: String,
}

impl Credentials {
    pub(super) fn random() -> Result<Self, VaultError> {
        const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        let bytes = random_bytes::<16>()?;
        let tail = bytes.map(|byte| LETTERS[usize::from(byte) % LETTERS.len()] as char);
        Ok(Self {
            access_key: "WAKE".chars().chain(tail).collect(),
            secret_key: BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<30>()?),
        })
    }

    pub(super) fn to_stored(&self) -> String {
        format!("{}:{}", self.access_key, self.secret_key)
    }

    pub(super) fn from_stored(text: &str) -> Option<Self> {
        let (access_key, secret_key) = text.split_once(':')?;
        Some(Self {
            access_key: access_key.to_owned(),
            secret_key: secret_key.to_owned(),
        })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key", &self.access_key)
            .finish_non_exhaustive()
    }
}

/// A new key of 256 random bits.
pub(super) fn random_key(kind: KeyKind) -> Result<String, VaultError> {
    let text = BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>()?);
    Ok(format!("{}{text}", kind.prefix()))
}

pub(super) fn random_bytes<const N: usize>() -> Result<[u8; N], VaultError> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(VaultError::Random)?;
    Ok(bytes)
}

pub(super) fn digest(key: &str) -> Digest {
    Sha256::digest(key.as_bytes()).into()
}

/// Takes the same time wherever the two differ.
pub(super) fn digests_equal(one: &Digest, other: &Digest) -> bool {
    one.ct_eq(other).into()
}
