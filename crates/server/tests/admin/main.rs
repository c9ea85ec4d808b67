//! The admin API and the command line that speaks it, over a real store in memory, a real
//! history, real buckets and a real vault; what the dispatcher would do is made up.

mod api;
mod cli;
mod events;
mod keep;
mod logs;
mod made_up;
mod rig;
mod tools;
