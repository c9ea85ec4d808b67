//! The composition root of Wakeful: gateway, dispatcher, admin API and command line.

pub mod vault;
