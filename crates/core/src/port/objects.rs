//! The object index: what a store keeps of buckets.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    name::{BucketName, Scope},
    time::Timestamp,
};

/// A bucket of a project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BucketRef {
    /// The scope of the bucket.
    pub scope: Scope,
    /// Its name.
    pub name: BucketName,
}

/// An object's place: any UTF-8 key of 1 to 1024 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The bucket.
    pub bucket: BucketRef,
    /// The key.
    pub key: String,
}

/// The bytes of an object or part on disk; never made from a key. Drawn like other ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BlobId(pub i64);

impl BlobId {
    /// Its file, below the folder of all blobs: 2 hex digits that spread the files, and the 16
    /// of the id. Files that exist are found by this rule: it must never change.
    pub fn file(self) -> String {
        format!("{:02x}/{:016x}", self.spread(), self.0)
    }

    /// The low bits of an id are mostly zero (a counter within a millisecond), so the low byte of
    /// its milliseconds is mixed in.
    const fn spread(self) -> u8 {
        (self.0 ^ (self.0 >> 21) ^ (self.0 >> 8)) as u8
    }
}

/// A multipart upload. Drawn like other ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(pub i64);

/// One visible object.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// Where it is.
    pub at: ObjectId,
    /// Grows with each write of this key: drawn like other ids. S3 calls it the sequencer.
    pub generation: i64,
    /// Its bytes, in order; one for a simple put, the parts of a multipart upload.
    pub blobs: Vec<BlobPart>,
    /// Bytes in all.
    pub size: u64,
    /// The ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Headers and metadata, as the objects crate serialises them; only it understands them.
    pub meta: Bytes,
}

/// A stretch of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobPart {
    /// Which blob.
    pub blob: BlobId,
    /// Its length, bytes.
    pub size: u64,
}

/// A multipart upload under way.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// What it will become.
    pub at: ObjectId,
    /// When it began.
    pub started: Timestamp,
    /// Headers and metadata for the object; only the objects crate understands them.
    pub meta: Bytes,
    /// Its parts by number.
    pub parts: Vec<UploadPart>,
}

/// One part of an upload.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadPart {
    /// 1 to 10,000.
    pub number: u16,
    /// Its bytes.
    pub blob: BlobPart,
    /// Its ETag, without quotes.
    pub etag: String,
    /// When it was written.
    pub modified: Timestamp,
    /// Checksums, as the objects crate serialises them.
    pub meta: Bytes,
}

/// A change of the object index.
#[derive(Debug, Clone, PartialEq)]
pub enum ObjectChange {
    /// The object becomes visible in place of what was there.
    Put {
        /// The new object.
        object: Object,
        /// The generation that is there now; `None` for no object.
        expect: Option<i64>,
        /// The multipart upload that it completes and that ends with it.
        completes: Option<UploadId>,
    },
    /// The object is gone.
    Delete {
        /// Which.
        at: ObjectId,
        /// The generation that is there now.
        expect: i64,
    },
    /// An upload begins.
    Begin(Upload),
    /// A part is there, in place of an earlier one with its number; `Conflict` without its upload.
    Part(UploadId, UploadPart),
    /// An upload ends without an object; ignored when there is none.
    Abort(UploadId),
}

/// Which objects to list.
#[derive(Debug, Clone)]
pub struct ObjectsQuery {
    /// The bucket.
    pub bucket: BucketRef,
    /// Keys that begin with this.
    pub prefix: String,
    /// Keys strictly after this.
    pub after: Option<String>,
    /// At most this many.
    pub limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_blobs_are_where_they_were() {
        for (id, file) in [
            (0, "00/0000000000000000"),
            (1, "01/0000000000000001"),
            (0x0123_4567_89ab_cdef, "6f/0123456789abcdef"),
            (i64::MAX, "ff/7fffffffffffffff"),
        ] {
            assert_eq!(BlobId(id).file(), file);
        }
    }
}
