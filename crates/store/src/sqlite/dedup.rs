//! Keys of outside events, so that a repetition is recognised.
//!
//! Such keys are random, and a growing index of random keys costs the store most of its speed.
//! So they live in tables by when they may be forgotten: `dedup_<class>_<n>` holds keys whose
//! window ends in [n, n + 1) widths, a width of class c being 15 minutes times 2 to the power of
//! c. The class is the least whose width is at least an eighth of the window: a window is spread
//! over at most nine tables, all of bounded size, and a table whose time has passed is dropped
//! whole. "Now" is when the delivery's id was drawn. `run` is the delivery that brought the key.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};
use wakeful_core::{id::RunId, port::Dedup as Key, time::Timestamp};

use super::fault::Fault;

const BASE_MS: i64 = 15 * 60 * 1000;
const CLASSES: u32 = 40;
const SPREAD: i64 = 8;

/// One table.
#[derive(Debug)]
struct Bucket {
    name: String,
    /// Everything in it may be forgotten from then on, milliseconds.
    ends: i64,
    find: String,
    insert: String,
}

impl Bucket {
    fn new(class: u32, n: i64) -> Self {
        let name = format!("dedup_{class}_{n}");
        Self {
            ends: n.saturating_add(1).saturating_mul(width(class)),
            find: format!("SELECT until, run FROM {name} WHERE trigger = ?1 AND key = ?2"),
            insert: format!("INSERT OR REPLACE INTO {name} VALUES (?1, ?2, ?3, ?4)"),
            name,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let (class, n) = name.strip_prefix("dedup_")?.split_once('_')?;
        let class = class.parse().ok().filter(|class| *class < CLASSES)?;
        Some(Self::new(class, n.parse().ok()?))
    }
}

fn width(class: u32) -> i64 {
    BASE_MS.saturating_mul(1 << class)
}

fn class_of(window: Duration) -> u32 {
    let ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
    let fits = |class: &u32| width(*class).saturating_mul(SPREAD) >= ms;
    (0..CLASSES).find(fits).unwrap_or(CLASSES - 1)
}

/// The tables there are.
#[derive(Debug)]
pub(super) struct Dedup {
    buckets: Vec<Bucket>,
}

impl Dedup {
    /// Finds out which tables there are.
    pub(super) fn load(conn: &Connection) -> Result<Self, Fault> {
        let mut statement = conn.prepare_cached(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'dedup\\_%' ESCAPE '\\'",
        )?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?;
        let names: Vec<String> = names.collect::<Result<_, _>>()?;
        let buckets = names
            .iter()
            .filter_map(|name| Bucket::parse(name))
            .collect();
        Ok(Self { buckets })
    }

    /// The delivery for which `key` is remembered; if there is none, it is remembered for `run`
    /// from now on.
    pub(super) fn repeats(
        &mut self,
        conn: &Connection,
        trigger: i64,
        key: &Key,
        run: RunId,
    ) -> Result<Option<RunId>, Fault> {
        let now = run.drawn_at();
        for bucket in self
            .buckets
            .iter()
            .filter(|bucket| bucket.ends > now.as_millis())
        {
            let found: Option<(i64, i64)> = conn
                .prepare_cached(&bucket.find)?
                .query_row(params![trigger, key.key.as_bytes()], |row| {
                    Ok((row.get(0)?, row.get(1)?))
                })
                .optional()?;
            if let Some((until, first)) = found
                && until > now.as_millis()
            {
                return Ok(Some(RunId::from_raw(first)));
            }
        }
        let until = now.plus(key.window).as_millis();
        let bucket = self.bucket(conn, class_of(key.window), until)?;
        conn.prepare_cached(&bucket.insert)?.execute(params![
            trigger,
            key.key.as_bytes(),
            until,
            run.raw()
        ])?;
        Ok(None)
    }

    fn bucket(&mut self, conn: &Connection, class: u32, until: i64) -> Result<&Bucket, Fault> {
        let wanted = Bucket::new(class, until.div_euclid(width(class)));
        let at = match self
            .buckets
            .iter()
            .position(|bucket| bucket.name == wanted.name)
        {
            Some(at) => at,
            None => {
                conn.execute_batch(&format!(
                    "CREATE TABLE {} (trigger INTEGER NOT NULL, key BLOB NOT NULL, \
                     until INTEGER NOT NULL, run INTEGER NOT NULL DEFAULT 0, \
                     PRIMARY KEY (trigger, key)) STRICT, WITHOUT ROWID",
                    wanted.name
                ))?;
                self.buckets.push(wanted);
                self.buckets.len() - 1
            }
        };
        Ok(&self.buckets[at])
    }

    /// Drops one table whose time has passed; `false` when there is none.
    pub(super) fn drop_one(&mut self, conn: &Connection, now: Timestamp) -> Result<bool, Fault> {
        let past = |bucket: &Bucket| bucket.ends <= now.as_millis();
        let Some(at) = self.buckets.iter().position(past) else {
            return Ok(false);
        };
        conn.flush_prepared_statement_cache();
        conn.execute_batch(&format!("DROP TABLE {}", self.buckets[at].name))?;
        self.buckets.remove(at);
        Ok(true)
    }
}

/// Makes tables of format 1 those of format 2. Whose keys are in them is not known: 0.
pub(super) fn migrate(conn: &Connection) -> Result<(), Fault> {
    for bucket in Dedup::load(conn)?.buckets {
        conn.execute_batch(&format!(
            "ALTER TABLE {} ADD COLUMN run INTEGER NOT NULL DEFAULT 0",
            bucket.name
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_spread_over_at_most_nine_tables() {
        for minutes in [
            0,
            1,
            15,
            119,
            120,
            121,
            24 * 60,
            30 * 24 * 60,
            1_000_000_000,
        ] {
            let window = Duration::from_secs(minutes * 60);
            let ms = window.as_millis() as i64;
            let class = class_of(window);
            assert!(ms / width(class) <= SPREAD, "{minutes}");
            assert!(class == 0 || width(class - 1) * SPREAD < ms, "{minutes}");
        }
        assert!(class_of(Duration::MAX) < CLASSES);
    }

    #[test]
    fn names_survive() {
        let bucket = Bucket::parse(&Bucket::new(3, 12).name).unwrap();
        assert_eq!(
            (bucket.name.as_str(), bucket.ends),
            ("dedup_3_12", 13 * width(3))
        );
        assert!(Bucket::parse("dedup_99_1").is_none());
    }
}
