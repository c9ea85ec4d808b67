//! What the time means for one attempt: a pure rule, asked by a coarse ticker.

use std::time::{Duration, Instant};

use wakeful_core::limits;

/// Where an attempt stands with regard to its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Its caller waits.
    Running,
    /// Its time is up: it got the abort signal, and its caller waits still.
    Aborted,
    /// Its caller has its answer or went away; the code runs on.
    Unheard,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Due {
    /// Nothing.
    Nothing,
    /// Send the abort signal.
    Abort,
    /// Tell the caller that it took too long.
    Answer,
    /// The worker's loop is blocked.
    Blocked,
    /// Replace the worker: this attempt may never end.
    Straggler,
}

/// What is known of the worker's event loop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LoopSigns {
    /// How long it has kept a ping waiting.
    pub(crate) silence: Duration,
    /// Whether it has turned since the attempt's deadline.
    pub(crate) turned: bool,
}

/// What is due now for an attempt whose time is up at `deadline`.
///
/// The caller of an attempt that overran gets its answer `ABORT_GRACE` after the abort signal
/// if the loop turns. If it does not, the answer waits until it is clear whether the loop is
/// blocked, at most `BLOCKED_AFTER`: that decides who pays.
pub(crate) fn due(phase: Phase, deadline: Instant, now: Instant, signs: LoopSigns) -> Due {
    let Some(over) = now.checked_duration_since(deadline) else {
        return Due::Nothing;
    };
    match phase {
        Phase::Running => Due::Abort,
        Phase::Aborted if over >= limits::ABORT_GRACE && signs.turned => Due::Answer,
        Phase::Aborted
            if over >= limits::BLOCKED_AFTER && signs.silence >= limits::BLOCKED_AFTER =>
        {
            Due::Blocked
        }
        // Slow but not silent for long enough: the caller need not wait for more.
        Phase::Aborted if over >= limits::BLOCKED_AFTER * 2 => Due::Answer,
        Phase::Unheard if over >= limits::STRAGGLER_GRACE => Due::Straggler,
        Phase::Aborted | Phase::Unheard => Due::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_the_signal_then_the_answer_then_the_worker() {
        let deadline = Instant::now() + Duration::from_secs(1);
        let check = |phase, after_ms: i64, silence_ms, turned, expected| {
            let distance = Duration::from_millis(after_ms.unsigned_abs());
            let now = if after_ms < 0 {
                deadline - distance
            } else {
                deadline + distance
            };
            let silence = Duration::from_millis(silence_ms);
            let signs = LoopSigns { silence, turned };
            let what = format!("{phase:?} after {after_ms} ms");
            assert_eq!(due(phase, deadline, now, signs), expected, "{what}");
        };
        check(Phase::Running, -1, 900, false, Due::Nothing);
        check(Phase::Running, 0, 900, false, Due::Abort);
        check(Phase::Aborted, 49, 0, true, Due::Nothing);
        check(Phase::Aborted, 50, 0, true, Due::Answer);
        check(Phase::Aborted, 50, 90, false, Due::Nothing);
        check(Phase::Aborted, 499, 900, false, Due::Nothing);
        check(Phase::Aborted, 500, 500, false, Due::Blocked);
        check(Phase::Aborted, 500, 499, false, Due::Nothing);
        check(Phase::Aborted, 1000, 100, false, Due::Answer);
        check(Phase::Unheard, 1999, 900, false, Due::Nothing);
        check(Phase::Unheard, 2000, 900, false, Due::Straggler);
        check(Phase::Unheard, -1, 900, false, Due::Nothing);
    }
}
