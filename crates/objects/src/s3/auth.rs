//! Who signs requests, and what they may do: the port to the server's keys.

use std::{collections::BTreeMap, fmt, sync::Arc};

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    auth::{S3Auth, SecretKey},
};
use wakeful_core::{name::BucketName, project::Level};

/// The access keys that the server knows.
pub trait Credentials: Send + Sync + 'static {
    /// The secret and the rights of an access key; `None` when there is no such key.
    fn lookup(&self, access_key: &str) -> Option<Credential>;

    /// An access key asks for what it was not granted: is it allowed all the same? In `dev`
    /// undeclared access works, and whoever implements this reports it.
    fn undeclared(&self, access_key: &str, bucket: &BucketName, level: Level) -> bool;
}

/// What belongs to an access key.
#[derive(Clone)]
pub struct Credential {
    /// The secret that signs.
    pub secret: String,
    /// What it may do.
    pub grant: Grant,
}

/// Secrets are not shown.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("grant", &self.grant)
            .finish_non_exhaustive()
    }
}

/// What an access key may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// Everything in every bucket.
    All,
    /// What is declared for each bucket.
    Buckets(BTreeMap<BucketName, Level>),
}

impl Grant {
    /// Whether it includes this access.
    pub fn includes(&self, bucket: &BucketName, level: Level) -> bool {
        match self {
            Self::All => true,
            Self::Buckets(buckets) => buckets.get(bucket).is_some_and(|granted| *granted >= level),
        }
    }
}

/// The secrets, as s3s asks for them when it checks a signature.
pub(super) struct Secrets(pub(super) Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        match self.0.lookup(access_key) {
            Some(credential) => Ok(SecretKey::from(credential.secret)),
            None => Err(unknown_key()),
        }
    }
}

pub(super) fn unknown_key() -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InvalidAccessKeyId,
        "the access key is not known here: it may belong to another server, or to an earlier start of this one",
    )
}
