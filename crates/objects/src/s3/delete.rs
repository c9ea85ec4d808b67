//! DeleteObject and DeleteObjects.

use futures::StreamExt;
use s3s::{
    S3Error, S3Result,
    dto::{
        DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
        DeletedObject, ETagCondition, Error, ObjectIdentifier,
    },
    s3_error,
};
use wakeful_core::{limits::MAX_OBJECT_PAGE, name::BucketName};

use super::{
    bucket::bucket_name,
    convert::{expect, no_version},
    protocol::Protocol,
};
use crate::model::Expect;

/// Objects of one request that are removed at once, so that they share disk writes.
const AT_ONCE: usize = 32;

impl Protocol {
    pub(super) async fn delete(&self, input: DeleteObjectInput) -> S3Result<DeleteObjectOutput> {
        no_version(input.version_id.as_deref())?;
        if input.if_match_last_modified_time.is_some() || input.if_match_size.is_some() {
            return Err(s3_error!(
                NotImplemented,
                "deleting by time or size is not supported: use If-Match"
            ));
        }
        let bucket = bucket_name(&input.bucket)?;
        let condition = expect(input.if_match, None)?;
        self.buckets
            .remove_if(&bucket, &input.key, condition)
            .await?;
        Ok(DeleteObjectOutput::default())
    }

    pub(super) async fn delete_many(
        &self,
        input: DeleteObjectsInput,
    ) -> S3Result<DeleteObjectsOutput> {
        let bucket = bucket_name(&input.bucket)?;
        self.head_of(&input.bucket)?;
        let objects = input.delete.objects;
        if objects.is_empty() || objects.len() > MAX_OBJECT_PAGE {
            return Err(s3_error!(
                MalformedXML,
                "1 to {MAX_OBJECT_PAGE} objects are deleted at once"
            ));
        }
        let quiet = input.delete.quiet.unwrap_or(false);
        let mut results = futures::stream::iter(objects)
            .map(|object| self.delete_one(&bucket, object))
            .buffered(AT_ONCE);
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        while let Some((key, result)) = results.next().await {
            match result {
                Ok(()) if quiet => {}
                Ok(()) => deleted.push(DeletedObject {
                    key: Some(key),
                    ..Default::default()
                }),
                Err(error) => errors.push(Error {
                    code: Some(error.code().as_str().to_owned()),
                    message: error.message().map(ToOwned::to_owned),
                    key: Some(key),
                    version_id: None,
                }),
            }
        }
        Ok(DeleteObjectsOutput {
            deleted: Some(deleted),
            errors: Some(errors),
            request_charged: None,
        })
    }

    async fn delete_one(
        &self,
        bucket: &BucketName,
        object: ObjectIdentifier,
    ) -> (String, Result<(), S3Error>) {
        let result = async {
            no_version(object.version_id.as_deref())?;
            let condition = match object.e_tag {
                None => Expect::Anything,
                Some(etag) => expect(Some(ETagCondition::ETag(etag)), None)?,
            };
            self.buckets
                .remove_if(bucket, &object.key, condition)
                .await?;
            Ok(())
        };
        let result = result.await;
        (object.key, result)
    }
}
