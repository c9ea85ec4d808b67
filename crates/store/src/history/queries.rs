//! What people ask of the history. Each query looks at a bounded number of rows.

use rusqlite::{Connection, OptionalExtension, ToSql, params};
use wakeful_core::{id::RunId, limits, run::Run};

use super::{
    rows::{self, NOTEWORTHY, line_columns, run_columns, state_number},
    types::{LogRow, LogsQuery, RunDetail, RunsQuery},
};

/// Conditions of a query, with the values of their parameters in order.
#[derive(Default)]
struct Filter {
    text: String,
    values: Vec<Box<dyn ToSql>>,
}

impl Filter {
    fn and(&mut self, condition: &str) {
        self.text.push_str(if self.text.is_empty() {
            " WHERE "
        } else {
            " AND "
        });
        self.text.push_str(condition);
    }

    fn with(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.and(condition);
        self.value(value);
    }

    fn value(&mut self, value: impl ToSql + 'static) {
        self.values.push(Box::new(value));
    }

    fn params(&self) -> Vec<&dyn ToSql> {
        self.values.iter().map(AsRef::as_ref).collect()
    }
}

/// Runs, newest first. What no index finds is looked for among the newest rows only.
pub(super) fn runs(conn: &Connection, query: &RunsQuery) -> rusqlite::Result<Vec<Run>> {
    let mut inner = Filter::default();
    let mut outer = Filter::default();
    let mut index = "";
    if let Some(name) = &query.function {
        let Some(function) = rows::find(conn, name)? else {
            return Ok(Vec::new());
        };
        inner.with("function = ?", function);
        index = "INDEXED BY runs_function";
    }
    if let Some(state) = query.state.map(state_number) {
        if state >= NOTEWORTHY && query.function.is_none() {
            // Spelled out, or the partial index would not be taken.
            inner.and(&format!("state = {state} AND state >= {NOTEWORTHY}"));
            index = "INDEXED BY runs_noteworthy";
        } else {
            outer.and(&format!("r.state = {state}"));
        }
    }
    if let Some(since) = query.since {
        inner.with("id >= ?", RunId::first_at(since).raw());
    }
    if let Some(before) = query.before {
        inner.with("id < ?", before.raw());
    }
    inner.value(limits::HISTORY_SCAN as i64);
    inner.values.append(&mut outer.values);
    inner.value(bounded(query.limit));
    let sql = format!(
        "SELECT {} FROM (SELECT * FROM runs {index}{} ORDER BY id DESC LIMIT ?) r \
         JOIN functions f ON f.id = r.function{} ORDER BY r.id DESC LIMIT ?",
        run_columns!(),
        inner.text,
        outer.text,
    );
    let mut statement = conn.prepare(&sql)?;
    statement
        .query_map(&inner.params()[..], rows::run)?
        .collect()
}

fn bounded(limit: usize) -> i64 {
    limit.min(limits::STORE_READ_ROWS) as i64
}

/// One run with its attempts and newest lines.
pub(super) fn run(conn: &Connection, id: RunId) -> rusqlite::Result<Option<RunDetail>> {
    let found = conn
        .prepare_cached(concat!(
            "SELECT ",
            run_columns!(),
            " FROM runs r JOIN functions f ON f.id = r.function WHERE r.id = ?1"
        ))?
        .query_row([id.raw()], rows::run)
        .optional()?;
    let Some(run) = found else {
        return Ok(None);
    };
    let mut statement =
        conn.prepare_cached("SELECT detail FROM attempts WHERE run = ?1 ORDER BY number LIMIT ?2")?;
    let attempts = statement
        .query_map(
            params![id.raw(), limits::STORE_READ_ROWS as i64],
            rows::attempt,
        )?
        .collect::<Result<_, _>>()?;
    let logs = logs(
        conn,
        &LogsQuery {
            run: Some(id),
            limit: limits::HISTORY_RUN_LOGS,
            ..LogsQuery::default()
        },
    )?;
    Ok(Some(RunDetail {
        run,
        attempts,
        logs,
    }))
}

/// Lines, oldest first: the newest ones, or those that follow a number.
pub(super) fn logs(conn: &Connection, query: &LogsQuery) -> rusqlite::Result<Vec<LogRow>> {
    let mut inner = Filter::default();
    let mut outer = Filter::default();
    let mut index = "NOT INDEXED";
    if let Some(name) = &query.function {
        let Some(function) = rows::find(conn, name)? else {
            return Ok(Vec::new());
        };
        inner.with("function = ?", function);
        index = "INDEXED BY logs_function";
    }
    if let Some(run) = query.run {
        inner.with("run = ?", run.raw());
        inner.and("run IS NOT NULL");
        index = "INDEXED BY logs_run";
    }
    if let Some(after) = query.after_seq {
        inner.with("seq > ?", after);
    }
    if let Some(level) = query.level {
        outer.with("l.level >= ?", level as u8);
    }
    if let Some(since) = query.since {
        outer.with("l.at >= ?", since.as_millis());
    }
    if let Some(text) = &query.contains {
        outer.with("instr(l.text, ?) > 0", text.clone());
    }
    let order = if query.after_seq.is_some() {
        "ASC"
    } else {
        "DESC"
    };
    inner.value(limits::HISTORY_SCAN as i64);
    inner.values.append(&mut outer.values);
    inner.value(bounded(query.limit));
    let sql = format!(
        "SELECT {} FROM (SELECT * FROM logs {index}{} ORDER BY seq {order} LIMIT ?) l \
         JOIN functions f ON f.id = l.function{} ORDER BY l.seq {order} LIMIT ?",
        line_columns!(),
        inner.text,
        outer.text,
    );
    let mut statement = conn.prepare(&sql)?;
    let mut found: Vec<LogRow> = statement
        .query_map(&inner.params()[..], rows::line)?
        .collect::<Result<_, _>>()?;
    found.sort_by_key(|row| row.seq);
    Ok(found)
}
