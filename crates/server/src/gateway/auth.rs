//! Who calls.

use http::{HeaderMap, HeaderName, header};
use wakeful_core::{name::KeyName, project::Auth};

use super::Refusal;
use crate::vault::Vault;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Caller {
    /// The endpoint is open to anyone.
    Anyone,
    /// Whoever has this function key, which stood in this header field.
    Key(KeyName, HeaderName),
}

impl Caller {
    /// A word that keeps what callers name apart: one caller's `7` is not another's.
    pub(super) fn scoped(&self, word: &str) -> String {
        match self {
            Self::Anyone => format!("/{word}"),
            Self::Key(name, _) => format!("{name}/{word}"),
        }
    }

    /// The header field that holds a key of ours.
    pub(super) fn credential(&self) -> Option<&HeaderName> {
        match self {
            Self::Anyone => None,
            Self::Key(_, field) => Some(field),
        }
    }
}

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// The caller of what `auth` protects.
pub(super) fn caller(auth: Auth, headers: &HeaderMap, vault: &Vault) -> Result<Caller, Refusal> {
    match auth {
        Auth::None => Ok(Caller::Anyone),
        Auth::Key => {
            let (field, key) = function_key(headers).ok_or(Refusal::NoKey)?;
            let name = vault.verify_function_key(key).ok_or(Refusal::WrongKey)?;
            Ok(Caller::Key(name, field))
        }
    }
}

fn function_key(headers: &HeaderMap) -> Option<(HeaderName, &str)> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then_some((header::AUTHORIZATION, key.trim()))
    });
    bearer.or_else(|| Some((API_KEY, headers.get(&API_KEY)?.to_str().ok()?)))
}
