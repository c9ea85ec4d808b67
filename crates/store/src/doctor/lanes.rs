//! Lanes and rooms of keys, pauses, and what else stands between a delivery and its turn.
//!
//! What must hold is said in `crate::lanes`. Nobody in a lane may wait for a turn that never
//! comes: that is the damage to look for here, since nothing else would ever notice it.

use rusqlite::{Connection, Row, params};
use wakeful_core::{id::RunId, port::Pause};

use super::{
    exam::{Exam, recount},
    report::{Code, Remedy, Step},
};

/// Findings of one kind that are listed one by one.
const MOST_OF_A_KIND: usize = 100;
/// Rooms that are put in order before the next ones are looked for.
const ROOMS: usize = 1000;

/// Two deliveries of a lane have the turn, or one before which another stands.
const OUT_OF_TURN: &str = "d.turn = 0 AND EXISTS (SELECT 1 FROM deliveries o \
     INDEXED BY deliveries_lane WHERE o.trigger = d.trigger AND o.ordering_key = d.ordering_key \
     AND o.turn IN (0, 1, 2) AND ((d.state <> 1 AND (o.id < d.id OR (o.state = 1 AND o.id <> d.id))) \
     OR (d.state = 1 AND o.turn = 0 AND o.state = 1 AND o.id < d.id)))";

/// The first of a lane waits although nobody has the turn.
const STUCK: &str = "d.turn = 1 AND NOT EXISTS (SELECT 1 FROM deliveries o \
     INDEXED BY deliveries_lane WHERE o.trigger = d.trigger AND o.ordering_key = d.ordering_key \
     AND (o.turn = 0 OR (o.turn IN (1, 2) AND o.id < d.id)))";

/// Somebody waits for a seat in a room where nobody sits, or that has no limit any more.
const UNSEATED: &str = "d.seat = 2 AND (EXISTS (SELECT 1 FROM triggers t WHERE t.id = d.trigger \
     AND t.key_limit IS NULL) OR NOT EXISTS (SELECT 1 FROM deliveries o \
     INDEXED BY deliveries_seated WHERE o.trigger = d.trigger \
     AND o.concurrency_key = d.concurrency_key AND o.seat < 2))";

/// It is held for a version or a key, and it is not said which.
const HELD_FOR_NOTHING: &str = "d.state IN (3, 6, 7) AND d.held_for IS NULL";

/// Checks them.
pub(super) fn check(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let order = || recount("put the lane in order: its first delivery has the turn");
    each(exam, OUT_OF_TURN, |exam, run, key| {
        exam.add(
            Code::LaneWrong,
            format!("{run}, ordering key {key}"),
            "it has the turn although another delivery of its key stands before it",
            "the order of this key is not kept",
            order(),
        );
    })?;
    each(exam, STUCK, |exam, run, key| {
        exam.add(
            Code::LaneWrong,
            format!("{run}, ordering key {key}"),
            "it waits for its turn, and nobody is before it",
            "this key stands still",
            order(),
        );
    })?;
    each(exam, UNSEATED, |exam, run, key| {
        exam.add(
            Code::LaneWrong,
            format!("{run}, concurrency key {key}"),
            "it waits for a place of its key, and nobody has one",
            "this key stands still",
            recount("give it a place"),
        );
    })?;
    each(exam, HELD_FOR_NOTHING, |exam, run, _| {
        exam.add(
            Code::LaneWrong,
            run.to_string(),
            "it is held, and it is not said for what",
            "nothing releases it",
            recount("queue it again: what holds it, if anything, will do so again"),
        );
    })?;
    pauses(exam)?;
    left_over(exam)
}

/// Lists the first of the deliveries `which`.
fn each(
    exam: &mut Exam<'_>,
    which: &str,
    mut tell: impl FnMut(&mut Exam<'_>, RunId, &str),
) -> rusqlite::Result<()> {
    let conn = exam.conn;
    exam.tell(Step::Deliveries, 0, None);
    let sql = format!(
        "SELECT d.id, coalesce(d.ordering_key, d.concurrency_key, '') FROM deliveries d WHERE {which}"
    );
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query([])?;
    let mut found = 0;
    while let Some(row) = rows.next()? {
        found += 1;
        if found <= MOST_OF_A_KIND {
            let key: String = row.get(1)?;
            tell(exam, RunId::from_raw(row.get(0)?), &format!("`{key}`"));
        } else {
            exam.report.more += 1;
        }
    }
    Ok(())
}

/// Pauses can be understood: one that cannot holds nothing.
fn pauses(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    let conn = exam.conn;
    let mut statement = conn.prepare("SELECT what, pause FROM pauses")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let pause: String = row.get(1)?;
        if serde_json::from_str::<Pause>(&pause).is_err() {
            exam.add(
                Code::PauseDamaged,
                format!("pauses, {}", row.get::<_, String>(0)?),
                "it cannot be understood",
                "what was paused by hand runs",
                Remedy::Person("pause it again".to_owned()),
            );
        }
    }
    Ok(())
}

/// What goes with an event, and how to tell that it did not.
const LEFT_OVER: [(&str, &str); 2] = [
    (
        "endings",
        "NOT EXISTS (SELECT 1 FROM events WHERE id = endings.event)",
    ),
    (
        "children",
        "NOT EXISTS (SELECT 1 FROM events WHERE id = children.parent)",
    ),
];

fn left_over(exam: &mut Exam<'_>) -> rusqlite::Result<()> {
    for (table, which) in LEFT_OVER {
        let count = exam.number(&format!("SELECT count(*) FROM {table} WHERE {which}"))?;
        if count > 0 {
            exam.add(
                Code::LeftOver,
                table,
                format!("{count} rows tell of events that are not kept any more"),
                "they take room",
                Remedy::Repair("drop them".to_owned()),
            );
        }
    }
    Ok(())
}

/// Puts lanes and rooms in order, and drops what is left over.
pub(super) fn put_in_order(conn: &Connection) -> rusqlite::Result<()> {
    for (table, which) in LEFT_OVER {
        conn.execute(&format!("DELETE FROM {table} WHERE {which}"), [])?;
    }
    let change = |set: &str, which: &str| {
        let sql = format!("UPDATE deliveries AS d SET {set} WHERE {which}");
        conn.execute(&sql, [])
    };
    change("state = 0, held_for = NULL", HELD_FOR_NOTHING)?;
    change(
        "attempts = attempts - (state = 1), state = 4, held_for = NULL",
        OUT_OF_TURN,
    )?;
    change("state = 0", STUCK)?;
    conn.execute(
        "UPDATE deliveries AS d SET state = 0 WHERE seat = 2 AND EXISTS \
         (SELECT 1 FROM triggers t WHERE t.id = d.trigger AND t.key_limit IS NULL)",
        [],
    )?;
    loop {
        let rooms = crooked_rooms(conn)?;
        for room in &rooms {
            seat(conn, room)?;
        }
        if rooms.len() < ROOMS {
            return Ok(());
        }
    }
}

/// A room in which too many sit, or too few.
struct Room {
    trigger: i64,
    key: String,
    /// Seats to be given.
    free: i64,
}

fn crooked_rooms(conn: &Connection) -> rusqlite::Result<Vec<Room>> {
    // Only who is queued can be asked to leave a seat.
    let sql = format!(
        "SELECT r.trigger, r.key, t.key_limit - r.taken FROM (SELECT trigger, \
         concurrency_key AS key, sum(seat < 2) AS taken, sum(seat = 0) AS queued, \
         sum(seat = 2) AS waiting FROM deliveries WHERE seat IS NOT NULL \
         GROUP BY trigger, concurrency_key) r JOIN triggers t ON t.id = r.trigger \
         WHERE (r.taken > t.key_limit AND r.queued > 0) \
         OR (r.taken < t.key_limit AND r.waiting > 0) LIMIT {ROOMS}"
    );
    let mut statement = conn.prepare(&sql)?;
    let room = |row: &Row<'_>| {
        Ok(Room {
            trigger: row.get(0)?,
            key: row.get(1)?,
            free: row.get(2)?,
        })
    };
    statement.query_map([], room)?.collect()
}

fn seat(conn: &Connection, room: &Room) -> rusqlite::Result<()> {
    let (to, from, order) = match room.free > 0 {
        true => (0, 2, "ready_at, id"),
        false => (5, 0, "ready_at DESC, id DESC"),
    };
    let sql = format!(
        "UPDATE deliveries SET state = {to} WHERE id IN (SELECT id FROM deliveries \
         WHERE trigger = ?1 AND concurrency_key = ?2 AND seat = {from} ORDER BY {order} LIMIT ?3)"
    );
    conn.prepare_cached(&sql)?
        .execute(params![room.trigger, room.key, room.free.abs()])?;
    Ok(())
}
