//! Buckets over S3: they are declared in the manifest, not created by requests.

use s3s::{
    S3Error, S3ErrorCode, S3Result,
    dto::{Bucket, ListBucketsInput, ListBucketsOutput, Owner},
    host::{S3Host, VirtualHost},
    validation::NameValidation,
};
use wakeful_core::{name::BucketName, project::Level};

use super::{auth::Grant, convert::timestamp, protocol::Protocol};
use crate::error::ObjectError;

/// The region that we say we are: the one that needs no location constraint.
pub(super) const REGION: &str = "us-east-1";

/// Our own rule for bucket names, which is that of S3.
pub(super) struct Names;

impl NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        name.parse::<BucketName>().is_ok()
    }
}

/// `bucket.localhost` names a bucket; every other host is the endpoint itself (path style).
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
        Ok(match name.strip_suffix(".localhost") {
            Some(bucket) => VirtualHost::new("localhost").with_bucket(bucket),
            None => VirtualHost::new(name),
        })
    }
}

pub(super) fn bucket_name(text: &str) -> S3Result<BucketName> {
    text.parse()
        .map_err(|error| S3Error::with_message(S3ErrorCode::InvalidBucketName, format!("{error}")))
}

pub(super) fn owner() -> Owner {
    Owner {
        display_name: Some("wakeful".to_owned()),
        id: Some("wakeful".to_owned()),
    }
}

impl Protocol {
    pub(super) fn head_of(&self, bucket: &str) -> S3Result<()> {
        let bucket = bucket_name(bucket)?;
        if self.buckets.is_declared(&bucket) {
            Ok(())
        } else {
            Err(ObjectError::NoSuchBucket { bucket }.into())
        }
    }

    pub(super) fn create(&self, bucket: &str) -> S3Error {
        match bucket_name(bucket) {
            Err(error) => error,
            Ok(bucket) if self.buckets.is_declared(&bucket) => S3Error::with_message(
                S3ErrorCode::BucketAlreadyOwnedByYou,
                format!("the bucket `{bucket}` is there: wakeful.toml declares it"),
            ),
            Ok(bucket) => S3Error::with_message(
                S3ErrorCode::MethodNotAllowed,
                format!(
                    "buckets are not created by request: {}",
                    ObjectError::NoSuchBucket { bucket }
                ),
            ),
        }
    }

    /// The buckets that a key may read, in pages.
    pub(super) fn list_of(&self, access_key: &str, input: &ListBucketsInput) -> ListBucketsOutput {
        let grant = self
            .credentials
            .lookup(access_key)
            .map_or(Grant::Buckets(Default::default()), |credential| {
                credential.grant
            });
        let prefix = input.prefix.as_deref().unwrap_or_default();
        let after = input.continuation_token.as_deref().unwrap_or_default();
        let limit = input
            .max_buckets
            .and_then(|most| usize::try_from(most).ok())
            .unwrap_or(usize::MAX);
        let mut names: Vec<BucketName> = self
            .buckets
            .buckets()
            .into_iter()
            .filter(|name| name.as_str().starts_with(prefix) && name.as_str() > after)
            .filter(|name| grant.includes(name, Level::Read))
            .collect();
        let more = names.len() > limit;
        names.truncate(limit);
        let since = timestamp(self.buckets.opened());
        ListBucketsOutput {
            continuation_token: names.last().filter(|_| more).map(ToString::to_string),
            buckets: Some(
                names
                    .iter()
                    .map(|name| Bucket {
                        bucket_region: Some(REGION.to_owned()),
                        creation_date: Some(since.clone()),
                        name: Some(name.to_string()),
                    })
                    .collect(),
            ),
            owner: Some(owner()),
            prefix: input.prefix.clone(),
        }
    }
}
