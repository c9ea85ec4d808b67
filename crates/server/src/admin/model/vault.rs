//! Secrets and keys; never their values, but for a key at the moment it is made.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_core::name::{KeyName, SecretName};

use super::Time;
use crate::vault::{KeyInfo, KeyKind};

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretEntry {
    /// Its name.
    #[schema(value_type = String)]
    pub name: SecretName,
    /// When it was last set.
    pub updated_at: Time,
}

/// All secrets, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SecretList {
    /// All of them.
    pub secrets: Vec<SecretEntry>,
}

/// The value of a secret, on its way in.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// 1 byte to 64 KiB, without NUL.
    pub value: String,
}

impl std::fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SecretValue").finish_non_exhaustive()
    }
}

/// A key, without the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyEntry {
    /// Its name.
    #[schema(value_type = String)]
    pub name: KeyName,
    /// What it opens.
    pub kind: KeyKind,
    /// When it was made.
    pub created_at: Time,
}

impl From<KeyInfo> for KeyEntry {
    fn from(key: KeyInfo) -> Self {
        Self {
            name: key.name,
            kind: key.kind,
            created_at: key.created_at.into(),
        }
    }
}

/// All keys, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KeyList {
    /// All of them.
    pub keys: Vec<KeyEntry>,
}

/// A key to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// Its name.
    #[schema(value_type = String)]
    pub name: KeyName,
    /// What it is to open.
    pub kind: KeyKind,
}

/// A key that was made. It is shown this once.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
pub struct NewKeyReply {
    /// Its name.
    #[schema(value_type = String)]
    pub name: KeyName,
    /// What it opens.
    pub kind: KeyKind,
    /// The key itself.
    pub key: String,
}
