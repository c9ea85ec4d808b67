//! The object index: its changes and its rows.
//!
//! # Format
//! `objects.blobs` holds the stretches of an object in order, each 16 bytes: the blob and its
//! size, little-endian. `blobs.refs` counts how often objects and parts name a blob; a blob
//! without a row is referred to by nothing. Keys are compared as bytes.

use bytes::Bytes;
use rusqlite::{
    Connection, OptionalExtension, Row, params,
    types::{
        ToSqlOutput,
        ValueRef::{self, Blob, Integer, Text},
    },
};
use wakeful_core::{
    port::{
        BlobId, BlobPart, BucketRef, Object, ObjectChange, ObjectId, ObjectsQuery, Upload,
        UploadId, UploadPart,
    },
    time::Timestamp,
};

use super::{
    fault::{Fault, malformed},
    names::Names,
    sums,
};

/// Applies `changes` in order, all or none: a conflict leaves nothing of them.
pub(super) fn apply(
    conn: &Connection,
    names: &mut Names,
    changes: &[ObjectChange],
) -> Result<(), Fault> {
    if changes.is_empty() {
        return Ok(());
    }
    // Outside the savepoint: names that a conflict leaves behind do no harm, and what was
    // learnt of them stays true.
    for change in changes {
        if let Some(at) = place(change) {
            names
                .buckets
                .intern(conn, &at.bucket.scope, &at.bucket.name)?;
        }
    }
    conn.prepare_cached("SAVEPOINT objects")?.execute([])?;
    let applied = changes
        .iter()
        .try_for_each(|change| one(conn, names, change));
    if let Err(Fault::Conflict(_)) = &applied {
        conn.prepare_cached("ROLLBACK TO objects")?.execute([])?;
    }
    if matches!(applied, Ok(()) | Err(Fault::Conflict(_))) {
        conn.prepare_cached("RELEASE objects")?.execute([])?;
    }
    applied
}

fn place(change: &ObjectChange) -> Option<&ObjectId> {
    match change {
        ObjectChange::Put { object, .. } => Some(&object.at),
        ObjectChange::Delete { at, .. } => Some(at),
        ObjectChange::Begin(upload) => Some(&upload.at),
        ObjectChange::Part(..) | ObjectChange::Abort(_) => None,
    }
}

fn one(conn: &Connection, names: &mut Names, change: &ObjectChange) -> Result<(), Fault> {
    match change {
        ObjectChange::Put {
            object,
            expect,
            completes,
        } => {
            let bucket = bucket(conn, names, &object.at.bucket)?;
            replace(conn, bucket, &object.at.key, *expect)?;
            if let Some(upload) = completes
                && !end_upload(conn, *upload)?
            {
                return Err(Fault::Conflict(object.at.key.clone()));
            }
            insert(conn, bucket, object)
        }
        ObjectChange::Delete { at, expect } => {
            let bucket = bucket(conn, names, &at.bucket)?;
            replace(conn, bucket, &at.key, Some(*expect))
        }
        ObjectChange::Begin(upload) => {
            let bucket = bucket(conn, names, &upload.at.bucket)?;
            begin(conn, bucket, upload)
        }
        ObjectChange::Part(upload, part) => add_part(conn, *upload, part),
        ObjectChange::Abort(upload) => end_upload(conn, *upload).map(drop),
    }
}

fn bucket(conn: &Connection, names: &mut Names, bucket: &BucketRef) -> Result<i64, Fault> {
    names.buckets.intern(conn, &bucket.scope, &bucket.name)
}

/// Removes what is at `key`, which must be of the generation `expect`.
fn replace(conn: &Connection, bucket: i64, key: &str, expect: Option<i64>) -> Result<(), Fault> {
    let found = {
        let mut statement = conn.prepare_cached(ONE)?;
        let mut rows = statement.query(params![bucket, key.as_bytes()])?;
        match rows.next()? {
            None => None,
            Some(row) => {
                sums::check(row, OBJECT, "an object")?;
                Some((row.get::<_, i64>(2)?, row.get::<_, Vec<u8>>(6)?))
            }
        }
    };
    if found.as_ref().map(|(generation, _)| *generation) != expect {
        return Err(Fault::Conflict(key.to_owned()));
    }
    if let Some((_, blobs)) = found {
        for part in decode_blobs(&blobs)? {
            release(conn, part.blob)?;
        }
        conn.prepare_cached("DELETE FROM objects WHERE bucket = ?1 AND key = ?2")?
            .execute(params![bucket, key.as_bytes()])?;
    }
    Ok(())
}

fn insert(conn: &Connection, bucket: i64, object: &Object) -> Result<(), Fault> {
    for part in &object.blobs {
        refer(conn, part.blob)?;
    }
    let (size, blobs) = (stored_size(object.size)?, encode_blobs(&object.blobs)?);
    insert_row(
        conn,
        "INSERT INTO objects VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &[
            Integer(bucket),
            Blob(object.at.key.as_bytes()),
            Integer(object.generation),
            Integer(size),
            Text(object.etag.as_bytes()),
            Integer(object.modified.as_millis()),
            Blob(&blobs),
            Blob(&object.meta),
        ],
    )
}

/// Inserts a row and the checksum of its values.
fn insert_row(conn: &Connection, sql: &str, values: &[ValueRef<'_>]) -> Result<(), Fault> {
    let sum = sums::sum(values)?;
    let mut statement = conn.prepare_cached(sql)?;
    for (place, value) in (1..).zip(values) {
        statement.raw_bind_parameter(place, ToSqlOutput::Borrowed(*value))?;
    }
    statement.raw_bind_parameter(values.len() + 1, sum)?;
    statement.raw_execute()?;
    Ok(())
}

fn begin(conn: &Connection, bucket: i64, upload: &Upload) -> Result<(), Fault> {
    insert_row(
        conn,
        "INSERT INTO uploads VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        &[
            Integer(upload.id.0),
            Integer(bucket),
            Blob(upload.at.key.as_bytes()),
            Integer(upload.started.as_millis()),
            Blob(&upload.meta),
        ],
    )?;
    upload
        .parts
        .iter()
        .try_for_each(|part| add_part(conn, upload.id, part))
}

fn add_part(conn: &Connection, upload: UploadId, part: &UploadPart) -> Result<(), Fault> {
    let known = conn
        .prepare_cached("SELECT 1 FROM uploads WHERE id = ?1")?
        .exists([upload.0])?;
    if !known {
        return Err(Fault::Conflict(format!("upload {}", upload.0)));
    }
    let earlier: Option<i64> = conn
        .prepare_cached("DELETE FROM parts WHERE upload = ?1 AND number = ?2 RETURNING blob")?
        .query_row(params![upload.0, part.number], |row| row.get(0))
        .optional()?;
    if let Some(blob) = earlier {
        release(conn, BlobId(blob))?;
    }
    refer(conn, part.blob.blob)?;
    insert_row(
        conn,
        "INSERT INTO parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        &[
            Integer(upload.0),
            Integer(part.number.into()),
            Integer(part.blob.blob.0),
            Integer(stored_size(part.blob.size)?),
            Text(part.etag.as_bytes()),
            Integer(part.modified.as_millis()),
            Blob(&part.meta),
        ],
    )
}

/// Removes an upload and its parts; `false` when there is none.
fn end_upload(conn: &Connection, upload: UploadId) -> Result<bool, Fault> {
    let gone = conn
        .prepare_cached("DELETE FROM uploads WHERE id = ?1")?
        .execute([upload.0])?;
    let mut statement = conn.prepare_cached("SELECT blob FROM parts WHERE upload = ?1")?;
    let blobs = statement.query_map([upload.0], |row| row.get(0))?;
    let blobs: Vec<i64> = blobs.collect::<Result<_, _>>()?;
    for blob in blobs {
        release(conn, BlobId(blob))?;
    }
    conn.prepare_cached("DELETE FROM parts WHERE upload = ?1")?
        .execute([upload.0])?;
    Ok(gone == 1)
}

fn refer(conn: &Connection, blob: BlobId) -> Result<(), Fault> {
    conn.prepare_cached(
        "INSERT INTO blobs VALUES (?1, 1) ON CONFLICT (id) DO UPDATE SET refs = refs + 1",
    )?
    .execute([blob.0])?;
    Ok(())
}

fn release(conn: &Connection, blob: BlobId) -> Result<(), Fault> {
    let last = conn
        .prepare_cached("DELETE FROM blobs WHERE id = ?1 AND refs = 1")?
        .execute([blob.0])?;
    if last == 0 {
        conn.prepare_cached("UPDATE blobs SET refs = refs - 1 WHERE id = ?1")?
            .execute([blob.0])?;
    }
    Ok(())
}

fn stored_size(size: u64) -> Result<i64, Fault> {
    i64::try_from(size).map_err(|_| Fault::Refused(format!("a size of {size} bytes")))
}

fn encode_blobs(parts: &[BlobPart]) -> Result<Vec<u8>, Fault> {
    let mut out = Vec::with_capacity(parts.len() * 16);
    for part in parts {
        out.extend(part.blob.0.to_le_bytes());
        out.extend(stored_size(part.size)?.to_le_bytes());
    }
    Ok(out)
}

pub(super) fn decode_blobs(stored: &[u8]) -> Result<Vec<BlobPart>, Fault> {
    let (pairs, rest) = stored.as_chunks::<16>();
    if !rest.is_empty() {
        return Err(malformed("a list of blobs"));
    }
    let number = |bytes: &[u8]| bytes.try_into().map(i64::from_le_bytes);
    pairs
        .iter()
        .map(|pair| {
            let blob = number(&pair[..8]).map_err(|_| malformed("a blob"))?;
            let size = number(&pair[8..])
                .ok()
                .and_then(|size| u64::try_from(size).ok());
            Ok(BlobPart {
                blob: BlobId(blob),
                size: size.ok_or_else(|| malformed("the size of a blob"))?,
            })
        })
        .collect()
}

fn key_of(row: &Row<'_>, column: usize) -> Result<String, Fault> {
    String::from_utf8(row.get(column)?).map_err(|_| malformed("a key"))
}

fn size_of(row: &Row<'_>, column: usize) -> Result<u64, Fault> {
    u64::try_from(row.get::<_, i64>(column)?).map_err(|_| malformed("a size"))
}

/// The columns of an object, in the order of their table, and their checksum.
macro_rules! object_columns {
    () => {
        "bucket, key, generation, size, etag, modified, blobs, meta, checksum"
    };
}
/// How many come before the checksum: of objects, uploads and parts.
const OBJECT: usize = 8;
const UPLOAD: usize = 5;
const PART: usize = 7;

const ONE: &str = concat!(
    "SELECT ",
    object_columns!(),
    " FROM objects WHERE bucket = ?1 AND key = ?2"
);

fn object_of(row: &Row<'_>, bucket: &BucketRef) -> Result<Object, Fault> {
    sums::check(row, OBJECT, "an object")?;
    Ok(Object {
        at: ObjectId {
            bucket: bucket.clone(),
            key: key_of(row, 1)?,
        },
        generation: row.get(2)?,
        size: size_of(row, 3)?,
        etag: row.get(4)?,
        modified: Timestamp::from_millis(row.get(5)?),
        blobs: decode_blobs(row.get_ref(6)?.as_blob().map_err(|_| malformed("blobs"))?)?,
        meta: Bytes::from(row.get::<_, Vec<u8>>(7)?),
    })
}

/// One object.
pub(super) fn object(
    conn: &Connection,
    names: &mut Names,
    at: &ObjectId,
) -> Result<Option<Object>, Fault> {
    let Some(bucket) = names
        .buckets
        .find(conn, &at.bucket.scope, &at.bucket.name)?
    else {
        return Ok(None);
    };
    let mut statement = conn.prepare_cached(ONE)?;
    let mut rows = statement.query(params![bucket, at.key.as_bytes()])?;
    rows.next()?
        .map(|row| object_of(row, &at.bucket))
        .transpose()
}

/// Objects by key.
pub(super) fn list(
    conn: &Connection,
    names: &mut Names,
    query: &ObjectsQuery,
    limit: usize,
) -> Result<Vec<Object>, Fault> {
    let of = &query.bucket;
    let Some(bucket) = names.buckets.find(conn, &of.scope, &of.name)? else {
        return Ok(Vec::new());
    };
    let prefix = query.prefix.as_bytes();
    let after = query.after.as_deref().map(str::as_bytes);
    // One bound only: given two, SQLite would seek to the one and walk to the other.
    let (from, sql) = match after.filter(|after| *after >= prefix) {
        Some(after) => (
            after,
            concat!(
                "SELECT ",
                object_columns!(),
                " FROM objects WHERE bucket = ?1 AND key > ?2 ORDER BY key LIMIT ?3"
            ),
        ),
        None => (
            prefix,
            concat!(
                "SELECT ",
                object_columns!(),
                " FROM objects WHERE bucket = ?1 AND key >= ?2 ORDER BY key LIMIT ?3"
            ),
        ),
    };
    let mut statement = conn.prepare_cached(sql)?;
    // A key that sorts from the prefix on without beginning with it ends the list.
    let mut rows = statement.query(params![bucket, from, limit as i64])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let object = object_of(row, of)?;
        if !object.at.key.as_bytes().starts_with(prefix) {
            break;
        }
        found.push(object);
    }
    Ok(found)
}

fn upload_of(row: &Row<'_>, bucket: BucketRef) -> Result<Upload, Fault> {
    sums::check(row, UPLOAD, "an upload")?;
    Ok(Upload {
        id: UploadId(row.get(0)?),
        at: ObjectId {
            bucket,
            key: key_of(row, 2)?,
        },
        started: Timestamp::from_millis(row.get(3)?),
        meta: Bytes::from(row.get::<_, Vec<u8>>(4)?),
        parts: Vec::new(),
    })
}

/// One upload with its parts.
pub(super) fn upload(
    conn: &Connection,
    names: &mut Names,
    id: UploadId,
) -> Result<Option<Upload>, Fault> {
    let mut statement = conn.prepare_cached(
        "SELECT id, bucket, key, started, meta, checksum FROM uploads WHERE id = ?1",
    )?;
    let mut rows = statement.query([id.0])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    let (scope, name) = names.buckets.name(conn, row.get(1)?)?;
    let mut upload = upload_of(row, BucketRef { scope, name })?;
    let mut statement = conn.prepare_cached(
        "SELECT upload, number, blob, size, etag, modified, meta, checksum FROM parts \
         WHERE upload = ?1 ORDER BY number",
    )?;
    let mut rows = statement.query([id.0])?;
    while let Some(row) = rows.next()? {
        sums::check(row, PART, "a part of an upload")?;
        upload.parts.push(UploadPart {
            number: row.get(1)?,
            blob: BlobPart {
                blob: BlobId(row.get(2)?),
                size: size_of(row, 3)?,
            },
            etag: row.get(4)?,
            modified: Timestamp::from_millis(row.get(5)?),
            meta: Bytes::from(row.get::<_, Vec<u8>>(6)?),
        });
    }
    Ok(Some(upload))
}

/// The uploads of a bucket.
pub(super) fn uploads(
    conn: &Connection,
    names: &mut Names,
    of: &BucketRef,
) -> Result<Vec<Upload>, Fault> {
    let Some(bucket) = names.buckets.find(conn, &of.scope, &of.name)? else {
        return Ok(Vec::new());
    };
    let mut statement = conn.prepare_cached(
        "SELECT id, bucket, key, started, meta, checksum FROM uploads \
         WHERE bucket = ?1 ORDER BY key, id",
    )?;
    let mut rows = statement.query([bucket])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(upload_of(row, of.clone())?);
    }
    Ok(found)
}

/// Which of `blobs` nothing refers to.
pub(super) fn unreferenced(conn: &Connection, blobs: Vec<BlobId>) -> Result<Vec<BlobId>, Fault> {
    let mut statement = conn.prepare_cached("SELECT 1 FROM blobs WHERE id = ?1")?;
    let mut free = Vec::new();
    for blob in blobs {
        if !statement.exists([blob.0])? {
            free.push(blob);
        }
    }
    Ok(free)
}
