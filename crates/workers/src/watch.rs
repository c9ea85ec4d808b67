//! What a worker's ticker looks at: deadlines, and whether the event loop turns.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use crate::{
    CancelReason, Failure, FailureKind,
    body::Pipe,
    call::Exchange,
    deadline::{self, Due, LoopSigns, Phase},
    frame,
    orders::Order,
    worker::{Desk, Worker},
};

/// What a tick found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing runs.
    Idle,
    /// Attempts run, and the loop turns as far as is known.
    Busy,
    /// The loop is blocked past a timeout.
    Blocked,
    /// Only attempts long past their timeouts are left.
    Stuck,
}

/// A caller to be told that it took too long.
struct Overdue {
    exchange: Arc<Exchange>,
    response: Option<Arc<Pipe>>,
    failure: Failure,
}

impl Worker {
    /// Looks at all attempts.
    pub(crate) fn tick(&self, now: Instant) -> Tick {
        let (seen, overdue, straggles, late) = self.write(|desk| look(desk, now));
        self.set_late(late);
        for Overdue {
            exchange,
            response,
            failure,
        } in overdue
        {
            if let Some(response) = response {
                response.end(Err(failure.clone()));
            }
            exchange.finish(Err(failure));
        }
        if straggles {
            self.leave();
        }
        seen
    }

    /// Gives it nothing more; it ends when what runs has ended.
    pub(crate) fn leave(&self) {
        if !self.orders.give(Order::Leave) {
            return;
        }
        // Who has a place may still start: the last one to leave sends RETIRE.
        let empty = self.pool().is_none_or(|pool| pool.set_aside(self));
        if empty {
            self.send_retire();
        }
    }

    /// Nothing runs on it and nothing will: it may end by itself.
    pub(crate) fn send_retire(&self) {
        self.write(|desk| {
            desk.closed = true;
            frame::retire(&mut desk.out);
        });
    }

    /// It is about to end by itself: nothing more is started on it.
    pub(crate) fn expire(&self) {
        self.write(|desk| desk.closed = true);
        self.orders.give(Order::Expire);
        if let Some(pool) = self.pool() {
            pool.set_aside(self);
        }
    }

    /// Its process has ended, or is ended now: nobody else is sent to it. Says how many attempts
    /// are under way; some may yet turn out to have answered.
    pub(crate) fn close(&self) -> usize {
        let open = self.write(|desk| {
            desk.closed = true;
            desk.attempts.len()
        });
        self.shared.fleet.lock().blanks.remove(self);
        if let Some(pool) = self.pool() {
            pool.set_aside(self);
        }
        open
    }

    /// A change for the better lets those in who waited.
    pub(crate) fn set_late(&self, late: bool) {
        let was = self.late.swap(late, Ordering::Relaxed);
        if was
            && !late
            && let Some(pool) = self.pool()
        {
            pool.serve_waiting();
        }
    }
}

fn look(desk: &mut Desk, now: Instant) -> (Tick, Vec<Overdue>, bool, bool) {
    let mut overdue = Vec::new();
    let (mut blocked, mut aborted, mut stragglers) = (false, false, 0);
    let silence = desk.pulse.silence(now);
    for (stream, attempt) in desk.attempts.iter_mut() {
        let turned = desk.pulse.heard_since(attempt.deadline);
        let signs = LoopSigns { silence, turned };
        match deadline::due(attempt.phase, attempt.deadline, now, signs) {
            Due::Nothing => {}
            Due::Abort => {
                attempt.phase = Phase::Aborted;
                aborted = true;
                if attempt.cancelled.is_none() {
                    attempt.cancelled = Some(CancelReason::Timeout);
                    if let Some(request) = attempt.request.take() {
                        request.close();
                    }
                    frame::cancel(&mut desk.out, stream, CancelReason::Timeout);
                }
            }
            Due::Answer => {
                attempt.phase = Phase::Unheard;
                overdue.push(Overdue {
                    exchange: Arc::clone(&attempt.exchange),
                    response: attempt.response.clone(),
                    failure: timed_out(attempt.timeout),
                });
            }
            Due::Blocked => blocked = true,
            Due::Straggler => stragglers += 1,
        }
    }
    let ping = if desk.attempts.is_empty() {
        desk.pulse.rest();
        None
    } else if aborted {
        desk.pulse.force(now)
    } else {
        desk.pulse.beat(now)
    };
    if let Some(number) = ping {
        frame::ping(&mut desk.out, number);
    }
    let seen = match desk.attempts.len() {
        0 => Tick::Idle,
        _ if blocked => Tick::Blocked,
        open if stragglers == open => Tick::Stuck,
        _ => Tick::Busy,
    };
    let late = !desk.attempts.is_empty() && desk.pulse.is_late(now);
    (seen, overdue, stragglers > 0, late)
}

fn timed_out(timeout: Duration) -> Failure {
    let message =
        format!("no answer within its time of {timeout:?}; the attempt may have taken effect");
    Failure::ours(FailureKind::Timeout, message)
}
