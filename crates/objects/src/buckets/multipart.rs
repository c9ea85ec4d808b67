//! Multipart uploads: begin, parts, completion, abort. An upload's parts and end take turns.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use wakeful_core::{
    event::Lineage,
    limits::{MAX_OBJECT_PART, MAX_OBJECT_PARTS, MIN_OBJECT_PART},
    name::BucketName,
    port::{BlobPart, ObjectChange, ObjectId, Upload, UploadId, UploadPart},
};

use super::{
    Buckets, Inner,
    publish::{Draft, Operation},
    put::{body_of, check_headers},
};
use crate::{
    blob::Received,
    checksum::{self, Algorithm, Checksum, Coverage},
    error::ObjectError,
    model::{
        Body, CompletedPart, Completion, Headers, META_VERSION, ObjectInfo, ObjectMeta, ObjectRead,
        PartInfo, PartMeta, UploadInfo, UploadMeta, Written, from_meta, to_meta,
    },
};

impl Buckets {
    /// Begins an upload in parts. `checksum` says by which algorithm the parts and the whole are
    /// checked, and what the checksum of the whole covers.
    pub async fn begin_upload(
        &self,
        bucket: &BucketName,
        key: &str,
        headers: Headers,
        checksum: Option<(Algorithm, Option<Coverage>)>,
    ) -> Result<UploadInfo, ObjectError> {
        let at = self.place(bucket, key)?;
        check_headers(&headers)?;
        let (algorithm, coverage) = checksum.unwrap_or((Algorithm::Crc64Nvme, None));
        let coverage = coverage.unwrap_or(algorithm.default_coverage());
        if !coverage.fits(algorithm) {
            return Err(ObjectError::Coverage {
                algorithm,
                coverage,
            });
        }
        let meta = UploadMeta {
            v: META_VERSION,
            headers,
            algorithm,
            coverage,
        };
        let inner = self.0.clone();
        self.see_through(async move { inner.begin_upload(at, &meta).await })
            .await
    }

    /// Takes in a part, in place of an earlier one with its number.
    pub async fn put_part(
        &self,
        bucket: &BucketName,
        key: &str,
        upload: UploadId,
        number: u16,
        body: Body,
    ) -> Result<PartInfo, ObjectError> {
        let at = self.place(bucket, key)?;
        if !(1..=MAX_OBJECT_PARTS).contains(&number) {
            return Err(ObjectError::PartNumber {
                number: i64::from(number),
            });
        }
        let (_, meta) = self.0.upload(&at, upload).await?;
        let received = self
            .0
            .blobs
            .receive(body, vec![meta.algorithm], MAX_OBJECT_PART)
            .await?;
        let inner = self.0.clone();
        self.see_through(inner.enter_part(at, upload, number, meta.algorithm, received))
            .await
    }

    /// Takes in what `source` brings as a part.
    pub async fn copy_part(
        &self,
        source: ObjectRead,
        (bucket, key): (&BucketName, &str),
        upload: UploadId,
        number: u16,
    ) -> Result<PartInfo, ObjectError> {
        self.put_part(bucket, key, upload, number, body_of(source))
            .await
    }

    /// Makes an object of an upload's parts. A completion that is repeated because its answer
    /// was lost succeeds again, as long as the object is the one it made.
    pub async fn complete_upload(
        &self,
        bucket: &BucketName,
        key: &str,
        upload: UploadId,
        completion: Completion,
    ) -> Result<Written, ObjectError> {
        let at = self.place(bucket, key)?;
        let inner = self.0.clone();
        self.see_through(inner.complete(at, upload, completion))
            .await
    }

    /// Ends an upload without an object.
    pub async fn abort_upload(
        &self,
        bucket: &BucketName,
        key: &str,
        upload: UploadId,
    ) -> Result<(), ObjectError> {
        let at = self.place(bucket, key)?;
        let inner = self.0.clone();
        self.see_through(inner.abort(at, upload)).await
    }

    /// An upload and its parts, by number.
    pub async fn list_parts(
        &self,
        bucket: &BucketName,
        key: &str,
        upload: UploadId,
    ) -> Result<(UploadInfo, Vec<PartInfo>), ObjectError> {
        let at = self.place(bucket, key)?;
        let (upload, meta) = self.0.upload(&at, upload).await?;
        let parts = upload
            .parts
            .iter()
            .map(part_info)
            .collect::<Result<_, _>>()?;
        Ok((upload_info(&upload, &meta), parts))
    }

    /// The uploads of a bucket that are under way, by key and id.
    pub async fn list_uploads(&self, bucket: &BucketName) -> Result<Vec<UploadInfo>, ObjectError> {
        let bucket = self.bucket(bucket)?;
        let uploads = self.0.store.uploads(bucket).await?;
        uploads
            .iter()
            .map(|upload| Ok(upload_info(upload, &from_meta(&upload.meta)?)))
            .collect()
    }
}

impl Inner {
    async fn begin_upload(
        &self,
        at: ObjectId,
        meta: &UploadMeta,
    ) -> Result<UploadInfo, ObjectError> {
        let started = self.clock.now();
        let upload = Upload {
            id: UploadId(self.ids.draw(started)),
            at,
            started,
            meta: to_meta(meta)?,
            parts: Vec::new(),
        };
        let info = upload_info(&upload, meta);
        let key = upload.at.key.clone();
        if self.submit(Vec::new(), ObjectChange::Begin(upload)).await? {
            Ok(info)
        } else {
            Err(ObjectError::Contended { key })
        }
    }

    /// The upload, if it is one of this object.
    async fn upload(
        &self,
        at: &ObjectId,
        id: UploadId,
    ) -> Result<(Upload, UploadMeta), ObjectError> {
        match self
            .store
            .upload(id)
            .await?
            .filter(|upload| upload.at == *at)
        {
            Some(upload) => {
                let meta = from_meta(&upload.meta)?;
                Ok((upload, meta))
            }
            None => Err(ObjectError::NoSuchUpload {
                key: at.key.clone(),
            }),
        }
    }

    async fn enter_part(
        self: Arc<Self>,
        at: ObjectId,
        id: UploadId,
        number: u16,
        algorithm: Algorithm,
        received: Received,
    ) -> Result<PartInfo, ObjectError> {
        let _turn = self.uploads.take(&id.0).await;
        let (upload, _) = self.upload(&at, id).await?;
        let checksum = received.digested.sum(algorithm).cloned();
        let part = UploadPart {
            number,
            blob: BlobPart {
                blob: received.blob.keep(),
                size: received.size,
            },
            etag: hex::encode(received.digested.md5),
            modified: self.clock.now(),
            meta: to_meta(&PartMeta {
                v: META_VERSION,
                checksum,
            })?,
        };
        let (own, info) = (part.blob.blob, part_info(&part)?);
        match self.submit(Vec::new(), ObjectChange::Part(id, part)).await {
            Ok(true) => {
                let replaced = upload.parts.iter().find(|part| part.number == number);
                let replaced = replaced.map(|part| part.blob.blob);
                self.discard(replaced.into_iter().collect()).await;
                Ok(info)
            }
            Ok(false) => {
                self.discard(vec![own]).await;
                Err(ObjectError::NoSuchUpload { key: at.key })
            }
            Err(error) => {
                if !error.may_have_happened() {
                    self.discard(vec![own]).await;
                }
                Err(error)
            }
        }
    }

    async fn complete(
        self: Arc<Self>,
        at: ObjectId,
        id: UploadId,
        completion: Completion,
    ) -> Result<Written, ObjectError> {
        let _turn = self.uploads.take(&id.0).await;
        let (upload, meta) = match self.upload(&at, id).await {
            Err(ObjectError::NoSuchUpload { key }) => {
                return self
                    .completed_before(&at, id)
                    .await?
                    .ok_or(ObjectError::NoSuchUpload { key });
            }
            found => found?,
        };
        let chosen = choose(&upload.parts, &completion.parts, meta.algorithm)?;
        let draft = assemble(at, id, meta, &chosen, &completion)?;
        let used: HashSet<_> = draft.blobs.iter().map(|part| part.blob).collect();
        let written = self.clone().publish(draft, completion.expect).await?;
        let unused = upload
            .parts
            .iter()
            .map(|part| part.blob.blob)
            .filter(|blob| !used.contains(blob));
        self.discard(unused.collect()).await;
        Ok(written)
    }

    async fn completed_before(
        &self,
        at: &ObjectId,
        id: UploadId,
    ) -> Result<Option<Written>, ObjectError> {
        let Some(object) = self.store.object(at.clone()).await? else {
            return Ok(None);
        };
        let (info, meta) = ObjectInfo::of(&object)?;
        Ok((meta.upload == Some(id)).then_some(Written {
            info,
            replaced: false,
        }))
    }

    async fn abort(self: Arc<Self>, at: ObjectId, id: UploadId) -> Result<(), ObjectError> {
        let _turn = self.uploads.take(&id.0).await;
        let (upload, _) = self.upload(&at, id).await?;
        self.submit(Vec::new(), ObjectChange::Abort(id)).await?;
        let parts = upload.parts.iter().map(|part| part.blob.blob);
        self.discard(parts.collect()).await;
        Ok(())
    }
}

/// The parts a client names, as they were uploaded, after all of S3's rules about them.
fn choose<'a>(
    uploaded: &'a [UploadPart],
    named: &[CompletedPart],
    algorithm: Algorithm,
) -> Result<Vec<(&'a UploadPart, Option<Checksum>)>, ObjectError> {
    let by_number: HashMap<u16, &UploadPart> =
        uploaded.iter().map(|part| (part.number, part)).collect();
    let mut chosen: Vec<(&UploadPart, Option<Checksum>)> =
        Vec::with_capacity(named.len().min(uploaded.len()));
    for name in named {
        let number = name.number;
        if chosen.last().is_some_and(|(last, _)| last.number >= number) {
            return Err(ObjectError::PartOrder { number });
        }
        let part = *by_number
            .get(&number)
            .ok_or(ObjectError::InvalidPart { number })?;
        let checksum = from_meta::<PartMeta>(&part.meta)?.checksum;
        // A checksum by another algorithm than the upload's cannot be compared any more; it was
        // verified when the part came in.
        let differs = |known: &(Algorithm, String)| {
            known.0 == algorithm
                && checksum
                    .as_ref()
                    .is_some_and(|checksum| checksum.value != known.1)
        };
        if part.etag != name.etag || name.checksum.as_ref().is_some_and(differs) {
            return Err(ObjectError::InvalidPart { number });
        }
        chosen.push((part, checksum));
    }
    let (_, all_but_last) = chosen.split_last().ok_or(ObjectError::NoParts)?;
    match all_but_last
        .iter()
        .find(|(part, _)| part.blob.size < MIN_OBJECT_PART)
    {
        Some((part, _)) => Err(ObjectError::PartTooSmall {
            number: part.number,
            size: part.blob.size,
        }),
        None => Ok(chosen),
    }
}

fn assemble(
    at: ObjectId,
    id: UploadId,
    meta: UploadMeta,
    chosen: &[(&UploadPart, Option<Checksum>)],
    completion: &Completion,
) -> Result<Draft, ObjectError> {
    let size: u64 = chosen.iter().map(|(part, _)| part.blob.size).sum();
    if let Some(announced) = completion.size.filter(|announced| *announced != size) {
        return Err(ObjectError::Length {
            announced,
            received: size,
        });
    }
    let sums = chosen
        .iter()
        .map(|(part, checksum)| (checksum.as_ref(), part.blob.size));
    let checksum = checksum::of_parts(meta.algorithm, meta.coverage, sums);
    verify_whole(checksum.as_ref(), completion.checksum.as_ref())?;
    let etag = checksum::multipart_etag(chosen.iter().map(|(part, _)| part.etag.as_str()))
        .ok_or_else(|| ObjectError::Metadata("the ETag of a part is no MD5".to_owned()))?;
    Ok(Draft {
        at,
        blobs: chosen.iter().map(|(part, _)| part.blob).collect(),
        etag,
        meta: ObjectMeta {
            v: META_VERSION,
            headers: meta.headers,
            checksum,
            parts: u16::try_from(chosen.len()).ok(),
            upload: Some(id),
        },
        operation: Operation::Multipart,
        completes: Some(id),
        // Only S3 clients upload in parts.
        cause: Lineage::default(),
    })
}

/// Compares the checksum of the whole with what the client says. Clients may leave out the
/// number of parts that follows a composite one.
fn verify_whole(
    computed: Option<&Checksum>,
    claimed: Option<&(Algorithm, String)>,
) -> Result<(), ObjectError> {
    let Some((algorithm, claimed)) = claimed else {
        return Ok(());
    };
    let value = computed
        .filter(|sum| sum.algorithm == *algorithm)
        .map(|sum| sum.value.as_str());
    let bare = value.map(|value| value.split('-').next().unwrap_or(value));
    if value == Some(claimed) || bare == Some(claimed) {
        return Ok(());
    }
    Err(ObjectError::Checksum {
        algorithm: *algorithm,
        claimed: claimed.clone(),
        computed: value.unwrap_or("not known").to_owned(),
    })
}

fn upload_info(upload: &Upload, meta: &UploadMeta) -> UploadInfo {
    UploadInfo {
        id: upload.id,
        key: upload.at.key.clone(),
        started: upload.started,
        checksum: (meta.algorithm, meta.coverage),
    }
}

fn part_info(part: &UploadPart) -> Result<PartInfo, ObjectError> {
    Ok(PartInfo {
        number: part.number,
        size: part.blob.size,
        etag: part.etag.clone(),
        modified: part.modified,
        checksum: from_meta::<PartMeta>(&part.meta)?.checksum,
    })
}
