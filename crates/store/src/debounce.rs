//! When a debounced delivery is ready.

use wakeful_core::{port::NewDebounce, time::Timestamp};

/// `wait` after `came`, the time from which it could have run, but not later than `most` after
/// `first`, that of the first of its chain (`None`: it is the first); never before it came.
///
/// Counted from what the caller says rather than from ids: those do not go back with the clock,
/// and an hour that was set back would be an hour more to wait.
pub(crate) fn ready_at(rule: &NewDebounce, came: Timestamp, first: Option<Timestamp>) -> Timestamp {
    let latest = first.unwrap_or(came).plus(rule.most);
    came.plus(rule.wait).min(latest).max(came)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn it_waits_for_quiet_but_not_for_ever() {
        let rule = NewDebounce {
            key: String::new(),
            wait: Duration::from_millis(10),
            most: Duration::from_millis(25),
        };
        let at = Timestamp::from_millis;
        for (came, first, expected) in [
            (100, None, 110),
            (105, Some(100), 115),
            (114, Some(100), 124),
            (120, Some(100), 125),
            // One that was published for a later time is not started before that.
            (500, Some(100), 500),
            // The clock was set back.
            (50, Some(100), 60),
        ] {
            assert_eq!(ready_at(&rule, at(came), first.map(at)), at(expected));
        }
        let hasty = NewDebounce {
            most: Duration::from_millis(5),
            ..rule
        };
        assert_eq!(ready_at(&hasty, at(100), None), at(105), "most is most");
    }
}
