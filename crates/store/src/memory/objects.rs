//! The object index in memory.

use std::collections::{BTreeMap, HashSet};

use wakeful_core::port::{
    BlobId, BucketRef, Object, ObjectChange, ObjectId, ObjectsQuery, StoreError, Upload, UploadId,
    UploadPart,
};

use crate::memory::state::refused;

/// Objects and uploads. Cloned before a change, so that a refused one leaves no trace.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    pub(super) objects: BTreeMap<ObjectId, Object>,
    pub(super) uploads: BTreeMap<UploadId, Upload>,
}

impl Index {
    pub(super) fn apply(&mut self, change: ObjectChange) -> Result<(), StoreError> {
        match change {
            ObjectChange::Put {
                object,
                expect,
                completes,
            } => {
                self.expect(&object.at, expect)?;
                if let Some(upload) = completes {
                    self.uploads
                        .remove(&upload)
                        .ok_or_else(|| StoreError::Conflict(object.at.key.clone()))?;
                }
                self.objects.insert(object.at.clone(), object);
            }
            ObjectChange::Delete { at, expect } => {
                self.expect(&at, Some(expect))?;
                self.objects.remove(&at);
            }
            ObjectChange::Begin(mut upload) => {
                if self.uploads.contains_key(&upload.id) {
                    return Err(refused(format!("upload {} exists already", upload.id.0)));
                }
                let parts = std::mem::take(&mut upload.parts);
                let id = upload.id;
                self.uploads.insert(id, upload);
                for part in parts {
                    self.part(id, part)?;
                }
            }
            ObjectChange::Part(upload, part) => self.part(upload, part)?,
            ObjectChange::Abort(upload) => {
                self.uploads.remove(&upload);
            }
        }
        Ok(())
    }

    fn part(&mut self, upload: UploadId, part: UploadPart) -> Result<(), StoreError> {
        let upload = self
            .uploads
            .get_mut(&upload)
            .ok_or_else(|| StoreError::Conflict(format!("upload {}", upload.0)))?;
        upload.parts.retain(|other| other.number != part.number);
        upload.parts.push(part);
        upload.parts.sort_by_key(|part| part.number);
        Ok(())
    }

    fn expect(&self, at: &ObjectId, expect: Option<i64>) -> Result<(), StoreError> {
        let found = self.objects.get(at).map(|object| object.generation);
        if found == expect {
            Ok(())
        } else {
            Err(StoreError::Conflict(at.key.clone()))
        }
    }

    pub(super) fn list(&self, query: &ObjectsQuery) -> Vec<Object> {
        self.objects
            .values()
            .filter(|object| object.at.bucket == query.bucket)
            .filter(|object| object.at.key.starts_with(&query.prefix))
            .filter(|object| {
                query
                    .after
                    .as_ref()
                    .is_none_or(|after| object.at.key > *after)
            })
            .take(query.limit)
            .cloned()
            .collect()
    }

    pub(super) fn uploads_of(&self, bucket: &BucketRef) -> Vec<Upload> {
        let mut uploads: Vec<Upload> = self
            .uploads
            .values()
            .filter(|upload| upload.at.bucket == *bucket)
            .map(|upload| Upload {
                parts: Vec::new(),
                ..upload.clone()
            })
            .collect();
        uploads.sort_by(|a, b| (&a.at.key, a.id).cmp(&(&b.at.key, b.id)));
        uploads
    }

    pub(super) fn unreferenced(&self, blobs: Vec<BlobId>) -> Vec<BlobId> {
        let of_objects = self.objects.values().flat_map(|object| &object.blobs);
        let of_parts = self
            .uploads
            .values()
            .flat_map(|upload| upload.parts.iter().map(|part| &part.blob));
        let used: HashSet<BlobId> = of_objects.chain(of_parts).map(|part| part.blob).collect();
        blobs
            .into_iter()
            .filter(|blob| !used.contains(blob))
            .collect()
    }
}
