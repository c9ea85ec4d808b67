//! Taking events in, as `dispatcher::submit` and `dispatcher::owed` do.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use wakeful_core::{
    event::{Event, Extensions, Lineage, Origin},
    filter::EventView,
    flow::{KeyExpression, OnExhausted, Priority},
    id::RunId,
    limits,
    port::{Committed, Dedup, Delivery, Keys, NewDebounce, NewDelivery, StoreError, Transaction},
};

use super::{Happening, World, places::Place};
use crate::mutation::Mutation;

/// What a source sends.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(super) trigger: usize,
    number: u64,
    data: String,
    /// Milliseconds before which nothing is to start.
    delay: Option<u64>,
    depth: u16,
}

/// Events with what they are owed, on their way to the disk.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) sent: Vec<Sent>,
    pub(super) events: Vec<Arc<Event>>,
    pub(super) planned: Vec<Planned>,
}

/// A delivery that is about to be committed, with the place that was reserved for it.
#[derive(Debug)]
pub(super) struct Planned {
    pub(super) trigger: usize,
    pub(super) delivery: NewDelivery,
    place: Option<Place>,
}

impl World {
    pub(super) fn arrive(&mut self) {
        if self.server.is_none() {
            return self.later(40, Happening::Arrive);
        }
        let count = *self.dice.pick(&[1, 1, 1, 2, 6]);
        let sent = (0..count).map(|_| self.sent()).collect();
        self.hand_in(sent);
    }

    fn sent(&mut self) -> Sent {
        let triggers = self.scenario.specs.len() as u64;
        let trigger = usize::try_from(self.dice.below(triggers)).unwrap_or_default();
        self.sent += 1;
        let number = self.sent;
        let keys = self.scenario.keys;
        let mut fields = vec![format!("\"n\":{number}")];
        for name in ["o", "c", "r", "b", "d", "u"] {
            if !self.dice.chance(100) {
                fields.push(format!("\"{name}\":\"k{}\"", self.dice.below(keys)));
            }
        }
        // Some events fail whatever is done.
        fields.push(format!("\"poison\":{}", self.dice.chance(60)));
        Sent {
            trigger,
            number,
            data: format!("{{{}}}", fields.join(",")),
            delay: self.dice.chance(80).then(|| self.dice.below(5000)),
            depth: 0,
        }
    }

    /// What a destination is told of.
    pub(super) fn told(&mut self, trigger: usize, of: &Event) -> Sent {
        self.sent += 1;
        Sent {
            trigger,
            number: self.sent,
            data: String::from_utf8_lossy(&of.data).into_owned(),
            delay: None,
            depth: of.lineage.depth + 1,
        }
    }

    fn hand_in(&mut self, sent: Vec<Sent>) {
        let submission = self.prepare(sent, true);
        let runs: Vec<String> = (submission.planned.iter())
            .map(|plan| {
                let born = if plan.place.is_some() { " now" } else { "" };
                format!("{}{born}", plan.trigger)
            })
            .collect();
        let numbers: Vec<u64> = submission.sent.iter().map(|one| one.number).collect();
        let runs = runs.join(", ");
        self.line(format_args!("events {numbers:?} for {runs}"));
        if self.mutation == Some(Mutation::AcknowledgesTooEarly) {
            let runs: Vec<_> = submission
                .planned
                .iter()
                .map(|plan| plan.delivery.id)
                .collect();
            self.model.acknowledged(&runs);
        }
        let hop = self.hop();
        self.soon(hop, Happening::Submit(Box::new(submission)));
    }

    /// What the events are owed; with places for what may start at once.
    pub(super) fn prepare(&mut self, sent: Vec<Sent>, with_places: bool) -> Submission {
        let mut events = Vec::new();
        let mut planned = Vec::new();
        for one in &sent {
            let event = Arc::new(self.event(one));
            let mut delivery = self.owe(one, &event);
            let place = with_places
                .then(|| self.place_at_once(one.trigger, &delivery))
                .flatten();
            delivery.claimed = place.is_some();
            planned.push(Planned {
                trigger: one.trigger,
                delivery,
                place,
            });
            events.push(event);
        }
        Submission {
            sent,
            events,
            planned,
        }
    }

    fn event(&self, sent: &Sent) -> Event {
        let now = self.wall();
        Event {
            key: self.ids.event(now),
            origin: Origin::Invoke(self.spec(sent.trigger).function.clone()),
            id: format!("event-{}", sent.number),
            source: "/simulated".to_owned(),
            kind: "simulated.event".to_owned(),
            subject: None,
            time: now,
            content_type: "application/json".to_owned(),
            data: Bytes::from(sent.data.clone()),
            extensions: Extensions::new(),
            lineage: Lineage {
                depth: sent.depth,
                ..Lineage::default()
            },
        }
    }

    fn owe(&self, sent: &Sent, event: &Event) -> NewDelivery {
        let spec = self.spec(sent.trigger);
        let (flow, now) = (&spec.flow, self.wall());
        let view = EventView::of(event);
        let of = |key: &KeyExpression| key.key_of(&view).unwrap_or_default();
        let due = sent
            .delay
            .map_or(now, |ms| now.plus(Duration::from_millis(ms)));
        let head_start = match (&flow.priority, sent.delay) {
            (Some(Priority::Fixed(start)), None) => *start,
            _ => Duration::ZERO,
        };
        let by_rule = flow.dedup.as_ref().and_then(|rule| {
            let key = format!("key\n{}", rule.key.key_of(&view)?);
            Some(Dedup {
                key,
                window: rule.window,
            })
        });
        let by_id = || {
            spec.sends_ids.then(|| Dedup {
                key: format!("id\n{}", event.id),
                window: limits::DEDUP_WINDOW,
            })
        };
        let debounce = flow.debounce.as_ref().and_then(|rule| {
            let key = match &rule.key {
                None => String::new(),
                Some(key) => key.key_of(&view)?,
            };
            Some(NewDebounce {
                key,
                wait: rule.wait,
                most: rule.most,
            })
        });
        NewDelivery {
            id: self.ids.run(now),
            scope: self.scenario.scope.clone(),
            event: event.key,
            trigger: spec.trigger.clone(),
            function: spec.function.clone(),
            keys: Keys {
                ordering: flow.ordering.as_ref().map(|rule| of(&rule.key)),
                concurrency: flow.concurrency.as_ref().map(|rule| of(&rule.key)),
                rate: flow
                    .rate
                    .as_ref()
                    .and_then(|rule| rule.key.as_ref())
                    .map(of),
                breaker: flow
                    .breaker
                    .as_ref()
                    .and_then(|rule| rule.key.as_ref())
                    .map(of),
            },
            key_limit: flow.concurrency.as_ref().map(|rule| rule.limit),
            blocks: (flow.ordering.as_ref())
                .is_some_and(|rule| rule.on_exhausted == OnExhausted::Block),
            on_unknown: flow.on_unknown,
            debounce,
            ready_at: due.minus(head_start),
            expires_at: due.plus(spec.retry.max_age),
            claimed: false,
            dead: None,
            dedup: by_rule.or_else(by_id),
        }
    }

    /// A place when one is free now, nothing older waits and the rules let it start.
    fn place_at_once(&mut self, trigger: usize, new: &NewDelivery) -> Option<Place> {
        let (wall, steady) = (self.wall(), self.steady);
        let batch = self.spec(trigger).flow.batch.is_some();
        let waits = batch || new.debounce.is_some() || new.ready_at > wall;
        if waits || self.broken_code[trigger] {
            return None;
        }
        let server = self.server.as_mut()?;
        if server.feeders.contains_key(&trigger) {
            return None;
        }
        let place = server.pools[trigger].reserve(false)?;
        let gate = &mut server.gates[trigger];
        let may = gate.may_start(&new.keys, wall);
        if !may || gate.take(&[(new.id, &new.keys)], wall).is_err() {
            server.pools[trigger].leave(place, None);
            return None;
        }
        let head = stored(new.clone());
        self.model.decided(trigger, &[&head], false, wall, steady);
        Some(place)
    }

    pub(super) fn submit(&mut self, submission: Submission) {
        let transaction = Transaction {
            events: submission
                .events
                .iter()
                .map(|event| Event::clone(event))
                .collect(),
            deliveries: (submission.planned.iter())
                .map(|plan| plan.delivery.clone())
                .collect(),
            ..Transaction::default()
        };
        match self.commit(transaction) {
            Ok(committed) => {
                let runs: Vec<_> = (submission.planned.iter())
                    .map(|plan| plan.delivery.id)
                    .filter(|run| !committed.duplicates.iter().any(|(new, _)| new == run))
                    .collect();
                let names = self.names(&runs);
                self.line(format_args!("on disk: {names}"));
                self.model.acknowledged(&runs);
                self.begin(submission, &committed);
            }
            Err(error) => {
                for plan in submission.planned {
                    self.forget_place(plan.trigger, plan.delivery.id, plan.place);
                }
                // A source that is told of a full disk keeps what it has, and so do those who do
                // not know: they hand it in again.
                if matches!(error, StoreError::DiskFull) || self.dice.chance(700) {
                    self.keep(submission.sent);
                }
            }
        }
    }

    /// A source was not told that these are on disk.
    pub(super) fn keep(&mut self, sent: Vec<Sent>) {
        self.unsure.extend(sent);
        let after = 2000 + self.hop();
        self.later(after, Happening::Again);
    }

    /// It hands them in again.
    pub(super) fn submit_again(&mut self) {
        if self.unsure.is_empty() {
            return;
        }
        if self.server.is_none() {
            return self.later(100, Happening::Again);
        }
        let again = std::mem::take(&mut self.unsure);
        self.trace.count("events handed in again");
        self.hand_in(again);
    }

    /// After the commit: starts what was born claimed, sees to it that the rest is fed.
    pub(super) fn begin(&mut self, submission: Submission, committed: &Committed) {
        let events = submission.events;
        for (plan, event) in submission.planned.into_iter().zip(events) {
            let run = plan.delivery.id;
            if committed.duplicates.iter().any(|(new, _)| *new == run) {
                self.trace.count("duplicate");
                self.forget_place(plan.trigger, run, plan.place);
                continue;
            }
            if committed.superseded.iter().any(|(_, by)| *by == run) {
                self.trace.count("superseded");
            }
            let unclaimed = committed.unclaimed.contains(&run);
            let ignores = self.mutation == Some(Mutation::StartsUnclaimed);
            match plan.place {
                Some(place) if !unclaimed || ignores => {
                    self.trace.count("born claimed");
                    let delivery = stored(plan.delivery);
                    self.begin_attempt(plan.trigger, vec![(delivery, event)], place);
                }
                place => {
                    if unclaimed {
                        self.trace.count("not its turn after all");
                    }
                    self.forget_place(plan.trigger, run, place);
                    // Whoever is ahead of it sees to it that it is fed.
                    if !unclaimed {
                        self.feed(plan.trigger);
                    }
                }
            }
        }
        self.fed_by(committed);
    }

    fn forget_place(&mut self, trigger: usize, run: RunId, place: Option<Place>) {
        let (Some(place), Some(server)) = (place, self.server.as_mut()) else {
            return;
        };
        server.gates[trigger].give_back(run);
        server.pools[trigger].leave(place, None);
        self.model.undone(trigger, run);
        self.place_is_free(trigger);
    }
}

/// A new delivery as the store has it after the commit.
fn stored(new: NewDelivery) -> Delivery {
    match new.claimed {
        true => new.started(),
        false => new.queued(),
    }
}
