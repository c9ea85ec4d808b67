//! Change capture in SQLite, from the outside: the real `sqlite3` shell writes, a sink receives.

mod bench;
mod cases;
mod faults;
mod migrations;
mod model;
