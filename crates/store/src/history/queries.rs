//! What people ask of the history. Each query looks at a bounded number of rows.

use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use wakeful_core::{id::RunId, limits, run::Run};

use super::{
    rows::{self, NOTEWORTHY, line_columns, run_columns, state_number},
    types::{LogRow, LogsQuery, RunDetail, RunsQuery},
};

/// Which rows a query walks over, and which of them it wants.
struct Filter {
    /// The index to walk along; empty for the table itself.
    index: &'static str,
    /// Conditions that the walk is bounded by, and the values of their parameters.
    walk: Vec<String>,
    walk_values: Vec<Box<dyn ToSql>>,
    /// Conditions that are tested for each row on the way.
    want: Vec<String>,
    want_values: Vec<Box<dyn ToSql>>,
}

impl Filter {
    fn new() -> Self {
        Self {
            index: "NOT INDEXED",
            walk: vec!["TRUE".to_owned()],
            walk_values: Vec::new(),
            want: vec!["TRUE".to_owned()],
            want_values: Vec::new(),
        }
    }

    fn walk(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.walk.push(condition.to_owned());
        self.walk_values.push(Box::new(value));
    }

    fn want(&mut self, condition: &str, value: impl ToSql + 'static) {
        self.want.push(condition.to_owned());
        self.want_values.push(Box::new(value));
    }

    /// Walks over `table t` by `order` until there are `limit` rows, or it has looked at
    /// [`limits::HISTORY_SCAN`].
    fn run<T>(
        &self,
        conn: &Connection,
        (table, columns, order): (&str, &str, &str),
        limit: usize,
        read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        // CROSS JOIN: SQLite must walk the table, not the functions.
        let sql = format!(
            "SELECT ({}) AS wanted, {columns} FROM {table} t {} \
             CROSS JOIN functions f ON f.id = t.function WHERE {} ORDER BY {order}",
            self.want.join(" AND "),
            self.index,
            self.walk.join(" AND "),
        );
        let values = self.want_values.iter().chain(&self.walk_values);
        let params: Vec<&dyn ToSql> = values.map(AsRef::as_ref).collect();
        let limit = limit.min(limits::STORE_READ_ROWS);
        let mut statement = conn.prepare(&sql)?;
        let mut rows = statement.query(&params[..])?;
        let (mut found, mut looked) = (Vec::new(), 0);
        while found.len() < limit
            && looked < limits::HISTORY_SCAN
            && let Some(row) = rows.next()?
        {
            looked += 1;
            if row.get("wanted")? {
                found.push(read(row)?);
            }
        }
        Ok(found)
    }
}

/// Runs, newest first. What no index finds is looked for among the newest rows only.
pub(super) fn runs(conn: &Connection, query: &RunsQuery) -> rusqlite::Result<Vec<Run>> {
    let mut filter = Filter::new();
    if let Some(name) = &query.function {
        let Some(function) = rows::find(conn, name)? else {
            return Ok(Vec::new());
        };
        filter.index = "INDEXED BY runs_function";
        filter.walk("t.function = ?", function);
    }
    if let Some(state) = query.state.map(state_number) {
        if state >= NOTEWORTHY && query.function.is_none() {
            filter.index = "INDEXED BY runs_noteworthy";
            filter.walk("t.state = ?", state);
            // Spelled out, or the partial index would not be taken.
            filter.walk.push(format!("t.state >= {NOTEWORTHY}"));
        } else {
            filter.want("t.state = ?", state);
        }
    }
    if let Some(since) = query.since {
        filter.walk("t.id >= ?", RunId::first_at(since).raw());
    }
    if let Some(before) = query.before {
        filter.walk("t.id < ?", before.raw());
    }
    let from = ("runs", run_columns!(), "t.id DESC");
    filter.run(conn, from, query.limit, rows::run)
}

/// One run with its attempts and newest lines.
pub(super) fn run(conn: &Connection, id: RunId) -> rusqlite::Result<Option<RunDetail>> {
    let found = conn
        .prepare_cached(concat!(
            "SELECT TRUE AS wanted, ",
            run_columns!(),
            " FROM runs t CROSS JOIN functions f ON f.id = t.function WHERE t.id = ?1"
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
    let mut filter = Filter::new();
    if let Some(name) = &query.function {
        let Some(function) = rows::find(conn, name)? else {
            return Ok(Vec::new());
        };
        filter.index = "INDEXED BY logs_function";
        filter.walk("t.function = ?", function);
    }
    if let Some(run) = query.run {
        filter.index = "INDEXED BY logs_run";
        filter.walk("t.run = ?", run.raw());
    }
    if let Some(after) = query.after_seq {
        filter.walk("t.seq > ?", after);
    }
    if let Some(level) = query.level {
        filter.want("t.level >= ?", level as u8);
    }
    if let Some(since) = query.since {
        filter.want("t.at >= ?", since.as_millis());
    }
    if let Some(text) = &query.contains {
        filter.want("instr(t.text, ?) > 0", text.clone());
    }
    let order = match query.after_seq {
        Some(_) => "t.seq ASC",
        None => "t.seq DESC",
    };
    let from = ("logs", line_columns!(), order);
    let mut found = filter.run(conn, from, query.limit, rows::line)?;
    found.sort_by_key(|row| row.seq);
    Ok(found)
}
