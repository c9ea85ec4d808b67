//! SQLite.

mod capture;
mod names;

pub(crate) use capture::follow;
