//! Who pays when a worker ends: the table "who pays" of docs/guarantees.md, as a pure rule.

use crate::{CancelReason, Failure, FailureKind};

/// Why a worker ended with attempts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// It exited or was ended by a signal; the text says how.
    Crash(String),
    /// It ran out of memory; the text says of which.
    OutOfMemory(String),
    /// Its event loop was blocked past a timeout.
    BlockedLoop,
    /// Nothing but attempts long past their timeouts was left on it.
    Stuck,
    /// We ended it, for reasons of our own.
    Stopping,
}

/// Whose fault it was, as far as is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Culprit {
    /// This attempt, and what it said about itself if it said something.
    Stream(u32, Option<Failure>),
    /// Code that ran outside of any attempt that is still open.
    NoneOfThem,
    /// Nobody knows.
    Unknown,
}

/// Everything that is known about the end of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) cause: Cause,
    pub(crate) culprit: Culprit,
}

impl Verdict {
    pub(crate) fn unknown(cause: Cause) -> Self {
        Self {
            cause,
            culprit: Culprit::Unknown,
        }
    }

    /// What it means for the attempt on `stream`, one of `open` that had not ended.
    pub(crate) fn failure_of(&self, stream: u32, open: usize) -> Failure {
        if self.cause == Cause::Stopping {
            let message = "the server stopped the worker before the attempt ended";
            return Failure::ours(FailureKind::Interrupted, message);
        }
        match &self.culprit {
            Culprit::Stream(guilty, own) if *guilty == stream => {
                own.clone().unwrap_or_else(|| self.guilty())
            }
            Culprit::Stream(..) => self.bystander("another attempt on the same worker"),
            Culprit::NoneOfThem => self.bystander("code that ran outside of this attempt"),
            Culprit::Unknown if open == 1 => self.guilty(),
            Culprit::Unknown => {
                let message = format!(
                    "{}, and it is not known which of {open} attempts on it was the cause; \
                     each may have taken effect",
                    self.what()
                );
                Failure::ours(FailureKind::Suspect, message)
            }
        }
    }

    fn guilty(&self) -> Failure {
        let kind = match self.cause {
            Cause::Crash(_) => FailureKind::Crash,
            Cause::OutOfMemory(_) => FailureKind::OutOfMemory,
            Cause::BlockedLoop => FailureKind::BlockedLoop,
            Cause::Stuck => FailureKind::Timeout,
            Cause::Stopping => FailureKind::Interrupted,
        };
        Failure::ours(kind, self.what())
    }

    fn bystander(&self, whose: &str) -> Failure {
        let what = self.what();
        let message = format!("{what} through {whose}; this attempt may have taken effect");
        Failure::ours(FailureKind::Bystander, message)
    }

    fn what(&self) -> String {
        match &self.cause {
            Cause::Crash(how) => format!("the worker {how}"),
            Cause::OutOfMemory(of_what) => format!("the worker ran out of memory: {of_what}"),
            Cause::BlockedLoop => {
                "the event loop was blocked past the timeout, and the worker was ended".into()
            }
            Cause::Stuck => "the attempt did not end after its timeout".into(),
            Cause::Stopping => "the worker was stopped".into(),
        }
    }
}

/// What a failure means for an attempt that had got the abort signal: code that heeds it by
/// failing has done as it was told, and pays for what the signal was about.
pub(crate) fn in_view_of(signal: Option<CancelReason>, failure: Failure) -> Failure {
    use FailureKind::{Interrupted, MissingResponse, Timeout, UserError};
    let (kind, why) = match (signal, failure.kind) {
        (Some(CancelReason::Stopping), kind) if kind != Interrupted => {
            (Interrupted, "the server stopped, and the attempt broke off")
        }
        (Some(CancelReason::Timeout), UserError | MissingResponse) => {
            (Timeout, "its time was up, and the attempt broke off")
        }
        _ => return failure,
    };
    Failure {
        stack: failure.stack,
        ..Failure::ours(
            kind,
            format!("{why} ({}: {})", failure.name, failure.message),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_abort_signal_says_who_pays() {
        use CancelReason::{CallerGone, Stopping, Timeout as TimeUp};
        use FailureKind::{BlockedLoop, Crash, Interrupted, MissingResponse, Timeout, UserError};
        let check = |signal, kind, expected| {
            let failed = in_view_of(signal, Failure::ours(kind, "as it said"));
            assert_eq!(failed.kind, expected, "{kind:?} after {signal:?}");
            assert!(failed.message.contains("as it said"), "{failed:?}");
        };
        for kind in [UserError, MissingResponse, Crash, BlockedLoop, Interrupted] {
            check(None, kind, kind);
            check(Some(CallerGone), kind, kind);
            check(Some(Stopping), kind, Interrupted);
        }
        check(Some(TimeUp), UserError, Timeout);
        check(Some(TimeUp), MissingResponse, Timeout);
        for kind in [Crash, BlockedLoop, Interrupted] {
            check(Some(TimeUp), kind, kind);
        }
    }

    #[test]
    fn the_table() {
        use FailureKind::{
            BlockedLoop, Bystander, Crash, Interrupted, OutOfMemory, Suspect, Timeout,
        };
        let crash = || Cause::Crash("exited".into());
        let oom = || Cause::OutOfMemory("heap".into());
        let named = |stream| Culprit::Stream(stream, None);
        let check = |cause: Cause, culprit: Culprit, open: usize, expected: FailureKind| {
            let verdict = Verdict { cause, culprit };
            let failure = verdict.failure_of(7, open);
            assert_eq!(failure.kind, expected, "{verdict:?} of {open}");
            let told = failure.message.contains("may have taken effect");
            assert_eq!(told, matches!(expected, Bystander | Suspect), "{failure:?}");
        };
        check(crash(), Culprit::Unknown, 1, Crash);
        check(crash(), Culprit::Unknown, 2, Suspect);
        check(crash(), named(7), 2, Crash);
        check(crash(), named(8), 2, Bystander);
        check(crash(), named(8), 1, Bystander);
        check(crash(), Culprit::NoneOfThem, 1, Bystander);
        check(oom(), Culprit::Unknown, 1, OutOfMemory);
        check(oom(), Culprit::Unknown, 3, Suspect);
        check(Cause::BlockedLoop, Culprit::Unknown, 1, BlockedLoop);
        check(Cause::BlockedLoop, named(7), 9, BlockedLoop);
        check(Cause::BlockedLoop, named(8), 9, Bystander);
        check(Cause::Stuck, Culprit::Unknown, 1, Timeout);
        check(Cause::Stopping, Culprit::Unknown, 5, Interrupted);
        let own = Failure::ours(Crash, "process.exit(3)");
        let verdict = Verdict {
            cause: crash(),
            culprit: Culprit::Stream(7, Some(own.clone())),
        };
        assert_eq!(verdict.failure_of(7, 4), own);
    }
}
