//! Why something was not done with an object or a bucket.

use std::{io, path::PathBuf};

use wakeful_core::{
    limits,
    name::BucketName,
    port::{StoreError, SubmitError},
};

use crate::{
    checksum::{Algorithm, Coverage},
    model::{BodyError, toml_key},
};

/// Why the buckets could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("the folder of the buckets' contents {folder} cannot be prepared")]
pub struct OpenError {
    /// The folder.
    pub folder: PathBuf,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// Why something was not done. Nothing has taken effect, except where `may_have_happened` says so.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The bucket is not declared.
    #[error(
        "there is no bucket `{bucket}`: declare it in wakeful.toml with [bucket.{}]",
        toml_key(bucket)
    )]
    NoSuchBucket {
        /// The bucket that was asked for.
        bucket: BucketName,
    },
    /// A key is empty or too long.
    #[error(
        "a key of {length} bytes is not possible: a key has 1 to {} bytes of UTF-8",
        limits::MAX_OBJECT_KEY
    )]
    Key {
        /// Its length, bytes.
        length: usize,
    },
    /// A header or user metadata that HTTP cannot carry.
    #[error(
        "`{}` is no header: names have lower-case letters, digits and `-`, values no control \
         characters",
        name.escape_debug()
    )]
    Header {
        /// Its name.
        name: String,
    },
    /// User metadata is too large.
    #[error(
        "{length} bytes of user metadata: no more than {} are kept",
        limits::MAX_OBJECT_METADATA
    )]
    MetadataTooLarge {
        /// Its length, bytes.
        length: usize,
    },
    /// The condition of the write does not hold.
    #[error("the object `{key}` is not as the request demands: {found}")]
    Precondition {
        /// The key.
        key: String,
        /// What is there instead.
        found: String,
    },
    /// A condition names an object that does not exist.
    #[error("there is no object `{key}`")]
    NoSuchKey {
        /// The key.
        key: String,
    },
    /// The range has no byte of the object.
    #[error("the range lies outside the object, which has {size} bytes")]
    Range {
        /// Bytes of the object.
        size: u64,
    },
    /// The body is larger than one object or part may be.
    #[error("the body is larger than {limit} bytes: upload it in parts")]
    TooLarge {
        /// The limit, bytes.
        limit: u64,
    },
    /// The body broke off.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// The sender was silent for too long.
    #[error("the body was given up: nothing came for {} s", limits::OBJECT_IDLE.as_secs())]
    Idle,
    /// The body has another length than its sender said.
    #[error("{received} bytes came where {announced} were announced")]
    Length {
        /// What the sender said, bytes.
        announced: u64,
        /// What came, bytes.
        received: u64,
    },
    /// The body's MD5 is another than its sender said.
    #[error("the body does not fit its Content-MD5")]
    Md5,
    /// The body's checksum is another than its sender said.
    #[error("the {algorithm} of the body is {computed}, not {claimed} as its sender says")]
    Checksum {
        /// By which algorithm.
        algorithm: Algorithm,
        /// What the sender said.
        claimed: String,
        /// What it is.
        computed: String,
    },
    /// A checksum that is none, or that was announced and did not come.
    #[error("the {algorithm} checksum of the body is malformed or missing")]
    MalformedChecksum {
        /// By which algorithm.
        algorithm: Algorithm,
    },
    /// S3 does not offer this checksum for multipart uploads.
    #[error("a {coverage:?} checksum is not possible with {algorithm}")]
    Coverage {
        /// The algorithm.
        algorithm: Algorithm,
        /// What it was to cover.
        coverage: Coverage,
    },
    /// There is no such multipart upload: it was completed, aborted, or never began.
    #[error(
        "there is no such multipart upload of `{key}`: it was completed or aborted, or never began"
    )]
    NoSuchUpload {
        /// The key that was named with it.
        key: String,
    },
    /// A part's number is out of range.
    #[error(
        "part {number} is not possible: parts have the numbers 1 to {}",
        limits::MAX_OBJECT_PARTS
    )]
    PartNumber {
        /// The number.
        number: i64,
    },
    /// A part that was never uploaded, or whose ETag or checksum is another.
    #[error("part {number} was not uploaded, or is not the one that was uploaded")]
    InvalidPart {
        /// Its number.
        number: u16,
    },
    /// The parts are not in order.
    #[error("the parts are not listed in ascending order: {number} comes after a greater number")]
    PartOrder {
        /// The number that is out of order.
        number: u16,
    },
    /// An upload is completed with no parts.
    #[error("an upload is completed with at least one part")]
    NoParts,
    /// A part that is not the last is too small.
    #[error(
        "part {number} has {size} bytes: all parts but the last have at least {}",
        limits::MIN_OBJECT_PART
    )]
    PartTooSmall {
        /// Its number.
        number: u16,
        /// Its size, bytes.
        size: u64,
    },
    /// Too many writers of one key at once.
    #[error("the object `{key}` is being changed by too many writers at once: try again")]
    Contended {
        /// The key.
        key: String,
    },
    /// The disk has no room.
    #[error(
        "the disk of the data folder is full: free some space, new objects are refused until then"
    )]
    DiskFull,
    /// The disk failed.
    #[error("{doing} failed")]
    Disk {
        /// What was being done, and to which file.
        doing: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The bytes of an object are not where the index says.
    #[error("the contents of `{key}` are damaged: {what}")]
    Damaged {
        /// The key.
        key: String,
        /// What is wrong.
        what: String,
    },
    /// The index holds metadata that this version cannot read, or metadata cannot be written.
    #[error("the metadata of an object cannot be read or written: {0}")]
    Metadata(String),
    /// The store refused or failed while writing.
    #[error(transparent)]
    Submit(#[from] SubmitError),
    /// The store failed while reading.
    #[error("the index of the buckets cannot be read")]
    Store(#[from] StoreError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl ObjectError {
    /// Whether the change may have taken effect although this is an error: read back before
    /// trying again.
    pub fn may_have_happened(&self) -> bool {
        matches!(self, Self::Submit(error) if outcome_is_unknown(error))
    }
}

/// Whether a submission that failed like this may be on disk nevertheless.
pub(crate) fn outcome_is_unknown(error: &SubmitError) -> bool {
    match error {
        SubmitError::Store(error) => match error {
            StoreError::Unknown(_) | StoreError::Closed => true,
            StoreError::Conflict(_)
            | StoreError::DiskFull
            | StoreError::ReadOnly(_)
            | StoreError::Damaged(_)
            | StoreError::Failed(_) => false,
        },
        SubmitError::NoSuchFunction(_) | SubmitError::NoSuchTopic(_) | SubmitError::Stopping => {
            false
        }
    }
}
