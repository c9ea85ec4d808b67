//! Schedules: a tick for each moment that a trigger's cron expression or distance names.
//!
//! When a schedule ticks is a pure rule of `wakeful_core::schedule`. Here is who waits for it,
//! and what is promised:
//!
//! - **No tick twice.** Each tick is submitted together with a checkpoint that holds its
//!   scheduled time; only later times tick afterwards. That holds across restarts, and when the
//!   clock is set back: the schedule then waits until the clock has passed its last tick. (A
//!   last tick more than a day in the future comes from a clock that was wrong; it is reported
//!   and forgotten.)
//! - **Missed ticks are skipped.** What was due while the server was down does not tick when it
//!   starts (`catch_up` is none); it is counted and logged.
//! - **At most one tick for a jump.** When the clock is set forward, or the machine was
//!   suspended, or the store refused ticks for a while, the latest due time ticks; the ones
//!   before it count as missed.
//! - A trigger that is new, or whose schedule changed, ticks from now on.
//!
//! Each event has the origin `Schedule(trigger)`, the verb `tick`, the trigger's identity as its
//! subject and the scheduled time as its time. Its data: `{"schedule": "*/5 * * * *" or
//! "every 5m", "scheduledTime": RFC 3339, "lastTime": RFC 3339 or null}`.

mod scheduler;
mod tick;

pub use scheduler::{Scheduler, SchedulerHandle};
