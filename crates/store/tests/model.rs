//! Whatever is done, in whatever order, the store on SQLite and the store in memory answer the
//! same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;
use wakeful_core::{
    delivery::{DeadReason, Failure, FailureKind},
    event::Event,
    id::{EventId, IdSource, RunId},
    name::{Scope, TriggerId},
    port::{
        BlobId, BlobPart, BucketRef, Checkpoint, CheckpointKey, Claim, Clock, DeadQuery, Dedup,
        End, Epoch, Intervention, NewDelivery, Object, ObjectChange, ObjectId, ObjectsQuery,
        ReadyQuery, Settlement, Store, StoreError, Sweep, Transaction, Upload, UploadId,
        UploadPart,
    },
    time::Timestamp,
};
use wakeful_store::{MemoryStore, Options, SqliteStore};

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const TRIGGERS: usize = 3;
const KEYS: usize = 4;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        START
    }
}

/// One step; numbers are taken modulo what there is.
#[derive(Debug, Clone)]
enum Op {
    Commit(Vec<Part>),
    Claim(Vec<usize>),
    Sweep { events: u64, dead: Option<u64> },
    Pass(u64),
    Restart,
}

/// A part of a transaction.
#[derive(Debug, Clone)]
enum Part {
    Event,
    EventAgain(usize),
    Delivery {
        event: usize,
        trigger: usize,
        claimed: bool,
        ready: u64,
        dedup: Option<usize>,
    },
    DeliveryAgain(usize),
    Checkpoint(usize, u8),
    Settle {
        run: usize,
        stale: bool,
        end: usize,
    },
    Redrive(usize),
    Discard(usize),
    Expire(usize),
    Release {
        function: usize,
        live: usize,
    },
    Put {
        key: usize,
        right: bool,
        completes: Option<usize>,
        blob: usize,
    },
    Delete {
        key: usize,
        right: bool,
    },
    Begin(usize),
    Piece {
        upload: usize,
        number: u16,
        blob: usize,
    },
    Abort(usize),
}

fn part() -> impl Strategy<Value = Part> {
    let place = 0..64usize;
    prop_oneof![
        4 => Just(Part::Event),
        1 => place.clone().prop_map(Part::EventAgain),
        8 => (place.clone(), 0..TRIGGERS, any::<bool>(), 0..100u64, proptest::option::of(0..4usize))
            .prop_map(|(event, trigger, claimed, ready, dedup)| Part::Delivery {
                event, trigger, claimed, ready, dedup
            }),
        1 => place.clone().prop_map(Part::DeliveryAgain),
        1 => (0..3usize, any::<u8>()).prop_map(|(key, value)| Part::Checkpoint(key, value)),
        8 => (place.clone(), prop::bool::weighted(0.2), 0..6usize)
            .prop_map(|(run, stale, end)| Part::Settle { run, stale, end }),
        2 => place.clone().prop_map(Part::Redrive),
        1 => place.clone().prop_map(Part::Discard),
        1 => place.clone().prop_map(Part::Expire),
        2 => (0..TRIGGERS, 0..3usize).prop_map(|(function, live)| Part::Release { function, live }),
        3 => (0..KEYS, prop::bool::weighted(0.9), proptest::option::of(place.clone()), 0..8usize)
            .prop_map(|(key, right, completes, blob)| Part::Put { key, right, completes, blob }),
        1 => (0..KEYS, prop::bool::weighted(0.9))
            .prop_map(|(key, right)| Part::Delete { key, right }),
        1 => (0..KEYS).prop_map(Part::Begin),
        2 => (place.clone(), 1..4u16, 0..8usize)
            .prop_map(|(upload, number, blob)| Part::Piece { upload, number, blob }),
        1 => place.prop_map(Part::Abort),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        12 => proptest::collection::vec(part(), 0..6).prop_map(Op::Commit),
        6 => proptest::collection::vec(0..64usize, 1..8).prop_map(Op::Claim),
        1 => (0..200u64, proptest::option::of(0..200u64))
            .prop_map(|(events, dead)| Op::Sweep { events, dead }),
        3 => (1..40u64).prop_map(Op::Pass),
        1 => Just(Op::Restart),
    ]
}

/// Both stores, and what a caller remembers of them.
struct Both {
    folder: TempDir,
    sqlite: SqliteStore,
    memory: MemoryStore,
    ids: IdSource,
    now: Timestamp,
    events: Vec<EventId>,
    runs: Vec<RunId>,
    uploads: Vec<UploadId>,
}

/// What can be told of an answer: texts of failures may differ.
fn seen<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> String {
    match answer {
        Ok(value) => format!("{value:?}"),
        Err(StoreError::Failed(_)) => "failed".to_owned(),
        Err(error) => format!("{error:?}"),
    }
}

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
        assert_eq!(seen(sqlite), seen(memory.clone()), "{}", stringify!($call));
        memory
    }};
}

impl Both {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = SqliteStore::open(Options::new(folder.path(), Arc::new(Still))).unwrap();
        Self {
            folder,
            memory: MemoryStore::new(sqlite.epoch()),
            sqlite,
            ids: IdSource::after(0),
            now: START,
            events: Vec::new(),
            runs: Vec::new(),
            uploads: Vec::new(),
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Commit(parts) => {
                let transaction = self.transaction(parts).await;
                let _ = same!(self, store => store.commit(transaction.clone()));
            }
            Op::Claim(places) => {
                let runs: Vec<RunId> = places
                    .iter()
                    .filter_map(|at| pick(&self.runs, *at))
                    .collect();
                let _ = same!(self, store => store.claim(runs.clone(), self.now));
            }
            Op::Sweep { events, dead } => {
                let sweep = Sweep {
                    now: self.now,
                    events_before: START.plus(Duration::from_secs(events)),
                    dead_before: dead.map(|at| START.plus(Duration::from_secs(at))),
                };
                let _ = same!(self, store => store.sweep(sweep));
            }
            Op::Pass(seconds) => self.now = self.now.plus(Duration::from_secs(seconds)),
            Op::Restart => {
                self.sqlite.close();
                let options = Options::new(self.folder.path(), Arc::new(Still));
                self.sqlite = SqliteStore::open(options).unwrap();
                self.memory = self.memory.restart();
                assert_eq!(self.sqlite.epoch(), self.memory.epoch());
            }
        }
        assert_eq!(self.sqlite.greatest_id(), self.memory.greatest_id());
    }

    async fn transaction(&mut self, parts: Vec<Part>) -> Transaction {
        let mut transaction = Transaction::default();
        for part in parts {
            self.add(&mut transaction, part).await;
        }
        transaction
    }

    async fn add(&mut self, to: &mut Transaction, part: Part) {
        match part {
            Part::Event => {
                let key = self.ids.event(self.now);
                self.events.push(key);
                to.events.push(event(key, self.now));
            }
            Part::EventAgain(at) => {
                to.events
                    .extend(pick(&self.events, at).map(|key| event(key, self.now)));
            }
            Part::Delivery {
                event,
                trigger,
                claimed,
                ready,
                dedup,
            } => {
                if let Some(event) = pick(&self.events, event) {
                    let id = self.ids.run(self.now);
                    self.runs.push(id);
                    let ready_at = self.now.plus(Duration::from_secs(ready / 10));
                    to.deliveries.push(NewDelivery {
                        ready_at,
                        claimed,
                        dedup: dedup.map(key),
                        ..delivery(id, event, trigger)
                    });
                }
            }
            Part::DeliveryAgain(at) => {
                let known = pick(&self.runs, at).zip(pick(&self.events, at));
                to.deliveries
                    .extend(known.map(|(run, event)| delivery(run, event, 0)));
            }
            Part::Checkpoint(key, value) => to.checkpoints.push(Checkpoint {
                key: checkpoint_key(key),
                value: Bytes::from(vec![value; 3]),
            }),
            Part::Settle { run, stale, end } => {
                if let Some(settlement) = self.settlement(run, stale, end).await {
                    to.settlements.push(settlement);
                }
            }
            Part::Redrive(at) => to.interventions.extend(pick(&self.runs, at).map(|run| {
                let expires_at = self.now.plus(Duration::from_secs(50));
                Intervention::Redrive {
                    run,
                    now: self.now,
                    expires_at,
                }
            })),
            Part::Discard(at) => {
                to.interventions
                    .extend(pick(&self.runs, at).map(|run| Intervention::Discard {
                        run,
                        at: self.now,
                        why: String::new(),
                    }))
            }
            Part::Expire(at) => to
                .interventions
                .extend(pick(&self.runs, at).map(|run| Intervention::Expire { run, at: self.now })),
            Part::Release { function, live } => {
                to.interventions.push(Intervention::ReleaseHeld {
                    scope: scope(),
                    function: format!("f{function}").parse().unwrap(),
                    live: format!("v{live}"),
                    now: self.now,
                });
            }
            objects => self.add_object(to, objects).await,
        }
    }

    async fn add_object(&mut self, to: &mut Transaction, part: Part) {
        match part {
            Part::Put {
                key,
                right,
                completes,
                blob,
            } => {
                let found = self.memory.object(at(key)).await.unwrap();
                let there = found.map(|object| object.generation);
                let object = Object {
                    at: at(key),
                    generation: self.ids.draw(self.now),
                    blobs: (0..blob % 3).map(|more| stretch(blob + more)).collect(),
                    size: 7,
                    etag: "e".into(),
                    modified: self.now,
                    meta: Bytes::from_static(b"m"),
                };
                to.objects.push(ObjectChange::Put {
                    object,
                    expect: if right { there } else { Some(5) },
                    completes: completes.and_then(|upload| pick(&self.uploads, upload)),
                });
            }
            Part::Delete { key, right } => {
                let found = self.memory.object(at(key)).await.unwrap();
                let there = found.map_or(1, |object| object.generation);
                let expect = if right { there } else { there + 1 };
                to.objects.push(ObjectChange::Delete {
                    at: at(key),
                    expect,
                });
            }
            Part::Begin(key) => {
                let id = UploadId(self.ids.draw(self.now));
                self.uploads.push(id);
                to.objects.push(ObjectChange::Begin(Upload {
                    id,
                    at: at(key),
                    started: self.now,
                    meta: Bytes::new(),
                    parts: Vec::new(),
                }));
            }
            Part::Piece {
                upload,
                number,
                blob,
            } => {
                let part = UploadPart {
                    number,
                    blob: stretch(blob),
                    etag: String::new(),
                    modified: self.now,
                    meta: Bytes::new(),
                };
                to.objects.extend(
                    pick(&self.uploads, upload).map(|upload| ObjectChange::Part(upload, part)),
                );
            }
            Part::Abort(at) => to
                .objects
                .extend(pick(&self.uploads, at).map(ObjectChange::Abort)),
            _ => unreachable!("the other parts are no objects"),
        }
    }

    async fn settlement(&self, run: usize, stale: bool, end: usize) -> Option<Settlement> {
        let run = pick(&self.runs, run)?;
        let starts = self
            .memory
            .delivery(run)
            .await
            .unwrap()
            .map_or(1, |found| found.starts);
        let claim = Claim {
            run,
            epoch: Epoch(self.memory.epoch().0 - u32::from(stale)),
            start: starts,
        };
        let failure = Failure::ours(FailureKind::Crash, format!("end {end}"));
        let end = match end {
            0 | 1 => End::Succeeded,
            2 | 3 => End::Retry {
                at: self.now.plus(Duration::from_secs(end as u64)),
                charged: end == 2,
                alone: end == 3,
                failure: (end == 2).then_some(failure),
            },
            4 => End::HeldForVersion {
                version: format!("v{}", run.raw() % 3),
                failure,
            },
            _ => End::Dead {
                reason: DeadReason::AttemptsExhausted,
                at: self.now,
                failure: Some(failure),
            },
        };
        Some(Settlement { claim, end })
    }

    /// Everything that can be asked.
    async fn compare(&self) {
        for event in &self.events {
            let _ = same!(self, store => store.event(*event));
            let _ = same!(self, store => store.deliveries_of(*event));
        }
        for run in &self.runs {
            let _ = same!(self, store => store.delivery(*run));
        }
        for number in 0..TRIGGERS {
            let query = ReadyQuery {
                scope: scope(),
                trigger: trigger(number),
                now: self.now,
                after: None,
                limit: 1000,
            };
            let _ = same!(self, store => store.ready(query.clone()));
            let dead = DeadQuery {
                function: Some(format!("f{number}").parse().unwrap()),
                limit: 5,
                ..DeadQuery::default()
            };
            let _ = same!(self, store => store.dead(dead.clone()));
            let _ = same!(self, store => store.checkpoint(checkpoint_key(number)));
        }
        let _ = same!(self, store => store.backlog());
        let list = ObjectsQuery {
            bucket: bucket(),
            prefix: "k".into(),
            after: None,
            limit: 100,
        };
        let _ = same!(self, store => store.objects(list.clone()));
        let _ = same!(self, store => store.uploads(bucket()));
        for upload in &self.uploads {
            let _ = same!(self, store => store.upload(*upload));
        }
        let blobs: Vec<BlobId> = (0..12).map(BlobId).collect();
        let _ = same!(self, store => store.unreferenced(blobs.clone()));
        let figures = async |store: &dyn Store| {
            let mut stats = store.stats().await.unwrap();
            (stats.bytes, stats.syncs) = (0, 0);
            stats
        };
        assert_eq!(figures(&self.sqlite).await, figures(&self.memory).await);
    }
}

fn pick<T: Copy>(known: &[T], place: usize) -> Option<T> {
    // Mostly recent ones, or nothing would ever happen to what is there.
    known
        .len()
        .checked_sub(1 + place % known.len().max(1))
        .map(|at| known[at])
}

fn scope() -> Scope {
    Scope {
        project: "p".parse().unwrap(),
        environment: "dev".parse().unwrap(),
    }
}

fn trigger(number: usize) -> TriggerId {
    TriggerId::from_stored(&format!("f{number}/x"))
}

fn bucket() -> BucketRef {
    BucketRef {
        scope: scope(),
        name: "photos".parse().unwrap(),
    }
}

fn at(key: usize) -> ObjectId {
    ObjectId {
        bucket: bucket(),
        key: format!("k{key}"),
    }
}

fn stretch(blob: usize) -> BlobPart {
    BlobPart {
        blob: BlobId(blob as i64),
        size: 7,
    }
}

fn checkpoint_key(number: usize) -> CheckpointKey {
    CheckpointKey {
        scope: scope(),
        source: format!("s{number}"),
    }
}

fn key(number: usize) -> Dedup {
    Dedup {
        key: format!("key {number}"),
        window: Duration::from_secs(30 * (number as u64 + 1)),
    }
}

fn event(key: EventId, time: Timestamp) -> Event {
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

fn delivery(id: RunId, event: EventId, number: usize) -> NewDelivery {
    NewDelivery {
        id,
        scope: scope(),
        event,
        trigger: trigger(number),
        function: format!("f{number}").parse().unwrap(),
        keys: wakeful_core::port::Keys::default(),
        key_limit: None,
        blocks: false,
        on_unknown: wakeful_core::flow::OnUnknown::Retry,
        debounce: None,
        dead: None,
        ready_at: START,
        expires_at: START.plus(Duration::from_secs(300)),
        claimed: false,
        dedup: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(48)
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
