//! The buckets of Wakeful: S3-compatible object storage inside the server.
//!
//! Three layers, each knowing only the one below:
//! - `s3` speaks the protocol (through the s3s crate), checks signatures and grants;
//! - `buckets` holds the rules of objects, conditions and multipart uploads. The index lives in
//!   the store: an object becomes visible, and the event that tells of it is owed, in one
//!   transaction submitted through the sink;
//! - `blob` keeps bytes in files. A blob is named by a drawn number, never by a key, is on disk
//!   before its transaction is submitted, and is removed after the transaction that replaced it.
//!   What a crash leaves behind without an index entry is swept at the next start.

mod blob;
mod buckets;
mod checksum;
mod error;
mod model;
mod s3;

pub use blob::{BlobStream, KeptRemoved};
pub use buckets::{Buckets, Joint, Options, Staged};
pub use checksum::{Algorithm, Checksum, Coverage};
pub use error::{ObjectError, OpenError};
pub use model::{
    Body, BodyError, ByteRange, Claim, CompletedPart, Completion, Expect, Headers, ListQuery,
    Listing, ObjectInfo, ObjectRead, PartInfo, Trailer, UploadInfo, Written,
};
pub use s3::{Credential, Credentials, Grant, S3, S3Future, serve};
