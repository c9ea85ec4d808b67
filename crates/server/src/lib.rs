//! The composition root of Wakeful: gateway, dispatcher, admin API and command line.

pub mod addresses;
pub mod options;
pub mod vault;
