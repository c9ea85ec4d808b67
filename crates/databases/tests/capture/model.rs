//! Replaying the events of a table reproduces the table, whatever was done to it.

use std::collections::BTreeMap;

use rusqlite::Connection;
use serde_json::{Value, json};

use crate::bench::Bench;

/// A small generator, so that a failure names the seed that repeats it.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[usize::try_from(self.throw(of.len() as u64)).unwrap()]
    }
}

fn statement(dice: &mut Dice) -> String {
    let clause = dice.one(&[
        "",
        "OR IGNORE",
        "OR REPLACE",
        "OR REPLACE",
        "OR ABORT",
        "OR FAIL",
        "OR ROLLBACK",
    ]);
    let (id, u, w, n) = (
        dice.throw(8),
        dice.throw(8),
        dice.throw(8),
        dice.throw(1000),
    );
    let id = dice
        .one(&["NULL", &id.to_string(), &id.to_string(), "-1"])
        .to_owned();
    let condition = match dice.throw(4) {
        0 => String::new(),
        1 => format!("WHERE u > {u}"),
        _ => format!("WHERE id = {id}"),
    };
    match dice.throw(12) {
        0..=3 => format!("INSERT {clause} INTO t VALUES ({id}, {u}, {w}, {n})"),
        4 => format!("INSERT {clause} INTO t VALUES ({id}, {u}, {w}, {n}), (NULL, {w}, {u}, {n})"),
        5 => format!(
            "INSERT INTO t VALUES ({id}, {u}, {w}, {n}) ON CONFLICT(u) DO UPDATE SET n = excluded.n + 1"
        ),
        6 => format!("UPDATE {clause} t SET u = {u}, n = n + 1 {condition}"),
        7 => format!("UPDATE {clause} t SET id = {id}, w = {w} {condition}"),
        8 => format!("UPDATE t SET n = {n} {condition}"),
        9 => format!("DELETE FROM t {condition}"),
        10 => dice
            .one(&[
                "BEGIN",
                "COMMIT",
                "ROLLBACK",
                "SAVEPOINT s",
                "ROLLBACK TO s",
                "RELEASE s",
            ])
            .to_owned(),
        _ => format!("PRAGMA recursive_triggers = {}", dice.one(&["ON", "OFF"])),
    }
}

fn table(conn: &Connection) -> BTreeMap<String, Value> {
    let mut statement = conn.prepare("SELECT * FROM t").unwrap();
    let rows = statement.query_map([], |row| {
        let value = |at: usize| row.get::<_, Option<i64>>(at);
        Ok(json!({"id": value(0)?, "u": value(1)?, "w": value(2)?, "n": value(3)?}))
    });
    rows.unwrap()
        .map(|row| row.unwrap())
        .map(|row| (row["id"].to_string(), row))
        .collect()
}

/// Applies the events in order; each must fit what the ones before it left.
fn replay(events: impl Iterator<Item = Value>, seed: u64) -> BTreeMap<String, Value> {
    let mut rows = BTreeMap::new();
    for (at, event) in events.enumerate() {
        let (before, after) = (&event["before"], &event["after"]);
        if !before.is_null() {
            let was = rows.remove(&before["id"].to_string());
            assert_eq!(
                was.as_ref(),
                Some(before),
                "seed {seed}, event {at}: {event}"
            );
        }
        if !after.is_null() {
            let was = rows.insert(after["id"].to_string(), after.clone());
            assert_eq!(was, None, "seed {seed}, event {at}: {event}");
        }
    }
    rows
}

#[tokio::test]
async fn replaying_the_events_reproduces_the_table() {
    for seed in 0..12 {
        let ddl = "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, u UNIQUE, w, n); \
                   CREATE UNIQUE INDEX tw ON t(w)";
        let mut bench = Bench::with(
            &format!("{ddl}; CREATE TABLE the_end(a)"),
            &["t", "the_end"],
        )
        .await;
        let conn = Connection::open(&bench.path).unwrap();
        conn.busy_timeout(std::time::Duration::from_secs(30))
            .unwrap();
        let mut dice = Dice(seed);
        let mut done = 0;
        for _ in 0..400 {
            // Many fail, by a conflict or outside of a transaction: that belongs to it.
            done += u32::from(conn.execute_batch(&statement(&mut dice)).is_ok());
        }
        if !conn.is_autocommit() {
            conn.execute_batch("COMMIT").unwrap();
        }
        assert!(done > 100, "seed {seed}: only {done} statements worked");
        conn.execute_batch("INSERT INTO the_end VALUES (1)")
            .unwrap();
        bench
            .until("the end", |bench| {
                bench
                    .arrivals()
                    .iter()
                    .any(|arrival| arrival.subject.as_deref() == Some("the_end/1"))
            })
            .await;
        let arrivals = bench.arrivals();
        let events = arrivals
            .iter()
            .map(|arrival| serde_json::from_slice::<Value>(&arrival.data).unwrap())
            .filter(|event| event["table"] == "t");
        assert_eq!(replay(events, seed), table(&conn), "seed {seed}");
        bench.stop().await;
    }
}
