//! The databases a project declares: capture of row changes, and queries for functions.
