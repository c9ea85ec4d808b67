//! The master key and what is sealed with it: XChaCha20-Poly1305, whose nonces are long enough
//! to be drawn at random.

use base64::prelude::{BASE64_STANDARD, Engine};
use chacha20poly1305::{
    XChaCha20Poly1305, XNonce,
    aead::{Aead, KeyInit, Payload},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{MASTER_KEY_VARIABLE, VaultError, keys::random_bytes};

const NONCE: usize = 24;

/// A sealed value, in base64.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) nonce: String,
    pub(super) text: String,
}

/// The key that everything in the vault is sealed with.
pub(super) struct MasterKey {
    cipher: XChaCha20Poly1305,
    id: String,
}

impl MasterKey {
    pub(super) fn from_variable(text: &str) -> Result<Self, VaultError> {
        Self::parse(text, MASTER_KEY_VARIABLE)
    }

    /// From base64; `origin` says where it was found.
    pub(super) fn parse(text: &str, origin: &str) -> Result<Self, VaultError> {
        let invalid = || VaultError::InvalidKey {
            origin: origin.to_owned(),
        };
        let bytes = BASE64_STANDARD.decode(text.trim()).map_err(|_| invalid())?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| invalid())?;
        Ok(Self::new(&bytes))
    }

    fn new(bytes: &[u8; 32]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"wakeful vault key id\0");
        hash.update(bytes);
        Self {
            cipher: XChaCha20Poly1305::new(bytes.into()),
            id: hex::encode(&hash.finalize()[..8]),
        }
    }

    /// A new key, and its text for `vault.key`.
    pub(super) fn random() -> Result<(Self, String), VaultError> {
        let bytes = random_bytes::<32>()?;
        Ok((Self::new(&bytes), BASE64_STANDARD.encode(bytes)))
    }

    /// Tells keys apart without telling anything about them.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Seals `plain`, bound to `context`: it opens only with the same one.
    pub(super) fn seal(&self, context: &str, plain: &[u8]) -> Result<Sealed, VaultError> {
        let nonce = random_bytes::<NONCE>()?;
        let payload = Payload {
            msg: plain,
            aad: context.as_bytes(),
        };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload);
        Ok(Sealed {
            nonce: BASE64_STANDARD.encode(nonce),
            text: BASE64_STANDARD.encode(sealed.map_err(|_| VaultError::Seal)?),
        })
    }

    /// Opens what was sealed with this key and `context`; `None` for anything else.
    pub(super) fn open(&self, context: &str, sealed: &Sealed) -> Option<Vec<u8>> {
        let nonce = BASE64_STANDARD.decode(&sealed.nonce).ok()?;
        let nonce: [u8; NONCE] = nonce.try_into().ok()?;
        let text = BASE64_STANDARD.decode(&sealed.text).ok()?;
        let payload = Payload {
            msg: &text,
            aad: context.as_bytes(),
        };
        self.cipher.decrypt(&XNonce::from(nonce), payload).ok()
    }
}
