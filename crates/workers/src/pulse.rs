//! Whether an event loop turns, and how late: PING and PONG.

use std::time::{Duration, Instant};

use wakeful_core::limits;

/// Between two pings.
const EVERY: Duration = Duration::from_millis(100);

/// The pulse of one worker. At most one ping is under way.
#[derive(Debug, Default)]
pub(crate) struct Pulse {
    number: u32,
    sent: Option<Instant>,
    last_sent: Option<Instant>,
    heard: Option<Instant>,
    lag: Duration,
}

impl Pulse {
    /// The ping to send now, if it is time for one.
    pub(crate) fn beat(&mut self, now: Instant) -> Option<u32> {
        let due = self.last_sent.is_none_or(|last| now - last >= EVERY);
        due.then(|| self.force(now)).flatten()
    }

    /// The ping to send now, unless one is under way.
    pub(crate) fn force(&mut self, now: Instant) -> Option<u32> {
        if self.sent.is_some() {
            return None;
        }
        self.number = self.number.wrapping_add(1);
        self.sent = Some(now);
        self.last_sent = Some(now);
        Some(self.number)
    }

    /// A pong came.
    pub(crate) fn heard(&mut self, now: Instant, number: u32) {
        if number == self.number
            && let Some(sent) = self.sent.take()
        {
            self.heard = Some(now);
            self.lag = now - sent;
        }
    }

    /// Nothing runs: what was measured says nothing about the next attempt.
    pub(crate) fn rest(&mut self) {
        self.lag = Duration::ZERO;
    }

    /// How long the loop has kept us waiting.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        self.sent.map_or(Duration::ZERO, |sent| now - sent)
    }

    /// Whether the loop has turned since then.
    pub(crate) fn heard_since(&self, then: Instant) -> bool {
        self.heard.is_some_and(|heard| heard >= then)
    }

    /// Whether the loop is too late to be given more while another can take it.
    pub(crate) fn is_late(&self, now: Instant) -> bool {
        self.lag.max(self.silence(now)) > limits::HIGH_LAG
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lateness_is_known_while_and_after_a_ping_waits() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut pulse = Pulse::default();
        let first = pulse.beat(at(0)).unwrap();
        assert_eq!(pulse.beat(at(150)), None, "one ping at a time");
        assert!(!pulse.is_late(at(90)) && pulse.is_late(at(150)));
        pulse.heard(at(160), first.wrapping_add(7));
        assert!(!pulse.heard_since(at(0)), "a pong of another ping");
        pulse.heard(at(160), first);
        assert!(pulse.heard_since(at(160)) && !pulse.heard_since(at(161)));
        assert!(pulse.is_late(at(170)), "it was 160 ms late");
        let second = pulse.beat(at(200)).unwrap();
        pulse.heard(at(201), second);
        assert!(!pulse.is_late(at(202)));
        assert_eq!(pulse.silence(at(300)), Duration::ZERO);
        assert!(pulse.force(at(210)).is_some() && pulse.force(at(211)).is_none());
    }
}
