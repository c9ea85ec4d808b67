//! Buckets and objects.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wakeful_core::name::BucketName;
use wakeful_objects::ObjectInfo;

use super::Time;

/// A bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketInfo {
    /// Its name.
    #[schema(value_type = String)]
    pub name: BucketName,
}

/// The buckets that the manifest declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BucketList {
    /// All of them, by name.
    pub buckets: Vec<BucketInfo>,
}

/// An object, without its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectEntry {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Time,
    /// Its content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl From<ObjectInfo> for ObjectEntry {
    fn from(info: ObjectInfo) -> Self {
        Self {
            key: info.key,
            size: info.size,
            etag: info.etag,
            modified: info.modified.into(),
            content_type: info.headers.content_type,
        }
    }
}

/// Objects of a bucket, in the byte order of their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObjectList {
    /// One page of them.
    pub objects: Vec<ObjectEntry>,
    /// The beginnings of keys up to the delimiter, when one was given.
    pub prefixes: Vec<String>,
    /// The `after` of the next page; none when this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}
