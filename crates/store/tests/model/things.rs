//! What the steps are about.

use super::*;

pub(crate) fn pick<T: Copy>(known: &[T], place: usize) -> Option<T> {
    // Mostly recent ones, or nothing would ever happen to what is there.
    known
        .len()
        .checked_sub(1 + place % known.len().max(1))
        .map(|at| known[at])
}

pub(crate) fn scope() -> Scope {
    Scope {
        project: "p".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    }
}

pub(crate) fn trigger(number: usize) -> TriggerId {
    TriggerId::from_stored(&format!("f{number}/x"))
}

pub(crate) fn bucket() -> BucketRef {
    BucketRef {
        scope: scope(),
        name: "photos".parse().unwrap(),
    }
}

pub(crate) fn at(key: usize) -> ObjectId {
    ObjectId {
        bucket: bucket(),
        key: format!("k{key}"),
    }
}

pub(crate) fn stretch(blob: usize) -> BlobPart {
    BlobPart {
        blob: BlobId(blob as i64),
        size: 7,
    }
}

pub(crate) fn checkpoint_key(number: usize) -> CheckpointKey {
    CheckpointKey {
        scope: scope(),
        source: format!("s{number}"),
    }
}

pub(crate) fn key(number: usize) -> Dedup {
    Dedup {
        key: format!("key {number}"),
        window: Duration::from_secs(30 * (number as u64 + 1)),
    }
}

pub(crate) fn event(key: EventId, time: Timestamp) -> Event {
    Event {
        key,
        origin: "bucket:photos".parse().unwrap(),
        id: key.to_string(),
        source: "/s".into(),
        kind: "wakeful.bucket.created".into(),
        subject: None,
        time,
        content_type: "text/plain".into(),
        data: Bytes::from_static(b"data"),
        extensions: wakeful_core::event::Extensions::new(),
        lineage: wakeful_core::event::Lineage::default(),
    }
}

pub(crate) fn delivery(id: RunId, event: EventId, number: usize) -> NewDelivery {
    NewDelivery {
        id,
        scope: scope(),
        event,
        trigger: trigger(number),
        function: format!("f{number}").parse().unwrap(),
        keys: Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: OnUnknown::Retry,
        debounce: None,
        dead: None,
        ready_at: START,
        expires_at: START.plus(Duration::from_secs(300)),
        claimed: false,
        dedup: None,
    }
}

pub(crate) fn lane_key(name: usize) -> String {
    format!("lane {name}")
}

pub(crate) fn ruled(new: NewDelivery, rules: &Rules) -> NewDelivery {
    NewDelivery {
        keys: Keys {
            ordering: rules.ordering.map(lane_key),
            concurrency: rules.concurrency.map(lane_key),
            rate: rules.ordering.map(|_| "rate".to_owned()),
            breaker: rules.concurrency.map(|_| "breaker".to_owned()),
        },
        key_limit: rules.key_limit,
        blocks: rules.blocks,
        on_unknown: match rules.hold {
            true => OnUnknown::Hold,
            false => OnUnknown::Retry,
        },
        debounce: rules.debounce.map(|name| NewDebounce {
            key: lane_key(name),
            wait: Duration::from_secs(5),
            most: Duration::from_secs(12),
        }),
        dead: rules.dead.then_some(DeadReason::NotRetriable),
        ..new
    }
}

pub(crate) fn pause(what: usize, at: Timestamp) -> Pause {
    Pause {
        scope: scope(),
        function: "f0".parse().unwrap(),
        trigger: (what > 0).then(|| trigger(0)),
        key: (what > 1).then(|| lane_key(0)),
        at,
        why: String::new(),
    }
}

pub(crate) fn answer_key(number: usize) -> AnswerKey {
    AnswerKey {
        scope: scope(),
        trigger: trigger(0),
        key: format!("request {number}"),
    }
}
