//! Both stores side by side.

use super::*;

struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        START
    }
}

/// Both stores, and what a caller remembers of them.
pub(crate) struct Both {
    pub(crate) folder: TempDir,
    pub(crate) sqlite: SqliteStore,
    pub(crate) memory: MemoryStore,
    pub(crate) ids: IdSource,
    pub(crate) now: Timestamp,
    pub(crate) events: Vec<EventId>,
    pub(crate) runs: Vec<RunId>,
    pub(crate) uploads: Vec<UploadId>,
    /// Deliveries that were born dead and not redriven.
    pub(crate) aside: HashSet<RunId>,
    /// Of each trigger its limit, and whether that was lowered.
    pub(crate) limits: Vec<(Option<u32>, bool)>,
}

impl Both {
    pub(crate) fn new() -> Self {
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

    pub(crate) async fn step(&mut self, op: Op) {
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
    pub(crate) async fn learn(&mut self, transaction: &Transaction, committed: &Committed) {
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

    pub(crate) fn set_limit(&mut self, of: &TriggerId, limit: Option<u32>) {
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
    pub(crate) async fn work(&mut self, end: usize) {
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

    pub(crate) fn ready_query(&self, number: usize) -> ReadyQuery {
        ReadyQuery {
            scope: scope(),
            trigger: trigger(number),
            now: self.now,
            after: None,
            limit: 1000,
        }
    }

    pub(crate) fn dead_queries(&self, number: usize) -> Vec<DeadQuery> {
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
    pub(crate) async fn compare(&self) {
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
