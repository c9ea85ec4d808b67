//! Transactions of random parts.

use super::*;

impl Both {
    pub(crate) async fn transaction(&mut self, parts: Vec<Part>) -> Transaction {
        let mut transaction = Transaction::default();
        for part in parts {
            self.add(&mut transaction, part).await;
        }
        transaction
    }

    pub(crate) async fn add(&mut self, to: &mut Transaction, part: Part) {
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

    pub(crate) async fn add_object(&mut self, to: &mut Transaction, part: Part) {
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

    pub(crate) async fn settlement(
        &self,
        run: usize,
        stale: bool,
        end: usize,
    ) -> Option<Settlement> {
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

    pub(crate) fn end(&self, run: RunId, end: usize) -> End {
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
}
