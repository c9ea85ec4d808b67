//! `bucket.*`: objects for functions.

use std::collections::BTreeMap;

use futures::StreamExt;
use serde::{Deserialize, Serialize};
use wakeful_core::{
    delivery::{Failure, FailureKind},
    manifest::Resource,
    name::{BucketName, FunctionName},
    project::Level,
};
use wakeful_objects::{
    Body as ObjectBody, BodyError, ByteRange, Expect, Headers, ListQuery, ObjectError, ObjectInfo,
    Staged,
};
use wakeful_workers::{Body, HostCall, HostError, HostErrorCode, HostReply};

use super::{HostCalls, denied, error_of, params, reply, reply_with};

#[derive(Deserialize)]
struct KeyParams {
    bucket: BucketName,
    key: String,
    range: Option<(u64, Option<u64>)>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PutParams {
    pub(super) bucket: BucketName,
    key: String,
    content_type: Option<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct ListParams {
    bucket: BucketName,
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<usize>,
}

/// What an object is, as functions see it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Described {
    size: u64,
    content_type: Option<String>,
    etag: String,
    modified: String,
    metadata: BTreeMap<String, String>,
}

/// What was stored.
#[derive(Serialize)]
pub(super) struct Stored {
    etag: String,
    size: u64,
}

impl Stored {
    /// Of an object that nobody sees yet.
    pub(super) fn of(staged: &Staged) -> Self {
        let (etag, size) = staged.described().unwrap_or_default();
        Self {
            etag: etag.to_owned(),
            size,
        }
    }
}

impl PutParams {
    /// Where the object goes, its headers, and its bytes.
    pub(super) fn into_parts(self, body: Body) -> (BucketName, String, Headers, ObjectBody) {
        let headers = Headers {
            content_type: self.content_type,
            user: self.metadata,
            ..Headers::default()
        };
        let body = match body {
            Body::Full(bytes) => ObjectBody::from(bytes),
            Body::Stream(stream) => {
                let broke = |failure: Failure| BodyError::Broken(failure.message);
                ObjectBody::new(stream.map(move |piece| piece.map_err(broke)))
            }
        };
        (self.bucket, self.key, headers, body)
    }
}

#[derive(Serialize)]
struct Removed {
    removed: bool,
}

#[derive(Serialize)]
struct Listed {
    objects: Vec<ListedObject>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct ListedObject {
    key: String,
    size: u64,
    etag: String,
    modified: String,
}

/// Objects on one page when the caller does not say.
const PAGE: usize = 1000;

impl HostCalls {
    pub(super) async fn bucket(&self, call: HostCall) -> Result<HostReply, HostError> {
        match call.op.as_str() {
            "bucket.get" => self.get(call).await,
            "bucket.head" => self.head(call).await,
            "bucket.put" => self.put(call).await,
            "bucket.remove" => self.remove(call).await,
            _ => self.list(call).await,
        }
    }

    pub(super) fn may(
        &self,
        function: &FunctionName,
        bucket: &BucketName,
        level: Level,
    ) -> Result<(), HostError> {
        let resource = Resource::Bucket(bucket.clone());
        let checked = self.parts.grants.check(function, &resource, level);
        checked.map(drop).map_err(denied)
    }

    async fn get(&self, call: HostCall) -> Result<HostReply, HostError> {
        let KeyParams { bucket, key, range } = params(&call)?;
        self.may(&call.function, &bucket, Level::Read)?;
        let range = range.map(|(first, last)| ByteRange::From { first, last });
        let found = self
            .parts
            .buckets
            .get(&bucket, &key, range)
            .await
            .map_err(host_error)?;
        let read = found.ok_or_else(|| no_such_object(&bucket, &key))?;
        let broke = |error: ObjectError| Failure::ours(FailureKind::UserError, error.to_string());
        let body = Body::from_stream(read.body.map(move |piece| piece.map_err(broke)));
        reply_with(&described(read.info), body)
    }

    async fn head(&self, call: HostCall) -> Result<HostReply, HostError> {
        let KeyParams { bucket, key, .. } = params(&call)?;
        self.may(&call.function, &bucket, Level::Read)?;
        let buckets = &self.parts.buckets;
        let found = buckets.head(&bucket, &key).await.map_err(host_error)?;
        reply(&described(
            found.ok_or_else(|| no_such_object(&bucket, &key))?,
        ))
    }

    async fn put(&self, call: HostCall) -> Result<HostReply, HostError> {
        let given: PutParams = params(&call)?;
        self.may(&call.function, &given.bucket, Level::Write)?;
        let buckets = self.parts.buckets.caused_by(self.cause(&call));
        let (bucket, key, headers, body) = given.into_parts(call.body);
        let written = buckets.put(&bucket, &key, headers, body, Expect::Anything);
        let info = written.await.map_err(host_error)?.info;
        reply(&Stored {
            etag: info.etag,
            size: info.size,
        })
    }

    async fn remove(&self, call: HostCall) -> Result<HostReply, HostError> {
        let KeyParams { bucket, key, .. } = params(&call)?;
        self.may(&call.function, &bucket, Level::Write)?;
        let buckets = self.parts.buckets.caused_by(self.cause(&call));
        let removed = buckets.remove(&bucket, &key).await.map_err(host_error)?;
        reply(&Removed { removed })
    }

    async fn list(&self, call: HostCall) -> Result<HostReply, HostError> {
        let ListParams {
            bucket,
            prefix,
            after,
            limit,
        } = params(&call)?;
        self.may(&call.function, &bucket, Level::Read)?;
        let limit = limit.unwrap_or(PAGE);
        let query = ListQuery {
            prefix,
            delimiter: None,
            after,
            limit,
        };
        let page = self
            .parts
            .buckets
            .list(&bucket, query)
            .await
            .map_err(host_error)?;
        let listed = |info: ObjectInfo| ListedObject {
            key: info.key,
            size: info.size,
            etag: info.etag,
            modified: info.modified.to_string(),
        };
        reply(&Listed {
            objects: page.objects.into_iter().map(listed).collect(),
            next: page.next,
        })
    }
}

fn described(info: ObjectInfo) -> Described {
    Described {
        size: info.size,
        content_type: info.headers.content_type,
        etag: info.etag,
        modified: info.modified.to_string(),
        metadata: info.headers.user,
    }
}

fn no_such_object(bucket: &BucketName, key: &str) -> HostError {
    error_of(
        HostErrorCode::NotFound,
        format!("bucket `{bucket}` has no object `{key}`"),
    )
}

pub(super) fn host_error(error: ObjectError) -> HostError {
    let code = match &error {
        ObjectError::NoSuchBucket { .. } | ObjectError::NoSuchKey { .. } => HostErrorCode::NotFound,
        ObjectError::Precondition { .. } | ObjectError::Contended { .. } => HostErrorCode::Conflict,
        ObjectError::Key { .. } | ObjectError::Range { .. } => HostErrorCode::Invalid,
        ObjectError::TooLarge { .. } | ObjectError::MetadataTooLarge { .. } => {
            HostErrorCode::TooLarge
        }
        ObjectError::DiskFull | ObjectError::Stopping => HostErrorCode::Unavailable,
        _ => HostErrorCode::Failed,
    };
    error_of(code, error.to_string())
}
