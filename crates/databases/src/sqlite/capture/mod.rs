//! Change capture in SQLite: triggers write an outbox in the user's own transaction, and a
//! follower reads it, submits what it finds together with its checkpoint, and removes it.
//!
//! # What is put into the user's database
//!
//! For each capturing scope, five tables and some triggers whose names begin with
//! `_wakeful.<project>.<environment>.<database>`. Triggers of tables that nobody watches any more
//! are dropped. They stay when the server stops, so that nothing is missed meanwhile; the outbox
//! grows until it runs again. To remove everything by hand, let the `sqlite3` shell run what
//! this prints:
//!
//! ```sql
//! SELECT 'DROP ' || type || ' "' || replace(name, '"', '""') || '";' FROM sqlite_schema
//! WHERE name LIKE '\_wakeful.%' ESCAPE '\' AND type IN ('trigger', 'table') ORDER BY type DESC;
//! ```
//!
//! # What it promises, and what it cannot
//!
//! - Every committed insert, update and delete of a watched table, by any process, is one event;
//!   what is rolled back is none. Rows that `REPLACE` removes are deletes of their own, before
//!   the insert; only rows removed because of a partial unique index, or one over expressions,
//!   are not seen unless `PRAGMA recursive_triggers` is on.
//! - Changes come in the order in which they were made. What triggers of the user's do to a row
//!   counts as changes of its own, after the change that caused them.
//! - Adding, renaming and dropping columns and renaming tables works as without capture; the
//!   triggers are made anew as soon as the change of the schema is seen. In between a dropped
//!   column appears as null and a new one is missing. A rebuild of the table (create, copy, drop,
//!   rename) drops the triggers, and rows changed before the change of the schema is seen are
//!   missed: this is reported. Migrations through `Databases` leave no such gap.
//! - Capture is one more program that writes: it takes the write lock for a moment when it removes
//!   what was consumed, so writers need a busy timeout, as they do beside any other writer.
//! - A connection that switches triggers off (`SQLITE_DBCONFIG_ENABLE_TRIGGER`) is not seen.
//! - Columns that are computed on every read are in `after`, not in `before`.
//! - `INTEGER`, `REAL`, `TEXT`, `BLOB` and `NULL` keep their types. A value longer than
//!   `limits::MAX_CAPTURED_VALUE`, or what would make the event larger than `limits::MAX_BODY`,
//!   is left out and its length is given.
//!
//! # How nothing is missed or repeated
//!
//! The checkpoint names the outbox (a random identity), the last row that was submitted, and when
//! that row was written. That row stays in the outbox; so when the checkpoint and the outbox do
//! not fit, the file is another one (or a backup, or lost its last transactions in a power cut),
//! and reading starts over at what this outbox itself says was consumed.

mod change;
mod follow;
mod install;
mod layout;
mod narrator;
mod outbox;
mod table;
mod triggers;
mod trouble;
mod watch;

pub(crate) use follow::{follow, withdraw};
pub(super) use install::renew_within;
pub(super) use outbox::create;
