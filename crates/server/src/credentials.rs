//! Who may do what on the AWS-compatible endpoint.

use std::sync::Arc;

use wakeful_core::{manifest::Resource, name::BucketName, project::Level};
use wakeful_objects::{Credential, Credentials, Grant};

use crate::{
    host::Grants,
    live::LiveCell,
    vault::{Principal, Vault},
};

/// The keys of the project (all buckets) and of its functions (what `access` says).
pub struct AwsKeys {
    /// Where the keys are.
    pub vault: Arc<Vault>,
    /// What is live.
    pub live: LiveCell,
    /// What functions may touch.
    pub grants: Grants,
}

impl Credentials for AwsKeys {
    fn lookup(&self, access_key: &str) -> Option<Credential> {
        let (principal, keys) = self.vault.identify(access_key)?;
        let grant = match principal {
            Principal::Project => Grant::All,
            Principal::Function(function) => {
                let live = self.live.load();
                let version = live.version(&function);
                Grant::Buckets(
                    version
                        .map(|v| v.function.access.buckets.clone())
                        .unwrap_or_default(),
                )
            }
        };
        Some(Credential {
            secret: keys.secret_key,
            grant,
        })
    }

    fn undeclared(&self, access_key: &str, bucket: &BucketName, level: Level) -> bool {
        match self.vault.identify(access_key) {
            Some((Principal::Function(function), _)) => {
                let resource = Resource::Bucket(bucket.clone());
                self.grants.check(&function, &resource, level).is_ok()
            }
            Some((Principal::Project, _)) => true,
            None => false,
        }
    }
}
