//! How workers end.
