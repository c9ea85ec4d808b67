//! Changes of objects that are asked for now and made later, together with other changes: all of
//! them in one transaction, which is another's.

use std::{collections::HashSet, sync::Arc};

use wakeful_core::{
    event::Lineage,
    name::BucketName,
    port::{Arrival, BlobId, ObjectChange, ObjectId},
};

use super::{
    Buckets, Inner, Turn,
    publish::{Draft, Operation, Step, blobs_of},
    put::check_headers,
};
use crate::{
    blob::FreshBlob,
    error::ObjectError,
    model::{Body, Headers},
};

/// A change that nobody sees yet. Dropped before it was made, it leaves nothing behind.
pub struct Staged {
    inner: Arc<Inner>,
    change: Change,
}

enum Change {
    /// The bytes are on disk.
    Put(Box<Draft>, FreshBlob),
    Remove(ObjectId, Lineage),
}

impl Buckets {
    /// Brings the bytes of an object to the disk; it becomes visible by `Joint`.
    ///
    /// # Errors
    /// As `put` has them.
    pub async fn stage(
        &self,
        bucket: &BucketName,
        key: &str,
        headers: Headers,
        body: Body,
    ) -> Result<Staged, ObjectError> {
        let at = self.place(bucket, key)?;
        check_headers(&headers)?;
        let (draft, blob) = self.receive(at, headers, body, Operation::Put).await?;
        Ok(self.staged(Change::Put(Box::new(draft), blob)))
    }

    /// An object is to go, if there is one then.
    ///
    /// # Errors
    /// When there is no such bucket, or the key is none.
    pub fn stage_removal(&self, bucket: &BucketName, key: &str) -> Result<Staged, ObjectError> {
        let at = self.place(bucket, key)?;
        Ok(self.staged(Change::Remove(at, self.1)))
    }

    fn staged(&self, change: Change) -> Staged {
        Staged {
            inner: Arc::clone(&self.0),
            change,
        }
    }
}

impl Staged {
    /// Whether it can still be made.
    ///
    /// # Errors
    /// `NoSuchBucket` when its bucket is gone meanwhile.
    pub fn check(&self) -> Result<(), ObjectError> {
        let bucket = &self.at().bucket.name;
        match self.inner.declared.read().contains(bucket) {
            true => Ok(()),
            false => Err(ObjectError::NoSuchBucket {
                bucket: bucket.clone(),
            }),
        }
    }

    /// The object's bucket and key.
    pub fn place(&self) -> (&BucketName, &str) {
        let at = self.at();
        (&at.bucket.name, &at.key)
    }

    /// The ETag and the size of what will be there; `None` when it is to go.
    pub fn described(&self) -> Option<(&str, u64)> {
        match &self.change {
            Change::Put(draft, _) => {
                let size = draft.blobs.iter().map(|part| part.size).sum();
                Some((&draft.etag, size))
            }
            Change::Remove(..) => None,
        }
    }

    fn at(&self) -> &ObjectId {
        match &self.change {
            Change::Put(draft, _) => &draft.at,
            Change::Remove(at, _) => at,
        }
    }

    /// The change against the index as it is now, and the blobs that it leaves unused; nothing
    /// when what is to go is not there.
    async fn step(&self) -> Result<Option<(Step, Vec<BlobId>)>, ObjectError> {
        let inner = &self.inner;
        let at = self.at();
        let current = inner.store.object(at.clone()).await?;
        let step = match (&self.change, &current) {
            (Change::Put(draft, _), current) => inner.appearance(draft, current.as_ref())?.1,
            (Change::Remove(_, cause), Some(current)) => inner.removal(current, *cause)?,
            (Change::Remove(..), None) => return Ok(None),
        };
        Ok(Some((step, blobs_of(current))))
    }

    /// The change is made: its bytes stay.
    fn keep(self) {
        if let Change::Put(_, blob) = self.change {
            blob.keep();
        }
    }
}

impl std::fmt::Debug for Staged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Staged").field(self.at()).finish()
    }
}

/// What several changes come to, worked out against the index as it is now. Until it is dropped,
/// other changes of these objects wait; when the transaction is refused with
/// `StoreError::Conflict` all the same, it is to be worked out anew.
///
/// Of several changes of one object only the last one counts: nobody could see the others.
#[derive(Default)]
pub struct Joint {
    /// The events that tell of them, one for each.
    pub arrivals: Vec<Arrival>,
    /// The changes of the index.
    pub objects: Vec<ObjectChange>,
    replaced: Vec<BlobId>,
    turns: Vec<Turn>,
}

impl Joint {
    /// Of changes that were staged by the same buckets, in the order in which they were asked for.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub async fn of(staged: &[Staged]) -> Result<Self, ObjectError> {
        let Some(Staged { inner, .. }) = staged.first() else {
            return Ok(Self::default());
        };
        let mut joint = Self {
            turns: inner.keys.take_all(staged.iter().map(Staged::at)).await,
            ..Self::default()
        };
        let mut seen = HashSet::new();
        let mut last: Vec<&Staged> = (staged.iter().rev())
            .filter(|staged| seen.insert(staged.at()))
            .collect();
        last.reverse();
        for staged in last {
            if let Some((step, replaced)) = staged.step().await? {
                joint.arrivals.push(step.arrival);
                joint.objects.push(step.change);
                joint.replaced.extend(replaced);
            }
        }
        Ok(joint)
    }

    /// The transaction with these changes is on disk: removes the bytes that nobody needs now.
    pub async fn applied(self, staged: Vec<Staged>) {
        drop(self.turns);
        let Some(inner) = staged.first().map(|staged| Arc::clone(&staged.inner)) else {
            return;
        };
        let visible: HashSet<BlobId> = (self.objects.iter())
            .filter_map(|change| match change {
                ObjectChange::Put { object, .. } => Some(&object.blobs),
                _ => None,
            })
            .flatten()
            .map(|part| part.blob)
            .collect();
        let made = |staged: &Staged| match &staged.change {
            Change::Put(_, blob) => visible.contains(&blob.id()),
            Change::Remove(..) => false,
        };
        // The others were overtaken by a later change of the same object.
        staged.into_iter().filter(made).for_each(Staged::keep);
        inner.discard(self.replaced).await;
    }

    /// Whether the transaction is on disk is not known: nothing is removed. What nobody needs is
    /// swept by the next start.
    pub fn unknown(staged: Vec<Staged>) {
        staged.into_iter().for_each(Staged::keep);
    }
}
