//! Whatever is done, in whatever order, the store on SQLite and the store in memory answer the
//! same, and the invariants of lanes and seats hold after each step.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind, State},
    event::Event,
    flow::OnUnknown,
    id::{EventId, IdSource, RunId},
    name::{Scope, TriggerId},
    port::{
        Answer, AnswerKey, BeginAnswer, BlobId, BlobPart, BucketRef, Census, Checkpoint,
        CheckpointKey, Claim, Clock, Committed, Condition, DeadQuery, Dedup, Delivery, End, Epoch,
        EventsQuery, Held, Intervention, Keys, NewDebounce, NewDelivery, Object, ObjectChange,
        ObjectId, ObjectsQuery, Parked, Pause, ReadyQuery, Settled, Settlement, Store, StoreError,
        Sweep, Transaction, Upload, UploadId, UploadPart,
    },
    time::Timestamp,
};
use wakeful_store::{MemoryStore, Options, SqliteStore};

/// What can be told of an answer: texts of failures may differ.
fn seen<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Failed(_)) => "failed".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

/// Asks both stores, and replies what they both say.
macro_rules! same {
    ($both:ident, $store:ident => $call:expr) => {{
        let sqlite = {
            let $store = &$both.sqlite;
            $call.await
        };
        let memory = {
            let $store = &$both.memory;
            $call.await
        };
        assert_eq!(
            crate::seen(sqlite),
            crate::seen(memory.clone()),
            "{}",
            stringify!($call)
        );
        memory
    }};
}

mod both;
mod invariants;
mod ops;
mod things;
mod transactions;

use both::Both;
use ops::{Op, Part, Rules, op};
use things::*;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const TRIGGERS: usize = 3;
const KEYS: usize = 4;

/// How many sequences are tried: 48, or what `MODEL_CASES` says.
fn cases() -> u32 {
    let said = std::env::var("MODEL_CASES").ok();
    said.and_then(|text| text.parse().ok()).unwrap_or(48)
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(cases())
    })]

    #[test]
    fn both_answer_the_same(ops in proptest::collection::vec(op(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut both = Both::new();
            for op in ops {
                both.step(op).await;
            }
            both.compare().await;
        });
    }
}
