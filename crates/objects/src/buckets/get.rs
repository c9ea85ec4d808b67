//! Reading objects.

use wakeful_core::{name::BucketName, port::Object};

use super::Buckets;
use crate::{
    blob::{BeginError, BlobStream},
    error::ObjectError,
    model::{ByteRange, ObjectInfo, ObjectRead},
};

/// How often a read begins anew because the object was overwritten at that very moment.
const READ_TRIES: u32 = 32;

impl Buckets {
    /// What an object is; `None` when there is none.
    pub async fn head(
        &self,
        bucket: &BucketName,
        key: &str,
    ) -> Result<Option<ObjectInfo>, ObjectError> {
        let at = self.place(bucket, key)?;
        let object = self.0.store.object(at).await?;
        object
            .as_ref()
            .map(|object| Ok(ObjectInfo::of(object)?.0))
            .transpose()
    }

    /// An object and its bytes, or a range of them; `None` when there is none.
    pub async fn get(
        &self,
        bucket: &BucketName,
        key: &str,
        range: Option<ByteRange>,
    ) -> Result<Option<ObjectRead>, ObjectError> {
        self.get_if(bucket, key, range, |_| Ok(())).await
    }

    /// Like `get`, when `accept` accepts what the object is; what it refuses is not read.
    pub(crate) async fn get_if<E: From<ObjectError>>(
        &self,
        bucket: &BucketName,
        key: &str,
        range: Option<ByteRange>,
        accept: impl Fn(&ObjectInfo) -> Result<(), E>,
    ) -> Result<Option<ObjectRead>, E> {
        let at = self.place(bucket, key)?;
        let mut missing = None;
        for _ in 0..READ_TRIES {
            let Some(object) = self
                .0
                .store
                .object(at.clone())
                .await
                .map_err(ObjectError::from)?
            else {
                return Ok(None);
            };
            if missing == Some(object.generation) {
                // It was not overwritten: its bytes are truly gone.
                let what = "a file is missing".to_owned();
                return Err(ObjectError::Damaged { key: at.key, what }.into());
            }
            let (info, _) = ObjectInfo::of(&object)?;
            accept(&info)?;
            let range = match range {
                None => 0..object.size,
                Some(range) => range
                    .within(object.size)
                    .ok_or(ObjectError::Range { size: object.size })?,
            };
            let pinned = self.0.blobs.pin(object.blobs.iter().map(|part| part.blob));
            if object.blobs.len() > 1 && !self.is_current(&object).await? {
                continue;
            }
            match BlobStream::begin(at.key.clone(), pinned, &object.blobs, range.clone()).await {
                Ok(body) => return Ok(Some(ObjectRead { info, range, body })),
                Err(BeginError::Missing) => missing = Some(object.generation),
                Err(BeginError::Failed(error)) => return Err(error.into()),
            }
        }
        Err(ObjectError::Contended { key: at.key }.into())
    }

    /// Whether the object is still there. Asked after its blobs were pinned: if so, whoever
    /// replaces it from now on finds them pinned, and the later ones can be opened as they come.
    async fn is_current(&self, object: &Object) -> Result<bool, ObjectError> {
        let now = self.0.store.object(object.at.clone()).await?;
        Ok(now.is_some_and(|now| now.generation == object.generation))
    }
}
