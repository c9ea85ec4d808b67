//! The one way by which an object becomes visible or goes: index change and event, together.

use std::sync::Arc;

use serde::Serialize;
use wakeful_core::{
    event::{Lineage, ObjectVerb, Origin},
    limits::OBJECT_CONFLICTS,
    port::{
        Arrival, BlobId, BlobPart, Object, ObjectChange, ObjectId, StoreError, Submission,
        SubmitError, UploadId,
    },
    time::Timestamp,
};

use super::Inner;
use crate::{
    error::{ObjectError, outcome_is_unknown},
    model::{Expect, ObjectInfo, ObjectMeta, Written, to_meta},
};

/// What made an object appear or go; a word of the event's data.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Operation {
    Put,
    Copy,
    Multipart,
    Delete,
}

/// An object whose bytes are on disk.
pub(super) struct Draft {
    pub(super) at: ObjectId,
    pub(super) blobs: Vec<BlobPart>,
    pub(super) etag: String,
    pub(super) meta: ObjectMeta,
    pub(super) operation: Operation,
    pub(super) completes: Option<UploadId>,
    pub(super) cause: Lineage,
}

/// A change of the index with the event that tells of it.
pub(super) struct Step {
    pub(super) change: ObjectChange,
    pub(super) arrival: Arrival,
}

/// The data of a bucket's event.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct EventData<'a> {
    bucket: &'a str,
    key: &'a str,
    size: u64,
    etag: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_type: Option<&'a str>,
    /// Sorts as the changes of this key happened.
    sequencer: String,
    operation: Operation,
}

impl Expect {
    /// Whether the condition holds for what is there.
    pub(super) fn check(&self, key: &str, current: Option<&Object>) -> Result<(), ObjectError> {
        let refuse = |found: String| {
            Err(ObjectError::Precondition {
                key: key.to_owned(),
                found,
            })
        };
        match (self, current) {
            (Self::Anything, _) | (Self::Absent, None) | (Self::Present, Some(_)) => Ok(()),
            (Self::Absent, Some(object)) => {
                refuse(format!("it exists, with the ETag \"{}\"", object.etag))
            }
            (Self::Present | Self::ETag(_), None) => Err(ObjectError::NoSuchKey {
                key: key.to_owned(),
            }),
            (Self::ETag(etag), Some(object)) if *etag == object.etag => Ok(()),
            (Self::ETag(_), Some(object)) => refuse(format!("its ETag is \"{}\"", object.etag)),
        }
    }
}

impl Inner {
    /// Makes a draft visible. Its blobs belong to this call: they are removed when it is certain
    /// that it had no effect, unless they belong to an upload (`completes`), which goes on.
    pub(super) async fn publish(
        self: Arc<Self>,
        draft: Draft,
        expect: Expect,
    ) -> Result<Written, ObjectError> {
        let own: Vec<BlobId> = match draft.completes {
            Some(_) => Vec::new(),
            None => draft.blobs.iter().map(|part| part.blob).collect(),
        };
        let result = self.try_publish(&draft, &expect).await;
        if result
            .as_ref()
            .is_err_and(|error| !error.may_have_happened())
        {
            self.discard(own).await;
        }
        result
    }

    async fn try_publish(&self, draft: &Draft, expect: &Expect) -> Result<Written, ObjectError> {
        let _turn = self.keys.take(&draft.at).await;
        for _ in 0..OBJECT_CONFLICTS {
            let current = self.store.object(draft.at.clone()).await?;
            expect.check(&draft.at.key, current.as_ref())?;
            let (info, step) = self.appearance(draft, current.as_ref())?;
            if self.submit(vec![step.arrival], step.change).await? {
                let replaced = current.is_some();
                self.discard(blobs_of(current)).await;
                return Ok(Written { info, replaced });
            }
        }
        Err(ObjectError::Contended {
            key: draft.at.key.clone(),
        })
    }

    /// What makes a draft visible in the place of what is there now.
    pub(super) fn appearance(
        &self,
        draft: &Draft,
        current: Option<&Object>,
    ) -> Result<(ObjectInfo, Step), ObjectError> {
        let object = self.object(draft, current)?;
        let (info, _) = ObjectInfo::of(&object)?;
        let verb = match current {
            None => ObjectVerb::Created,
            Some(_) => ObjectVerb::Changed,
        };
        let told = arrival(
            &object,
            info.headers.content_type.as_deref(),
            verb,
            (object.generation, object.modified),
            draft.operation,
        )?;
        let change = ObjectChange::Put {
            object,
            expect: current.map(|current| current.generation),
            completes: draft.completes,
        };
        let arrival = Arrival {
            lineage: draft.cause,
            ..told
        };
        Ok((info, Step { change, arrival }))
    }

    /// What makes an object go.
    pub(super) fn removal(&self, current: &Object, cause: Lineage) -> Result<Step, ObjectError> {
        // What cannot be read any more can be removed all the same.
        let content_type = ObjectInfo::of(current)
            .ok()
            .and_then(|(info, _)| info.headers.content_type);
        let now = self.clock.now();
        let sequencer = self.ids.draw(now).max(current.generation.saturating_add(1));
        let told = arrival(
            current,
            content_type.as_deref(),
            ObjectVerb::Removed,
            (sequencer, now),
            Operation::Delete,
        )?;
        let change = ObjectChange::Delete {
            at: current.at.clone(),
            expect: current.generation,
        };
        let arrival = Arrival {
            lineage: cause,
            ..told
        };
        Ok(Step { change, arrival })
    }

    fn object(&self, draft: &Draft, current: Option<&Object>) -> Result<Object, ObjectError> {
        let now = self.clock.now();
        // A key's generation grows even when the clock was set back over a restart.
        let least = current.map_or(0, |current| current.generation.saturating_add(1));
        Ok(Object {
            at: draft.at.clone(),
            generation: self.ids.draw(now).max(least),
            size: draft.blobs.iter().map(|part| part.size).sum(),
            blobs: draft.blobs.clone(),
            etag: draft.etag.clone(),
            modified: now,
            meta: to_meta(&draft.meta)?,
        })
    }

    /// Makes an object go; `false` when there is none.
    pub(super) async fn withdraw(
        self: Arc<Self>,
        at: ObjectId,
        expect: Expect,
        cause: Lineage,
    ) -> Result<bool, ObjectError> {
        let _turn = self.keys.take(&at).await;
        for _ in 0..OBJECT_CONFLICTS {
            let Some(current) = self.store.object(at.clone()).await? else {
                return match expect {
                    Expect::Anything | Expect::Absent => Ok(false),
                    Expect::Present | Expect::ETag(_) => {
                        Err(ObjectError::NoSuchKey { key: at.key })
                    }
                };
            };
            expect.check(&at.key, Some(&current))?;
            let step = self.removal(&current, cause)?;
            if self.submit(vec![step.arrival], step.change).await? {
                self.discard(blobs_of(Some(current))).await;
                return Ok(true);
            }
        }
        Err(ObjectError::Contended { key: at.key })
    }

    /// Submits a change with its event; `false` when the index is not as the change expects.
    pub(super) async fn submit(
        &self,
        arrivals: Vec<Arrival>,
        change: ObjectChange,
    ) -> Result<bool, ObjectError> {
        let submission = Submission {
            arrivals,
            checkpoint: None,
            objects: vec![change],
        };
        match self.sink.submit(submission).await {
            Ok(_) => Ok(true),
            Err(SubmitError::Store(StoreError::Conflict(_))) => Ok(false),
            Err(error) => {
                if outcome_is_unknown(&error) {
                    tracing::error!(%error, "whether a change of a bucket took effect is not known");
                }
                Err(error.into())
            }
        }
    }

    /// Removes blobs that nothing refers to any more. On a thread that may block: removing a
    /// large file takes its time.
    pub(super) async fn discard(&self, blobs: Vec<BlobId>) {
        if blobs.is_empty() {
            return;
        }
        let folder = self.blobs.clone();
        let removed = self.tasks.spawn_blocking(move || folder.retire(blobs));
        // Only a panic or the end of the runtime makes this fail; then the next start sweeps.
        let _ = removed.await;
    }
}

pub(super) fn blobs_of(object: Option<Object>) -> Vec<BlobId> {
    let parts = object.into_iter().flat_map(|object| object.blobs);
    parts.map(|part| part.blob).collect()
}

fn arrival(
    object: &Object,
    content_type: Option<&str>,
    verb: ObjectVerb,
    (sequencer, time): (i64, Timestamp),
    operation: Operation,
) -> Result<Arrival, ObjectError> {
    let bucket = &object.at.bucket.name;
    let data = to_meta(&EventData {
        bucket: bucket.as_str(),
        key: &object.at.key,
        size: object.size,
        etag: &object.etag,
        content_type,
        sequencer: format!("{sequencer:016X}"),
        operation,
    })?;
    let origin = Origin::Bucket(bucket.clone());
    Ok(Arrival {
        subject: Some(object.at.key.clone()),
        ..Arrival::new(origin, verb.as_str(), time, data)
    })
}
