//! Who has its turn: the rules of lanes and seats, the same for every store.
//!
//! Deliveries with one ordering key of one trigger stand in a *lane*, those with one concurrency
//! key in a *room* with so many seats as the trigger says. A store keeps the rows; the rules here
//! say where each of them stands, through the few questions and the one change of [`Table`].
//!
//! # Invariants
//! - Of a lane at most one delivery has the turn: whoever is neither dead nor `Place::Order`.
//! - Unless it runs, whoever has the turn has the least id of the lane.
//! - A lane of which nobody has the turn is empty, or its least id is a dead one that blocks.
//! - Whoever has its turn and a concurrency key is in the room. Of those who are queued there,
//!   the least (`ready_at`, id) have the seats that attempts and holds leave free; the others are
//!   `Place::Concurrency`. After the limit was lowered, those who had seats keep them.
//! - A room in which somebody waits for a seat has somebody in a seat, whose end fills it.

use wakeful_core::{
    delivery::State,
    id::RunId,
    limits,
    port::{Held, Parked},
    time::Timestamp,
};

/// Where a delivery stands. The numbers are stored and never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Place {
    /// It may be claimed when its time has come.
    Queued = 0,
    /// It is claimed.
    Running = 1,
    /// It is a dead letter.
    Dead = 2,
    /// It waits for another version.
    Version = 3,
    /// It waits for its turn in its lane.
    Order = 4,
    /// It waits for a seat in its room.
    Concurrency = 5,
    /// It is parked because its key is paused.
    Paused = 6,
    /// It is parked because its breaker is open.
    Breaker = 7,
}

/// How many places there are.
pub(crate) const PLACES: usize = 8;

impl Place {
    /// From the number that the store keeps.
    pub(crate) const fn from_stored(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Queued,
            1 => Self::Running,
            2 => Self::Dead,
            3 => Self::Version,
            4 => Self::Order,
            5 => Self::Concurrency,
            6 => Self::Paused,
            7 => Self::Breaker,
            _ => return None,
        })
    }

    /// What the port calls it.
    pub(crate) const fn state(self) -> State {
        match self {
            Self::Running => State::Running,
            Self::Dead => State::Dead,
            _ => State::Queued,
        }
    }

    /// Whether it is queued, but not ready whatever its time.
    pub(crate) const fn is_held(self) -> bool {
        !matches!(self, Self::Queued | Self::Running | Self::Dead)
    }

    /// Whether it takes a seat of its room, if it has one.
    pub(crate) const fn has_seat(self) -> bool {
        !matches!(self, Self::Dead | Self::Order | Self::Concurrency)
    }

    /// Whether it may be claimed. Who waits for a version may: whoever claims it knows better.
    pub(crate) const fn is_claimable(self) -> bool {
        matches!(self, Self::Queued | Self::Version)
    }

    /// Why it is held; `detail` is the version of `Version`.
    pub(crate) fn held(self, detail: Option<String>) -> Option<Held> {
        Some(match self {
            Self::Queued | Self::Running | Self::Dead => return None,
            Self::Version => Held::Version(detail.unwrap_or_default()),
            Self::Order => Held::Order,
            Self::Concurrency => Held::Concurrency,
            Self::Paused => Held::Paused,
            Self::Breaker => Held::Breaker,
        })
    }
}

impl From<Parked> for Place {
    fn from(why: Parked) -> Self {
        match why {
            Parked::Pause => Self::Paused,
            Parked::Breaker => Self::Breaker,
        }
    }
}

/// A lane or a room: the store's number of a trigger, and a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Key<'a> {
    pub(crate) trigger: i64,
    pub(crate) key: &'a str,
}

/// What the rules must know of a delivery.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) run: RunId,
    /// The store's number of its trigger.
    pub(crate) trigger: i64,
    pub(crate) ordering: Option<String>,
    pub(crate) concurrency: Option<String>,
    pub(crate) ready_at: Timestamp,
}

/// By what seats are given.
pub(crate) type Rank = (Timestamp, RunId);

impl Member {
    fn rank(&self) -> Rank {
        (self.ready_at, self.run)
    }

    fn lane(&self) -> Option<Key<'_>> {
        self.ordering.as_deref().map(|key| self.key(key))
    }

    fn room(&self) -> Option<Key<'_>> {
        self.concurrency.as_deref().map(|key| self.key(key))
    }

    fn key<'a>(&self, key: &'a str) -> Key<'a> {
        Key {
            trigger: self.trigger,
            key,
        }
    }
}

/// The deliveries of a store, as the rules ask for them.
pub(crate) trait Table {
    /// Why a question cannot be answered.
    type Error;

    /// The one of a lane that is neither dead nor waits for its turn.
    fn turn(&mut self, lane: Key<'_>) -> Result<Option<(RunId, Place)>, Self::Error>;
    /// The first of a lane that waits for its turn.
    fn first_waiting(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Self::Error>;
    /// The first dead one of a lane that blocks it.
    fn first_blocking(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Self::Error>;

    /// How many seats each room of a trigger has; `None` when there is no limit.
    fn limit(&mut self, trigger: i64) -> Result<Option<u32>, Self::Error>;
    /// Whether at least `count` seats of a room are taken.
    fn taken(&mut self, room: Key<'_>, count: u32) -> Result<bool, Self::Error>;
    /// The first of a room that waits for a seat.
    fn first_unseated(&mut self, room: Key<'_>) -> Result<Option<Rank>, Self::Error>;
    /// The last of a room that has a seat and is only queued.
    fn last_queued(&mut self, room: Key<'_>) -> Result<Option<Rank>, Self::Error>;
    /// The first key from `from` on of a room of `trigger` in which somebody waits for a seat.
    fn next_room(&mut self, trigger: i64, from: &str) -> Result<Option<String>, Self::Error>;

    /// What is known of a delivery that was answered to a question.
    fn member(&mut self, run: RunId) -> Result<Member, Self::Error>;
    /// Puts a delivery that is queued or held elsewhere among these.
    fn put(&mut self, run: RunId, trigger: i64, from: Place, to: Place) -> Result<(), Self::Error>;
}

/// Where a delivery that comes in, or back from the dead, is to stand. It must not be in its
/// room, nor wait or have the turn in its lane; the caller puts it where this says.
pub(crate) fn enter<T: Table>(table: &mut T, new: &Member) -> Result<Place, T::Error> {
    if let Some(lane) = new.lane() {
        match table.turn(lane)? {
            Some((_, Place::Running)) => return Ok(Place::Order),
            Some((turn, _)) if turn < new.run => return Ok(Place::Order),
            Some((turn, place)) => step_back(table, turn, place)?,
            None => {
                if table
                    .first_blocking(lane)?
                    .is_some_and(|dead| dead < new.run)
                {
                    return Ok(Place::Order);
                }
            }
        }
    }
    contend(table, new)
}

/// Goes on after a delivery has left its lane and its room, or has died.
pub(crate) fn left<T: Table>(table: &mut T, gone: &Member, from: Place) -> Result<(), T::Error> {
    if let Some(lane) = gone.lane() {
        advance(table, lane)?;
    }
    match gone.room() {
        Some(room) if from.has_seat() => fill(table, room, limits::RELEASE_STEP).map(drop),
        _ => Ok(()),
    }
}

/// Goes on after a delivery that had the turn and a seat is `Place::Queued`, for a time that may
/// be another one.
pub(crate) fn requeued<T: Table>(table: &mut T, queued: &Member) -> Result<(), T::Error> {
    if let Some(room) = queued.room()
        && let Some(limit) = table.limit(queued.trigger)?
    {
        let sooner = table
            .first_unseated(room)?
            .is_some_and(|other| other < queued.rank());
        if (sooner || table.taken(room, limit.saturating_add(1))?)
            && let Some((_, last)) = table.last_queued(room)?
        {
            table.put(last, room.trigger, Place::Queued, Place::Concurrency)?;
            fill(table, room, limits::RELEASE_STEP)?;
        }
    }
    stands_still(table, queued)
}

/// Goes on after a delivery that ran is held or queued: one that was given its place in the lane
/// meanwhile may be before it.
pub(crate) fn stands_still<T: Table>(table: &mut T, member: &Member) -> Result<(), T::Error> {
    match member.lane() {
        Some(lane) => advance(table, lane),
        None => Ok(()),
    }
}

/// Gives the turn of a lane to whom it belongs.
fn advance<T: Table>(table: &mut T, lane: Key<'_>) -> Result<(), T::Error> {
    let turn = table.turn(lane)?;
    if turn.is_some_and(|(_, place)| place == Place::Running) {
        return Ok(());
    }
    let Some(first) = table.first_waiting(lane)? else {
        return Ok(());
    };
    if turn.is_some_and(|(turn, _)| turn < first)
        || table.first_blocking(lane)?.is_some_and(|dead| dead < first)
    {
        return Ok(());
    }
    if let Some((turn, place)) = turn {
        step_back(table, turn, place)?;
    }
    let member = table.member(first)?;
    let place = contend(table, &member)?;
    table.put(first, lane.trigger, Place::Order, place)
}

/// Takes the turn from somebody who does not run.
fn step_back<T: Table>(table: &mut T, run: RunId, from: Place) -> Result<(), T::Error> {
    let member = table.member(run)?;
    table.put(run, member.trigger, from, Place::Order)?;
    match member.room() {
        Some(room) if from.has_seat() => fill(table, room, limits::RELEASE_STEP).map(drop),
        _ => Ok(()),
    }
}

/// Finds a seat for somebody who has its turn and is not in the room yet.
fn contend<T: Table>(table: &mut T, member: &Member) -> Result<Place, T::Error> {
    let Some(room) = member.room() else {
        return Ok(Place::Queued);
    };
    let Some(limit) = table.limit(member.trigger)? else {
        return Ok(Place::Queued);
    };
    for _ in 0..limits::RELEASE_STEP {
        if table.taken(room, limit)? {
            return match table.last_queued(room)? {
                Some(last) if member.rank() < last => {
                    table.put(last.1, room.trigger, Place::Queued, Place::Concurrency)?;
                    Ok(Place::Queued)
                }
                _ => Ok(Place::Concurrency),
            };
        }
        match table.first_unseated(room)? {
            Some(first) if first < member.rank() => {
                table.put(first.1, room.trigger, Place::Concurrency, Place::Queued)?;
            }
            _ => return Ok(Place::Queued),
        }
    }
    // Others with seats are there, and the end of each of them goes on from here.
    Ok(Place::Concurrency)
}

/// Fills the free seats of a room, at most `most` of them; replies how many it filled.
fn fill<T: Table>(table: &mut T, room: Key<'_>, most: usize) -> Result<usize, T::Error> {
    for filled in 0..most {
        let Some((_, first)) = table.first_unseated(room)? else {
            return Ok(filled);
        };
        if let Some(limit) = table.limit(room.trigger)?
            && table.taken(room, limit)?
        {
            return Ok(filled);
        }
        table.put(first, room.trigger, Place::Concurrency, Place::Queued)?;
    }
    Ok(most)
}

/// Fills the free seats of all rooms of a trigger from the key `from` on; replies with which key
/// to go on when `most` deliveries and rooms were seen and there are more.
pub(crate) fn fill_rooms<T: Table>(
    table: &mut T,
    trigger: i64,
    from: &str,
    most: usize,
) -> Result<Option<String>, T::Error> {
    let mut left = most;
    let mut next = table.next_room(trigger, from)?;
    while let Some(key) = next {
        if left == 0 {
            return Ok(Some(key));
        }
        let room = Key { trigger, key: &key };
        let filled = fill(table, room, left)?;
        // A room that used up the step may not be full yet; otherwise on with the next key,
        // and the least one after this is this one with a NUL.
        let from = if filled == left {
            key
        } else {
            format!("{key}\0")
        };
        left -= filled.max(1);
        next = table.next_room(trigger, &from)?;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_numbers_stay() {
        for number in 0..PLACES as u8 {
            assert_eq!(
                Place::from_stored(number).map(|place| place as u8),
                Some(number)
            );
        }
        assert_eq!(Place::from_stored(PLACES as u8), None);
        assert_eq!(
            [Place::Queued, Place::Running, Place::Dead, Place::Version].map(|place| place as u8),
            [0, 1, 2, 3],
            "as format 1 has them"
        );
    }
}
