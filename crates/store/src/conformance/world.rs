//! What the cases are told in: one project with a function and its trigger.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind, State},
    event::Event,
    id::{EventId, IdSource, RunId},
    name::{FunctionName, Scope, TriggerId},
    port::{
        BlobId, BlobPart, BucketRef, Checkpoint, CheckpointKey, Claim, Committed, Dedup, Delivery,
        End, Epoch, Intervention, NewDelivery, Object, ObjectChange, ObjectId, ReadyQuery, Settled,
        Settlement, Store, StoreError, Transaction, Upload, UploadId, UploadPart,
    },
    time::Timestamp,
};

use super::Subject;

/// When everything happens.
pub(super) const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// When deliveries grow too old.
pub(super) const EVENING: Timestamp = Timestamp::from_millis(1_800_020_000_000);

pub(super) struct World {
    subject: Subject,
    pub(super) ids: IdSource,
}

impl World {
    pub(super) fn new(subject: Subject) -> Self {
        Self {
            subject,
            ids: IdSource::after(0),
        }
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.subject.store
    }

    pub(super) fn restart(self) -> Self {
        Self {
            subject: self.subject.restart(),
            ids: self.ids,
        }
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.store().epoch()
    }

    pub(super) fn event(&self, data: &str) -> Event {
        let key = self.ids.event(NOON);
        Event {
            key,
            origin: "bucket:photos".parse().expect("an origin"),
            id: key.to_string(),
            source: "/p/dev/bucket/photos".into(),
            kind: "wakeful.bucket.created".into(),
            subject: Some("cat.jpg".into()),
            time: NOON,
            content_type: "application/json".into(),
            data: Bytes::copy_from_slice(data.as_bytes()),
            extensions: wakeful_core::event::Extensions::new(),
            lineage: wakeful_core::event::Lineage::default(),
        }
    }

    pub(super) fn owed(&self, event: &Event) -> NewDelivery {
        NewDelivery {
            id: self.ids.run(NOON),
            scope: scope("dev"),
            event: event.key,
            trigger: trigger("thumbnail/new"),
            function: function("thumbnail"),
            keys: wakeful_core::port::Keys::default(),
            key_limit: None,
            blocks: false,
            on_unknown: wakeful_core::flow::OnUnknown::Retry,
            debounce: None,
            dead: None,
            ready_at: NOON,
            expires_at: EVENING,
            claimed: false,
            dedup: None,
        }
    }

    pub(super) async fn try_commit(
        &self,
        transaction: Transaction,
    ) -> Result<Committed, StoreError> {
        self.store().commit(transaction).await
    }

    pub(super) async fn commit(&self, transaction: Transaction) -> Committed {
        self.try_commit(transaction).await.expect("a commit")
    }

    /// Commits an event with one delivery, changed by `change`.
    pub(super) async fn enqueue_with(&self, change: impl FnOnce(&mut NewDelivery)) -> RunId {
        let event = self.event("{}");
        let mut new = self.owed(&event);
        change(&mut new);
        let run = new.id;
        self.commit(Transaction {
            events: vec![event],
            deliveries: vec![new],
            ..Transaction::default()
        })
        .await;
        run
    }

    pub(super) async fn enqueue(&self) -> RunId {
        self.enqueue_with(|_| ()).await
    }

    pub(super) async fn claim(&self, run: RunId) -> Delivery {
        let mut claimed = self.store().claim(vec![run], NOON).await.expect("a claim");
        assert_eq!(claimed.len(), 1, "{run} should have been claimed");
        claimed.remove(0)
    }

    pub(super) async fn get(&self, run: RunId) -> Option<Delivery> {
        self.store().delivery(run).await.expect("a delivery")
    }

    pub(super) async fn known(&self, run: RunId) -> Delivery {
        self.get(run)
            .await
            .unwrap_or_else(|| panic!("{run} should be there"))
    }

    pub(super) async fn has_event(&self, id: EventId) -> bool {
        self.store().event(id).await.expect("an event").is_some()
    }

    /// Ends the present claim of this epoch.
    pub(super) async fn settle(&self, claimed: &Delivery, end: End) -> Settled {
        self.settle_claim(self.claim_of(claimed), end).await
    }

    pub(super) fn claim_of(&self, claimed: &Delivery) -> Claim {
        Claim {
            run: claimed.id,
            epoch: self.epoch(),
            start: claimed.starts,
        }
    }

    pub(super) async fn settle_claim(&self, claim: Claim, end: End) -> Settled {
        let committed = self
            .commit(Transaction {
                settlements: vec![Settlement { claim, end }],
                ..Transaction::default()
            })
            .await;
        assert_eq!(committed.settled.len(), 1);
        committed.settled[0]
    }

    pub(super) async fn intervene(&self, intervention: Intervention) -> Vec<RunId> {
        self.commit(Transaction {
            interventions: vec![intervention],
            ..Transaction::default()
        })
        .await
        .intervened
    }

    /// A delivery that died after one attempt.
    pub(super) async fn dead(&self) -> RunId {
        self.dead_with(|_| ()).await
    }

    pub(super) async fn dead_with(&self, change: impl FnOnce(&mut NewDelivery)) -> RunId {
        let run = self.enqueue_with(change).await;
        let claimed = self.claim(run).await;
        let end = End::Dead {
            reason: DeadReason::AttemptsExhausted,
            at: NOON,
            failure: Some(failure("last")),
        };
        assert_eq!(self.settle(&claimed, end).await, Settled::Applied);
        run
    }

    pub(super) async fn ready(&self) -> Vec<RunId> {
        self.ready_at(NOON).await
    }

    pub(super) async fn ready_at(&self, now: Timestamp) -> Vec<RunId> {
        let ready = self.store().ready(query(now)).await.expect("what is ready");
        assert!(ready.iter().all(|delivery| delivery.state == State::Queued));
        ready.iter().map(|delivery| delivery.id).collect()
    }

    pub(super) async fn change(&self, changes: Vec<ObjectChange>) -> Result<(), StoreError> {
        let transaction = Transaction {
            objects: changes,
            ..Transaction::default()
        };
        self.try_commit(transaction).await.map(drop)
    }

    pub(super) fn object(&self, key: &str) -> Object {
        let blob = BlobId(self.ids.draw(NOON));
        Object {
            at: at(key),
            generation: self.ids.draw(NOON),
            blobs: vec![BlobPart { blob, size: 3 }],
            size: 3,
            etag: "abc".into(),
            modified: NOON,
            meta: Bytes::from_static(b"{}"),
        }
    }

    pub(super) fn upload(&self, key: &str) -> Upload {
        Upload {
            id: UploadId(self.ids.draw(NOON)),
            at: at(key),
            started: NOON,
            meta: Bytes::from_static(b"meta"),
            parts: Vec::new(),
        }
    }

    pub(super) fn part(&self, number: u16) -> UploadPart {
        let blob = BlobId(self.ids.draw(NOON));
        UploadPart {
            number,
            blob: BlobPart { blob, size: 5 },
            etag: format!("part-{number}"),
            modified: NOON,
            meta: Bytes::from_static(b"sums"),
        }
    }

    pub(super) async fn get_object(&self, key: &str) -> Option<Object> {
        self.store().object(at(key)).await.expect("an object")
    }
}

pub(super) fn scope(environment: &str) -> Scope {
    Scope {
        project: "photos".parse().expect("a project"),
        environment: environment.parse().expect("an environment"),
    }
}

pub(super) fn trigger(text: &str) -> TriggerId {
    TriggerId::from_stored(text)
}

pub(super) fn function(text: &str) -> FunctionName {
    text.parse().expect("a function")
}

pub(super) fn bucket(environment: &str, name: &str) -> BucketRef {
    BucketRef {
        scope: scope(environment),
        name: name.parse().expect("a bucket"),
    }
}

pub(super) fn at(key: &str) -> ObjectId {
    ObjectId {
        bucket: bucket("dev", "photos"),
        key: key.to_owned(),
    }
}

pub(super) fn query(now: Timestamp) -> ReadyQuery {
    ReadyQuery {
        scope: scope("dev"),
        trigger: trigger("thumbnail/new"),
        now,
        after: None,
        limit: 100,
    }
}

pub(super) fn failure(message: &str) -> Failure {
    Failure {
        kind: FailureKind::UserError,
        name: "TypeError".into(),
        message: message.into(),
        stack: Some("at handler".into()),
        advice: None,
    }
}

pub(super) fn retry(at: Timestamp, charged: bool) -> End {
    End::Retry {
        at,
        charged,
        alone: false,
        failure: None,
    }
}

pub(super) fn dedup(key: &str, window: Duration) -> Option<Dedup> {
    Some(Dedup {
        key: key.to_owned(),
        window,
    })
}

pub(super) fn checkpoint(source: &str, value: &'static str) -> Checkpoint {
    Checkpoint {
        key: checkpoint_key(source),
        value: Bytes::from_static(value.as_bytes()),
    }
}

pub(super) fn checkpoint_key(source: &str) -> CheckpointKey {
    CheckpointKey {
        scope: scope("dev"),
        source: source.to_owned(),
    }
}

pub(super) fn later(seconds: u64) -> Timestamp {
    NOON.plus(Duration::from_secs(seconds))
}
