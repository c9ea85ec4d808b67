//! Which request needs which access to which bucket, and how a refusal says what to declare.

use std::sync::Arc;

use s3s::{
    S3Error, S3ErrorCode, S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    dto::{CopyObjectInput, CopySource, UploadPartCopyInput},
};
use wakeful_core::{name::BucketName, project::Level};

use super::{
    auth::{Credentials, unknown_key},
    bucket::bucket_name,
};
use crate::model::toml_key;

/// Checks every request against the grant of its key.
pub(super) struct Grants(pub(super) Arc<dyn Credentials>);

#[async_trait::async_trait]
impl S3Access for Grants {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let Some(credentials) = context.credentials() else {
            return Err(S3Error::with_message(
                S3ErrorCode::AccessDenied,
                "the request is not signed: anonymous requests are refused",
            ));
        };
        // Without a bucket there is only ListBuckets, which shows what the key may read.
        match context.s3_path().get_bucket_name() {
            None => Ok(()),
            Some(bucket) => {
                let level = level(context.s3_op().name());
                self.demand(&credentials.access_key, bucket, level)
            }
        }
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        self.demand_source(request.credentials.as_ref(), &request.input.copy_source)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        self.demand_source(request.credentials.as_ref(), &request.input.copy_source)
    }
}

/// What reads begins with one of these words; everything else is taken for a write.
fn level(operation: &str) -> Level {
    let reads = ["Get", "Head", "List", "Select"];
    if reads.iter().any(|word| operation.starts_with(word)) {
        Level::Read
    } else {
        Level::Write
    }
}

impl Grants {
    fn demand_source(
        &self,
        credentials: Option<&s3s::auth::Credentials>,
        source: &CopySource,
    ) -> S3Result<()> {
        let access_key = credentials.map(|credentials| credentials.access_key.as_str());
        match (access_key, source) {
            (Some(access_key), CopySource::Bucket { bucket, .. }) => {
                self.demand(access_key, bucket, Level::Read)
            }
            _ => Err(S3ErrorCode::AccessDenied.into()),
        }
    }

    fn demand(&self, access_key: &str, bucket: &str, level: Level) -> S3Result<()> {
        let bucket = bucket_name(bucket)?;
        let credential = self.0.lookup(access_key).ok_or_else(unknown_key)?;
        if credential.grant.includes(&bucket, level)
            || self.0.undeclared(access_key, &bucket, level)
        {
            return Ok(());
        }
        Err(S3Error::with_message(
            S3ErrorCode::AccessDenied,
            refusal(&bucket, level),
        ))
    }
}

fn refusal(bucket: &BucketName, level: Level) -> String {
    let (verb, word) = match level {
        Level::Read => ("read", "read"),
        Level::Write => ("write to", "write"),
    };
    format!(
        "this access key may not {verb} the bucket `{bucket}`: if it should, add \
         access = {{ bucket.{} = \"{word}\" }} to its function in wakeful.toml",
        toml_key(bucket)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_need_the_access_that_their_names_say() {
        for read in [
            "GetObject",
            "HeadObject",
            "HeadBucket",
            "ListObjectsV2",
            "ListParts",
            "GetBucketLocation",
        ] {
            assert_eq!(level(read), Level::Read, "{read}");
        }
        for write in [
            "PutObject",
            "PostObject",
            "DeleteObject",
            "DeleteObjects",
            "CopyObject",
            "CreateBucket",
            "CreateMultipartUpload",
            "UploadPart",
            "UploadPartCopy",
            "CompleteMultipartUpload",
            "AbortMultipartUpload",
            "RestoreObject",
        ] {
            assert_eq!(level(write), Level::Write, "{write}");
        }
    }

    #[test]
    fn a_refusal_names_the_line_to_add() {
        let message = refusal(&"a.b-c".parse().unwrap(), Level::Write);
        assert!(
            message.contains(r#"access = { bucket."a.b-c" = "write" }"#),
            "{message}"
        );
    }
}
