//! Runs SQL on a connection and writes what it answers as JSON.

use rusqlite::{Batch, Statement, fallible_iterator::FallibleIterator, types::ValueRef};
use wakeful_core::project::Level;

use super::{failure::failure, gate::Guarded, params::Params};
use crate::{
    query::{ErrorCode, QueryError, QueryResult},
    value::{Value, write_text, write_value},
};

/// What is asked of a connection.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) sql: String,
    pub(super) params: Params,
    pub(super) access: Level,
    pub(super) max_rows: usize,
    pub(super) max_bytes: usize,
}

/// How it went on a reader.
pub(super) enum Read {
    /// It was answered.
    Answered(QueryResult),
    /// It writes: a writer must run it.
    Writes,
}

/// Whether the first word is one that usually only reads, so that a reader is worth asking.
/// This decides about speed alone.
pub(super) fn looks_like_reading(sql: &str) -> bool {
    ["select", "values", "with", "explain", "pragma"].contains(&first_word(sql).as_str())
}

/// The first word of a statement, in lower case, behind spaces and comments.
fn first_word(sql: &str) -> String {
    let mut rest = sql.trim_start();
    loop {
        let after = if let Some(comment) = rest.strip_prefix("--") {
            comment.split_once('\n').map(|(_, after)| after)
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|(_, after)| after)
        } else {
            break;
        };
        rest = after.unwrap_or_default().trim_start();
    }
    let letters = rest.chars().take_while(char::is_ascii_alphabetic);
    letters.map(|letter| letter.to_ascii_lowercase()).collect()
}

/// Runs a request on a connection that can only read.
pub(super) fn read(conn: &Guarded, request: &Request) -> Result<Read, QueryError> {
    if !is_single(&request.sql) {
        return match request.access {
            Level::Read => script(conn, request, Only::Reading).map(Read::Answered),
            Level::Write => Ok(Read::Writes),
        };
    }
    let mut statement = conn
        .conn
        .prepare_cached(&request.sql)
        .map_err(|error| failure(conn, &error))?;
    if !only_reads(&statement, &request.sql) {
        return match request.access {
            Level::Read => Err(not_for_readers()),
            Level::Write => Ok(Read::Writes),
        };
    }
    request.params.bind(&mut statement)?;
    answer(conn, &mut statement, request).map(|answer| Read::Answered(answer.result()))
}

/// Runs a request on the writer, within a transaction.
pub(super) fn write(conn: &Guarded, request: &Request) -> Result<QueryResult, QueryError> {
    let only = match request.access {
        Level::Read => Only::Reading,
        Level::Write => Only::Anything,
    };
    if !is_single(&request.sql) {
        return script(conn, request, only);
    }
    if only == Only::Reading {
        // Prepared for this reader, not taken over from someone who may write.
        return script(conn, request, only);
    }
    let mut statement = conn
        .conn
        .prepare_cached(&request.sql)
        .map_err(|error| failure(conn, &error))?;
    request.params.bind(&mut statement)?;
    answer(conn, &mut statement, request).map(Answer::result)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Only {
    Reading,
    Anything,
}

/// Whether the text is surely one statement. (A `;` within a string makes it seem several, which
/// costs the cache of prepared statements and nothing else.)
fn is_single(sql: &str) -> bool {
    let sql = sql.trim_end();
    // Without a word there may be no statement at all.
    !first_word(sql).is_empty() && !sql.strip_suffix(';').unwrap_or(sql).contains(';')
}

/// Whether a statement only reads. SQLite is not sure of pragmas; the gate lets readers have only
/// those that tell.
fn only_reads(statement: &Statement<'_>, sql: &str) -> bool {
    statement.readonly() || first_word(sql) == "pragma"
}

/// The text of one statement of several, as it was prepared.
fn text(statement: &Statement<'_>) -> String {
    statement.expanded_sql().unwrap_or_default()
}

/// Runs several statements; the answer is the last one's that has columns.
fn script(conn: &Guarded, request: &Request, only: Only) -> Result<QueryResult, QueryError> {
    let mut batch = Batch::new(&conn.conn, &request.sql);
    let mut last: Option<Answer> = None;
    let mut changes = 0;
    let mut count = 0;
    while let Some(mut statement) = batch.next().map_err(|error| failure(conn, &error))? {
        count += 1;
        if count > 1 && !request.params.is_empty() {
            return Err(QueryError::new(
                ErrorCode::Invalid,
                "parameters go with a single statement, but there are several",
            ));
        }
        if only == Only::Reading && !only_reads(&statement, &text(&statement)) {
            return Err(not_for_readers());
        }
        request.params.bind(&mut statement)?;
        let answer = answer(conn, &mut statement, request)?;
        changes += answer.changes;
        if answer.columns > 0 || last.as_ref().is_none_or(|last| last.columns == 0) {
            last = Some(answer);
        }
    }
    let mut answer = last.unwrap_or_default();
    answer.changes = changes;
    Ok(answer.result())
}

/// What one statement answered.
#[derive(Default)]
struct Answer {
    columns: usize,
    /// `{"columns":[…],"rows":[…]`, still open.
    json: Vec<u8>,
    rows: usize,
    changes: u64,
    last_insert: Option<i64>,
}

impl Answer {
    fn result(mut self) -> QueryResult {
        if self.json.is_empty() {
            self.json.extend_from_slice(b"{\"columns\":[],\"rows\":[]");
        }
        self.json.extend_from_slice(b",\"changes\":");
        write_value(
            &mut self.json,
            Value::Integer(self.changes.try_into().unwrap_or(i64::MAX)),
        );
        self.json.extend_from_slice(b",\"lastInsertRowid\":");
        write_value(
            &mut self.json,
            self.last_insert.map_or(Value::Null, Value::Integer),
        );
        self.json.push(b'}');
        QueryResult {
            json: self.json.into(),
            rows: self.rows,
            changes: self.changes,
        }
    }
}

/// Steps through a statement whose parameters are bound.
fn answer(
    conn: &Guarded,
    statement: &mut Statement<'_>,
    request: &Request,
) -> Result<Answer, QueryError> {
    let total_before = conn.conn.total_changes();
    let columns = statement.column_count();
    let mut json = b"{\"columns\":[".to_vec();
    for (at, name) in statement.column_names().enumerate() {
        if at > 0 {
            json.push(b',');
        }
        write_text(&mut json, name);
    }
    json.extend_from_slice(b"],\"rows\":[");
    let inserts = !statement.readonly();
    let mut count = 0;
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(|error| failure(conn, &error))? {
        if columns == 0 {
            continue;
        }
        if count == request.max_rows {
            return Err(too_large(format!("more than {} rows", request.max_rows)));
        }
        json.extend_from_slice(if count > 0 { b",[" } else { b"[" });
        for at in 0..columns {
            if at > 0 {
                json.push(b',');
            }
            let value = row.get_ref(at).map_err(|error| failure(conn, &error))?;
            if json.len() + length(value) > request.max_bytes {
                return Err(too_large(format!("more than {} bytes", request.max_bytes)));
            }
            write_value(&mut json, value_of(value));
        }
        json.push(b']');
        count += 1;
    }
    drop(rows);
    json.push(b']');
    if json.len() > request.max_bytes {
        return Err(too_large(format!("more than {} bytes", request.max_bytes)));
    }
    let changes = match conn.conn.total_changes() == total_before {
        true => 0,
        false => conn.conn.changes(),
    };
    let last_insert = (inserts
        && changes > 0
        && ["insert", "replace", "with"].contains(&first_word(&request.sql).as_str()))
    .then(|| conn.conn.last_insert_rowid());
    Ok(Answer {
        columns,
        json,
        rows: count,
        changes,
        last_insert,
    })
}

fn length(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
        _ => 0,
    }
}

fn value_of(value: ValueRef<'_>) -> Value<'_> {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(number) => Value::Real(number),
        ValueRef::Text(bytes) => Value::Text(bytes),
        ValueRef::Blob(bytes) => Value::Blob(bytes),
    }
}

fn too_large(what: String) -> QueryError {
    QueryError::new(
        ErrorCode::TooLarge,
        format!("the query returns {what}: use LIMIT, or ask for fewer columns"),
    )
}

fn not_for_readers() -> QueryError {
    QueryError::new(
        ErrorCode::Denied,
        "the statement writes, but the function may only read this database: \
         set its `access` to \"write\"",
    )
}
