//! Going through a table by its rowid, around pages that cannot be read.

use rusqlite::{Connection, ErrorCode, OptionalExtension, Row};

/// What a scan does with a row, or with the gap before one.
pub(super) enum Met<'a, 'r> {
    /// A row.
    Row(&'a Row<'r>),
    /// Rows after the first number and before the second, if there were any, cannot be read;
    /// `None` when nothing behind them can.
    Gap(i64, Option<i64>),
}

/// Whether an error is about a page rather than about the database.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::SystemIoFailure)
    )
}

/// Calls `meet` for each row of `table` in the order of `id`; `columns` begin with `id`.
pub(super) fn rows(
    conn: &Connection,
    table: &str,
    columns: &str,
    mut meet: impl FnMut(Met<'_, '_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT {columns} FROM {table} WHERE id >= ?1 ORDER BY id");
    let mut from = i64::MIN;
    loop {
        let mut last = None;
        let ended = (|| {
            let mut statement = conn.prepare(&sql)?;
            let mut rows = statement.query([from])?;
            while let Some(row) = rows.next()? {
                last = Some(row.get::<_, i64>(0)?);
                meet(Met::Row(row))?;
            }
            Ok(())
        })();
        match ended {
            Ok(()) => return Ok(()),
            Err(error) if is_damage(&error) => {
                let at = last.unwrap_or(from);
                let next = beyond(conn, table, at)?;
                meet(Met::Gap(at, next))?;
                match next {
                    Some(next) => from = next,
                    None => return Ok(()),
                }
            }
            Err(error) => return Err(error),
        }
    }
}

/// The first row after `at` that can be read, when the one behind it cannot; found by halving,
/// for a damaged page does not say where it ends.
fn beyond(conn: &Connection, table: &str, at: i64) -> rusqlite::Result<Option<i64>> {
    // All columns, for a row may go on in pages of its own.
    let sql = format!("SELECT * FROM {table} WHERE id >= ?1 ORDER BY id LIMIT 1");
    let find = format!("SELECT id FROM {table} WHERE id >= ?1 ORDER BY id LIMIT 1");
    let readable = |from: i64| -> rusqlite::Result<bool> {
        let mut statement = conn.prepare_cached(&sql)?;
        match statement.query_row([from], |_| Ok(())).optional() {
            Ok(_) => Ok(true),
            Err(error) if is_damage(&error) => Ok(false),
            Err(error) => Err(error),
        }
    };
    let last = match conn.query_row(&format!("SELECT max(id) FROM {table}"), [], |row| {
        row.get::<_, Option<i64>>(0)
    }) {
        Ok(Some(last)) => last,
        _ => i64::MAX,
    };
    let (mut not, last) = (i128::from(at), i128::from(last));
    // In growing steps first: between two damaged places others may be whole.
    let (mut step, mut yes) = (1, None);
    while yes.is_none() {
        let probe = (not + step).min(last);
        if probe <= not {
            return Ok(None);
        }
        match readable(probe as i64)? {
            true => yes = Some(probe),
            false => not = probe,
        }
        step *= 2;
    }
    let mut yes = yes.unwrap_or(last);
    while yes - not > 1 {
        let middle = not + (yes - not) / 2;
        match readable(middle as i64)? {
            true => yes = middle,
            false => not = middle,
        }
    }
    let next = conn
        .prepare_cached(&find)?
        .query_row([yes as i64], |row| row.get(0))
        .optional()?;
    Ok(next)
}
