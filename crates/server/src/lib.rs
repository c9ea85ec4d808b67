//! The composition root of Wakeful: gateway, dispatcher, admin API and command line.

pub mod addresses;
pub mod admin;
pub mod cli;
mod clock;
mod cloudevents;
mod connections;
pub mod control;
mod credentials;
mod data_plane;
mod deploy;
mod destinations;
mod dispatcher;
mod gateway;
mod host;
mod http_status;
mod internal;
mod live;
mod operator;
pub mod options;
mod recorder;
mod sampling;
pub mod server;
mod sources;
mod terminal;
mod tools;
mod undeclared;
pub mod vault;
