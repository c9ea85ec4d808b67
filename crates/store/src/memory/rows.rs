//! The deliveries of the store in memory, and every order in which they are looked for.
//!
//! A row is changed only through [`Rows::change`], which takes it out of all orders and puts it
//! into those where it belongs afterwards: none can be forgotten.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
};

use wakeful_core::{
    id::{EventId, RunId},
    name::{Scope, TriggerId},
    port::{Delivery, Epoch},
    time::Timestamp,
};

use crate::lanes::{Key, Member, PLACES, Place, Rank, Table};

/// A delivery, with what its callers do not see.
#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) delivery: Delivery,
    /// The number of its trigger.
    pub(super) trigger: i64,
    pub(super) place: Place,
    /// It was born dead and blocks nobody until it is redriven.
    pub(super) aside: bool,
    /// The epoch of its last claim.
    pub(super) claimed_by: Epoch,
    /// Its debounce key, and when the first of its chain was to be ready.
    pub(super) debounce: Option<(String, Timestamp)>,
    /// The key that it is parked for.
    pub(super) parked_for: Option<String>,
}

/// What a delivery is in its lane.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Has,
    Waits,
    Blocks,
}

/// What a delivery is in its room.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seat {
    Queued,
    Keeps,
    Waits,
}

impl Row {
    /// Puts it at `place`; the version that it waits for is said separately.
    pub(super) fn stand(&mut self, place: Place) {
        self.place = place;
        self.delivery.state = place.state();
        self.delivery.held = place.held(None);
        self.parked_for = None;
    }

    pub(super) fn member(&self) -> Member {
        Member {
            run: self.delivery.id,
            trigger: self.trigger,
            ordering: self.delivery.keys.ordering.clone(),
            concurrency: self.delivery.keys.concurrency.clone(),
            ready_at: self.delivery.ready_at,
        }
    }

    fn rank(&self) -> Rank {
        (self.delivery.ready_at, self.delivery.id)
    }

    fn turn(&self) -> Option<(&str, Turn)> {
        let key = self.delivery.keys.ordering.as_deref()?;
        let blocks = self.delivery.blocks && !self.aside;
        let turn = match self.place {
            Place::Order => Turn::Waits,
            Place::Dead => blocks.then_some(Turn::Blocks)?,
            _ => Turn::Has,
        };
        Some((key, turn))
    }

    fn seat(&self) -> Option<(&str, Seat)> {
        let key = self.delivery.keys.concurrency.as_deref()?;
        let seat = match self.place {
            Place::Dead | Place::Order => return None,
            Place::Queued => Seat::Queued,
            Place::Concurrency => Seat::Waits,
            _ => Seat::Keeps,
        };
        Some((key, seat))
    }

    /// The debounce key by which a new delivery would take its place.
    fn debounced(&self) -> Option<&str> {
        let waits = self.delivery.starts == 0 && self.place != Place::Dead;
        let (key, _) = self.debounce.as_ref().filter(|_| waits)?;
        Some(key)
    }
}

/// The deliveries with one ordering key.
#[derive(Debug, Clone, Default)]
struct Lane {
    turn: BTreeSet<RunId>,
    waiting: BTreeSet<RunId>,
    blocking: BTreeSet<RunId>,
}

/// The deliveries with one concurrency key that have their turn.
#[derive(Debug, Clone, Default)]
struct Room {
    queued: BTreeSet<Rank>,
    keeping: BTreeSet<RunId>,
    waiting: BTreeSet<Rank>,
}

/// A trigger and what stands in it.
#[derive(Debug, Clone)]
pub(super) struct Trigger {
    pub(super) scope: Scope,
    pub(super) id: TriggerId,
    pub(super) limit: Option<u32>,
    pub(super) ready: BTreeSet<Rank>,
    pub(super) counts: [u64; PLACES],
    pub(super) parked: BTreeSet<(Place, RunId)>,
    pub(super) blocking: BTreeSet<RunId>,
    lanes: HashMap<String, Lane>,
    rooms: BTreeMap<String, Room>,
    pub(super) debounced: HashMap<String, RunId>,
}

/// All deliveries.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    rows: BTreeMap<RunId, Row>,
    numbers: HashMap<(Scope, TriggerId), i64>,
    pub(super) triggers: Vec<Trigger>,
    by_event: BTreeMap<EventId, BTreeSet<RunId>>,
    pub(super) running: BTreeSet<RunId>,
    pub(super) dead: BTreeSet<RunId>,
    pub(super) for_version: BTreeSet<RunId>,
    /// Triggers of which held deliveries became ready.
    pub(super) released: BTreeSet<i64>,
}

fn toggle<T: Ord>(set: &mut BTreeSet<T>, item: T, there: bool) {
    let changed = if there {
        set.insert(item)
    } else {
        set.remove(&item)
    };
    debug_assert!(changed, "an order of deliveries is not what it should be");
}

impl Rows {
    pub(super) fn get(&self, run: RunId) -> Option<&Row> {
        self.rows.get(&run)
    }

    pub(super) fn all(&self) -> &BTreeMap<RunId, Row> {
        &self.rows
    }

    pub(super) fn owes(&self, event: EventId) -> bool {
        self.by_event.contains_key(&event)
    }

    pub(super) fn of_event(&self, event: EventId) -> impl Iterator<Item = &Row> {
        let runs = self.by_event.get(&event).into_iter().flatten();
        runs.filter_map(|run| self.rows.get(run))
    }

    pub(super) fn number(&self, scope: &Scope, id: &TriggerId) -> Option<i64> {
        self.numbers.get(&(scope.clone(), id.clone())).copied()
    }

    pub(super) fn trigger(&self, number: i64) -> &Trigger {
        &self.triggers[number as usize]
    }

    /// The number of a trigger, given to it now if it has none.
    pub(super) fn intern(&mut self, scope: &Scope, id: &TriggerId) -> i64 {
        let key = (scope.clone(), id.clone());
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = self.triggers.len() as i64;
        self.numbers.insert(key, number);
        self.triggers.push(Trigger {
            scope: scope.clone(),
            id: id.clone(),
            limit: None,
            ready: BTreeSet::new(),
            counts: [0; PLACES],
            parked: BTreeSet::new(),
            blocking: BTreeSet::new(),
            lanes: HashMap::new(),
            rooms: BTreeMap::new(),
            debounced: HashMap::new(),
        });
        number
    }

    pub(super) fn insert(&mut self, row: Row) {
        self.mark(&row, true);
        self.rows.insert(row.delivery.id, row);
    }

    pub(super) fn remove(&mut self, run: RunId) -> Option<Row> {
        let row = self.rows.remove(&run)?;
        self.mark(&row, false);
        Some(row)
    }

    /// Changes a row; replies what the rules must know of it now.
    pub(super) fn change(&mut self, run: RunId, change: impl FnOnce(&mut Row)) -> Option<Member> {
        let mut row = self.remove(run)?;
        let from = row.place;
        change(&mut row);
        if from.is_held() && row.place == Place::Queued {
            self.released.insert(row.trigger);
        }
        let member = row.member();
        self.insert(row);
        Some(member)
    }

    /// Puts a row into all orders where it belongs, or takes it out of them.
    fn mark(&mut self, row: &Row, there: bool) {
        let run = row.delivery.id;
        let of_event = self.by_event.entry(row.delivery.event).or_default();
        toggle(of_event, run, there);
        if of_event.is_empty() {
            self.by_event.remove(&row.delivery.event);
        }
        match row.place {
            Place::Running => toggle(&mut self.running, run, there),
            Place::Dead => toggle(&mut self.dead, run, there),
            Place::Version => toggle(&mut self.for_version, run, there),
            _ => {}
        }
        self.triggers[row.trigger as usize].mark(row, there);
    }
}

impl Trigger {
    fn mark(&mut self, row: &Row, there: bool) {
        let (run, rank) = (row.delivery.id, row.rank());
        let count = &mut self.counts[row.place as usize];
        *count = if there { *count + 1 } else { *count - 1 };
        match row.place {
            Place::Queued => toggle(&mut self.ready, rank, there),
            Place::Paused | Place::Breaker => toggle(&mut self.parked, (row.place, run), there),
            _ => {}
        }
        if let Some((key, turn)) = row.turn() {
            let lane = self.lanes.entry(key.to_owned()).or_default();
            match turn {
                Turn::Has => toggle(&mut lane.turn, run, there),
                Turn::Waits => toggle(&mut lane.waiting, run, there),
                Turn::Blocks => {
                    toggle(&mut lane.blocking, run, there);
                    toggle(&mut self.blocking, run, there);
                }
            }
            if lane.turn.is_empty() && lane.waiting.is_empty() && lane.blocking.is_empty() {
                self.lanes.remove(key);
            }
        }
        if let Some((key, seat)) = row.seat() {
            let room = self.rooms.entry(key.to_owned()).or_default();
            match seat {
                Seat::Queued => toggle(&mut room.queued, rank, there),
                Seat::Keeps => toggle(&mut room.keeping, run, there),
                Seat::Waits => toggle(&mut room.waiting, rank, there),
            }
            if room.queued.is_empty() && room.keeping.is_empty() && room.waiting.is_empty() {
                self.rooms.remove(key);
            }
        }
        if let Some(key) = row.debounced() {
            if there {
                self.debounced.insert(key.to_owned(), run);
            } else {
                self.debounced.remove(key);
            }
        }
    }

    /// Those of a concurrency key that have a seat.
    pub(super) fn seated(&self, key: &str) -> BTreeSet<RunId> {
        let room = self.rooms.get(key);
        let queued = room.into_iter().flat_map(|room| &room.queued);
        let keeping = room.into_iter().flat_map(|room| &room.keeping);
        queued
            .map(|(_, run)| *run)
            .chain(keeping.copied())
            .collect()
    }

    /// Those of an ordering key that have the turn, or block it and are before `run`.
    pub(super) fn ahead_in(&self, key: &str, run: RunId) -> BTreeSet<RunId> {
        let lane = self.lanes.get(key);
        let turn = lane.into_iter().flat_map(|lane| &lane.turn);
        let blocking = lane.into_iter().flat_map(|lane| lane.blocking.range(..run));
        turn.chain(blocking).copied().collect()
    }
}

impl Rows {
    fn lane(&self, lane: Key<'_>) -> Option<&Lane> {
        self.trigger(lane.trigger).lanes.get(lane.key)
    }

    fn room(&self, room: Key<'_>) -> Option<&Room> {
        self.trigger(room.trigger).rooms.get(room.key)
    }
}

impl Table for Rows {
    type Error = Infallible;

    fn turn(&mut self, lane: Key<'_>) -> Result<Option<(RunId, Place)>, Infallible> {
        let run = self.lane(lane).and_then(|lane| lane.turn.first());
        Ok(run.and_then(|run| self.get(*run).map(|row| (*run, row.place))))
    }

    fn first_waiting(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Infallible> {
        Ok(self
            .lane(lane)
            .and_then(|lane| lane.waiting.first())
            .copied())
    }

    fn first_blocking(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Infallible> {
        Ok(self
            .lane(lane)
            .and_then(|lane| lane.blocking.first())
            .copied())
    }

    fn limit(&mut self, trigger: i64) -> Result<Option<u32>, Infallible> {
        Ok(self.trigger(trigger).limit)
    }

    fn taken(&mut self, room: Key<'_>, count: u32) -> Result<bool, Infallible> {
        let taken = self
            .room(room)
            .map_or(0, |room| room.queued.len() + room.keeping.len());
        Ok(taken >= count as usize)
    }

    fn first_unseated(&mut self, room: Key<'_>) -> Result<Option<Rank>, Infallible> {
        Ok(self
            .room(room)
            .and_then(|room| room.waiting.first())
            .copied())
    }

    fn last_queued(&mut self, room: Key<'_>) -> Result<Option<Rank>, Infallible> {
        Ok(self.room(room).and_then(|room| room.queued.last()).copied())
    }

    fn next_room(&mut self, trigger: i64, from: &str) -> Result<Option<String>, Infallible> {
        let mut rooms = self.trigger(trigger).rooms.range(from.to_owned()..);
        Ok(rooms
            .find(|(_, room)| !room.waiting.is_empty())
            .map(|(key, _)| key.clone()))
    }

    fn member(&mut self, run: RunId) -> Result<Member, Infallible> {
        let row = self.get(run).expect("the orders name rows that are there");
        Ok(row.member())
    }

    fn put(&mut self, run: RunId, _: i64, from: Place, to: Place) -> Result<(), Infallible> {
        let put = self.change(run, |row| {
            debug_assert_eq!(row.place, from, "{run}");
            row.stand(to);
        });
        debug_assert!(put.is_some(), "{run}");
        Ok(())
    }
}
