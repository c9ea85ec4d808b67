//! What can be asked of the store in memory.

use std::ops::Bound;

use wakeful_core::{
    event::Event,
    id::{EventId, RunId},
    limits,
    name::{Scope, TriggerId},
    port::{
        Backlog, Census, DeadQuery, Delivery, EventsQuery, Expired, ExpiredQuery, Held, ReadyQuery,
    },
};

use super::state::State;
use crate::lanes::Place;

impl State {
    pub(super) fn delivery(&self, run: RunId) -> Option<Delivery> {
        self.rows.get(run).map(|row| row.delivery.clone())
    }

    pub(super) fn deliveries_of(&self, event: EventId) -> Vec<Delivery> {
        let rows = self.rows.of_event(event);
        rows.map(|row| row.delivery.clone()).collect()
    }

    pub(super) fn ready(&self, query: &ReadyQuery) -> Vec<Delivery> {
        let Some(number) = self.rows.number(&query.scope, &query.trigger) else {
            return Vec::new();
        };
        let from = query.after.map_or(Bound::Unbounded, Bound::Excluded);
        let to = Bound::Included((query.now, RunId::from_raw(i64::MAX)));
        let ready = &self.rows.trigger(number).ready;
        if query.after.is_some_and(|after| after.0 > query.now) {
            return Vec::new();
        }
        let ranks = ready.range((from, to)).take(bounded(query.limit));
        ranks.filter_map(|(_, run)| self.delivery(*run)).collect()
    }

    pub(super) fn backlog(&self) -> Vec<Backlog> {
        let triggers = self.rows.triggers.iter();
        let waiting = triggers.filter_map(|trigger| {
            let (earliest, _) = trigger.ready.first()?;
            Some(Backlog {
                scope: trigger.scope.clone(),
                trigger: trigger.id.clone(),
                queued: trigger.ready.len() as u64,
                earliest: *earliest,
            })
        });
        let mut found: Vec<Backlog> = waiting.collect();
        found.sort_by(|a, b| (&a.scope, &a.trigger).cmp(&(&b.scope, &b.trigger)));
        found
    }

    pub(super) fn expired(&self, query: ExpiredQuery) -> Expired {
        let bounds = (
            query.after.map_or(Bound::Unbounded, Bound::Excluded),
            Bound::Unbounded,
        );
        let mut rest = self.rows.all().range(bounds);
        let step: Vec<_> = rest.by_ref().take(limits::EXPIRY_STEP).collect();
        let old = step.iter().filter(|(_, row)| {
            let waits = !matches!(row.place, Place::Running | Place::Dead);
            waits && row.delivery.expires_at <= query.now
        });
        Expired {
            next: rest.next().and(step.last()).map(|(run, _)| **run),
            deliveries: old.map(|(_, row)| row.delivery.clone()).collect(),
        }
    }

    pub(super) fn dead(&self, query: &DeadQuery) -> Vec<Delivery> {
        let before = query.before.map_or(Bound::Unbounded, Bound::Excluded);
        let dead = self.rows.dead.range((Bound::Unbounded, before)).rev();
        let rows = dead.filter_map(|run| self.rows.get(*run));
        let wanted = rows.filter(|row| {
            let delivery = &row.delivery;
            let Some((reason, at)) = delivery.dead else {
                return false;
            };
            let function = query.function.as_ref();
            let trigger = query.trigger.as_ref();
            function.is_none_or(|name| *name == delivery.function)
                && trigger.is_none_or(|name| *name == delivery.trigger)
                && query.reason.is_none_or(|wanted| wanted == reason)
                && query.since.is_none_or(|since| at >= since)
                && query.until.is_none_or(|until| at < until)
        });
        let found = wanted.take(bounded(query.limit));
        found.map(|row| row.delivery.clone()).collect()
    }

    pub(super) fn events(&self, query: EventsQuery) -> Vec<Result<Event, EventId>> {
        if query.from >= query.before {
            return Vec::new();
        }
        let events = self.events.range(query.from..query.before);
        let mut weight = 0;
        let light = events.take_while(|(_, event)| {
            let room = weight < limits::COMMIT_GROUP_BYTES;
            weight += event.data.len() as u64;
            room
        });
        light
            .take(bounded(query.limit))
            .map(|(_, event)| Ok(event.clone()))
            .collect()
    }

    pub(super) fn census(&self, scope: &Scope, trigger: &TriggerId) -> Census {
        let Some(number) = self.rows.number(scope, trigger) else {
            return Census::default();
        };
        let trigger = self.rows.trigger(number);
        let count = |place: Place| trigger.counts[place as usize];
        let blocking = trigger.blocking.iter().take(limits::CENSUS_BLOCKING);
        Census {
            queued: count(Place::Queued),
            earliest: trigger.ready.first().map(|(at, _)| *at),
            running: count(Place::Running),
            for_version: count(Place::Version),
            for_order: count(Place::Order),
            for_concurrency: count(Place::Concurrency),
            paused: count(Place::Paused),
            by_breaker: count(Place::Breaker),
            dead: count(Place::Dead),
            blocking: blocking.copied().collect(),
        }
    }

    pub(super) fn ahead_of(&self, run: RunId) -> Vec<Delivery> {
        let Some(row) = self.rows.get(run) else {
            return Vec::new();
        };
        let trigger = self.rows.trigger(row.trigger);
        let keys = &row.delivery.keys;
        let ahead = match (&row.delivery.held, &keys.ordering, &keys.concurrency) {
            (Some(Held::Order), Some(key), _) => trigger.ahead_in(key, run),
            (Some(Held::Concurrency), _, Some(key)) => trigger.seated(key),
            _ => return Vec::new(),
        };
        let ahead = ahead.into_iter().take(limits::STORE_READ_ROWS);
        ahead.filter_map(|run| self.delivery(run)).collect()
    }
}

fn bounded(limit: usize) -> usize {
    limit.min(limits::STORE_READ_ROWS)
}
