//! What the rules of lanes ask of the deliveries' table. Every question is one seek of an index,
//! but `taken`, which steps over as many entries as it asks for.

use rusqlite::{OptionalExtension, Params, Row, params};
use wakeful_core::{id::RunId, time::Timestamp};

use super::{
    apply::Applier,
    fault::{Fault, malformed},
};
use crate::lanes::{Key, Member, Place, Rank, Table};

/// The columns of a [`Member`], as [`member`] reads them.
macro_rules! member_columns {
    () => {
        "id, trigger, ordering_key, concurrency_key, ready_at"
    };
}
pub(super) use member_columns;

/// The member of a row that begins with these columns.
pub(super) fn member(row: &Row<'_>) -> rusqlite::Result<Member> {
    Ok(Member {
        run: RunId::from_raw(row.get(0)?),
        trigger: row.get(1)?,
        ordering: row.get(2)?,
        concurrency: row.get(3)?,
        ready_at: Timestamp::from_millis(row.get(4)?),
    })
}

impl Applier<'_> {
    fn seek<T>(
        &self,
        sql: &str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, Fault> {
        let mut statement = self.conn.prepare_cached(sql)?;
        Ok(statement.query_row(params, read).optional()?)
    }

    fn first_in(&self, lane: Key<'_>, sql: &str) -> Result<Option<RunId>, Fault> {
        self.seek(sql, params![lane.trigger, lane.key], |row| {
            row.get(0).map(RunId::from_raw)
        })
    }

    fn rank_in(&self, room: Key<'_>, sql: &str) -> Result<Option<Rank>, Fault> {
        self.seek(sql, params![room.trigger, room.key], |row| {
            let at = Timestamp::from_millis(row.get(0)?);
            Ok((at, RunId::from_raw(row.get(1)?)))
        })
    }
}

pub(super) const TURN: &str = "SELECT id, state FROM deliveries INDEXED BY deliveries_lane \
     WHERE trigger = ?1 AND ordering_key = ?2 AND turn = 0 LIMIT 1";
pub(super) const FIRST_WAITING: &str = "SELECT id FROM deliveries INDEXED BY deliveries_lane \
     WHERE trigger = ?1 AND ordering_key = ?2 AND turn = 1 ORDER BY id LIMIT 1";
pub(super) const FIRST_BLOCKING: &str = "SELECT id FROM deliveries INDEXED BY deliveries_lane \
     WHERE trigger = ?1 AND ordering_key = ?2 AND turn = 2 ORDER BY id LIMIT 1";
pub(super) const TAKEN: &str = "SELECT 1 FROM deliveries INDEXED BY deliveries_seated \
     WHERE trigger = ?1 AND concurrency_key = ?2 AND seat < 2 LIMIT 1 OFFSET ?3";
pub(super) const FIRST_UNSEATED: &str = "SELECT ready_at, id FROM deliveries \
     INDEXED BY deliveries_unseated WHERE trigger = ?1 AND concurrency_key = ?2 AND seat = 2 \
     ORDER BY ready_at, id LIMIT 1";
pub(super) const LAST_QUEUED: &str = "SELECT ready_at, id FROM deliveries \
     INDEXED BY deliveries_seated WHERE trigger = ?1 AND concurrency_key = ?2 AND seat < 2 \
     AND seat = 0 ORDER BY ready_at DESC, id DESC LIMIT 1";
pub(super) const NEXT_ROOM: &str = "SELECT concurrency_key FROM deliveries \
     INDEXED BY deliveries_unseated WHERE trigger = ?1 AND concurrency_key >= ?2 AND seat = 2 \
     ORDER BY concurrency_key LIMIT 1";

impl Table for Applier<'_> {
    type Error = Fault;

    fn turn(&mut self, lane: Key<'_>) -> Result<Option<(RunId, Place)>, Fault> {
        let found = self.seek(TURN, params![lane.trigger, lane.key], |row| {
            Ok((RunId::from_raw(row.get(0)?), row.get(1)?))
        })?;
        found
            .map(|(run, state)| {
                let place = Place::from_stored(state).ok_or_else(|| malformed("a state"))?;
                Ok((run, place))
            })
            .transpose()
    }

    fn first_waiting(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Fault> {
        self.first_in(lane, FIRST_WAITING)
    }

    fn first_blocking(&mut self, lane: Key<'_>) -> Result<Option<RunId>, Fault> {
        self.first_in(lane, FIRST_BLOCKING)
    }

    fn limit(&mut self, trigger: i64) -> Result<Option<u32>, Fault> {
        if let Some(limit) = self.memory.limits.get(&trigger) {
            return Ok(*limit);
        }
        let sql = "SELECT key_limit FROM triggers WHERE id = ?1";
        let limit = self.seek(sql, [trigger], |row| row.get(0))?.flatten();
        self.memory.limits.insert(trigger, limit);
        Ok(limit)
    }

    fn taken(&mut self, room: Key<'_>, count: u32) -> Result<bool, Fault> {
        let Some(before) = count.checked_sub(1) else {
            return Ok(true);
        };
        let last = self.seek(TAKEN, params![room.trigger, room.key, before], |_| Ok(()))?;
        Ok(last.is_some())
    }

    fn first_unseated(&mut self, room: Key<'_>) -> Result<Option<Rank>, Fault> {
        self.rank_in(room, FIRST_UNSEATED)
    }

    fn last_queued(&mut self, room: Key<'_>) -> Result<Option<Rank>, Fault> {
        self.rank_in(room, LAST_QUEUED)
    }

    fn next_room(&mut self, trigger: i64, from: &str) -> Result<Option<String>, Fault> {
        self.seek(NEXT_ROOM, params![trigger, from], |row| row.get(0))
    }

    fn member(&mut self, run: RunId) -> Result<Member, Fault> {
        let sql = concat!(
            "SELECT ",
            member_columns!(),
            " FROM deliveries WHERE id = ?1"
        );
        self.seek(sql, [run.raw()], member)?
            .ok_or_else(|| malformed("an index of deliveries that are not there"))
    }

    fn put(&mut self, run: RunId, trigger: i64, from: Place, to: Place) -> Result<(), Fault> {
        self.conn
            .prepare_cached("UPDATE deliveries SET state = ?2, held_for = NULL WHERE id = ?1")?
            .execute(params![run.raw(), to as u8])?;
        self.delta.moved(trigger, Some(from), Some(to));
        if from.is_held() && to == Place::Queued {
            self.released.insert(trigger);
        }
        Ok(())
    }
}
