//! From a body to a blob on disk: bounded memory, hashed on the way, claims checked before it
//! counts, file and folder fsynced before anyone may refer to it.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use bytes::{Bytes, BytesMut};
use futures::stream::{BoxStream, StreamExt};
use wakeful_core::{
    limits::{DISK_RESERVE, OBJECT_CHUNK, OBJECT_IDLE, SMALL_OBJECT},
    port::BlobId,
};

use super::{BlobFolder, blocking, disk};
use crate::{
    checksum::{Algorithm, Digested, Digests, is_well_formed},
    error::ObjectError,
    model::{Body, BodyError, Claim},
};

/// How many names are tried when one is taken by a leftover.
const NAME_TRIES: u32 = 64;

/// A blob that is on disk, and to which nothing refers yet.
pub(crate) struct Received {
    pub(crate) blob: FreshBlob,
    pub(crate) size: u64,
    pub(crate) digested: Digested,
}

/// A blob that is removed again unless it is kept.
pub(crate) struct FreshBlob {
    folder: BlobFolder,
    id: BlobId,
    kept: bool,
}

impl FreshBlob {
    /// Which blob it is.
    pub(crate) fn id(&self) -> BlobId {
        self.id
    }

    /// The blob stays: from now on the index may refer to it.
    pub(crate) fn keep(mut self) -> BlobId {
        self.kept = true;
        self.id
    }
}

impl Drop for FreshBlob {
    fn drop(&mut self) {
        if !self.kept {
            self.folder.unlink(self.id);
        }
    }
}

impl BlobFolder {
    /// Takes in a body of at most `limit` bytes, computing the MD5 and the checksums by
    /// `algorithms` and by the body's own claim.
    pub(crate) async fn receive(
        &self,
        body: Body,
        algorithms: Vec<Algorithm>,
        limit: u64,
    ) -> Result<Received, ObjectError> {
        let Body {
            stream,
            size,
            md5,
            claim,
        } = body;
        if size.is_some_and(|size| size > limit) {
            return Err(ObjectError::TooLarge { limit });
        }
        if let Claim::Is(algorithm, value) = &claim
            && !is_well_formed(*algorithm, value)
        {
            return Err(ObjectError::MalformedChecksum {
                algorithm: *algorithm,
            });
        }
        let mut algorithms = algorithms;
        algorithms.extend(claim.algorithm());
        algorithms.sort_by_key(|algorithm| algorithm.as_str());
        algorithms.dedup();

        let mut intake = Intake {
            stream,
            announced: size,
            limit,
            received: 0,
            ended: false,
        };
        let first = intake.gather(SMALL_OBJECT).await?;
        if intake.ended {
            let claims = Claims::new(size, md5, claim)?;
            let folder = self.clone();
            return blocking(move || write_small(&folder, &first, &algorithms, &claims)).await;
        }
        let writer = self.write_large(first, &mut intake, algorithms).await?;
        let claims = Claims::new(size, md5, claim)?;
        blocking(move || writer.finish(&claims)).await
    }

    /// Writes all of a body of which `batch` is the beginning.
    async fn write_large(
        &self,
        mut batch: Bytes,
        intake: &mut Intake,
        algorithms: Vec<Algorithm>,
    ) -> Result<Writer, ObjectError> {
        let folder = self.clone();
        let mut writer = blocking(move || Writer::create(&folder, &algorithms)).await?;
        loop {
            // The next batch comes in while this one goes out.
            let write = blocking(move || writer.write(&batch));
            let (written, next) = tokio::join!(write, intake.gather(OBJECT_CHUNK));
            writer = written?;
            batch = next?;
            if batch.is_empty() && intake.ended {
                return Ok(writer);
            }
        }
    }
}

/// A body as it comes in.
struct Intake {
    stream: BoxStream<'static, Result<Bytes, BodyError>>,
    announced: Option<u64>,
    limit: u64,
    received: u64,
    ended: bool,
}

impl Intake {
    /// At least `enough` bytes, or what is left. Small chunks are copied together, so that a
    /// sender cannot make us hold many tiny ones.
    async fn gather(&mut self, enough: usize) -> Result<Bytes, ObjectError> {
        let mut gathered = BytesMut::new();
        while !self.ended && gathered.len() < enough {
            let next = tokio::time::timeout(OBJECT_IDLE, self.stream.next())
                .await
                .map_err(|_| ObjectError::Idle)?;
            let Some(chunk) = next.transpose()? else {
                self.ended = true;
                break;
            };
            self.count(chunk.len() as u64)?;
            if gathered.is_empty() && chunk.len() >= enough {
                return Ok(chunk);
            }
            gathered.extend_from_slice(&chunk);
        }
        Ok(gathered.freeze())
    }

    fn count(&mut self, bytes: u64) -> Result<(), ObjectError> {
        self.received += bytes;
        if self.received > self.limit {
            return Err(ObjectError::TooLarge { limit: self.limit });
        }
        match self.announced {
            Some(announced) if self.received > announced => Err(ObjectError::Length {
                announced,
                received: self.received,
            }),
            _ => Ok(()),
        }
    }
}

/// What the sender said about the body, now that it has ended.
struct Claims {
    size: Option<u64>,
    md5: Option<[u8; 16]>,
    checksum: Option<(Algorithm, String)>,
}

impl Claims {
    fn new(size: Option<u64>, md5: Option<[u8; 16]>, claim: Claim) -> Result<Self, ObjectError> {
        let checksum = match claim {
            Claim::None | Claim::Compute(_) => None,
            Claim::Is(algorithm, value) => Some((algorithm, value)),
            Claim::Follows(algorithm, trailer) => {
                let value = trailer()
                    .filter(|value| is_well_formed(algorithm, value))
                    .ok_or(ObjectError::MalformedChecksum { algorithm })?;
                Some((algorithm, value))
            }
        };
        Ok(Self {
            size,
            md5,
            checksum,
        })
    }

    fn verify(&self, received: u64, digested: &Digested) -> Result<(), ObjectError> {
        if let Some(announced) = self.size.filter(|announced| *announced != received) {
            return Err(ObjectError::Length {
                announced,
                received,
            });
        }
        if self.md5.is_some_and(|md5| md5 != digested.md5) {
            return Err(ObjectError::Md5);
        }
        if let Some((algorithm, claimed)) = &self.checksum {
            let computed = digested
                .sum(*algorithm)
                .map(|sum| sum.value.clone())
                .unwrap_or_default();
            if computed != *claimed {
                return Err(ObjectError::Checksum {
                    algorithm: *algorithm,
                    claimed: claimed.clone(),
                    computed,
                });
            }
        }
        Ok(())
    }
}

/// A small body is hashed and checked before the disk is touched; then one write and the syncs.
fn write_small(
    folder: &BlobFolder,
    body: &[u8],
    algorithms: &[Algorithm],
    claims: &Claims,
) -> Result<Received, ObjectError> {
    let mut digests = Digests::new(algorithms);
    digests.update(body);
    let digested = digests.finish();
    claims.verify(body.len() as u64, &digested)?;
    folder.leave_reserve(body.len())?;
    let (blob, mut file) = folder.create()?;
    let path = folder.path(blob.id);
    file.write_all(body)
        .map_err(|cause| disk("writing", &path, cause))?;
    folder.sync(&file, &path)?;
    Ok(Received {
        blob,
        size: body.len() as u64,
        digested,
    })
}

struct Writer {
    blob: FreshBlob,
    file: File,
    digests: Digests,
    size: u64,
}

impl Writer {
    fn create(folder: &BlobFolder, algorithms: &[Algorithm]) -> Result<Self, ObjectError> {
        let (blob, file) = folder.create()?;
        Ok(Self {
            blob,
            file,
            digests: Digests::new(algorithms),
            size: 0,
        })
    }

    fn write(mut self, batch: &[u8]) -> Result<Self, ObjectError> {
        self.blob.folder.leave_reserve(batch.len())?;
        self.digests.update(batch);
        self.size += batch.len() as u64;
        match self.file.write_all(batch) {
            Ok(()) => Ok(self),
            Err(cause) => Err(disk("writing", &self.blob.folder.path(self.blob.id), cause)),
        }
    }

    fn finish(self, claims: &Claims) -> Result<Received, ObjectError> {
        let digested = self.digests.finish();
        claims.verify(self.size, &digested)?;
        let path = self.blob.folder.path(self.blob.id);
        self.blob.folder.sync(&self.file, &path)?;
        Ok(Received {
            blob: self.blob,
            size: self.size,
            digested,
        })
    }
}

impl BlobFolder {
    /// Brings the file, and then its name, to the disk.
    fn sync(&self, file: &File, path: &Path) -> Result<(), ObjectError> {
        (self.0.sync)(file).map_err(|cause| disk("writing", path, cause))?;
        let Some(parent) = path.parent() else {
            return Ok(());
        };
        File::open(parent)
            .and_then(|parent| (self.0.sync)(&parent))
            .map_err(|cause| disk("writing", parent, cause))
    }

    fn create(&self) -> Result<(FreshBlob, File), ObjectError> {
        let mut tries = 0;
        loop {
            let id = self.draw();
            let path = self.path(id);
            match OpenOptions::new()
                .mode(0o600)
                .write(true)
                .create_new(true)
                .open(&path)
            {
                Ok(file) => {
                    let blob = FreshBlob {
                        folder: self.clone(),
                        id,
                        kept: false,
                    };
                    return Ok((blob, file));
                }
                // Left over from a run whose clock was ahead of ours.
                Err(error)
                    if error.kind() == io::ErrorKind::AlreadyExists && tries < NAME_TRIES =>
                {
                    tries += 1;
                }
                Err(cause) => return Err(disk("creating", &path, cause)),
            }
        }
    }

    /// Refuses what would eat the room that the store needs to settle what it has begun.
    fn leave_reserve(&self, bytes: usize) -> Result<(), ObjectError> {
        let room = rustix::fs::statvfs(&self.0.root)
            .map_err(|error| disk("examining", &self.0.root, error.into()))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if free < DISK_RESERVE.saturating_add(bytes as u64) {
            return Err(ObjectError::DiskFull);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use parking_lot::Mutex;
    use wakeful_core::{id::IdSource, port::Clock, time::Timestamp};

    use super::*;

    struct Noon;

    impl Clock for Noon {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(1_800_000_000_000)
        }
    }

    fn folder(root: &Path, sync: super::super::Sync) -> BlobFolder {
        let ids = Arc::new(IdSource::after(0));
        BlobFolder::with_sync(root.join("blobs"), Arc::new(Noon), ids, sync).unwrap()
    }

    fn body(size: usize) -> Body {
        Body::from(Bytes::from(vec![7; size]))
    }

    fn files(root: &Path) -> usize {
        let folders = std::fs::read_dir(root.join("blobs")).unwrap();
        folders
            .map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap().count())
            .sum()
    }

    #[tokio::test]
    async fn all_bytes_and_then_the_name_are_synced_before_the_blob_is_given_out() {
        for size in [10, SMALL_OBJECT, 3 * SMALL_OBJECT] {
            let root = tempfile::tempdir().unwrap();
            let synced = Arc::new(Mutex::new(Vec::new()));
            let record = synced.clone();
            let folder = folder(
                root.path(),
                Box::new(move |file| {
                    let meta = file.metadata()?;
                    record.lock().push((meta.is_dir(), meta.len()));
                    Ok(())
                }),
            );
            synced.lock().clear();
            let received = folder.receive(body(size), vec![], u64::MAX).await.unwrap();
            let seen: Vec<_> = synced.lock().drain(..).collect();
            assert_eq!(seen[0], (false, size as u64));
            assert!(seen.len() == 2 && seen[1].0, "{seen:?}");
            received.blob.keep();
            assert_eq!(files(root.path()), 1);
        }
    }

    #[tokio::test]
    async fn a_disk_that_fails_to_sync_gives_out_no_blob() {
        for size in [10, 3 * SMALL_OBJECT] {
            for broken_folder in [false, true] {
                let root = tempfile::tempdir().unwrap();
                let armed = Arc::new(AtomicBool::new(false));
                let fails = armed.clone();
                let folder = folder(
                    root.path(),
                    Box::new(
                        move |file| match file.metadata()?.is_dir() == broken_folder {
                            true if fails.load(Ordering::SeqCst) => Err(io::Error::other("EIO")),
                            _ => Ok(()),
                        },
                    ),
                );
                armed.store(true, Ordering::SeqCst);
                let error = folder.receive(body(size), vec![], u64::MAX).await.err();
                assert!(matches!(error, Some(ObjectError::Disk { .. })), "{error:?}");
                assert_eq!(files(root.path()), 0);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_sender_who_falls_silent_is_given_up() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path(), Box::new(File::sync_all));
        let first = futures::stream::iter([Ok(Bytes::from(vec![7; 3 * SMALL_OBJECT]))]);
        let body = Body::new(first.chain(futures::stream::pending()));
        let error = folder.receive(body, vec![], u64::MAX).await.err();
        assert!(matches!(error, Some(ObjectError::Idle)), "{error:?}");
        assert_eq!(files(root.path()), 0);
    }

    #[test]
    fn the_room_that_the_store_needs_is_left_to_it() {
        let root = tempfile::tempdir().unwrap();
        let folder = folder(root.path(), Box::new(File::sync_all));
        folder.leave_reserve(1).unwrap();
        assert!(matches!(
            folder.leave_reserve(usize::MAX),
            Err(ObjectError::DiskFull)
        ));
    }
}
