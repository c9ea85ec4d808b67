//! What to make of a queue that does not move: one sentence, and the command that helps.

use super::pauses::flags;
use crate::admin::model::{
    Advice, FunctionStateWord, PauseInfo, QueueReport, TriggerQueue, Trouble, Wait, WaitKind,
};

/// That nothing is wrong.
pub(super) fn nothing() -> Advice {
    Advice {
        trouble: Trouble::None,
        text: "Nothing waits and nothing is wrong.".to_owned(),
        command: None,
    }
}

/// What to make of a report.
pub(super) fn of(report: &QueueReport) -> Advice {
    // What somebody has to mend goes before what passes, whatever queue it holds.
    let all = || {
        let queues = report.triggers.iter();
        queues.flat_map(|queue| queue.waits.iter().map(move |wait| (queue, wait)))
    };
    let standing = MENDED_BY_HAND.iter().find_map(|kind| {
        let mut found = all().filter(|(_, wait)| wait.kind == *kind);
        found.next()
    });
    let passing = PASSING.iter().find_map(|kind| {
        let mut found = all().filter(|(_, wait)| wait.kind == *kind);
        found.next()
    });
    match (standing.or(passing), broken(report)) {
        (Some((queue, wait)), _) => about(report, queue, wait),
        (None, Some(advice)) => advice,
        (None, None) => unheld(report),
    }
}

const MENDED_BY_HAND: [WaitKind; 5] = [
    WaitKind::Version,
    WaitKind::Pause,
    WaitKind::Worker,
    WaitKind::Blocked,
    WaitKind::Gone,
];
const PASSING: [WaitKind; 6] = [
    WaitKind::Breaker,
    WaitKind::Place,
    WaitKind::Rate,
    WaitKind::Concurrency,
    WaitKind::Order,
    WaitKind::Time,
];

fn about(report: &QueueReport, queue: &TriggerQueue, wait: &Wait) -> Advice {
    match wait.kind {
        WaitKind::Version
        | WaitKind::Gone
        | WaitKind::Pause
        | WaitKind::Worker
        | WaitKind::Blocked => {
            let (text, command) = mend(report, queue, wait);
            Advice {
                trouble: Trouble::Standing,
                text: text.to_owned(),
                command: Some(command),
            }
        }
        _ => Advice {
            trouble: Trouble::Passing,
            text: passes(wait.kind).to_owned(),
            command: look(report, queue, wait.kind),
        },
    }
}

/// What somebody has to do.
fn mend(report: &QueueReport, queue: &TriggerQueue, wait: &Wait) -> (&'static str, String) {
    let function = &report.function;
    match wait.kind {
        WaitKind::Pause => {
            let holds = |pause: &&PauseInfo| {
                let trigger = pause.trigger.as_ref();
                pause.key == wait.key && trigger.is_none_or(|id| *id == queue.trigger)
            };
            let pause = report.pauses.iter().find(holds);
            let trigger = pause.and_then(|pause| pause.trigger.as_ref());
            let flags = flags(function, trigger.map(|id| id.as_str()), wait.key.as_deref());
            (
                "It is paused by hand, and goes on when it is resumed.",
                format!("wakeful resume {flags}"),
            )
        }
        WaitKind::Gone => (
            "A trigger was renamed or removed: what is owed under its old name waits until it is \
             back, or grows too old and can be discarded as a dead letter.",
            format!("wakeful runs --function {function} --state queued"),
        ),
        WaitKind::Worker => (
            "No worker process could be started: mend that, and what waits runs by itself.",
            format!("wakeful logs --function {function}"),
        ),
        WaitKind::Blocked => {
            let run = wait.runs.first();
            let run = run.map(ToString::to_string).unwrap_or_default();
            (
                "A dead letter blocks its ordering key until it is redriven or discarded.",
                format!("wakeful dead show {run}"),
            )
        }
        _ => (
            "Its code cannot be loaded: mend it, and what waits runs by itself.",
            "wakeful functions".to_owned(),
        ),
    }
}

/// What passes by itself.
const fn passes(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::Breaker => {
            "One after the other failed, so the rest is held; one is tried now and then, and when \
             it succeeds all go on."
        }
        WaitKind::Place => "As many run as may at once; if that is too few, raise `concurrency`.",
        WaitKind::Rate => "Its rate is used up; it goes on by itself at the pace that `rate` says.",
        WaitKind::Concurrency | WaitKind::Order => {
            "They wait for others with the same key, and go on as those end."
        }
        _ => {
            "What waits has its time: a retry, a delay that was asked for, or a redrive at a rate."
        }
    }
}

/// Where more can be seen of it.
fn look(report: &QueueReport, queue: &TriggerQueue, kind: WaitKind) -> Option<String> {
    let runs = |state: &str| {
        format!(
            "wakeful runs --function {} --state {state}",
            report.function
        )
    };
    match kind {
        WaitKind::Rate => None,
        WaitKind::Breaker => Some(runs("retrying")),
        WaitKind::Place => Some(match report.running.first() {
            Some(run) => format!("wakeful show {}", run.run),
            None => runs("running"),
        }),
        WaitKind::Concurrency | WaitKind::Order => Some(runs("running")),
        _ => (queue.census.queued > 0)
            .then(|| format!("wakeful runs --function {}", report.function)),
    }
}

/// A function that cannot run although nothing of it waits.
fn broken(report: &QueueReport) -> Option<Advice> {
    let text = match report.state {
        FunctionStateWord::Live | FunctionStateWord::Loading => return None,
        FunctionStateWord::Outdated => {
            "Nothing waits, but its newest code cannot be loaded; the one before it serves on."
        }
        FunctionStateWord::Broken => "Nothing waits, but its code cannot be loaded.",
    };
    Some(Advice {
        trouble: Trouble::Standing,
        text: text.to_owned(),
        command: Some("wakeful functions".to_owned()),
    })
}

/// Nothing holds it: it moves, or there is nothing to move.
fn unheld(report: &QueueReport) -> Advice {
    let sum = |of: fn(&TriggerQueue) -> u64| report.triggers.iter().map(of).sum::<u64>();
    let function = &report.function;
    match (
        sum(|queue| queue.census.waiting()),
        sum(|queue| queue.census.dead),
    ) {
        (0, dead) if !report.pauses.is_empty() => paused(report, dead),
        (0, 0) => nothing(),
        (0, dead) => Advice {
            trouble: Trouble::Standing,
            text: format!("Nothing waits, but there {}.", dead_letters(dead)),
            command: Some(format!("wakeful dead list --function {function}")),
        },
        _ => Advice {
            trouble: Trouble::Passing,
            text: "Nothing holds it: the queue is moving.".to_owned(),
            command: Some(format!("wakeful runs --function {function}")),
        },
    }
}

fn dead_letters(count: u64) -> String {
    match count {
        1 => "is 1 dead letter".to_owned(),
        count => format!("are {count} dead letters"),
    }
}

/// Something of it is paused, and nothing came in since.
fn paused(report: &QueueReport, dead: u64) -> Advice {
    let Some(pause) = report.pauses.first() else {
        return nothing();
    };
    let what = match (&pause.key, &pause.trigger) {
        (Some(key), _) => format!("the key `{key}`"),
        (None, Some(trigger)) => format!("the trigger `{trigger}`"),
        (None, None) => "the function".to_owned(),
    };
    let others = match report.pauses.len() - 1 {
        0 => String::new(),
        others => format!(" (and {others} more)"),
    };
    let why = match pause.why.as_str() {
        "" => String::new(),
        why => format!(": {why}"),
    };
    let dead = match dead {
        0 => String::new(),
        dead => format!(" There {}.", dead_letters(dead)),
    };
    let trigger = pause.trigger.as_ref().map(|id| id.as_str());
    let flags = flags(&report.function, trigger, pause.key.as_deref());
    Advice {
        trouble: Trouble::Standing,
        text: format!(
            "Nothing waits yet, but {what} is paused by hand since {}{others}{why}. What comes in \
             waits until it is resumed.{dead}",
            pause.since
        ),
        command: Some(format!("wakeful resume {flags}")),
    }
}
