//! Whatever is done, in whatever order, the store on SQLite and the store in memory answer the
//! same.

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
    Commit(Vec<Part>, Condition),
    Work(usize),
    Answer {
        key: usize,
        print: u8,
        again: OnUnknown,
        window: u64,
    },
    Finish {
        key: usize,
        forget: bool,
    },
    Claim(Vec<usize>),
    Sweep {
        events: u64,
        dead: Option<u64>,
    },
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
        rules: Rules,
    },
    DeliveryAgain(usize),
    Pause(usize, bool),
    Checkpoint(usize, u8),
    Settle {
        run: usize,
        stale: bool,
        end: usize,
    },
    Redrive(usize),
    Discard(usize),
    Expire(usize),
    Defer(usize, u64),
    Park {
        run: usize,
        why: Parked,
    },
    Unpark {
        trigger: usize,
        why: Parked,
        key: Option<usize>,
        most: Option<usize>,
    },
    Limit(usize, Option<u32>),
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

/// What the rules of its trigger say about a delivery.
#[derive(Debug, Clone)]
struct Rules {
    ordering: Option<usize>,
    concurrency: Option<usize>,
    debounce: Option<usize>,
    key_limit: Option<u32>,
    blocks: bool,
    hold: bool,
    dead: bool,
}

fn rules() -> impl Strategy<Value = Rules> {
    let key = || proptest::option::weighted(0.6, 0..2usize);
    let rare = |weight| prop::bool::weighted(weight);
    let limit = proptest::option::weighted(0.1, 1..3u32);
    let debounce = proptest::option::weighted(0.2, 0..2usize);
    (
        key(),
        key(),
        debounce,
        limit,
        rare(0.4),
        rare(0.3),
        rare(0.05),
    )
        .prop_map(
            |(ordering, concurrency, debounce, key_limit, blocks, hold, dead)| Rules {
                ordering,
                concurrency,
                debounce,
                key_limit,
                blocks,
                hold,
                dead,
            },
        )
}

fn parked() -> impl Strategy<Value = Parked> {
    prop_oneof![Just(Parked::Pause), Just(Parked::Breaker)]
}

fn part() -> impl Strategy<Value = Part> {
    let place = 0..64usize;
    prop_oneof![
        4 => Just(Part::Event),
        1 => place.clone().prop_map(Part::EventAgain),
        12 => (
            (place.clone(), 0..TRIGGERS, any::<bool>(), 0..100u64),
            proptest::option::weighted(0.2, 0..4usize),
            rules(),
        )
            .prop_map(|((event, trigger, claimed, ready), dedup, rules)| Part::Delivery {
                event, trigger, claimed, ready, dedup, rules
            }),
        1 => (0..3usize, any::<bool>()).prop_map(|(what, begins)| Part::Pause(what, begins)),
        1 => (place.clone(), 0..20u64).prop_map(|(run, until)| Part::Defer(run, until)),
        2 => (place.clone(), parked()).prop_map(|(run, why)| Part::Park { run, why }),
        2 => (
            0..TRIGGERS,
            parked(),
            proptest::option::of(0..2usize),
            proptest::option::of(1..3usize),
        )
            .prop_map(|(trigger, why, key, most)| Part::Unpark { trigger, why, key, most }),
        1 => (0..TRIGGERS, proptest::option::weighted(0.8, 0..4u32))
            .prop_map(|(trigger, limit)| Part::Limit(trigger, limit)),
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
        12 => (proptest::collection::vec(part(), 0..6), prop::bool::weighted(0.2)).prop_map(
            |(parts, condition)| Op::Commit(parts, match condition {
                true => Condition::IfApplied,
                false => Condition::Always,
            })
        ),
        4 => (0..6usize).prop_map(Op::Work),
        1 => (0..3usize, 0..2u8, any::<bool>(), 0..60u64).prop_map(|(key, print, hold, window)| {
            let again = if hold { OnUnknown::Hold } else { OnUnknown::Retry };
            Op::Answer { key, print, again, window }
        }),
        1 => (0..3usize, any::<bool>()).prop_map(|(key, forget)| Op::Finish { key, forget }),
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
    /// Deliveries that were born dead and not redriven.
    aside: HashSet<RunId>,
    /// Of each trigger its limit, and whether that was lowered.
    limits: Vec<(Option<u32>, bool)>,
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
            aside: HashSet::new(),
            limits: vec![(None, false); TRIGGERS],
        }
    }

    async fn step(&mut self, op: Op) {
        match op {
            Op::Commit(parts, condition) => {
                let mut transaction = self.transaction(parts).await;
                transaction.condition = condition;
                let committed = same!(self, store => store.commit(transaction.clone()));
                if let Ok(committed) = committed {
                    self.learn(&transaction, &committed).await;
                }
            }
            Op::Work(end) => self.work(end).await,
            Op::Answer {
                key,
                print,
                again,
                window,
            } => {
                let begin = BeginAnswer {
                    key: answer_key(key),
                    fingerprint: [print; 32],
                    run: self.ids.run(self.now),
                    now: self.now,
                    until: self.now.plus(Duration::from_secs(window)),
                    again,
                };
                let _ = same!(self, store => store.begin_answer(begin.clone()));
            }
            Op::Finish { key, forget } => {
                let answer = Answer {
                    status: 200 + key as u16,
                    headers: vec![("a".into(), Bytes::from_static(b"\xff"))],
                    body: Bytes::from(vec![7; key]),
                };
                let answer = (!forget).then_some(answer);
                let _ = same!(self, store => store.finish_answer(answer_key(key), answer.clone()));
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
                self.memory = self.memory.restart_at(START);
                assert_eq!(self.sqlite.epoch(), self.memory.epoch());
            }
        }
        assert_eq!(self.sqlite.greatest_id(), self.memory.greatest_id());
        self.check().await;
    }

    /// Remembers what a transaction did that cannot be asked for.
    async fn learn(&mut self, transaction: &Transaction, committed: &Committed) {
        let stale = committed.settled.contains(&Settled::Stale);
        let single = |one: &&Intervention| {
            matches!(
                one,
                Intervention::Redrive { .. }
                    | Intervention::Discard { .. }
                    | Intervention::Expire { .. }
            )
        };
        let wanted = transaction.interventions.iter().filter(single).count();
        let conditional = transaction.condition == Condition::IfApplied;
        if conditional && (stale || (wanted > 0 && committed.intervened.is_empty())) {
            return;
        }
        let left_out: HashSet<RunId> = committed.duplicates.iter().map(|(run, _)| *run).collect();
        for new in &transaction.deliveries {
            if left_out.contains(&new.id) {
                continue;
            }
            if new.dead.is_some() {
                self.aside.insert(new.id);
            } else if new.keys.concurrency.is_some() && new.key_limit.is_some() {
                self.set_limit(&new.trigger, new.key_limit);
            }
        }
        for intervention in &transaction.interventions {
            match intervention {
                Intervention::Redrive { run, .. } if committed.intervened.contains(run) => {
                    self.aside.remove(run);
                }
                Intervention::Limit { trigger, limit, .. } => self.set_limit(trigger, *limit),
                _ => {}
            }
        }
    }

    fn set_limit(&mut self, of: &TriggerId, limit: Option<u32>) {
        let number = (0..TRIGGERS)
            .find(|number| trigger(*number) == *of)
            .unwrap();
        let (known, lowered) = &mut self.limits[number];
        *lowered |= match (&known, limit) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(limit)) => limit < *known,
        };
        *known = limit;
    }

    /// Runs all that is ready of one trigger, as a dispatcher would, and ends it in one way.
    async fn work(&mut self, end: usize) {
        for number in 0..TRIGGERS {
            let ready = same!(self, store => store.ready(self.ready_query(number))).unwrap();
            let runs: Vec<RunId> = ready.iter().map(|delivery| delivery.id).collect();
            let claimed = same!(self, store => store.claim(runs.clone(), self.now)).unwrap();
            let settlements = claimed
                .iter()
                .map(|delivery| Settlement {
                    claim: delivery.claim(self.memory.epoch()),
                    end: self.end(delivery.id, end),
                })
                .collect();
            let transaction = Transaction {
                settlements,
                ..Transaction::default()
            };
            let _ = same!(self, store => store.commit(transaction.clone()));
        }
    }

    fn ready_query(&self, number: usize) -> ReadyQuery {
        ReadyQuery {
            scope: scope(),
            trigger: trigger(number),
            now: self.now,
            after: None,
            limit: 1000,
        }
    }

    /// What must be true of every store at every moment.
    async fn check(&mut self) {
        let mut all = Vec::new();
        for run in &self.runs {
            all.extend(self.memory.delivery(*run).await.unwrap());
        }
        all.sort_by_key(|delivery| delivery.id);
        all.dedup_by_key(|delivery| delivery.id);
        for number in 0..TRIGGERS {
            let ours = || {
                all.iter()
                    .filter(|delivery| delivery.trigger == trigger(number))
            };
            let mut within = true;
            for name in 0..2 {
                let key = Some(lane_key(name));
                let lane = ours().filter(|delivery| delivery.keys.ordering == key);
                check_lane(lane.filter(|delivery| self.is_in_lane(delivery)).collect());
                let room = ours().filter(|delivery| delivery.keys.concurrency == key);
                within &= self.check_room(number, room.collect());
            }
            let census = same!(self, store => store.census(scope(), trigger(number))).unwrap();
            check_census(&census, &ours().collect::<Vec<_>>());
            self.limits[number].1 &= !within;
        }
    }

    /// Whether it is alive, or blocks its lane: those that were born dead never do.
    fn is_in_lane(&self, delivery: &Delivery) -> bool {
        delivery.state != State::Dead || (delivery.blocks && !self.aside.contains(&delivery.id))
    }

    /// Seats are taken in order, and as many as there are, unless there were more before. Replies
    /// whether no more are taken than there are.
    fn check_room(&self, number: usize, room: Vec<&Delivery>) -> bool {
        let in_room = |delivery: &&&Delivery| {
            delivery.state != State::Dead && delivery.held != Some(Held::Order)
        };
        let waits = |delivery: &&&Delivery| delivery.held == Some(Held::Concurrency);
        let rank = |delivery: &&Delivery| (delivery.ready_at, delivery.id);
        let seated = room.iter().filter(in_room).filter(|one| !waits(one));
        let first_waiting = room.iter().filter(waits).map(rank).min();
        let last_queued = room
            .iter()
            .filter(in_room)
            .filter(|delivery| delivery.state == State::Queued && delivery.held.is_none())
            .map(rank)
            .max();
        let taken = seated.count() as u32;
        let (limit, lowered) = &self.limits[number];
        match limit {
            None => assert_eq!(first_waiting, None, "somebody waits without a limit"),
            Some(limit) => {
                assert!(taken <= *limit || *lowered, "{taken} of {limit} seats");
                if let Some(first) = first_waiting {
                    assert!(taken >= *limit, "somebody waits while a seat is free");
                    assert!(taken > 0 || *limit == 0, "nobody's end would fill a seat");
                    assert!(
                        last_queued.is_none_or(|last| last < first),
                        "seats go by time: {last_queued:?} {first:?}"
                    );
                }
            }
        }
        limit.is_none_or(|limit| taken <= limit)
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
                let mut new = event(key, self.now);
                new.lineage.parent = pick(&self.events, key.raw() as usize % 7);
                new.lineage.replay_of = pick(&self.events, key.raw() as usize % 5);
                to.events.push(new);
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
                rules,
            } => {
                if let Some(event) = pick(&self.events, event) {
                    let id = self.ids.run(self.now);
                    self.runs.push(id);
                    let ready_at = self.now.plus(Duration::from_secs(ready / 10));
                    let new = NewDelivery {
                        ready_at,
                        dedup: dedup.map(key),
                        ..ruled(delivery(id, event, trigger), &rules)
                    };
                    let claimed = claimed && new.dead.is_none();
                    to.deliveries.push(NewDelivery { claimed, ..new });
                }
            }
            Part::DeliveryAgain(at) => {
                let known = pick(&self.runs, at).zip(pick(&self.events, at));
                to.deliveries
                    .extend(known.map(|(run, event)| delivery(run, event, 0)));
            }
            Part::Pause(what, begins) => to.pauses.push((pause(what, self.now), begins)),
            Part::Defer(at, until) => to.interventions.extend(pick(&self.runs, at).map(|run| {
                let until = self.now.plus(Duration::from_secs(until));
                Intervention::Defer { run, until }
            })),
            Part::Park { run: at, why } => {
                to.interventions.extend(pick(&self.runs, at).map(|run| {
                    let key = lane_key(run.raw() as usize % 2);
                    Intervention::Park { run, why, key }
                }));
            }
            Part::Unpark {
                trigger: number,
                why,
                key,
                most,
            } => to.interventions.push(Intervention::Unpark {
                scope: scope(),
                trigger: trigger(number),
                why,
                key: key.map(lane_key),
                now: self.now,
                most,
            }),
            Part::Limit(number, limit) => to.interventions.push(Intervention::Limit {
                scope: scope(),
                trigger: trigger(number),
                limit,
            }),
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
        let end = self.end(run, end);
        Some(Settlement { claim, end })
    }

    fn end(&self, run: RunId, end: usize) -> End {
        let failure = Failure::ours(FailureKind::Crash, format!("end {end}"));
        match end {
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
        }
    }

    fn dead_queries(&self, number: usize) -> Vec<DeadQuery> {
        let of_function = DeadQuery {
            function: Some(format!("f{number}").parse().unwrap()),
            limit: 5,
            ..DeadQuery::default()
        };
        let of_trigger = DeadQuery {
            trigger: Some(trigger(number)),
            limit: 3,
            ..DeadQuery::default()
        };
        vec![
            DeadQuery {
                reason: Some(DeadReason::TooOld),
                ..of_function.clone()
            },
            DeadQuery {
                since: Some(START.plus(Duration::from_secs(20))),
                ..of_trigger.clone()
            },
            DeadQuery {
                until: Some(START.plus(Duration::from_secs(40))),
                before: pick(&self.runs, number),
                ..DeadQuery {
                    limit: 2,
                    ..DeadQuery::default()
                }
            },
            of_function,
            of_trigger,
        ]
    }

    /// Everything that can be asked.
    async fn compare(&self) {
        for event in &self.events {
            let _ = same!(self, store => store.event(*event));
            let _ = same!(self, store => store.deliveries_of(*event));
            let _ = same!(self, store => store.endings(*event));
            let _ = same!(self, store => store.children(*event));
        }
        for run in &self.runs {
            let _ = same!(self, store => store.delivery(*run));
            let _ = same!(self, store => store.ahead_of(*run));
        }
        for number in 0..TRIGGERS {
            let query = self.ready_query(number);
            let _ = same!(self, store => store.ready(query.clone()));
            for dead in self.dead_queries(number) {
                let _ = same!(self, store => store.dead(dead.clone()));
            }
            let _ = same!(self, store => store.checkpoint(checkpoint_key(number)));
        }
        let _ = same!(self, store => store.backlog());
        let _ = same!(self, store => store.pauses());
        let scan = EventsQuery {
            from: EventId::from_raw(0),
            before: EventId::from_raw(i64::MAX),
            limit: 20,
        };
        let _ = same!(self, store => store.events(scan));
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

fn lane_key(name: usize) -> String {
    format!("lane {name}")
}

fn ruled(new: NewDelivery, rules: &Rules) -> NewDelivery {
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

fn pause(what: usize, at: Timestamp) -> Pause {
    Pause {
        scope: scope(),
        function: "f0".parse().unwrap(),
        trigger: (what > 0).then(|| trigger(0)),
        key: (what > 1).then(|| lane_key(0)),
        at,
        why: String::new(),
    }
}

fn answer_key(number: usize) -> AnswerKey {
    AnswerKey {
        scope: scope(),
        trigger: trigger(0),
        key: format!("request {number}"),
    }
}

/// At most one has the turn; if it does not run it is the first; and if nobody has it, the lane
/// is empty or its first one is dead.
fn check_lane(lane: Vec<&Delivery>) {
    let waits = |delivery: &&&Delivery| delivery.held == Some(Held::Order);
    let turns: Vec<_> = lane
        .iter()
        .filter(|delivery| delivery.state != State::Dead && !waits(delivery))
        .collect();
    let (Some(first), [turn, others @ ..]) = (lane.first(), &turns[..]) else {
        let dead = lane.first().is_none_or(|first| first.state == State::Dead);
        assert!(dead, "a lane stands still: {lane:#?}");
        return;
    };
    assert!(others.is_empty(), "two have the turn: {turns:#?}");
    let in_order = turn.state == State::Running || turn.id == first.id;
    assert!(in_order, "{} has the turn before {}", turn.id, first.id);
}

fn check_census(census: &Census, ours: &[&Delivery]) {
    let count = |keep: &dyn Fn(&Delivery) -> bool| {
        ours.iter().filter(|delivery| keep(delivery)).count() as u64
    };
    let held = |why: Held| count(&move |delivery: &Delivery| delivery.held == Some(why.clone()));
    let versions = count(&|delivery| matches!(delivery.held, Some(Held::Version(_))));
    let ready = |delivery: &Delivery| delivery.state == State::Queued && delivery.held.is_none();
    let earliest = ours.iter().filter(|one| ready(one)).map(|one| one.ready_at);
    let expected = Census {
        queued: count(&ready),
        earliest: earliest.min(),
        running: count(&|delivery| delivery.state == State::Running),
        for_version: versions,
        for_order: held(Held::Order),
        for_concurrency: held(Held::Concurrency),
        paused: held(Held::Paused),
        by_breaker: held(Held::Breaker),
        dead: count(&|delivery| delivery.state == State::Dead),
        blocking: census.blocking.clone(),
    };
    assert_eq!(*census, expected);
}

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
