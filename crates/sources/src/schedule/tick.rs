//! One tick as a submission, and how much is remembered of it.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use wakeful_core::{
    event::Origin,
    name::{Scope, TriggerId},
    port::{Arrival, Checkpoint, CheckpointKey, Submission},
    project::{ScheduleTrigger, When},
    time::Timestamp,
};

/// What is remembered of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Remembered {
    /// The scheduled time of its last tick.
    pub(super) last: Timestamp,
}

/// Under what a schedule's last tick is remembered.
pub(super) fn checkpoint_key(scope: &Scope, trigger: &TriggerId) -> CheckpointKey {
    CheckpointKey {
        scope: scope.clone(),
        source: format!("schedule:{trigger}"),
    }
}

/// The tick of `trigger` at `at`, with the checkpoint that says so.
pub(super) fn submission(
    scope: &Scope,
    id: &TriggerId,
    trigger: &ScheduleTrigger,
    at: Timestamp,
    last: Option<Timestamp>,
) -> Submission {
    let data = serde_json::json!({
        "schedule": text(&trigger.when),
        "scheduledTime": at.to_string(),
        "lastTime": last.map(|last| last.to_string()),
    });
    let remembered = serde_json::json!(Remembered { last: at });
    Submission {
        arrivals: vec![Arrival {
            subject: Some(id.to_string()),
            ..Arrival::new(
                Origin::Schedule(id.clone()),
                "tick",
                at,
                data.to_string().into(),
            )
        }],
        checkpoint: Some(Checkpoint {
            key: checkpoint_key(scope, id),
            value: remembered.to_string().into(),
        }),
        objects: Vec::new(),
    }
}

/// A schedule as manifests write it.
fn text(when: &When) -> String {
    match when {
        When::Cron(expression) => expression.clone(),
        When::Every(distance) => format!("every {}", distance_text(*distance)),
    }
}

/// `1h30m`, `5m`, `1s500ms`.
fn distance_text(distance: Duration) -> String {
    const UNITS: [(&str, u128); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1000),
        ("ms", 1),
    ];
    let mut rest = distance.as_millis();
    let mut text = String::new();
    for (unit, size) in UNITS {
        if rest >= size {
            text.push_str(&format!("{}{unit}", rest / size));
            rest %= size;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_read_as_they_are_written() {
        for (ms, expected) in [
            (1000, "1s"),
            (300_000, "5m"),
            (5_400_000, "1h30m"),
            (90_061_001, "1d1h1m1s1ms"),
        ] {
            assert_eq!(distance_text(Duration::from_millis(ms)), expected);
        }
    }
}
