//! What the tests of the SQLite store share.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use wakeful_core::{
    event::Event,
    id::IdSource,
    port::{Clock, NewDelivery},
    time::Timestamp,
};
use wakeful_store::Options;

/// When everything happens.
pub(crate) const NOON: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A clock that stands.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOON
    }
}

/// Options for `folder` that do not depend on how full the test machine is.
pub(crate) fn options(folder: &Path) -> Options {
    Options {
        reserve: 1,
        ..Options::new(folder, Arc::new(Still))
    }
}

/// An event and the delivery it is owed.
pub(crate) fn work(ids: &IdSource, data: impl Into<Bytes>) -> (Event, NewDelivery) {
    let key = ids.event(NOON);
    let event = Event {
        key,
        origin: "bucket:photos".parse().unwrap(),
        id: key.to_string(),
        source: "/p/dev/bucket/photos".into(),
        kind: "wakeful.bucket.created".into(),
        subject: Some("cat.jpg".into()),
        time: NOON,
        content_type: "application/json".into(),
        data: data.into(),
        extensions: wakeful_core::event::Extensions::new(),
        lineage: wakeful_core::event::Lineage::default(),
    };
    let delivery = NewDelivery {
        id: ids.run(NOON),
        scope: wakeful_core::name::Scope {
            project: "photos".parse().unwrap(),
            environment: "dev".parse().unwrap(),
        },
        event: key,
        trigger: wakeful_core::name::TriggerId::from_stored("thumbnail/new"),
        function: "thumbnail".parse().unwrap(),
        keys: wakeful_core::port::Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: wakeful_core::flow::OnUnknown::Retry,
        debounce: None,
        dead: None,
        ready_at: NOON,
        expires_at: Timestamp::from_millis(i64::MAX),
        claimed: false,
        dedup: None,
    };
    (event, delivery)
}
